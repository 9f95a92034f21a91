"""A miniature of the disk that the full profile reads: COCO, VQAv2, checkpoints, prefix networks.

Every file has the name, the place and the form of the real one; only the counts and the widths are
small. Images are scenes of the drawn world saved as JPEG. The weights are random, so numbers mean
nothing here: what is proven is that everything is found, read, and goes through each chapter.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image
from tiny_vlm import VOCABULARY, tiny_smol_model, tiny_smol_processor
from typer.testing import CliRunner

from tests.cli.checkpoints import save_clip, save_opt, save_qwen
from vizer_core.cli import app
from vizer_core.data.vqav2 import VQAV2_CANDIDATES
from vizer_lab.studies.question_study import ANSWERS, VQAV2, val2014_name
from vizer_lab.world import DrawnSplit
from vizer_lab.world.vqa_items import drawn_answer_list, drawn_vqa_items
from vizer_lab.zoo.tokenizer import vocabulary

PARTS, IMAGES = 3, 64  # test, train and stream images of a VLM's study, of VIZER_IMAGES each
ASKED, TRAINING = 20, 40  # scenes with questions
PREFIX_NETWORKS = {
    "maccap": ("maccap",),
    "maccap-clean": ("maccap", "--variance", "0"),
    "capdec": ("capdec",),
    "decap": ("decap",),
}


def make_disk(root: Path) -> dict[str, str]:
    """Fill a folder and return the environment of a user who reads it."""
    data = root / "coco"
    write_coco(data, "val2017", PARTS * IMAGES, "{:012d}.jpg".format)
    write_coco(data, "val2014", ASKED, lambda number: val2014_name(str(number)))
    write_questions(data)
    clip, opt = save_clip(root / "clip"), save_opt(root / "opt", positions=512)
    corpus = root / "corpus.txt"
    corpus.write_text("\n".join(c for texts in captions_of(IMAGES, 500) for c in texts))
    models = ("--clip", clip, "--language-model", opt)
    train_prefix_networks(root, root / "prefix networks")
    for name in ("maccap", "capdec", "decap"):
        memory = ("--corpus", corpus) if name == "decap" else ()
        vizer("caption", data / "val2014", "--method", name, *models, *memory,
              "--captioner", root / "prefix networks" / f"{name}.safetensors",
              "--json", data / "captions" / f"{name}.json")  # fmt: skip
    return {
        "VIZER_PROFILE": "full",
        "VIZER_DATA": str(data),
        "VIZER_IMAGES": str(IMAGES),
        "VIZER_CLIP": str(clip),
        "VIZER_JUDGE": str(save_clip(root / "judge", seed=1)),
        "VIZER_LM": str(opt),
        "VIZER_PREFIX_NETWORKS": str(root / "prefix networks"),
        "VIZER_VLM": str(save_smolvlm(root / "smolvlm")),
    }


def train_prefix_networks(root: Path, folder: Path, *extra: object) -> Path:
    """Train the six prefix networks that chapters 6 and 7 read, as their advice says."""
    for name, (method, *options) in PREFIX_NETWORKS.items():
        vizer("train-captioner", "--method", method, *options, "--clip", root / "clip",
              "--language-model", root / "opt", "--corpus", root / "corpus.txt", "--captions", 64,
              "--epochs", 1, *extra, "--out", folder / f"{name}.safetensors")  # fmt: skip
    return folder


def save_smolvlm(folder: Path) -> Path:
    """Write a random SmolVLM-Base whose tokenizer knows the words of the images' captions."""
    words = [*VOCABULARY, *sorted(set(vocabulary()) - set(VOCABULARY))]
    tiny_smol_model("Idefics3", vocab_size=len(words)).save_pretrained(folder)
    tiny_smol_processor(words=words).save_pretrained(folder)
    return folder


def save_other_vlm(folder: Path) -> Path:
    """Write a random Qwen2-VL, the other family that `VIZER_VLM` may name."""
    return save_qwen(folder)


def captions_of(count: int, first: int = 0) -> list[list[str]]:
    """Return five captions of each of `count` scenes, as people type them."""
    split = DrawnSplit("second_validation", count, first=first)
    return [[f"{text[0].upper()}{text[1:]}." for text in texts] for texts in split.captions]


def write_coco(data: Path, name: str, count: int, file_name: Any) -> None:
    """Write images and captions as COCO unzips: unordered, one grey, one captioned six times."""
    (data / name).mkdir(parents=True)
    (data / "annotations").mkdir(exist_ok=True)
    images, annotations = [], []
    texts = captions_of(count)
    texts[1].append(f"{texts[1][0]}\n")
    for index, pixels in enumerate(DrawnSplit("second_validation", count, size=96).images):
        number = number_of(index)
        image = Image.fromarray(pixels).crop((0, 0, 96, 84 + index % 13))
        image = image.convert("L") if index == 2 else image
        image.save(data / name / file_name(number), quality=95)
        size = {"width": image.width, "height": image.height}
        images.append({"id": number, "file_name": file_name(number), "license": 1, **size})
        annotations += [
            {"id": 10 * number + k, "image_id": number, "caption": text}
            for k, text in enumerate(texts[index])
        ]
    content = {"info": {}, "licenses": [], "images": images[::-1], "annotations": annotations[::-1]}
    path = data / "annotations" / f"captions_{name}.json"
    path.write_text(json.dumps(content))


def number_of(index: int) -> int:
    """Return the number of an image: COCO's have gaps."""
    return 139 + 7 * index


def write_questions(data: Path) -> None:
    """Write VQAv2 for both splits, and the list of 3,128 answers."""
    (data / "vqav2").mkdir()
    for split, drawn, count, first in (
        ("val", "second_validation", ASKED, 0),
        ("train", "second_train", TRAINING, 100_000),
    ):
        asked, told = [], []
        items = drawn_vqa_items(drawn, count)
        indices = {image: k for k, image in enumerate(dict.fromkeys(i.image_id for i in items))}
        for row, item in enumerate(items):
            image = first + number_of(indices[item.image_id])
            ids = {"image_id": image, "question_id": 1000 * image + row}
            asked.append({**ids, "question": item.question})
            told.append(
                {
                    **ids,
                    "question_type": item.question_type,
                    "answer_type": item.answer_type or "other",
                    "multiple_choice_answer": item.answer,
                    "answers": [
                        {"answer": item.answer, "answer_confidence": "yes", "answer_id": k + 1}
                        for k in range(10)
                    ],
                }
            )
        for part, content in zip(VQAV2[split], ({"questions": asked}, {"annotations": told})):
            (data / part).write_text(json.dumps(content))
    answers = list(drawn_answer_list().answers)
    answers += [f"thing {k}" for k in range(VQAV2_CANDIDATES - len(answers))]
    (data / ANSWERS).write_text(json.dumps(answers))


def vizer(*words: object) -> None:
    """Run a command as a user types it."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exit_code:
        raise RuntimeError(f"vizer {' '.join(map(str, words))}: {done.output}") from done.exception
