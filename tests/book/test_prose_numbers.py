"""Numbers in the prose about the study: recomputed from its file, or they may not stand there.

What the study found is printed by cells, from the file, so that prose cannot differ from it. The
few numbers that text and captions do hold, sizes and settings, are listed here with where they come
from; a number that is not listed fails, and so does one that the file no longer gives.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from built_book import ROOT
from prose import NUMBER, decimals_of, texts, value_of, without_frames

Source = Callable[[dict, str], float]
STUDY = json.loads((ROOT / "results" / "vizer_study.json").read_text(encoding="utf-8"))
CHAPTERS = ("14_does_the_loss_see", "15_improving_without_labels")
PAGES = ("results_vizer_study",)
WORDS = {"two": 2, "three": 3, "eight": 8, "sixteen": 16, "a thousand": 1000}


def in_code(pattern: str) -> Source:
    """Return a number that the chapter's own code holds."""

    def read(_: dict, code: str) -> float:
        found = re.search(pattern, code)
        assert found, f"no {pattern} in the code"
        return value_of(found.group(1))

    return read


def temperature(study: dict, _: str) -> float:
    """Return the cooler temperature: the file's systems carry it in their names' meaning only."""
    from experiments.vizer_study_world import COOL

    assert any(row["system"].endswith("_cool") for row in study["scores"])
    return COOL.temperature


def weight(study: dict, _: str) -> float:
    """Return the chosen weight of the prior, as the chosen variant's name has it."""
    return int(study["choices"]["best"]["variant"].rpartition("_")[2]) / 100


def seeds(study: dict, _: str) -> float:
    rows = [row for row in study["scores"] if row["system"].endswith(":home:best")]
    return min(row["seeds"] for row in rows)


def scenes_of_the_test(study: dict, _: str) -> float:
    return study["settings"]["n"]


# what stands around a number -> where it comes from
FACTS: dict[str, Source] = {
    r"(\S+) intervals?\b": lambda study, _: value_of(study["interval"].split()[0]),
    r"(\S+) test scenes": scenes_of_the_test,
    r"T = (\.\d+)": temperature,
    r"T = (1)\b": lambda *_: 1.0,  # drawn by the model's own probabilities
    r"temperature of (\.\d+)": temperature,
    r"weight (\.\d+)": weight,
    r"scenes and kept (\.\d+)": weight,
    r"mostly (\S+) scenes": scenes_of_the_test,
    r"[Cc]hapter (\d+)": lambda *_: float("nan"),  # a link that is not one
    r"[Ee]xercise (\d)": lambda *_: float("nan"),
    r"section (\d+)": lambda *_: float("nan"),  # of a paper
    r"movement: (1) means": lambda *_: 1.0,  # ends of a correlation
    r"less likely, (0) that": lambda *_: 0.0,
    r"(?:AUC (?:is|of|near)|be at|scores near) (1)/2": lambda *_: 1.0,  # ties count half
    r"(?:AUC (?:is|of|near)|be at|scores near) 1/(2)": lambda *_: 2.0,
    r"weights\s+between (0) and 1": lambda *_: 0.0,
    r"weights\s+between 0 and (1)": lambda *_: 1.0,
    r"on (\d+) images with four": in_code(r"\bB = (\d+)"),
    r"steps of (\d+) images": in_code(r"images_per_step=(\d+)"),
    r"within (\.\d+) of one half": in_code(r"abs\(ear - 0\.5\) < (0\.\d+)"),
    r"better caption above (\.\d+)": in_code(r"solved > (0\.\d+)"),
    r"CC BY-SA (\S+)": lambda *_: 4.0,
    r"(\d+) images once": in_code(r"stream=(\d+)"),
    r"(\d+) test images, sixteen": in_code(r"select\(range\((\d+)\)\)"),
    r"captions from (1) to 16": in_code(r"KS = \d+, \((\d+)"),
    r"captions from 1 to (16)": in_code(r"DRAWS, KS = (\d+)"),
}
WORD_FACTS: dict[str, Source] = {
    r"(\w+) seeds": seeds,
    r"(a thousand) test scenes": scenes_of_the_test,
    r"(sixteen) draws": in_code(r"DRAWS, KS = (\d+)"),
    r"best of (eight)": lambda study, _: (
        8.0 * any("best_of_8" in row["system"] for row in study["scores"])
    ),
    r"(\w+) draws a scene": lambda study, _: study["settings"]["samples"],
}  # fmt: skip


def faults_of(text: str, code: str, study: dict) -> list[str]:
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
    assert [fault for part in parts for fault in faults_of(part, code, STUDY)] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_number_of_a_pages_prose_is_the_files_or_a_setting(name):
    page = Path(ROOT / "book" / f"{name}.md")
    assert faults_of(page.read_text(encoding="utf-8"), "", STUDY) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Recall rose by .347 here.", "print it by a cell, or list its source"),
        ("## Heading 1\n\nRecall rose by .347 here.", ".347 in 'Recall rose"),
        ("| a |\n\nIt kept 99 of them.", "99 in 'It kept"),
        ("the weight .5 of it", "its source gives 0.7"),
        ("It rose by +12% in all.", "print it by a cell"),
        ("over 2,000 test scenes", "2,000 in 'over 2,000 test scenes': its source gives 1000"),
        ("drawn at T = .5", "its source gives 0.7"),
        ("99% intervals", "its source gives 95"),
        ("over two seeds and scenes", "'two seeds': its source gives 3"),
    ],
)
def test_a_finding_in_prose_and_a_stale_setting_are_named(text, fault):
    study = {
        "choices": {"best": {"variant": "information_70"}},
        "interval": "95% bootstrap", "settings": {"n": 1000, "samples": 2},
        "scores": [{"system": "hard:home:best", "seeds": 3}, {"system": "hard:home:best_cool"}],
    }  # fmt: skip
    found = faults_of(text, "", study)
    assert len(found) == 1 and fault in found[0]


def test_code_formulas_tables_and_ordinals_are_no_prose():
    text = "1. First `x = 3.5` and $w = .7$\n| a | 12.5 |\n## Part 3\n[chapter 9](09_x.ipynb)\n"
    assert faults_of(text, "", STUDY) == []
