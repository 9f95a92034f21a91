"""Each chapter runs once, and the answers to its exercises are judged in the kernel that ran it.

Everything that is run is the chapter's own text: its code, its checks, its folded solutions.
"""

from __future__ import annotations

import copy
import functools
import re
from dataclasses import dataclass
from typing import Any

import nbformat
from built_book import ROOT
from nbclient.exceptions import CellExecutionError
from wrong_answers import WRONG

from tools import notebooks
from tools.notebook_cells import normalise

SOLUTION = re.compile(r"<summary>Solution</summary>\n\n```python\n(.*?)```.*?</details>", re.DOTALL)
HEADING = re.compile(r"^### Exercise (\d): (.+)$", re.MULTILINE)
ASKED = "asked"  # marks the cells that are no part of the chapter
# runs first; of the start stays what a reader does not change, and answers do not meet
JUDGE = """
def _told(start, answer, check):
    import contextlib, io, traceback

    names, told = dict(globals()), io.StringIO()
    with contextlib.redirect_stdout(told):
        try:
            for part in (start, answer, check):
                exec(part, names)
        except Exception:
            print("".join(traceback.format_exc()))
    print(told.getvalue())
"""


@dataclass(frozen=True)
class Exercise:
    """What a reader starts from, what judges it, and the book's solution."""

    start: str
    check: str
    solution: str


@dataclass(frozen=True)
class ChapterRun:
    """What came out otherwise than stored, and what each answer was told, by exercise."""

    faults: list[str]
    told: dict[tuple[int, str], str]


@functools.cache
def exercises_of(number: int) -> dict[int, Exercise]:
    """Return the exercises of a chapter that a check judges, by number."""
    cells = nbformat.read(path_of(number), as_version=4)["cells"]
    first = next(i for i, c in enumerate(cells) if "## Exercises" in c["source"].splitlines())
    found: dict[int, Exercise] = {}
    current, start, check = 0, "", ""
    for cell in cells[first:]:
        source = cell["source"]
        if cell["cell_type"] == "code":
            if source.startswith("# yours"):
                start = source
            elif "tell(" in source:
                check = source
            continue
        solved = SOLUTION.search(source)
        if solved and current:
            found[current] = Exercise(start, check, solved[1])
            start, check = "", ""
        heading = HEADING.search(source)
        current = int(heading[1]) if heading else 0
        if "## Try it yourself" in source or "## References" in source:
            break
    return found


def path_of(number: int) -> Any:
    """Return the file of a chapter."""
    (path,) = (p for p in notebooks.paths(ROOT, []) if p.name.startswith(f"{number:02d}_"))
    return path


@functools.cache
def run_of(number: int) -> ChapterRun:
    """Run a chapter from a clean kernel, and judge every answer where its exercise stands."""
    path, stored = path_of(number), notebooks.read(path_of(number))
    longer = copy.deepcopy(stored)
    longer["cells"] = [_asking(JUDGE)]
    checks = {exercise.check: place for place, exercise in exercises_of(number).items()}
    for cell in copy.deepcopy(stored)["cells"]:
        longer["cells"].append(cell)
        place = checks.get(cell["source"]) if cell["cell_type"] == "code" else None
        if place is not None:
            longer["cells"] += [
                _asking(_call(exercises_of(number)[place], answer), place, answer)
                for answer in _answers(number, place)
            ]
    try:
        ran, _ = notebooks.execute(longer, ROOT / "notebooks")
    except CellExecutionError as error:
        return ChapterRun([f"{path.name}: {error}"], {})
    told = {
        tuple(c["metadata"][ASKED]): _printed(c) for c in ran["cells"] if ASKED in c["metadata"]
    }
    ran["cells"] = [cell for cell in ran["cells"] if ASKED not in cell["metadata"]]
    fresh = normalise(ran, path.name)  # as it would be stored
    return ChapterRun([f"{path.name}: {x}" for x in notebooks.differences(stored, fresh)], told)


def _answers(number: int, place: int) -> list[str]:
    exercise = exercises_of(number)[place]
    return [exercise.solution, exercise.start, *WRONG.get((number, place), ())]


def _asking(source: str, *asked: Any) -> Any:
    cell = nbformat.v4.new_code_cell(source)
    cell["metadata"][ASKED] = list(asked)
    return cell


def _call(exercise: Exercise, answer: str) -> str:
    return f"_told({exercise.start!r}, {answer!r}, {exercise.check!r})"


def _printed(cell: Any) -> str:
    return "".join(out["text"] for out in cell["outputs"] if out.get("name") == "stdout").strip()
