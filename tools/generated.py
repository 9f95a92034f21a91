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
from tools.planning_page import write_planning_pages
from tools.tables import cell, interval, number, table


def result_markdown(name: str, result: dict[str, Any]) -> str:
    """Return one result file as a section: how it was made, verdicts, differences, scores."""
    made = (
        f"From `results/{name}`: `{result['command']}` at commit `{result['commit']}`, on "
        f"{cell(result['hardware'])}, {result['seconds']:,.0f} seconds."
    )
    figures = [[f"`{key}`", number(value)] for key, value in result.get("figures", {}).items()]
    parts = [
        f"## {result['experiment'].replace('_', ' ').capitalize()}",
        made,
        f"Intervals: {cell(result['interval'])}." if "interval" in result else "",
        table(["measured", "value"], figures) if figures else "",
        claims_markdown(result.get("claims", [])),
        not_run_markdown(result.get("not_run", [])),
        differences_markdown(result.get("differences", [])),
        scores_markdown(result.get("scores", [])),
    ]
    return "\n\n".join(part for part in parts if part)


def claims_markdown(claims: list[dict[str, Any]]) -> str:
    """Return claims with their verdicts, and below, folded, what decided each."""
    if not claims:
        return ""
    rows = [
        [str(n), f"{cell(c['claim'])}<br>*{cell(c['source'])}*", f"**{c['verdict']}**"]
        for n, c in enumerate(claims, 1)
    ]
    reasons = []
    for n, claim in enumerate(claims, 1):
        rule = f" Rule: {cell(claim['rule'])}." if claim.get("rule") else ""
        reasons.append(f"{n}. {cell(claim['claim'])}.{rule} Evidence: {cell(claim['evidence'])}.")
    return f"{table(['', 'claim', 'verdict'], rows)}\n\n" + folded(
        "What decided each claim", "\n".join(reasons)
    )


def not_run_markdown(claims: list[str]) -> str:
    """Return the claims that this run of a study left out: nothing is said about them.

    >>> not_run_markdown(["Less is more"])
    'Not run yet, and so without a verdict: Less is more.'
    """
    if not claims:
        return ""
    return f"Not run yet, and so without a verdict: {'; '.join(cell(c) for c in claims)}."


def differences_markdown(differences: list[dict[str, Any]]) -> str:
    """Return differences, system minus the one that it is set against, folded."""
    if not differences:
        return ""
    rows = [
        [f"`{r['system']}`", f"`{r['against']}`", f"`{r['metric']}`", held(r), number(r["n"])]
        for r in differences
    ]
    header = ["system", "minus", "metric", "difference [95% interval]", "n"]
    return folded(f"Differences ({len(rows)})", table(header, rows))


def scores_markdown(scores: list[dict[str, Any]]) -> str:
    """Return scores, one folded table a system."""
    by_system: dict[str, list[dict[str, Any]]] = {}
    for row in scores:
        by_system.setdefault(row["system"], []).append(row)
    header = ["metric", "mean [95% interval]", "n", "seeds"]
    blocks = []
    for system, found in by_system.items():
        rows = [[f"`{r['metric']}`", held(r), number(r["n"]), _seeds(r)] for r in found]
        blocks.append(folded(f"Scores of {system} ({len(rows)})", table(header, rows)))
    return "\n\n".join(blocks)


def folded(title: str, content: str) -> str:
    """Return content behind a line that opens it."""
    return f"````{{dropdown}} {title}\n{content}\n````"


def held(row: dict[str, Any]) -> str:
    """Return a mean with its interval that no table cell breaks into lines."""
    return interval(row).replace(" ", "\u00a0")


def _seeds(row: dict[str, Any]) -> str:
    seeds = row["seeds"]
    return str(len(seeds)) if isinstance(seeds, list) else str(seeds)


def results_markdown(folder: Path) -> str:
    """Return all of results/*.json as sections: studies, then benchmarks."""
    results = {
        file.name: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(folder.glob("*.json"))
    }
    if not results:
        return "No experiment has been recorded yet: `results/` is empty."
    studies_first = sorted(results, key=lambda name: ("figures" in results[name], name))
    return "\n\n".join(result_markdown(name, results[name]) for name in studies_first)


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
    files = chapters(root)
    titles = {file: cell(_title_of(file)) for file in files}
    write_planning_pages(root, folder, files, titles)
