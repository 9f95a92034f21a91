"""Each chapter has something to write, in one form, with a solution that passes its check."""

from __future__ import annotations

import ast
import re
from importlib import import_module

import nbformat
import pytest
from built_book import ROOT

from tools import notebooks
from tools.stamps import CHECKED, code_of
from vizer_lab.practice import judge, task_names

SOLUTION = re.compile(
    r"<details><summary>One solution</summary>\n\n```python\n(.*?)```.*?</details>", re.DOTALL
)
WITHOUT: set[int] = set()  # chapters that lack one: stays empty
SHORTEST, LONGEST = 3, 15  # lines of a solution's body


def chapters() -> dict[int, nbformat.NotebookNode]:
    return {
        int(path.name[:2]): nbformat.read(path, as_version=4) for path in notebooks.paths(ROOT, [])
    }


CHAPTERS = chapters()


def practices(notebook) -> list[tuple[str, str, str, str]]:
    """Return the name, the text, the stub and the solution's cell of every task of a chapter."""
    cells = notebook["cells"]
    found = []
    for place, cell in enumerate(cells):
        name = CHECKED.fullmatch(str(cell["source"]).strip())
        if cell["cell_type"] == "code" and name:
            around = [str(cells[place + step]["source"]) for step in (-2, -1, 1)]
            found.append((name[1], *around))
    return found


WRITTEN = [
    pytest.param(number, *practice, id=f"{number}-{practice[0]}")
    for number, notebook in CHAPTERS.items()
    for practice in practices(notebook)
]


def imports_of(notebook) -> str:
    """Return the imports of a chapter, which a solution may use."""
    lines = []
    for source in code_of(notebook):
        plain = "\n".join(line for line in source.splitlines() if not re.match(r"\s*[!%]", line))
        for node in ast.parse(plain).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                lines.append(ast.unparse(node))
    return "\n".join(lines)


def test_every_chapter_has_something_to_write_but_those_that_are_named():
    without = {number for number, notebook in CHAPTERS.items() if not practices(notebook)}
    assert without <= WITHOUT, "wanted a *write it yourself*: see Notebooks in CONTRIBUTING.md"


def test_every_task_belongs_to_one_chapter():
    names = sorted(name for notebook in CHAPTERS.values() for name, *_ in practices(notebook))
    assert names == task_names()


@pytest.mark.parametrize(("chapter", "name", "text", "stub", "solved"), WRITTEN)
def test_a_practice_has_its_text_its_stub_and_a_folded_solution(chapter, name, text, stub, solved):
    assert "### Write it yourself: " in text
    assert "$" in text or name == "umap", "the formula stands above what is to be written"
    (function,) = ast.parse(stub).body
    assert isinstance(function, ast.FunctionDef) and function.name == name
    _doc, rest = function.body
    assert ast.get_docstring(function) and ast.unparse(rest) == "..."
    assert len(SOLUTION.findall(solved)) == 1, "wanted one <summary>One solution</summary>"


@pytest.mark.parametrize(("chapter", "name", "text", "stub", "solved"), WRITTEN)
def test_the_solution_passes_and_the_stub_is_not_written_yet(chapter, name, text, stub, solved):
    task = import_module(f"vizer_lab.practice.{name}").TASK
    known: dict[str, object] = {}
    exec(imports_of(CHAPTERS[chapter]), known)
    exec(stub, known)
    assert "is not written yet" in judge(known[name], task).says
    (solution,) = SOLUTION.findall(solved)
    exec(solution, known)
    verdict = judge(known[name], task)
    assert verdict.right, verdict.says
    lines = [line for line in solution.splitlines() if line.strip()]
    assert SHORTEST <= len(lines) - 1 <= LONGEST, f"{len(lines) - 1} lines to write"


def test_a_checks_task_counts_for_the_stamp():
    """What judges a chapter's function is part of what its outputs depend on."""
    from tools.stamps import dependencies

    source = "from vizer_lab.practice import check\n\ncheck(contrastive_loss)"
    files = {path.name for path in dependencies([source], ROOT)}
    assert {"verdict.py", "contrastive_loss.py"} <= files
