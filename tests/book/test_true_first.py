"""What the text of a chapter promises is there: numbers, names, and what is in an image."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from built_book import ROOT
from prose import NUMBER, decimals_of, texts, value_of, without_frames

from tools import notebooks
from tools.figure_words import is_words
from vizer_core.metrics.caption_parser import parse_caption
from vizer_lab.world import DrawnSplit, drawn_lexicon
from vizer_lab.world.world import split_in

CHAPTERS = {
    int(path.name[:2]): json.loads(path.read_text(encoding="utf-8"))
    for path in notebooks.paths(ROOT, [])
}
LONGEST_SENTENCE = 30  # words
PLAIN_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?")
NOT_FINDINGS = (
    r"95%\s+(?:bootstrap\s+|paired\s+)*intervals?",
    r"\(?sections?\s+[\d.]+",
    r"CC BY(?:-SA)? 4\.0",
    r"OPT-1\.3b",
    r"[Ff]ormula \(\d+\.\d+\)",
    r"\*\*Predict\.\*\*.*?\?(?=\s*$|\n\n)",  # values to choose from
)
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)*)(?:\(\))?`")
LEXICON = drawn_lexicon("second")
# figures of chosen scenes: places among the test scenes
SCENES = {
    "fig-01-example": (13,),
    "fig-01-four": (13, 56, 64, 29),
    "fig-02-example": (13, 64),
    "fig-03-one-gap": (13,),
    "fig-04-company": (13,),
    "fig-05-example": (13,),
    "fig-06-example": (13,),
    "fig-07-example": (13,),
    "fig-08-example": (13,),
}


def said_by_cells(notebook) -> str:
    """Return the code of a chapter and all that its cells print."""
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            found.append("".join(cell["source"]))
            for output in cell["outputs"]:
                if is_words(output):
                    continue  # a caption is no evidence for itself
                found.append("".join(output.get("text", [])))
                shown = output.get("data", {})
                found += ["".join(v) for kind, v in shown.items() if kind.startswith("text")]
    return "\n".join(found)


def numbers_in(text: str) -> list[float]:
    return [float(number) for number in PLAIN_NUMBER.findall(text.replace(",", ""))]


def is_given(number: str, given: list[float]) -> bool:
    """Whether some number, or its percentage, rounds to what the text says."""
    decimals, value = decimals_of(number), abs(value_of(number))
    half = 0.5 * 10**-decimals + 1e-9
    scales = (1, 100) if number.endswith("%") else (1,)
    return any(abs(abs(each) * scale - value) <= half for each in given for scale in scales)


def numbers_without_source(notebook) -> list[str]:
    """List decimals and percentages of the prose that no cell of the chapter holds or prints.

    What a results file holds is printed where it is spoken of: among its thousands of numbers any
    two decimals would be found.
    """
    given = numbers_in(said_by_cells(notebook))
    faults = []
    for text in texts(notebook):
        for pattern in NOT_FINDINGS:
            text = re.sub(pattern, " ", text, flags=re.DOTALL)
        for match in NUMBER.finditer(without_frames(text)):
            number = match.group()
            if (decimals_of(number) or number.endswith("%")) and not is_given(number, given):
                faults.append(number)
    return faults


@cache
def words_of_the_packages() -> frozenset[str]:
    files = [
        f for p in ("vizer_core", "vizer_lab", "experiments") for f in Path(ROOT, p).rglob("*.py")
    ]
    return frozenset(re.findall(r"\w+", " ".join(f.read_text(encoding="utf-8") for f in files)))


def names_without_source(notebook) -> list[str]:
    """List names set as code in the prose that no cell shows and neither package has."""
    cells, known = said_by_cells(notebook), words_of_the_packages()
    return [
        name
        for text in texts(notebook)
        for name in NAME.findall(re.sub(r"```.*?```", " ", text, flags=re.DOTALL))
        if name not in cells and not set(name.split(".")) <= known
    ]


def false_of(alt: str, scenes) -> list[str]:
    """List what a description names and none of the scenes has: things, places and looks."""
    parsed = parse_caption(alt, LEXICON)
    truths = [scene.truth for scene in scenes]
    there = {item.name for truth in truths for item in truth.objects}
    places = {truth.background for truth in truths}
    looks = {look for t in truths for o in t.objects for look in (o.colour, o.size) if look}
    faults = [
        name
        for mention in parsed.mentions
        if not mention.is_category and not set(mention.names) & there
        for name in mention.names
    ]
    faults += [place for place in parsed.backgrounds if place not in places]
    for mention in parsed.mentions:
        faults += [a for a in (mention.colour, mention.size) if a and a not in looks]
    return faults


@pytest.mark.parametrize("number", CHAPTERS)
def test_each_number_of_the_prose_is_printed(number):
    assert numbers_without_source(CHAPTERS[number]) == []


@pytest.mark.parametrize("number", CHAPTERS)
def test_each_name_of_the_prose_is_shown_or_in_a_package(number):
    assert names_without_source(CHAPTERS[number]) == []


def test_a_number_and_a_name_that_nothing_gives_are_found():
    prose = "It is .43, which is 43%, and .57. See `gap_norm`, `gap_nrom` and\n```\n`x_y_z`\n```"
    code = {"cell_type": "code", "source": "f()", "metadata": {}, "outputs": [{"text": "0.428"}]}
    notebook = {"cells": [{"cell_type": "markdown", "source": prose, "metadata": {}}, code]}
    assert numbers_without_source(notebook) == [".57"]
    assert names_without_source(notebook) == ["gap_nrom"]


def descriptions() -> dict[str, str]:
    shown = [c["metadata"].get("mystnb", {}) for nb in CHAPTERS.values() for c in nb["cells"]]
    return {m["figure"]["name"]: m["image"]["alt"] for m in shown if "figure" in m and "image" in m}


@pytest.mark.parametrize("figure", SCENES)
def test_a_description_names_only_what_is_in_its_scenes(figure):
    known = DrawnSplit(split_in("second", "test"), max(SCENES[figure]) + 1).scenes
    alt = descriptions()[figure]
    scenes = [known[place] for place in SCENES[figure]]
    assert false_of(alt, scenes) == []
    named = {n for m in parse_caption(alt, LEXICON).mentions for n in m.names}
    assert {item.name for scene in scenes for item in scene.objects} <= named


def test_a_description_of_another_scene_is_found():
    scene = DrawnSplit(split_in("second", "test"), 14).scenes[13]  # clock, crown, basketball, sea
    assert false_of("A clock and a small basketball in the sea.", [scene]) == []
    assert {"dog", "snow"} <= set(false_of("A clock and a dog in the snow.", [scene]))


def test_no_description_speaks_of_a_plain_background():
    """The drawn world has none: every scene has a place."""
    assert [name for name, alt in descriptions().items() if "plain background" in alt] == []


def claim_of(notebook) -> str:
    text = "\n\n".join("".join(cell["source"]) for cell in notebook["cells"])
    (claim,) = re.findall(r"\*\*Claim\.\*\*(.*?)(?:\n\n|$)", text, re.DOTALL)
    return " ".join(claim.split())


def take_aways_of(notebook) -> list[str]:
    text = "\n".join(
        "".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"
    )
    (section,) = re.findall(r"^## Take-aways\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return re.split(r"^\d+\. ", without_links(section), flags=re.MULTILINE)


def without_links(text: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


def long_sentences(text: str) -> list[str]:
    sentences = re.split(r"(?<=[.?!])\s+", " ".join(text.split()))
    return [s for s in sentences if len(s.split()) > LONGEST_SENTENCE]


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_chapter_claims_and_sums_up_in_short_sentences(number):
    parts = [claim_of(CHAPTERS[number]), *take_aways_of(CHAPTERS[number])]
    assert [sentence for part in parts for sentence in long_sentences(part)] == []


def test_a_long_sentence_is_found():
    assert long_sentences("word " * (LONGEST_SENTENCE - 1) + "end. Short.") == []
    assert len(long_sentences("Short. " + "word " * LONGEST_SENTENCE + "end.")) == 1
