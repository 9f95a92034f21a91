"""Write the pages that are made from files: result tables, notebook list, names of the package.

Each lands in book/_generated/ (not committed) and is included by a page of the book, so a table in
the book cannot differ from the file it came from. `tools.book` calls this before Sphinx.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tools.api_pages import api_markdown
from tools.micro_page import write_micro_pages
from tools.tables import cell, interval, number, table


def result_markdown(name: str, result: dict[str, Any]) -> str:
    """Return one result file as a section: how it was made, scores, differences, verdicts."""
    parts = [f"## {result['experiment'].replace('_', ' ').capitalize()}"]
    parts.append(
        f"From `results/{name}`: `{result['command']}` at commit `{result['commit']}`, on "
        f"{cell(result['hardware'])}, {result['seconds']:,.0f} seconds."
    )
    figures = [[f"`{key}`", number(value)] for key, value in result.get("figures", {}).items()]
    if figures:
        parts.append(table(["measured", "value"], figures))
    scores = [
        [f"`{r['system']}`", f"`{r['metric']}`", interval(r), number(r["n"]), _seeds(r)]
        for r in result.get("scores", [])
    ]
    if scores:
        parts.append(table(["system", "metric", "mean [95% interval]", "n", "seeds"], scores))
    differences = [
        [f"`{r['system']}`", f"`{r['against']}`", f"`{r['metric']}`", interval(r), number(r["n"])]
        for r in result.get("differences", [])
    ]
    if differences:
        parts.append("Differences, system minus the one it is set against:")
        header = ["system", "against", "metric", "difference [95% interval]", "n"]
        parts.append(table(header, differences))
    claims = [
        [cell(r["claim"]), cell(r["source"]), f"**{r['verdict']}**", cell(r["evidence"])]
        for r in result.get("claims", [])
    ]
    if claims:
        parts.append("Claims and what this run says of them:")
        parts.append(table(["claim", "source", "verdict", "evidence"], claims))
    return "\n\n".join(parts)


def _seeds(row: dict[str, Any]) -> str:
    seeds = row["seeds"]
    return str(len(seeds)) if isinstance(seeds, list) else str(seeds)


def results_markdown(folder: Path) -> str:
    """Return all of results/*.json as sections, in the order of their names."""
    files = sorted(folder.glob("*.json"))
    if not files:
        return "No experiment has been recorded yet: `results/` is empty."
    sections = [
        result_markdown(file.name, json.loads(file.read_text(encoding="utf-8"))) for file in files
    ]
    return "\n\n".join(sections)


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


def write_all(root: Path) -> None:
    """Write every generated page of the checkout at `root`."""
    folder = root / "book" / "_generated"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {
        "results.md": results_markdown(root / "results"),
        "notebooks.md": notebooks_markdown(chapters(root)),
        "api.md": api_markdown(root / "vizer_core"),
    }
    for name, text in pages.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    write_micro_pages(root, folder)
