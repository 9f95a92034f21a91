"""The map of the code: each file of the packages with half a line about it, as a page of the book.

Each half line is the first line of the file's own docstring, so the map cannot say something else
than the file. `tools.generated` writes it into `book/_generated/code_map.md`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from tools.api_pages import escape
from tools.tables import cell, table

HALF_LINE = 84


def half_line(text: str) -> str:
    """Return the first line of a docstring, up to its colon where it is long.

    >>> half_line("The gap, as a stream: exact, mergeable.\\nMore.")
    'The gap, as a stream: exact, mergeable'
    >>> half_line("BLEU (Papineni et al. 2002), a score of n-grams. " + "More of it " * 9)
    'BLEU (Papineni et al. 2002), a score of n-grams'
    """
    first = (text.strip().splitlines() or [""])[0].rstrip(".")
    return first if len(first) <= HALF_LINE else re.split(r"[:;]\s|(?<!\bet al)\.\s", first)[0]


def docstring(file: Path) -> str:
    """Return the half line that a source file says about itself."""
    return half_line(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "")


def code_map_markdown(packages: list[Path]) -> str:
    """Return a heading a package and a folder, each with a table of its files."""
    parts = []
    for package in packages:
        parts += [f"## `{package.name}`", _table(package.glob("*.py"))]
        for init in sorted(package.glob("*/__init__.py")):
            files = (file for file in init.parent.glob("*.py") if file != init)
            parts += [f"### `{package.name}/{init.parent.name}`: {docstring(init)}", _table(files)]
    return "\n\n".join(parts)


def _table(files: Iterable[Path]) -> str:
    return table(
        ["file", "what it says of itself"],
        [[f"`{file.name}`", escape(cell(docstring(file)))] for file in sorted(files)],
    )
