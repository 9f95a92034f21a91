"""Numbers in the prose about two studies: recomputed from their files, or they may not stand there.

What a study found is printed by cells, from the file, so that prose cannot differ from it. The
few numbers that text and captions do hold, sizes and settings, are listed here with where they come
from; a number that is not listed fails, and so does one that the file no longer gives.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import ceil

import pytest
from built_book import ROOT
from prose import NUMBER, decimals_of, texts, value_of, without_frames

from vizer_core.vlm import size_of
from vizer_core.vlm.published import smolvlm_base_config
from vizer_core.vlm.views import VIEWS
from vizer_lab.exercises import rewards, score_sight, settings, unlabelled, zero_label

Source = Callable[[dict, str], float]


def read(name: str) -> dict:
    return json.loads((ROOT / "results" / name).read_text(encoding="utf-8"))


STUDY = read("improvement.json")
WORDS = {"two": 2, "three": 3, "four": 4, "eight": 8, "sixteen": 16, "a thousand": 1000}


def in_code(pattern: str) -> Source:
    """Return a number that the chapter's own code holds."""

    def read(_: dict, code: str) -> float:
        found = re.search(pattern, code)
        assert found, f"no {pattern} in the code"
        return value_of(found.group(1))

    return read


def learned(_: dict, code: str) -> float:
    """Return how many images the live runs learn from: those that are not looked at."""
    stream, part = (
        in_code(pattern)({}, code) for pattern in (r"stream=(\d+)", r"LOOK = .*// (\d+)")
    )
    return stream - stream // part


FACTS: dict[str, Source] = {
    r"(\S+) intervals?\b": lambda study, _: value_of(study["interval"].split()[0]),
    r"[Ee]xercise (\d)": lambda *_: float("nan"),
    r"[Ff]ormula \((\d+\.\d+)\)": lambda *_: float("nan"),
    r"CC BY-SA (\S+)": lambda *_: 4.0,
    r"temperature (1)\b": lambda study, _: max(row["temperature"] for row in study["curve"]),
    r"beam\S* of (\d+)": in_code(r"Beam\((\d+)"),
    r"mean over (\d+) views": lambda *_: float(VIEWS),
    r"One run of (\d+) images": learned,
    r"runs saw (\d+) images": lambda study, _: study["settings"]["images"],
    r"at most (\d+) words": in_code(r"len\(text\.split\(\)\) <= (\d+)"),
}
WORD_FACTS: dict[str, Source] = {
    r"compares (\w+) sampled": in_code(r"samples=(\d+)"),
    r"first (\w+) test (?:images|scenes)": in_code(r"select\(range\((\d+)\)\)"),
}


def weights_of(collapsed: bool) -> Source:
    """Return the one weight of an information reward whose runs all end below the base, or not."""

    def read(study: dict, _: str) -> float:
        words = study["choices"]["first_word"]["drawn-vlm-web"]["candidates"]
        base = next(row["object_f1"] for row in words if not row["word"])
        runs = study["choices"]["rates"]["information"]["candidates"]
        ends: dict[float, list[bool]] = {}
        for row in runs:
            ends.setdefault(row["weight"], []).append(row["object_f1"] > base)
        found = {weight for weight, each in ends.items() if any(each) != collapsed}
        assert found == ({0.3} if collapsed else {0.6, 0.9}), found
        return float("nan")  # the set is what counts

    return read


def lora_share(_: dict, code: str) -> float:
    """Return how many percent of SmolVLM-Base an adapter of the chapter's rank has, rounded up."""
    size, rank = size_of(smolvlm_base_config()), int(in_code(r"RANK = (\d+)")({}, code))
    return float(ceil(100 * size.text.lora_parameters(rank) / size.parameters))


FACTS |= {
    r"[Pp]hase (\d)\b": lambda *_: float("nan"),
    r"(?:of|in)\s+chapter (\d+)": lambda *_: float("nan"),
    r"rank (\d+) is": in_code(r"RANK = (\d+)"),
    r"under (\d+%)": lora_share,
    r"caption \( , from (0)\)": lambda *_: 0.0,
    r"a cosine \*\*below (\.\d+)": lambda *_: zero_label.APART,
    r"in its caption, from (0)": lambda *_: 0.0,
    r"adds up to (0) for each": lambda *_: 0.0,
    r"steps, counted from (1)": lambda *_: 1.0,
    r"hit: \*\*above (\.\d+)\*\* of the pull": lambda *_: rewards.AS_LOUD,
    r"\*\*above (\.\d+)\*\* of the held-out": lambda *_: settings.FOUND,
    r"the weight from (0) to 1": lambda *_: 0.0,
    r"the weight from 0 to (1)": lambda *_: 1.0,
    r"correlation \*\*below (\.\d+)": lambda *_: score_sight.LEVEL,
    r"in \*\*fewer than (\.\d+)": lambda *_: score_sight.OVERLOOKED,
    r"in \*\*more than (\.\d+)": lambda *_: score_sight.NOTICED,
    r"Search from (0) in steps": lambda *_: 0.0,
    r"in steps of (\.\d+) for": lambda *_: unlabelled.STEP,
    r"Weight (\.\d+) of": weights_of(collapsed=True),
    r"collapse, (\.\d+) and": weights_of(collapsed=False),
    r"collapse, \.6 and (\.\d+)": weights_of(collapsed=False),
    r"difference of (\.\d+) count": lambda *_: 0.101 - 0.1,
    r"as\s+much as one of (\.\d+)": lambda *_: 0.1,
    r"With (0) it is likelihood": lambda *_: 0.0,
}
CHAPTERS = (
    "11_zero_label",
    "12_rewards",
    "13_ablations",
    "14_does_the_loss_see",
    "15_improving_without_labels",
)


def faults_of(text: str, code: str, study: dict = STUDY) -> list[str]:
    """List numbers that nothing accounts for, and those that came out otherwise."""
    text, faults, told = without_frames(text), [], {}
    for pattern, source in FACTS.items():
        for match in re.finditer(pattern, text):
            told[match.start(1)] = (match.group(1), source)
    for match in NUMBER.finditer(text):
        near = " ".join(text[max(0, match.start() - 40) : match.end() + 20].split())
        if match.start() not in told:
            faults.append(f"{match.group()} in {near!r}: print it by a cell, or list its source")
            continue
        number = match.group().rstrip(",.")
        wanted = told[match.start()][1](study, code)
        if wanted == wanted and round(wanted, decimals_of(number)) != value_of(number):
            faults.append(f"{number} in {near!r}: its source gives {wanted:g}")
    for pattern, source in WORD_FACTS.items():
        for match in re.finditer(pattern, text, flags=re.IGNORECASE):
            said = WORDS.get(match.group(1).lower())
            if said is not None and said != source(study, code):
                faults.append(f"{match.group()!r}: its source gives {source(study, code):g}")
    return faults


def chapter(name: str) -> tuple[list[str], str]:
    notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    code = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    return texts(notebook), "\n".join(code)


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_number_of_a_chapters_prose_is_the_files_or_a_setting(name):
    parts, code = chapter(name)
    assert [fault for part in parts for fault in faults_of(part, code)] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Recall rose by .347 here.", "print it by a cell, or list its source"),
        ("## Heading 1\n\nRecall rose by .347 here.", ".347 in 'Recall rose"),
        ("| a |\n\nIt kept 99 of them.", "99 in 'It kept"),
        ("It rose by +12% in all.", "print it by a cell"),
        ("The runs saw 200 images", "200 in 'The runs saw 200 images': its source gives 640"),
        ("99% intervals", "its source gives 95"),
        ("a beam of 8", "its source gives 4"),
        ("the first three test images", "'first three test images': its source gives 2"),
    ],
)
def test_a_finding_in_prose_and_a_stale_setting_are_named(text, fault):
    study = {"interval": "95% bootstrap", "settings": {"images": 640}}
    found = faults_of(text, "Beam(4); select(range(2))", study)
    assert len(found) == 1 and fault in found[0]


def test_code_formulas_tables_and_ordinals_are_no_prose():
    text = "1. First `x = 3.5` and $w = .7$\n| a | 12.5 |\n## Part 3\n[chapter 9](09_x.ipynb)\n"
    assert faults_of(text, "") == []
