"""Numbers and tables as the book prints them."""

from __future__ import annotations

from html import escape
from typing import Any

SCORE_COLUMNS = ("mean", "low", "high")


def number(value: float | int | None) -> str:
    """Format a score with about three digits that matter.

    >>> number(0.28341), number(12.951), number(12345.6), number(0.00042), number(3), number(None)
    ('0.283', '13.0', '12,346', '0.00042', '3', 'not run')
    """
    if value is None:
        return "not run"
    if isinstance(value, int):
        return f"{value:,}"
    if value != 0 and abs(value) < 0.01:
        return f"{value:.2g}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def interval(row: dict[str, Any]) -> str:
    """Format a mean with its 95% interval.

    >>> interval({"mean": 0.5, "low": 0.4, "high": 0.6})
    '0.500 [0.400, 0.600]'
    """
    mean, low, high = (number(row[column]) for column in SCORE_COLUMNS)
    return f"{mean} [{low}, {high}]"


def cell(text: str) -> str:
    r"""Make text safe inside a Markdown table cell.

    >>> print(cell("a | b\nc $x$"))
    a \| b c \$x\$
    """
    return " ".join(text.split()).replace("|", "\\|").replace("$", "\\$")


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def html_table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table as bare HTML, half the size of what Sphinx makes of a Markdown table.

    >>> print(html_table(["a"], [["1 < 2"]]))
    <table class="table"><thead><tr><th>a</th></tr></thead><tbody>
    <tr><td>1 &lt; 2</td></tr>
    </tbody></table>
    """
    return _html("table", header, ["".join(_cells(row)) for row in rows])


def html_grid(header: list[str], rows: list[list[str]]) -> str:
    """Return a table whose first column names the lines; it and the header stay in sight.

    Empty cells at the end of a line are one.

    >>> print(html_grid(["a", "b", "c"], [["x", "1", "2"], ["y", "", ""]]))
    <table class="table grid"><thead><tr><th>a</th><th>b</th><th>c</th></tr></thead><tbody>
    <tr><th>x</th><td>1</td><td>2</td></tr>
    <tr><th>y</th><td colspan="2"></td></tr>
    </tbody></table>
    """
    lines = []
    for name, *others in rows:
        filled = max((n for n, text in enumerate(others, 1) if text), default=0)
        cells = [f"<th>{escape(name)}</th>", *_cells(others[:filled])]
        if filled < len(others):
            cells.append(f'<td colspan="{len(others) - filled}"></td>')
        lines.append("".join(cells))
    return _html("table grid", header, lines)


def _cells(row: list[str]) -> list[str]:
    return [f"<td>{escape(text)}</td>" for text in row]


def _html(kind: str, header: list[str], lines: list[str]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    top = f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>'
    return "\n".join([top, *(f"<tr>{line}</tr>" for line in lines), "</tbody></table>"])


def folded(title: str, content: str) -> str:
    """Return content behind a line that opens it."""
    return f"::::{{dropdown}} {title}\n{content}\n::::"  # a title may hold code
