"""The notebooks of the book: rules, stamps, and that a fresh run gives the same numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from built_book import ROOT

from tools import notebooks


def test_every_notebook_keeps_the_rules_and_has_a_fresh_stamp():
    assert notebooks.check(ROOT, []) == []


@pytest.mark.notebooks
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", notebooks.paths(ROOT, []), ids=lambda path: path.stem)
def test_a_fresh_run_gives_the_stored_headline_numbers(path):
    done = subprocess.run(
        [sys.executable, "-m", "tools.notebooks", "verify", path.name],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
