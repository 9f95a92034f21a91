"""Write the diagrams that chapters show as files: book/_static/diagrams.

    python -m tools.diagrams          # write them; `make diagrams` does the same

A test compares the files with what the package draws. To show one in a chapter, put into a Markdown
cell what `python -m tools.diagrams --markdown NAME` prints: an image with its alt text.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vizer_lab.figures.method_diagrams import DIAGRAMS, draw_method

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path("book", "_static", "diagrams")


def markdown(name: str, *, folder: str = "../book") -> str:
    """Return the Markdown that shows a diagram; `folder` leads from the page to book/.

    >>> markdown("two_caps").split("](")[1]
    '../book/_static/diagrams/two_caps.svg)'
    """
    return f"![{draw_method(name).words}]({folder}/_static/diagrams/{name}.svg)"


def main() -> None:
    """Write all diagrams, or print the Markdown of one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", choices=sorted(DIAGRAMS), help="print how to show this one")
    arguments = parser.parse_args()
    if arguments.markdown:
        print(markdown(arguments.markdown))
        return
    (ROOT / FOLDER).mkdir(parents=True, exist_ok=True)
    for name in DIAGRAMS:
        (ROOT / FOLDER / f"{name}.svg").write_text(draw_method(name).svg(), encoding="utf-8")
        print(f"wrote {FOLDER / name}.svg")


if __name__ == "__main__":
    main()
