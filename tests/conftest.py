"""Every test runs without a network, and `pytest -n 2` makes nothing twice."""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest

from tests import type_checks

type_checks.install()  # before any module of the packages is read

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LOOKS_AT_THE_BOOK = (
    "tests/book/test_axe.py",
    "tests/book/test_browser.py",
    "tests/book/test_finish_site.py",
    "tests/book/test_first_links.py",
    "tests/book/test_site.py",
    "tests/book/test_stored_figures.py",
)
# their tests share one run of each chapter, which the id of a test begins with
BY_CHAPTER = ("tests/book/test_exercises.py", "tests/book/test_notebooks.py")
ALWAYS_RUN = 1  # a chapter, so that what runs chapters is seen to run
# the groups of more than half a minute: who begins with them does not end with one
LONG = (
    "book",
    "chapter ",
    "tests/full_profile/",
    "tests/improvement/",
    "tests/cli/test_launch.py",
    "tests/cli/",
    "tests/processes/",
    "tests/book/",
    "tests/experiments/",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `--chapters all` run every chapter of the book, as CI does."""
    parser.addoption(
        "--chapters",
        choices=("changed", "all"),
        default="changed",
        help="which chapters run: those whose stored outputs were made by other code, data or "
        "packages than there are now, and the first; or all",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file on one worker of `pytest -n`, and the rendered book on one.

    What a file's tests share, a chapter's run and the book are then made once. Groups keep the
    order of the tests: by itself xdist ends with those of fewest tests.
    """
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return worker_group(nodeid)

    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip chapters that are as they were run; on several workers, begin with what takes long."""
    if config.getoption("--chapters") == "changed":
        skip_unchanged_chapters(items)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: turn(worker_group(item.nodeid)))


def skip_unchanged_chapters(items: list[pytest.Item]) -> None:
    """Skip every test that would run a chapter whose stored outputs a new run would give again."""
    groups = [(item, worker_group(item.nodeid)) for item in items]
    running = [(item, group) for item, group in groups if group.startswith("chapter ")]
    if not running:
        return
    from tools.notebooks import ROOT, chapters_to_run

    wanted = {f"chapter {number}" for number in (ALWAYS_RUN, *chapters_to_run(ROOT))}
    why = "the chapter's code, data and packages are those of its stored run (--chapters all)"
    for item, group in running:
        if group not in wanted:
            item.add_marker(pytest.mark.skip(reason=why))


def turn(group: str) -> int:
    """Return when a group's turn is: its place in `LONG`, or after all of them."""
    return next((i for i, name in enumerate(LONG) if group.startswith(name)), len(LONG))


def worker_group(nodeid: str) -> str:
    """Name the group of a test; a group stays on one worker."""
    file = nodeid.split("::")[0]
    if file in BY_CHAPTER and (chapter := re.search(r"\[(\d+)", nodeid)):
        return f"chapter {int(chapter[1])}"
    return "book" if file in LOOKS_AT_THE_BOOK else file


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to other hosts, unless the test is marked `network`."""
    if request.node.get_closest_marker("network"):
        return
    for name in ("connect", "connect_ex"):
        original = getattr(socket.socket, name)

        def guarded(self, address, original=original):
            if self.family != socket.AF_UNIX and address[0] not in LOOPBACK:
                raise RuntimeError(
                    f"a test wanted to reach {address[0]}: tests run offline; mark it `network`"
                )
            return original(self, address)

        monkeypatch.setattr(socket.socket, name, guarded)
