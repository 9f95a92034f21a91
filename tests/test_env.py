"""The environment is read in one file, each variable by one name and with one default."""

from __future__ import annotations

import re
from pathlib import Path

from vizer_core import env

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("vizer_core", "vizer_lab")


def variables() -> list[env.Variable]:
    """Return every variable that the file names."""
    values = [value for name, value in vars(env).items() if name.isupper()]
    single = [value for value in values if isinstance(value, env.Variable)]
    return single + [each for value in values if isinstance(value, tuple) for each in value]


def test_a_variable_is_read_when_it_is_asked_for(monkeypatch):
    assert env.PROFILE.get() == "micro"
    monkeypatch.setenv("VIZER_PROFILE", "full")
    assert env.PROFILE.get() == "full"
    monkeypatch.setenv("VIZER_PROFILE", "")  # as if it were not there
    assert env.PROFILE.get() == "micro"


def test_what_is_set_is_there_for_other_programs(monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "before")
    env.NUMBA_CACHE.set("after")
    assert env.NUMBA_CACHE.get() == "after"


def test_each_variable_is_named_once():
    names = [variable.name for variable in variables()]
    assert len(names) > 10 and len(names) == len(set(names))


def test_nothing_else_reads_the_environment():
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    reading = re.compile(r"\.environ\b|\bgetenv\b|from os import")
    found = [path.name for path in files if reading.search(path.read_text(encoding="utf-8"))]
    assert found == ["env.py"]
