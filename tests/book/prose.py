"""Numbers in prose: where they stand in a notebook's text, and what is not one of its findings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NOT_PROSE = (
    r"```.*?```", r"<details>|</details>|</?summary>", r"\$\$.*?\$\$", r"\$[^$]*\$", r"`[^`]*`",
    r"\[[^\]]*\]\([^)]*\)",  # links name papers and chapters
    r"^\|[^\n]*$",  # tables of settings and of costs
    r"^#[^\n]*$",  # headings number exercises
    r"^\s*\d+\. ",  # ordinals of a list
)  # fmt: skip
NUMBER = re.compile(r"(?<![\w.,])[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)%?")
SKIPPED_SECTIONS = ("## What it costs", "## References")


def texts(notebook: Mapping[str, Any]) -> list[str]:
    """Return what a reader reads outside of code: text cells, captions and descriptions."""
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            source = "".join(cell["source"])
            parts = re.split(r"(?m)^(?=## )", source)
            found += [part for part in parts if not part.startswith(SKIPPED_SECTIONS)]
        shown = cell["metadata"].get("mystnb", {})
        found += [shown.get("figure", {}).get("caption", ""), shown.get("image", {}).get("alt", "")]
    return [text for text in found if text]


def without_frames(text: str) -> str:
    """Remove code, formulas, links, tables, headings and ordinals."""
    for pattern in NOT_PROSE:
        text = re.sub(pattern, " ", text, flags=re.DOTALL | re.MULTILINE)
    return text


def value_of(number: str) -> float:
    """Read a number as it is printed.

    >>> value_of("1,000"), value_of("95%"), value_of(".7")
    (1000.0, 95.0, 0.7)
    """
    return float(number.rstrip("%").rstrip(",").replace(",", ""))


def decimals_of(number: str) -> int:
    """Return how many decimals are printed."""
    return len(number.rstrip("%").partition(".")[2])
