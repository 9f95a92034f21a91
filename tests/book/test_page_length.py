"""A chapter is read in one sitting: what it shows before anything is opened stays short."""

from __future__ import annotations

import json
import re

import pytest
from bs4 import BeautifulSoup
from built_book import ROOT

from tools import notebooks

MOST_WORDS = 3_800
REPORTS = {"07": 3_500, "14": 3_500, "15": 3_500}  # chapters about a study, once far longer
FOLDED = {"hide-output", "hide-cell", "remove-cell"}  # tags of cells whose output is folded
NOT_READ = (
    r"<details>.*?</details>",
    r"<!--.*?-->",
    r"!\[.*?\]\([^)]*\)",  # what a diagram shows, for those who do not see it
    r"(?<=\])\([^)]*\)",  # addresses
)
CHAPTERS = {path.name[:2]: path for path in notebooks.paths(ROOT, [])}


def prose_words(source: str) -> int:
    """Count the words of a text cell that stand open on the page."""
    for pattern in NOT_READ:
        source = re.sub(pattern, " ", source, flags=re.DOTALL)
    return len(source.split())


def output_words(output) -> int:
    """Count the words of an output as a reader sees it."""
    if output["output_type"] == "stream":
        return len("".join(output["text"]).split())
    data = output.get("data", {})
    if "text/html" not in data:
        return 0 if any(kind.startswith("image/") for kind in data) else _plain(data)
    soup = BeautifulSoup("".join(data["text/html"]), "html.parser")
    for style in soup.select("style"):
        style.decompose()
    return len(soup.get_text(" ").split())


def _plain(data) -> int:
    return len("".join(data.get("text/plain", "")).split())


def words_on_the_page(notebook) -> int:
    """Count what a reader meets without opening a fold: prose, captions and outputs, no code."""
    words = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            words += prose_words("".join(cell["source"]))
            continue
        figure = cell["metadata"].get("mystnb", {}).get("figure", {})
        words += len(figure.get("caption", "").split())
        if not FOLDED & set(cell["metadata"].get("tags", [])):
            words += sum(output_words(output) for output in cell["outputs"])
    return words


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_chapter_is_short_on_the_page(number):
    notebook = json.loads(CHAPTERS[number].read_text(encoding="utf-8"))
    words, most = words_on_the_page(notebook), REPORTS.get(number, MOST_WORDS)
    assert words <= most, (
        f"chapter {number} has {words:,} words on the page: wanted at most {most:,}; fold an "
        "answer (the tag hide-output after a **Predict.**), or say less"
    )


def test_folds_addresses_and_descriptions_do_not_count():
    text = "One [two](a/b.md) ![a long tale](x.svg) <details>three four</details> <!-- cost --> 5"
    assert prose_words(text) == 3
    table = {"output_type": "display_data", "data": {"text/html": "<style>a b</style><td>1</td>"}}
    cells = [
        {"cell_type": "markdown", "source": text},
        {"cell_type": "code", "metadata": {}, "outputs": [table]},
        {"cell_type": "code", "metadata": {"tags": ["hide-output"]}, "outputs": [table]},
    ]
    assert words_on_the_page({"cells": cells}) == 4


def questions_out_of_place(source: str) -> list[str]:
    """List questions that are no paragraph of their own at the end of their cell."""
    faults = []
    for match in re.finditer(r"\*\*Predict\.\*\*", source):
        before, after = source[: match.start()], source[match.start() :].strip()
        if (before and not before.endswith("\n\n")) or "\n\n" in after:
            faults.append(" ".join(after.split()[:8]))
    return faults


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_question_is_the_last_paragraph_of_its_cell(number):
    """Else its answer does not hide behind a button."""
    notebook = json.loads(CHAPTERS[number].read_text(encoding="utf-8"))
    cells = [c for c in notebook["cells"] if c["cell_type"] == "markdown"]
    assert [f for c in cells for f in questions_out_of_place("".join(c["source"]))] == []


def test_a_question_within_a_paragraph_is_found():
    assert questions_out_of_place("A text.\n\n**Predict.** How many?\n") == []
    assert questions_out_of_place("A text. **Predict.** How many?") == ["**Predict.** How many?"]
    assert len(questions_out_of_place("**Predict.** How many?\n\nThree.")) == 1
