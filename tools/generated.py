"""Write the pages that are made from files: results, chapters, names, files, commands.

Each lands in book/_generated/ (not committed) and is included by a page of the book, so a table in
the book cannot differ from the file it came from. The pages of names land in book/api/ as they are.
`tools.book` calls this before Sphinx.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tools.api_pages import PAGES, write_api_pages
from tools.code_map import code_map_markdown
from tools.command_page import commands_markdown
from tools.field_page import field_markdown
from tools.five_numbers import five_numbers_markdown
from tools.folder_page import write_folder_page
from tools.planning_page import write_planning_pages
from tools.readme_image import captions_markdown
from tools.results_pages import write_result_pages
from tools.social_card import write_social_card
from tools.tables import cell, table
from tools.verdict_board import write_verdict_board
from tools.ways_in import get_it_markdown
from tools.world_page import write_world_pages

PACKAGES = ("vizer_core", "vizer_lab")


def notebook_title(notebook: dict[str, Any]) -> str:
    """Return the first heading of a notebook."""
    for block in notebook["cells"]:
        for line in "".join(block["source"]).splitlines():
            if block["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return "untitled"


def chapters(root: Path) -> list[Path]:
    """Return the notebooks that the table of contents lists, in its order."""
    toc = (root / "_toc.yml").read_text(encoding="utf-8")
    return [root / f"{name}.ipynb" for name in re.findall(r"file: (notebooks/\w+)", toc)]


def notebooks_markdown(files: list[Path]) -> str:
    """Return the list of chapters with what their stored outputs cost, from their stamps."""
    rows = []
    for file in files:
        notebook = json.loads(file.read_text(encoding="utf-8"))
        stamp = notebook["metadata"].get("vizer", {})
        link = f"[{cell(notebook_title(notebook))}](../notebooks/{file.name})"
        seconds = f"{stamp['seconds']:.0f} s" if "seconds" in stamp else "not run"
        rows.append([link, stamp.get("profile", "not run"), seconds, stamp.get("device", "")])
    if not rows:
        return "No chapter is written yet."
    return table(["chapter", "profile", "run time", "on"], rows)


def _title_of(file: Path) -> str:
    return notebook_title(json.loads(file.read_text(encoding="utf-8")))


def write_all(root: Path, url: str | None = None) -> None:
    """Write every generated page of the checkout at `root`, whose repository's address is `url`."""
    folder = root / "book" / "_generated"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {
        "notebooks.md": notebooks_markdown(chapters(root)),
        "code_map.md": code_map_markdown([root / name for name in PACKAGES]),
        "command_line.md": commands_markdown(),
        "five_numbers.md": five_numbers_markdown(root),
        "field_systems.md": field_markdown(root),
        "captions.md": captions_markdown(root),
    }
    for name, text in pages.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    write_api_pages([root / name for name in PACKAGES], root / PAGES, folder / "api.md")
    write_result_pages(root, folder)
    write_verdict_board(root, folder)
    write_social_card(root, folder)
    write_world_pages(root, folder)
    files = chapters(root)
    titles = {file: cell(_title_of(file)) for file in files}
    write_planning_pages(root, folder, files, titles)
    write_folder_page(folder)
    (folder / "get_it.md").write_text(get_it_markdown(url) + "\n", encoding="utf-8")
