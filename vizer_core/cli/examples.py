"""An example or two for each command, shown under its help and on the book's page of commands.

One line each, for a shell; `tests/cli/test_root_options.py` gives every one to the command's own
parser. Names in capitals are the reader's files.
"""

from __future__ import annotations

VQAV2 = (
    "--questions v2_OpenEnded_mscoco_val2014_questions.json "
    "--annotations v2_mscoco_val2014_annotations.json "
    "--train-questions v2_OpenEnded_mscoco_train2014_questions.json "
    "--train-annotations v2_mscoco_train2014_annotations.json"
)
EXAMPLES = {
    "train-captioner": (
        "vizer train-captioner --corpus CAPTIONS.txt --out maccap.safetensors",
        "vizer train-captioner --corpus CAPTIONS.txt --clip ViT-B-32 --pretrained openai "
        "--language-model facebook/opt-1.3b --out maccap.safetensors",
    ),
    "caption": (
        "vizer caption IMAGES --method maccap --json captions.json",
        "vizer caption IMAGES --method maccap --captioner maccap.safetensors --clip ViT-B-32 "
        "--pretrained openai --language-model facebook/opt-1.3b",
        "vizer caption IMAGES --method magic --clip ViT-B-32 --pretrained openai "
        "--language-model TUNED",
        "vizer caption IMAGES --model HuggingFaceTB/SmolVLM-Base --adapter ADAPTER --beams 3 "
        "--max-tokens 40 --json captions.json",
    ),
    "tune-lm": ("vizer tune-lm --language-model smollm2-135m --corpus coco2014-train --out TUNED",),
    "fit-mapper": ("vizer fit-mapper --images IMAGES --out mapper.safetensors",),
    "enhance": (
        "vizer enhance --images IMAGES --objective information --out ADAPTER",
        "vizer enhance --images IMAGES --model HuggingFaceTB/SmolVLM-Base --objective "
        "information --dtype bfloat16 --out ADAPTER",
        "vizer enhance --images IMAGES --model HuggingFaceTB/SmolVLM-Base --watch-every 20 "
        "--held-out 64 --patience 5 --out ADAPTER",
    ),
    "merge": ("vizer merge ADAPTER --model HuggingFaceTB/SmolVLM-Base --out MERGED",),
    "improve": (
        "vizer improve IMAGES --model HuggingFaceTB/SmolVLM-Base --dtype bfloat16 --out BETTER",
        "vizer improve IMAGES --model drawn-vlm-web --train always --out BETTER",
    ),
    "features": (
        "vizer features IMAGES --captions CAPTIONS.json --out features.safetensors",
        "vizer features IMAGES --model ViT-B-32 --pretrained openai --out images.safetensors",
    ),
    "gap": (
        "vizer gap --features features.safetensors",
        "vizer gap --images IMAGES.npy --texts TEXTS.npy --json gap.json",
        "vizer gap --images IMAGES --captions CAPTIONS.json --model ViT-B-32 --pretrained openai",
    ),
    "vqa": (
        f"vizer vqa {VQAV2} --captions maccap.json --captions decap.json --sample 20000 "
        "--language-model facebook/opt-1.3b --clip ViT-B-32 --pretrained openai",
    ),
    "evaluate": ("vizer evaluate --captions captions.json --references REFERENCES.json",),
    "compare": (
        "vizer compare --captions captions.json --against OTHERS.json "
        "--references REFERENCES.json --metrics cider,length",
    ),
}
WIDTH = 76  # of a terminal, less what the help is set in


def example_lines(command: str) -> list[str]:
    """Return a command's examples, cut into lines that a shell joins again.

    >>> example_lines("gap")[0]
    'vizer gap --features features.safetensors'
    >>> example_lines("fit-mapper")
    ['vizer fit-mapper --images IMAGES --out mapper.safetensors']
    """
    return [line for example in EXAMPLES[command] for line in _cut(example)]


def epilog(command: str) -> str:
    """Return what the help of a command ends with: its examples, their lines left as they are."""
    count = len(EXAMPLES[command])
    return "\n".join(
        ["\b", "Examples:" if count > 1 else "Example:"]
        + [f"  {line}" for line in example_lines(command)]
    )


def _cut(example: str) -> list[str]:
    """Cut an example before an option where it is too long, with the mark of a line that goes on.

    >>> _cut("vizer x " + "--option value " * 5 + "--last")[1:]
    ['    --option value --last']
    """
    parts = example.replace(" --", "\n--").split("\n")
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) + len("  \\") > WIDTH:
            lines[-1] += " \\"
            lines.append(f"    {part}")
        else:
            lines[-1] += f" {part}"
    return lines
