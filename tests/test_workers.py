"""Tests on several workers: what shares a costly fixture stays together, notebooks spread."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import (
    ALWAYS_RUN,
    BY_CHAPTER,
    LONG,
    LOOKS_AT_THE_BOOK,
    pytest_collection_modifyitems,
    pytest_xdist_make_scheduler,
    turn,
    worker_group,
)
from tools import notebooks as tool

ROOT = Path(__file__).resolve().parents[1]


def test_a_file_is_a_group_the_book_is_one_and_each_notebook_and_chapter_is_free():
    assert worker_group("tests/gap/test_a.py::test_x[1]") == "tests/gap/test_a.py"
    assert worker_group("vizer_core/gap/a.py::vizer_core.gap.a.f") == "vizer_core/gap/a.py"
    assert {worker_group(f"{file}::test_x") for file in LOOKS_AT_THE_BOOK} == {"book"}
    exercises, notebooks = BY_CHAPTER
    ways = ("a[3-1]", "b[3-1-row = 0]", "c[3]")
    assert {worker_group(f"{exercises}::test_{way}") for way in ways} == {"chapter 3"}
    assert worker_group(f"{exercises}::test_b[12-1-row[2] = 0]") == "chapter 12"
    assert worker_group(f"{exercises}::test_all") == exercises
    assert worker_group(f"{notebooks}::test_a_fresh_run[03_gap_histograms]") == "chapter 3"


def test_every_file_that_looks_at_the_book_is_in_its_group():
    mark = "pytest.mark." + "book"
    marked = [p for p in ROOT.glob("tests/**/test_*.py") if mark in p.read_text(encoding="utf-8")]
    assert sorted(p.relative_to(ROOT).as_posix() for p in marked) == sorted(LOOKS_AT_THE_BOOK)
    assert all((ROOT / file).is_file() for file in BY_CHAPTER)


def test_the_scheduler_asks_for_these_groups(pytestconfig):
    settings = SimpleNamespace(
        getvalue=lambda name: ["popen", "popen"],
        option=SimpleNamespace(loadscopereorder=True, tx=["popen", "popen"]),
    )
    scheduler = pytest_xdist_make_scheduler(settings, None)
    assert scheduler._split_scope("tests/a.py::test_x") == "tests/a.py"
    assert not settings.option.loadscopereorder, "the order is that of the tests"


class Item(SimpleNamespace):
    """A test, as far as ordering and skipping know it."""

    marks = 0

    def add_marker(self, mark):
        assert mark.name == "skip" and "--chapters all" in mark.kwargs["reason"]
        self.marks += 1


def settings_of(chapters, **more):
    return SimpleNamespace(getoption={"--chapters": chapters}.__getitem__, **more)


@pytest.mark.parametrize(("chapters", "skipped"), [("changed", [2, 12]), ("all", [])])
def test_chapters_that_are_as_they_were_run_are_skipped_but_for_one(monkeypatch, chapters, skipped):
    monkeypatch.setattr(tool, "chapters_to_run", lambda root: [7])
    items = {n: Item(nodeid=f"{BY_CHAPTER[0]}::test_x[{n}-1]") for n in (ALWAYS_RUN, 2, 7, 12)}
    others = [Item(nodeid=f"{BY_CHAPTER[0]}::test_all"), Item(nodeid="tests/gap/test_a.py::test_x")]
    pytest_collection_modifyitems(settings_of(chapters), [*items.values(), *others])
    assert [n for n, item in items.items() if item.marks] == skipped
    assert not any(item.marks for item in others)


def test_workers_begin_with_what_takes_long_and_one_process_keeps_its_order():
    files = ("tests/gap/test_a.py", LOOKS_AT_THE_BOOK[0], BY_CHAPTER[1])
    items = [SimpleNamespace(nodeid=f"{file}::test_x[01_a]") for file in files]
    before = list(items)
    pytest_collection_modifyitems(settings_of("all"), items)
    assert items == before
    pytest_collection_modifyitems(settings_of("all", workerinput={}), items)
    assert items == [before[1], before[2], before[0]]


def test_every_long_group_is_there():
    groups = {
        worker_group(path.relative_to(ROOT).as_posix()) for path in ROOT.glob("tests/**/*.py")
    } | {"chapter 1"}
    assert {turn(group) for group in groups} == set(range(len(LONG) + 1))
