"""Tables call things by names for people: in what chapters print, and on the pages of results."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from built_book import ROOT

from tools.results_pages import has_page, numbers_markdown, results_markdown
from vizer_lab.figures.systems import LOOKS
from vizer_lab.names import ENDS, WORDS, WORDS_OF, in_words, table_in_words

CODE = re.compile(r"(?<![\w/.])[a-z]\w*_\w+|\b(?:bleu|rouge|cider|clipscore|maccap|capdec)\w*")
FORMULA = re.compile(r"\$[^$]*\$|\\\([^)]*\\\)")
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
RESULTS = sorted((ROOT / "results").glob("*.json"))


def code_names(html: str) -> list[str]:
    """Return the names for code in the cells of the tables of a piece of HTML."""
    soup = BeautifulSoup(html, "html.parser")
    for code in soup.select("code"):
        code.decompose()
    cells = [cell.get_text(" ", strip=True) for cell in soup.select("table td, table th")]
    return sorted({name for text in cells for name in CODE.findall(FORMULA.sub("", text))})


def test_a_name_for_code_is_found_and_a_name_for_people_is_none():
    assert code_names("<table><td>views_5</td><td>ViZer_G</td><th>bleu4</th></table>") == [
        "bleu4",
        "views_5",
    ]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_no_table_of_a_chapter_has_a_name_for_code(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            html = "".join(output.get("data", {}).get("text/html", ""))
            assert code_names(html) == [], cell["id"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda p: p.stem)
def test_no_table_of_a_page_of_numbers_has_a_name_for_code(path):
    result = json.loads(path.read_text(encoding="utf-8"))
    if has_page(result):
        page, _, keys = numbers_markdown(path.stem, result).partition("What `results/")
        assert keys  # there names for code belong
        assert code_names(page) == []


def test_the_page_of_verdicts_has_no_name_for_code():
    page = re.sub(r"`[^`]*`|\([^)]*\.md\)", "", results_markdown(ROOT))
    assert sorted(set(CODE.findall(page))) == []


@pytest.mark.parametrize("path", RESULTS, ids=lambda p: p.stem)
def test_no_two_rows_of_a_study_have_one_name(path):
    result = json.loads(path.read_text(encoding="utf-8"))
    rows = [row for key in ("scores", "differences") for row in result.get(key, [])]
    for kind in ("system", "metric"):
        keys = {row[kind] for row in rows}
        assert len({in_words(key, path.stem) for key in keys}) == len(keys)


def test_every_system_of_the_palette_has_a_name():
    said = {key for key in LOOKS if key not in WORDS and not key.endswith(tuple(ENDS))}
    assert said == set()


def test_studies_that_mean_another_thing_exist():
    assert set(WORDS_OF) <= {path.stem for path in RESULTS}


def test_a_table_in_words_keeps_its_numbers_and_its_levels():
    index = pd.MultiIndex.from_tuples([("maccap", "real"), ("blind", "drawn")], names=["who", "lm"])
    table = pd.DataFrame({"object_f1": [0.25, 0.5], "said": ["a cat", "vizer_g"]}, index=index)
    told = table_in_words(table)
    assert list(told.columns) == ["object F1", "said"]
    assert list(told.index) == [("MacCap", "real"), ("blind", "drawn")]
    assert list(told["object F1"]) == [0.25, 0.5] and list(told["said"]) == ["a cat", "ViZer_G"]
    assert list(table.columns) == ["object_f1", "said"]  # the reader's own is as it was
