"""Make `results/zero_shot_real_lm.json`: what a real language model changes for three methods.

    make real
    nice python -m experiments.zero_shot_real_lm        # eight minutes of one core

Socratic Models, MAGIC and ZeroCap take a language model as it is. On the drawn world they were
tried with drawn-lm, which has read captions and nothing else. Here stand beside it a real one
(SmolLM2-135M), plain, and the same after a short tuning on captions of COCO (`caption_tuning`),
which is what MAGIC's paper does with GPT-2; each with several prompts. The CLIP is drawn-clip-50,
whose words are those of the drawn world, and captions are scored exactly on the first test images.

========================  ======================================================================
socratic:tuned:notes      method, language model, prompt
...|blind                 control: the caption of the mean image feature, for every image
...|another               control: each image's caption scored as the one of the image before it
========================  ======================================================================

Each row of captions is one cell; the tuned model lies in `--runs`, and no weights are kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from experiments.grid import Cell, run_grid, seconds_spent
from experiments.scoring import Exam, difference_rows, score, score_rows
from vizer_core.captioners import Captioner, Magic, Socratic, WordList, ZeroCap
from vizer_core.captioners.controls import Blind
from vizer_core.captioners.magic import MAGIC_COCO
from vizer_core.captioners.socratic import (
    SOCRATIC_DECODING,
    CompletionPrompt,
    NotesPrompt,
    TagPrefix,
)
from vizer_core.captioners.zerocap import ZEROCAP_ADAPTED
from vizer_core.data.coco import coco2014
from vizer_core.files import write_json
from vizer_core.language import CausalLM, nats_per_token
from vizer_core.language.caption_tuning import CaptionTuning, save_tuned, tune_on_captions
from vizer_core.metrics.stats import Statistics
from vizer_core.models import load_lm
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_lab.world import DrawnSplit
from vizer_lab.world.lexicon import OBJECTS
from vizer_lab.world.world import places_of
from vizer_lab.zoo.clips import load_drawn_clip, pixels_of

OUT, RUNS = Path("results/zero_shot_real_lm.json"), Path(".cache/zero_shot_real_lm")
CLIP, PLAIN, DRAWN = "drawn-clip-50", "smollm2-135m", "drawn-lm"
TEST = "second_test"
METRICS = ("object_precision", "object_recall", "object_f1", "background_accuracy", "length")
TUNING = CaptionTuning(steps=50)
HELD_OUT = 200  # captions of validation images, read before and after the tuning
PROMPTINGS = {"notes": NotesPrompt(), "completion": CompletionPrompt(), "tags": TagPrefix()}
# fewer candidates, tokens and completions than the papers', for one core; alike for all models
COMPLETIONS, WORDS = 3, 12
MAGIC = replace(MAGIC_COCO, candidates=16, max_tokens=8)
ZEROCAP = replace(ZEROCAP_ADAPTED, candidates=100, max_tokens=7)
# bfloat16 reads sooner on a CPU; ZeroCap's gradients are taken in float32
DTYPES = {"socratic": "bfloat16", "magic": "bfloat16", "zerocap": "float32"}
AT_ONCE = 50  # images in a batch
# method, language model, prompt
ROWS = (
    *(("socratic", lm, prompt) for lm in ("plain", "tuned") for prompt in ("notes", "completion")),
    ("socratic", "drawn", "tags"),
    *(("magic", lm, prompt) for lm in ("plain", "tuned") for prompt in ("", "A photo of")),
    ("magic", "drawn", ""),
    *(
        ("zerocap", lm, prompt)
        for lm in ("plain", "tuned")
        for prompt in ("Image of a", "A photo of a")
    ),
    ("zerocap", "drawn", "a photo of a"),
)


def row_name(method: str, lm: str, prompt: str) -> str:
    """Return a row's name in the results.

    >>> row_name("magic", "plain", ""), row_name("zerocap", "drawn", "a photo of a")
    ('magic:plain:none', 'zerocap:drawn:a photo of a')
    """
    return f"{method}:{lm}:{prompt or 'none'}"


def tune(captions: int, steps: int, seed: int, folder: str) -> dict[str, Any]:
    """Tune the plain model on COCO's training captions and write it; return how it went."""
    lm = CausalLM.from_pretrained(PLAIN)
    texts = [record.captions[0].strip() for record in coco2014("train")[:captions]]
    held_out = [record.captions[0].strip() for record in coco2014("val")[:HELD_OUT]]
    before, began = nats(lm, held_out), time.process_time()
    config = replace(TUNING, steps=steps)
    losses = tune_on_captions(lm, texts, config, generator=seeded(seed), progress=True)
    seconds = round(time.process_time() - began, 1)
    save_tuned(lm, Path(folder), metadata={"corpus": "coco2014-train", "settings": asdict(config)})
    return {
        "captions": captions,
        "settings": asdict(config),
        "cpu_seconds": seconds,
        "held_out_nats": {"plain": round(before, 3), "tuned": round(nats(lm, held_out), 3)},
        "last_losses": round(sum(losses[-10:]) / len(losses[-10:]), 3),
    }


def nats(lm: CausalLM, texts: list[str]) -> float:
    """Return -log p a token of texts from the start mark alone."""
    return nats_per_token(lm, texts, batch_size=50)


@cache
def language_model(kind: str, folder: str, dtype: str) -> CausalLM:
    """Load a language model of this study by its kind; drawn-lm is always float32."""
    if kind == "drawn":
        return load_lm(DRAWN, device="cpu")
    return load_lm({"plain": PLAIN, "tuned": folder}[kind], device="cpu", dtype=dtype)


def captioner_of(method: str, lm: CausalLM, prompt: str) -> Captioner:
    """Make one of the three methods with a language model and a prompt."""
    clip = load_drawn_clip(CLIP)
    if method == "socratic":
        lists = (
            WordList.from_template("objects", [kind.name for kind in OBJECTS], "a {}", top=2),
            WordList.from_template(
                "place", [place.name for place in places_of(TEST)], "a photo of {}"
            ),
        )
        rule = replace(SOCRATIC_DECODING, max_tokens=WORDS)
        return Socratic(clip, lm, lists, PROMPTINGS[prompt], COMPLETIONS, rule, AT_ONCE)
    if method == "magic":
        return Magic(lm, clip, MAGIC, prompt=prompt, batch_size=AT_ONCE)
    return ZeroCap(lm, clip, ZEROCAP, prompt=prompt, batch_size=AT_ONCE)


@cache
def image_features(n: int) -> Float[Tensor, "n d"]:
    """Return the test images as the CLIP sees them."""
    return load_drawn_clip(CLIP).encode_image(pixels_of(DrawnSplit(TEST, n).images))


def caption(
    method: str, lm: str, prompt: str, n: int, seed: int, tuned_folder: str
) -> dict[str, Any]:
    """Write one row's captions, and the one of the mean image."""
    began = time.process_time()
    model = language_model(lm, tuned_folder, DTYPES[method])
    captioner = captioner_of(method, model, prompt)
    features = image_features(n)
    loading, began = time.process_time() - began, time.process_time()
    generated = captioner.caption(features, generator=seeded(seed))
    seconds = time.process_time() - began
    blind = Blind.mean_of(captioner, features).caption(features[:1], generator=seeded(seed))
    return {
        "captions": list(generated),
        "blind": blind[0],
        "loading_seconds": round(loading, 1),
        "seconds_an_image": round(seconds / n, 3),
    }


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Tune, caption, score: the file's content."""
    folder = str(options.runs / "tuned")
    asked = {"captions": options.captions, "steps": options.steps, "seed": 0, "folder": folder}
    tuning = run_grid([Cell("tuning", tune, asked)], options.runs, workers=1)["tuning"]
    cells = {
        row_name(*row): _cell(row, options.n, folder) for row in ROWS if row[0] in options.methods
    }
    answers = run_grid(list(cells.values()), options.runs, workers=1, progress=True)
    found = {name: answers[cell.name] for name, cell in cells.items()}
    exam = Exam.of(DrawnSplit(TEST, options.n), None)
    table: dict[str, list[dict[str, Statistics]]] = {}
    for name, answer in found.items():
        own = answer["captions"]
        for control, texts in {
            "": own,
            "|blind": [answer["blind"]] * len(own),
            "|another": own[1:] + own[:1],
        }.items():
            scored = score(texts, exam)
            table[name + control] = [{key: scored[key] for key in METRICS if key in scored}]
    return {
        "experiment": "zero_shot_real_lm",
        "command": f"python -m experiments.zero_shot_real_lm --n {options.n} "
        f"--captions {options.captions} --steps {options.steps}",
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": seconds_spent(options.runs),
        "interval": "95% bootstrap over images, one run; differences are paired",
        "models": {"clip": CLIP, "plain": PLAIN, "drawn": DRAWN},
        "settings": {
            "socratic": {"completions": COMPLETIONS, "max_tokens": WORDS},
            "magic": asdict(MAGIC),
            "zerocap": asdict(ZEROCAP),
            "dtype": DTYPES,
        },
        "tuning": tuning,
        "scores": score_rows(table),
        "differences": difference_rows(table, pairs_of(tuple(found))),
        "seconds_an_image": {name: answer["seconds_an_image"] for name, answer in found.items()},
        "examples": [
            {"caption": texts[0]} | {name: answer["captions"][i] for name, answer in found.items()}
            for i, texts in enumerate(exam.split.captions[:6])
        ],
        "claims": [],
    }


def _cell(row: tuple[str, str, str], n: int, folder: str) -> Cell:
    method, lm, prompt = row
    arguments = {"method": method, "lm": lm, "prompt": prompt, "n": n, "seed": 0}
    name = row_name(*row).replace(":", "-").replace(" ", "_") + f"-{n}"
    run: Callable[..., Any] = caption
    return Cell(name, run, arguments | {"tuned_folder": folder}, seconds=60)


def pairs_of(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return which rows are compared: with their controls, tuned with plain, prompt with prompt.

    >>> pairs_of(("magic:plain:none", "magic:tuned:none"))[-1]
    ('magic:tuned:none', 'magic:plain:none')
    >>> pairs_of(("magic:plain:none", "magic:plain:A photo of"))[-1]
    ('magic:plain:A photo of', 'magic:plain:none')
    """
    pairs = [(name, name + control) for name in names for control in ("|blind", "|another")]
    plain = {name: name.replace(":tuned:", ":plain:") for name in names}
    pairs += [(name, other) for name, other in plain.items() if other != name and other in names]
    first: dict[str, str] = {}
    for name in names:
        before = first.setdefault(name.rsplit(":", 1)[0], name)
        if before != name:
            pairs.append((name, before))
    return pairs


def main() -> None:
    """Read the options, run the study, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=100, help="test images")
    parser.add_argument("--captions", type=int, default=20_000, help="of COCO, to tune on")
    parser.add_argument("--steps", type=int, default=TUNING.steps, help="of the tuning")
    parser.add_argument("--methods", nargs="+", default=["socratic", "magic", "zerocap"])
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    write_json(options.out, study(options))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
