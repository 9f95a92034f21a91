"""A notebook that keeps every rule, to be run, broken and rendered by the tests."""

from __future__ import annotations

from typing import Any

from nbformat import v4

EXERCISES = "\n\n".join(
    f"### Exercise {n}\n\nTry it.\n\n<details><summary>Solution</summary>\n\nDone.\n\n</details>"
    for n in (1, 2, 3)
)
ALT = "Two straight lines that cross in the middle of the image."


def probe_notebook() -> Any:
    """Return a notebook with a figure, a headline number and all sections; not yet run."""
    headings = "## What you will learn\n\n- one thing\n\n## What it costs\n\nNothing."
    end = f"## Limits\n\nNone.\n\n## Take-aways\n\nIt works.\n\n## Exercises\n\n{EXERCISES}"
    figure = "import matplotlib.pyplot as plt\n\nplt.plot([0, 1], [0, 1])\nplt.show()"
    headline = "from vizer_core.shapes import UNIT_NORM_TOLERANCE\n\nprint(UNIT_NORM_TOLERANCE)\n"
    headline += "from vizer_core.runtime import profile\n\nassert profile().is_micro\n"
    headline += 'import sys\n\nprint("7 of 9, to whoever watches", file=sys.stderr)'
    alt = {"mystnb": {"image": {"alt": ALT}}}
    cells = [
        v4.new_markdown_cell("# A probe\n\n**Claim.** By the end you will have shown that $x=1$."),
        v4.new_markdown_cell("Is it?"),
        v4.new_code_cell("import sys", metadata={"tags": ["setup"]}),
        v4.new_markdown_cell("## One example\n\nSee [Notation](../book/notation.md)."),
        v4.new_markdown_cell(headings),
        v4.new_code_cell(headline, metadata={"tags": ["headline"]}),
        v4.new_code_cell(figure, metadata=alt),
        v4.new_markdown_cell(f"{end}\n\n## References\n\n- None."),
    ]
    return v4.new_notebook(cells=cells)
