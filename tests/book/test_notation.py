"""The notation page: a letter that two rows define is listed among those with several meanings."""

from __future__ import annotations

import re
from collections import Counter

from built_book import ROOT

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


def test_a_letter_that_is_defined_twice_is_found():
    page = f"| `t` | tokens |\n| $t_i$ | `text` | a text |\n| $u$ | one |\n\n{SHARED}\n\n| $u$ |"
    assert faults(page) == ["t"]
    assert faults(page + "\n| $t$ | a | b |") == []
