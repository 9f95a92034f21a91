"""The notation page: a letter that two rows define is listed among those with several meanings."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from built_book import ROOT

from tools import notebooks

SHARED = "## Letters with more than one meaning"
INDEX = r"_(?:[a-z](?![a-z])|\{[a-z](?:,\s*[a-z])*\})"  # x_i, c_{i,j}
LETTER = r"(?:\\[a-z]+|[A-Za-z])(?:_(?:\\[a-z]+(?:\{\w+\})?|[A-Z]))?"


def symbols(cell: str) -> set[str]:
    r"""Return what the first cell of a row defines, indices left out.

    >>> sorted(symbols("$x_i$, $F_I = V_\\theta(I)$; `b`"))
    ['F_I', 'b', 'x']
    """
    found = set(re.findall(r"`([a-z])`", cell))
    for formula in re.findall(r"\$([^$]+)\$", cell):
        plain = re.sub(INDEX, "", formula.split("=")[0]).replace("\\hat ", "").strip()
        if re.fullmatch(LETTER, plain):
            found.add(plain)
    return found


def defined(page: str) -> Counter[str]:
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    return Counter(name for row in rows for name in symbols(row.split(" | ")[0]))


def faults(page: str) -> list[str]:
    before, _, after = page.partition(SHARED)
    several = {name for name, count in defined(before).items() if count > 1}
    return sorted(several - set(defined(after)))


def test_letters_with_several_meanings_are_listed():
    page = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")
    assert faults(page) == []
    assert {"A", "r", "t"} <= set(defined(page.partition(SHARED)[2]))


def test_no_letter_is_listed_twice_among_those_with_several_meanings():
    page = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")
    listed = defined(page.partition(SHARED)[2])
    assert [name for name, count in listed.items() if count > 1] == []


def test_a_letter_that_is_defined_twice_is_found():
    page = f"| `t` | tokens |\n| $t_i$ | `text` | a text |\n| $u$ | one |\n\n{SHARED}\n\n| $u$ |"
    assert faults(page) == ["t"]
    assert faults(page + "\n| $t$ | a | b |") == []


COMMON = {"e", "i", "j"}  # Euler's number and indices


def letters(formula: str) -> set[str]:
    r"""Return the Latin letters of a formula, without indices, words and commands.

    >>> sorted(letters(r"$$x_{ij} + \frac{\alpha}{r}\, \text{score}(c) \tag{1.1}$$"))
    ['c', 'r', 'x']
    """
    plain = re.sub(r"\\(?:text|mathrm|operatorname|tag)\{[^}]*\}", " ", formula)
    plain = re.sub(r"_\{[^}]*\}|_\\\w+(?:\{\w+\})?|_\w", " ", plain)
    plain = re.sub(r"\\[A-Za-z]+", " ", plain)
    return set(re.findall(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])", plain)) - COMMON


def stems(page: str) -> set[str]:
    """Return each letter that the page's tables define, with an index or without."""
    cells = [row.split(" | ")[0] for row in page.splitlines() if row.startswith("| ")]
    found = set(re.findall(r"`([a-z])`", " ".join(cells)))
    for formula in re.findall(r"\$([^$]+)\$", " ".join(cells)):
        found |= letters(formula)
    return found


@pytest.mark.parametrize("path", notebooks.paths(ROOT, []), ids=lambda path: path.name[:2])
def test_each_letter_of_a_numbered_formula_is_on_the_page(path):
    known = stems((ROOT / "book" / "notation.md").read_text(encoding="utf-8"))
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    formulas = re.findall(r"\$\$(.+?)\$\$", text, flags=re.DOTALL)
    unknown = set().union(*map(letters, formulas), set()) - known
    assert unknown == set(), "wanted a row on the notation page"
