"""The notebooks of the book: rules, stamps, and that a fresh run gives the same numbers."""

from __future__ import annotations

import json

import pytest
from built_book import ROOT

from tools import notebooks


def seconds_of(path) -> float:
    """Return what the stored run of a notebook took."""
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    return metadata.get("vizer", {}).get("seconds", 0.0)


LONGEST_FIRST = sorted(notebooks.paths(ROOT, []), key=seconds_of, reverse=True)


def test_every_notebook_keeps_the_rules_and_has_a_fresh_stamp():
    assert notebooks.check(ROOT, []) == []


@pytest.mark.notebooks
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", LONGEST_FIRST, ids=lambda path: path.stem)
def test_a_fresh_run_gives_the_stored_headline_numbers(path):
    assert notebooks.verify(ROOT, [path.name]) == []
