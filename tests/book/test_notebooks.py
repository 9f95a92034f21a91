"""The notebooks of the book: rules, stamps, and that a fresh run gives the same numbers."""

from __future__ import annotations

import pytest
from built_book import ROOT
from chapter_runs import run_of

from tools import notebooks

CHAPTERS = [path.stem for path in notebooks.paths(ROOT, [])]


def test_every_notebook_keeps_the_rules_and_has_a_fresh_stamp():
    assert notebooks.check(ROOT, []) == []


@pytest.mark.notebooks
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_fresh_run_gives_the_stored_headline_numbers(chapter):
    assert run_of(int(chapter.split("_")[0])).faults == []
