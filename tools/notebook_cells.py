"""Make a notebook's file repeatable: cell ids, metadata, images, setup cell and cost table.

Two runs of the same code give the same bytes: no timing, no time stamps in images, no kernel
build numbers, no progress bars.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import nbformat

from tools.figure_words import with_words
from vizer_lab.costs import MeasuredCost, chapter_table

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
PNG_CHUNKS_DROPPED = (b"tEXt", b"iTXt", b"zTXt", b"tIME")
CELL_METADATA = ("tags", "mystnb")
FOLDED = {  # what the book folds by a tag, JupyterLab folds by other metadata
    "hide-input": {"source_hidden": True},
    "hide-output": {"outputs_hidden": True},
    "hide-cell": {"source_hidden": True, "outputs_hidden": True},
}
SETUP_TAGS = ("setup", "hide-input", "remove-cell")  # who reads the book has nothing to set up
SUMMARY = re.compile(r"(?<=<summary>)About (?:a|\w+) minutes?")
COST_HEADING, COST_MARKS = "## What it costs", ("<!-- cost -->", "<!-- /cost -->")
TABLE = re.compile(r"^\|.*(?:\n\|.*)*", re.MULTILINE)
FORMULA = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
NUMBERED = re.compile(r"\s*\\tag\{[\d.]+\}")
SETUP_LOCAL = """\
# Setup, written by tools/notebooks.py. Nothing to do if you ran `make env`.
import importlib.util

if importlib.util.find_spec("vizer_core") is None:
    raise ImportError(
        "no vizer_core: run `make env` in the checkout, then "
        "choose .venv/bin/python as this notebook's kernel"
    )"""
SETUP_HOSTED = """\
# Setup, written by tools/notebooks.py. On Colab it fetches the package and
# its command (!vizer --help), and keeps the torch, torchvision and numpy that
# Colab's GPU wants.
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

if find_spec("vizer_core") is None:
    url = "{url}"
    subprocess.run(["git", "clone", "--depth", "1", url, "book"], check=True)
    kept = [f"{{n}}=={{version(n)}}" for n in ("torch", "torchvision", "numpy")]
    Path("book/kept.txt").write_text("\\n".join(kept))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "-e", "book"]
    wanted = ["-r", "book/requirements-colab.txt", "-c", "book/kept.txt"]
    subprocess.run([*pip, *wanted], check=True)
    sys.path.insert(0, "book")"""


def write_setup_cell(notebook: Any, url: str | None) -> Any:
    """Put this checkout's setup code into the cell tagged `setup`, before the first code cell.

    Where the repository has an address, a lone notebook can fetch the package from it; where it has
    none, the cell says what to do. Outputs and count of a cell that is already right stay.
    """
    source = SETUP_LOCAL if url is None else SETUP_HOSTED.format(url=url)
    cells = notebook["cells"]
    found = [cell for cell in cells if "setup" in cell["metadata"].get("tags", [])]
    if found:
        found[0]["source"] = source
        found[0]["metadata"]["tags"] = list(SETUP_TAGS)
        return notebook
    index = next((i for i, c in enumerate(cells) if c["cell_type"] == "code"), len(cells))
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": list(SETUP_TAGS)})
    cells.insert(index, cell)
    return notebook


def write_colab_cell(notebook: Any, link: str | None) -> Any:
    """Put a link that opens the notebook in Colab under its title; without a link, none.

    The book has its own button, so the cell is hidden there; GitHub and Jupyter show it.
    """
    kept = [cell for cell in notebook["cells"] if "colab" not in cell["metadata"].get("tags", [])]
    notebook["cells"] = kept
    if link is not None:
        tags = {"tags": ["colab", "remove-cell"]}
        cell = nbformat.v4.new_markdown_cell(f"[Open in Colab]({link})", metadata=tags)
        notebook["cells"].insert(1, cell)
    return notebook


def chapter_of(path: Path) -> str:
    """Return a chapter's name: that of its notebook without the number.

    >>> chapter_of(Path("notebooks/04_umap.ipynb"))
    'umap'
    """
    return path.stem.partition("_")[2]


def write_cost_table(notebook: Any, chapter: str, measured: Sequence[MeasuredCost] = ()) -> Any:
    """Write a chapter's cost table, by `vizer_lab.costs`, under its heading `## What it costs`.

    It stands between two marks; the author's own words below it stay. Without marks it takes the
    place of the first table there. The line that folds it says the minutes of its first row. A
    notebook that was never run, or has no such heading, is left as it is.
    """
    seconds = notebook["metadata"].get("vizer", {}).get("seconds")
    cells = [c for c in notebook["cells"] if str(c["source"]).startswith(COST_HEADING)]
    if seconds is None or not cells:
        return notebook
    text = str(cells[0]["source"])
    table = chapter_table(chapter, seconds, measured=measured)
    block = f"{COST_MARKS[0]}\n{table}\n{COST_MARKS[1]}"
    old = re.search("{}.*?{}".format(*COST_MARKS), text, re.DOTALL) or TABLE.search(text)
    if old is None:
        cells[0]["source"] = text.replace(COST_HEADING, f"{COST_HEADING}\n\n{block}", 1)
    else:
        text = text[: old.start()] + block + text[old.end() :]
        minutes = re.search(r"about (\d+) \|", table)
        cells[0]["source"] = SUMMARY.sub(_minutes(int(minutes[1])), text) if minutes else text
    return notebook


def _minutes(count: int) -> str:
    """Say a number of minutes as a sentence begins.

    >>> _minutes(1), _minutes(2), _minutes(12)
    ('About a minute', 'About two minutes', 'About 12 minutes')
    """
    words = {2: "two", 3: "three", 4: "four", 5: "five"}
    return "About a minute" if count < 2 else f"About {words.get(count, count)} minutes"


def folded(tags: Sequence[str]) -> dict[str, bool]:
    """Return the metadata that fold in JupyterLab what these tags fold in the book.

    >>> folded(["headline", "hide-input"])
    {'source_hidden': True}
    """
    return {key: True for tag in tags for key in FOLDED.get(tag, ())}


def normalise(notebook: Any, name: str) -> Any:
    """Bring a freshly run notebook into its stored form."""
    number_cells(notebook, name[:2])
    number_formulas(notebook, int(name[:2]))
    for cell in notebook["cells"]:
        cell["metadata"] = {k: v for k, v in cell["metadata"].items() if k in CELL_METADATA}
        hidden = folded(cell["metadata"].get("tags", []))
        if cell["cell_type"] == "code" and hidden:
            cell["metadata"]["jupyter"] = hidden
        if cell["cell_type"] == "code":
            kept = [
                plain_output(output)
                for output in cell["outputs"]
                if output.get("name") != "stderr" and not _is_progress_bar(output)
            ]
            cell["outputs"] = joined_prints(kept)
            with_words(cell)
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    return notebook


def number_formulas(notebook: Any, chapter: int) -> None:
    r"""Number the formulas that stand on lines of their own, (3.1), (3.2) and so on, anew.

    The number is TeX, `\tag{3.1}`, which the book, JupyterLab, Colab and GitHub show.

    >>> text = r"So $a$ and $$b \tag{3.7}$$ and $$c.$$"
    >>> cell = {"cell_type": "markdown", "source": text}
    >>> number_formulas({"cells": [cell]}, 3)
    >>> print(cell["source"])
    So $a$ and $$b \tag{3.1}$$ and $$c. \tag{3.2}$$
    """
    numbers = count(1)

    def numbered(match: re.Match[str]) -> str:
        return f"$${NUMBERED.sub('', match[1]).rstrip()} \\tag{{{chapter}.{next(numbers)}}}$$"

    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = FORMULA.sub(numbered, str(cell["source"]))


def number_cells(notebook: Any, chapter: str) -> None:
    """Give each cell an id such as `nb03-c07`; an id that is already of that form stays."""
    wanted = re.compile(rf"nb{chapter}-c\d\d+")
    taken: set[str] = set()
    fresh = []
    for cell in notebook["cells"]:
        if wanted.fullmatch(cell.get("id", "")) and cell["id"] not in taken:
            taken.add(cell["id"])
        else:
            fresh.append(cell)
    number = max((int(name.rpartition("-c")[2]) for name in taken), default=0)
    for cell in fresh:
        number += 1
        cell["id"] = f"nb{chapter}-c{number:02d}"


def joined_prints(outputs: list[Any]) -> list[Any]:
    """Join printed lines that follow each other: a kernel cuts them wherever it happened to flush.

    >>> one, two = ({"output_type": "stream", "name": "stdout", "text": t} for t in ("a", "b"))
    >>> joined_prints([one, two])
    [{'output_type': 'stream', 'name': 'stdout', 'text': 'ab'}]
    """
    found: list[Any] = []
    for output in outputs:
        if found and output["output_type"] == found[-1]["output_type"] == "stream":
            text = str(found[-1]["text"]) + str(output["text"])
            found[-1] = nbformat.from_dict(found[-1] | {"text": text})
        else:
            found.append(output)
    return found


def plain_output(output: Any) -> Any:
    """Drop from one output what changes between runs though the result does not."""
    output = nbformat.from_dict(dict(output))
    if "metadata" in output:
        output["metadata"] = {}
    data = output.get("data", {})
    if "image/png" in data:
        raw = base64.b64decode("".join(data["image/png"]))
        data["image/png"] = base64.b64encode(strip_png(raw)).decode("ascii")
    return output


def strip_png(raw: bytes) -> bytes:
    """Return a PNG without its text and time chunks (matplotlib writes its version there).

    >>> strip_png(b"GIF89a")
    Traceback (most recent call last):
    ...
    ValueError: not a PNG: starts with b'GIF89a', wanted b'\\x89PNG\\r\\n\\x1a\\n'
    """
    if not raw.startswith(PNG_HEAD):
        raise ValueError(f"not a PNG: starts with {raw[:8]!r}, wanted {PNG_HEAD!r}")
    kept, position = [PNG_HEAD], len(PNG_HEAD)
    while position < len(raw):
        (length,) = struct.unpack(">I", raw[position : position + 4])
        end = position + 12 + length
        if raw[position + 4 : position + 8] not in PNG_CHUNKS_DROPPED:
            kept.append(raw[position:end])
        position = end
    return b"".join(kept)


def _is_progress_bar(output: Any) -> bool:
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})
