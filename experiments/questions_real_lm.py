"""Make `results/questions_real_lm.json`: the same captions, read by two language models.

    make real
    nice python -m experiments.questions_real_lm        # ten minutes of one core

A wrong answer may be the caption's fault or the reader's. So the captions stay and the reader
changes: drawn-lm, which has read the drawn world's questions, and SmolLM2-135M, which has read the
web and is shown one answered question of each kind in front of every prompt. Questions are those of
the first test images.

====================  ==========================================================================
real:human            reader, and who wrote the caption; `people` is all that people wrote of it
real:human|another    control: the caption of another image
real:question_only    control: no caption
====================  ==========================================================================

Each row of answers is one cell. Scores are top-1 of all questions and of each kind.
"""

from __future__ import annotations

import argparse
import re
from functools import cache
from pathlib import Path
from typing import Any

import torch

from experiments.grid import Cell, run_grid, seconds_spent
from experiments.scoring import difference_rows, score_rows
from vizer_core.data.vqav2 import VqaItem
from vizer_core.decoding import Greedy
from vizer_core.files import write_json
from vizer_core.metrics.stats import Statistics
from vizer_core.models import load_lm
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.vqa import borrowed_captions, generate_answers
from vizer_core.vqa.answering import Prompt, VqaProtocol, retrieve_answers
from vizer_core.vqa.scoring import score_by_type, score_ranking
from vizer_lab.studies.question_study import DRAWN_CLIP, DRAWN_LM, QuestionStudy, open_questions
from vizer_lab.world import DrawnSplit
from vizer_lab.world.vqa_items import drawn_answer_list, drawn_prompt, drawn_vqa_items
from vizer_lab.zoo import load_drawn_clip

OUT, RUNS = Path("results/questions_real_lm.json"), Path(".cache/questions_real_lm")
READERS = {"drawn": DRAWN_LM, "real": "smollm2-135m"}
QUESTION_ONLY, ANOTHER = "question_only", "|another"
SYSTEMS = (
    *("human", f"human{ANOTHER}", QUESTION_ONLY),
    *("people", "maccap"),
)
SHOWN = "second_train"  # whose questions are answered in front of the real reader's prompts
EXAMPLE_SCENES = 60
BETWEEN = "left of|right of|above|below|over|under"
DECODING = Greedy(max_tokens=6)


def examples_of(split: str) -> tuple[tuple[str, VqaItem], ...]:
    """Return a question of each kind with the shortest caption that tells; "is there" twice.

    >>> [item.answer for _, item in examples_of("second_train")][:2]
    ['no', 'yes']
    """
    shortest: dict[tuple[str, str], tuple[str, VqaItem]] = {}
    scenes = DrawnSplit(split, EXAMPLE_SCENES)
    captions = dict(zip(scenes.ids, scenes.captions))
    for item in drawn_vqa_items(split, EXAMPLE_SCENES):
        kind = (item.question_type, item.answer if item.question_type == "presence" else "")
        for text in captions[item.image_id]:
            known = shortest.get(kind)
            if can_be_told(text, item) and (known is None or len(text) < len(known[0])):
                shortest[kind] = (text, item)
    return tuple(shortest[key] for key in sorted(shortest, key=lambda k: (k[0] != "presence", k)))


def can_be_told(caption: str, item: VqaItem) -> bool:
    """Say whether a caption tells the answer; colours are known of things, and any caption will do.

    >>> item = next(x for x in drawn_vqa_items("second_train", 9) if x.question_type == "place")
    >>> can_be_told(f"a dog in a {item.answer}", item), can_be_told("a dog", item)
    (True, False)
    """
    words = caption.replace(",", " ,").split()
    thing = re.sub(r"^is there an? | in this image\?$|^.* of the |^.* the |\?$", "", item.question)
    if item.question_type == "presence":
        return (thing in caption) == (item.answer == "yes")
    if item.question_type == "relation":
        pair = rf"{item.answer}[a-z ]*({BETWEEN})[a-z ]*{thing}"
        return bool(re.search(pair, caption))
    return item.question_type == "colour" or item.answer in words


def real_prompt(caption: str, question: str) -> str:
    """Write answered questions and then this one; "" is no caption."""
    shown = [_told(text, item.question, f" {item.answer}") for text, item in _examples()]
    return "\n".join([*shown, _told(caption, question, "")])


def _told(caption: str, question: str, answer: str) -> str:
    return f"{caption}. " * bool(caption) + f"Question: {question} Answer:{answer}"


@cache
def _examples() -> tuple[tuple[str, VqaItem], ...]:
    return examples_of(SHOWN)


PROMPTS: dict[str, Prompt] = {"drawn": drawn_prompt, "real": real_prompt}


def captions_cell(n: int) -> dict[str, dict[str, str]]:
    """Caption the first test images with the shipped captioners; add what people wrote."""
    study: QuestionStudy = open_questions(n)
    found = {name: dict(texts) for name, texts in study.captions.items()}
    found["people"] = {image: ". ".join(texts) for image, texts in study.people.items()}
    return found


def answers_cell(reader: str, texts: dict[str, str], n: int) -> list[str]:
    """Let one reader answer all questions from one system's captions."""
    sooner = {"dtype": "bfloat16"} if reader == "real" else {}  # reads sooner on a CPU
    lm = load_lm(READERS[reader], device="cpu", **sooner)
    protocol = VqaProtocol(
        lm,
        load_drawn_clip(DRAWN_CLIP),
        drawn_answer_list(),
        PROMPTS[reader],
        DECODING,
        batch_size=32,
    )
    items = drawn_vqa_items("second_test", n)
    prompts = [protocol.prompt(texts[item.image_id], item.question) for item in items]
    return [text.lower() for text in generate_answers(protocol, prompts)]


def scored(answers: list[str], items: tuple[VqaItem, ...]) -> dict[str, Statistics]:
    """Return top-1 of all questions and of each kind."""
    encoder, candidates = load_drawn_clip(DRAWN_CLIP), drawn_answer_list()
    # no reader is asked here: the protocol ranks what was answered
    protocol = VqaProtocol(load_lm(DRAWN_LM, device="cpu"), encoder, candidates)
    features = encoder.encode_text(candidates.answers)
    ranking = retrieve_answers(protocol, answers, features)
    names = (*candidates.answers, "")
    said = [names[index] for index in ranking[:, 0].tolist()]
    kinds = {f"top1_{kind}": found for kind, found in score_by_type(items, said).items()}
    return {"top1": score_ranking(items, ranking, candidates)["top1"]} | kinds


def says_yes(answers: list[str], items: tuple[VqaItem, ...]) -> float:
    """Return how often a reader says yes to "is there"; half of the time it would be right.

    >>> asked = tuple(i for i in drawn_vqa_items("second_test", 9) if i.question_type == "presence")
    >>> says_yes(["yes"] * 3 + ["no"] * (len(asked) - 3), asked)
    0.333
    """
    said = [a for a, item in zip(answers, items) if item.question_type == "presence"]
    return round(sum(answer.startswith("yes") for answer in said) / len(said), 3)


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Caption, ask, score: the file's content."""
    n = options.n
    made = Cell(f"captions-{n}", captions_cell, {"n": n}, seconds=60)
    captions = run_grid([made], options.runs, workers=1)[made.name]
    captions[QUESTION_ONLY] = dict.fromkeys(captions["human"], "")
    captions[f"human{ANOTHER}"] = borrowed_captions(captions["human"], generator=seeded(0))
    cells = {
        f"{reader}:{system}": Cell(
            f"{reader}-{system.replace(ANOTHER, '-another')}-{n}",
            answers_cell,
            {"reader": reader, "texts": captions[system], "n": n},
            seconds=90 if reader == "real" else 5,
        )
        for reader in options.readers
        for system in options.systems
    }
    answers = run_grid(list(cells.values()), options.runs, workers=1, progress=True)
    items = drawn_vqa_items("second_test", n)
    table = {name: [scored(answers[cell.name], items)] for name, cell in cells.items()}
    return {
        "experiment": "questions_real_lm",
        "command": f"python -m experiments.questions_real_lm --n {n} "
        f"--systems {' '.join(map(repr, options.systems))}",
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": seconds_spent(options.runs),
        "interval": "95% bootstrap over images, one run; differences are paired",
        "models": {"clip": DRAWN_CLIP, **READERS},
        "questions": len(items),
        "shown_first": [
            _told(text, item.question, f" {item.answer}") for text, item in _examples()
        ],
        "says_yes": {name: says_yes(answers[cell.name], items) for name, cell in cells.items()},
        "scores": score_rows(table),
        "differences": difference_rows(table, pairs_of(tuple(table))),
        "claims": [],
    }


def pairs_of(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return which rows are compared: with no caption, with another image's, reader with reader.

    >>> pairs_of(("drawn:human", "real:human", "real:human|another", "real:question_only"))
    ... # doctest: +NORMALIZE_WHITESPACE
    [('real:human', 'real:question_only'), ('real:human|another', 'real:question_only'),
     ('real:human', 'real:human|another'), ('real:human', 'drawn:human')]
    """
    pairs = [
        (name, f"{name.split(':')[0]}:{QUESTION_ONLY}")
        for name in names
        if QUESTION_ONLY not in name
    ]
    pairs += [(name, name + ANOTHER) for name in names]
    pairs += [(name, name.replace("real:", "drawn:")) for name in names if name[:5] == "real:"]
    return [pair for pair in pairs if pair[1] in names]


def main() -> None:
    """Read the options, run the study, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=100, help="test images")
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=list(READERS))
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    write_json(options.out, study(options))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
