"""A figure's caption and description, for JupyterLab, Colab and GitHub.

The book reads both from the metadata of a cell (`mystnb`), which no other front end shows. So they
are stored as an output of their own below the figure too. The book does not read that one: as a
Sphinx extension this module takes it out, for MyST-NB would make it a second figure of one name.
Where an image may carry a description, it gets it.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

import nbformat

CLASS = "figure-words"


def words_html(caption: str, alt: str) -> str:
    """Return a caption, and the description folded under it.

    >>> print(words_html("Two *clouds*.", "Dots left, triangles right.").replace("><", ">\\n<"))
    <div class="figure-words">
    <p>Two <em>clouds</em>.</p>
    <details>
    <summary>The figure in words</summary>Dots left, triangles right.</details>
    </div>
    """
    said = re.sub(r"\*([^*\s][^*]*)\*", r"<em>\1</em>", escape(caption, quote=False))
    said = re.sub(r"`([^`]+)`", r"<code>\1</code>", said)
    folded = f"<summary>The figure in words</summary>{escape(alt, quote=False)}"
    first = f"<p>{said}</p>" if caption else ""
    return f'<div class="{CLASS}">{first}<details>{folded}</details></div>'


def is_words(output: Any) -> bool:
    """Tell whether an output is the words of a figure."""
    return f'class="{CLASS}"' in "".join(output.get("data", {}).get("text/html", ""))


def with_words(cell: Any) -> Any:
    """Put the words of a code cell's figure below it, once, and its description into the image."""
    about = cell["metadata"].get("mystnb", {})
    alt = about.get("image", {}).get("alt", "")
    caption = about.get("figure", {}).get("caption", "")
    found = []
    for output in cell["outputs"]:
        if is_words(output):
            continue
        found.append(output)
        kinds = [kind for kind in output.get("data", {}) if kind.startswith("image/")]
        if kinds and alt:
            output["metadata"] = {kinds[0]: {"alt": alt}}
            html = words_html(caption, alt)
            plain = " ".join(filter(None, (caption, alt)))
            data = {"text/html": html, "text/plain": plain}
            found.append(nbformat.v4.new_output("display_data", data))
    cell["outputs"] = found
    return cell


def without_words(notebook: str) -> str:
    """Return a notebook's JSON text without the words of its figures.

    >>> words = {"data": {"text/html": words_html("One.", "Two.")}}
    >>> without_words(json.dumps({"cells": [{"outputs": [words, {"text": "a"}]}, {"source": ""}]}))
    '{"cells": [{"outputs": [{"text": "a"}]}, {"source": ""}]}'
    """
    read = json.loads(notebook)
    for cell in read["cells"]:
        if "outputs" in cell:
            cell["outputs"] = [output for output in cell["outputs"] if not is_words(output)]
    return json.dumps(read, ensure_ascii=False)


def _read(app: Any, name: str, source: list[str]) -> None:
    if app.env.doc2path(name).endswith(".ipynb"):
        source[0] = without_words(source[0])


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
