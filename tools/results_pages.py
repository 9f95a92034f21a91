"""Write the pages of results: one that a reader can read, and one of all numbers for each study.

`results_markdown` gives the verdicts of every study with a short table. `numbers_markdown` gives
every score and difference of one study, folded by metric or by system, whichever makes fewer folds.
A study's page is `book/results_NAME.md`: its heading names the study on the first page as well, its
first paragraph says there what was asked.
"""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tools.tables import cell, html_table, interval, number, table

Row = dict[str, Any]

# what stands in a study's short table: patterns of systems, in order, and metrics
SHORT: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bertscore_real": (
        ("coco:unedited", "coco:another_writer", "coco:shuffled_words", "coco:repetition",
         "coco:truncated", "coco:generic", "coco:another_image"),
        ("cider", "bertscore_layer3", "bertscore_layer6"),
    ),
    "gap_real_clip": (
        ("real", "micro-clip*"),
        ("gap_norm", "constant_share", "ks_raw", "ks_standardised", "separability_held_out"),
    ),
    "gap_micro": (
        ("cls*", "patch_mean*"),
        ("gap_norm", "constant_share", "i2t_r1", "patch_closer"),
    ),
    "maccap_micro": (
        ("blind", "clipre", "magic", "zerocap", "socratic", "baseline", "capdec", "decap",
         "maccap_pass", "maccap", "oracle_text", "clipcap"),
        ("cider", "clipscore", "object_precision", "object_recall"),
    ),
    "metrics_micro": (
        ("unedited", "reworded", "paraphrase", "more_true_detail", "object_swapped", "wrong_count",
         "wrong_relation", "shuffled_words", "keyword_list", "generic", "another_image"),
        ("bleu4", "cider", "meteor", "clipscore", "object_f1"),
    ),
    "reconstruction_real": (("*:text", "*:another"), ("sentence_cosine", "bleu1", "cider")),
    "real_language_vlm": (
        ("real", "small_lm", "another"),
        ("object_precision", "object_recall", "relation_accuracy", "exact", "cider"),
    ),
    "reconstruction_micro": (("x0:*", "x0.33:*", "x1:*"), ("bleu4", "object_f1", "exact")),
    "zero_shot_real_lm": (
        ("socratic:*", "magic:*", "zerocap:*"),
        ("object_precision", "object_recall", "object_f1", "length"),
    ),
    "vizer_micro": (
        ("base", "base_primed", "vizer_gt", "vizer_g", "vizer_g_shuffled", "read_back",
         "read_back_shuffled", "rl_clip", "rl_clip_shuffled", "information",
         "information_shuffled"),
        ("sampled_object_precision", "sampled_object_recall", "sampled_clipscore",
         "sampled_length"),
    ),
    "vizer_study": (
        ("*:home:base", "*:home:primed", "*:home:best", "*:home:best_shuffled", "*:home:read_back",
         "*:home:literal", "*:other:base", "*:other:primed", "*:other:best",
         "*:other:best_shuffled"),
        ("sampled_object_precision", "sampled_object_recall", "sampled_object_f1",
         "sampled_length"),
    ),
}  # fmt: skip


def studies(folder: Path) -> dict[str, dict[str, Any]]:
    """Return every file of results/ by name: studies, then benchmarks."""
    found = {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(folder.glob("*.json"))
    }
    return {name: found[name] for name in sorted(found, key=lambda n: ("figures" in found[n], n))}


def has_page(result: dict[str, Any]) -> bool:
    """Tell whether a file has scores or differences, and so a page of its own."""
    return bool(result.get("scores") or result.get("differences"))


def results_markdown(root: Path) -> str:
    """Return all studies and benchmarks of a checkout, each with its verdicts and a short table."""
    results = studies(root / "results")
    if not results:
        return "No experiment has been recorded yet: `results/` is empty."
    return "\n\n".join(
        study_markdown(name, result, root / "book") for name, result in results.items()
    )


def study_markdown(name: str, result: dict[str, Any], pages: Path) -> str:
    """Return one study or benchmark: what was asked, verdicts, a short table, where the rest is."""
    title, asked, link = result["experiment"].replace("_", " ").capitalize(), "", ""
    if has_page(result):
        title, asked = heading_of(pages / f"results_{name}.md")
        link = f"[All {_amount(result)}](results_{name}.md) are on a page of their own."
    figures = [[f"`{key}`", number(value)] for key, value in result.get("figures", {}).items()]
    parts = [
        f"## {title}",
        asked,
        claims_markdown(result.get("claims", [])),
        not_run_markdown(result.get("not_run", [])),
        table(["measured", "value"], figures) if figures else "",
        short_table(result["scores"], *SHORT[name]) if name in SHORT and has_page(result) else "",
        link,
        folded("How it was made", made_markdown(name, result)),
    ]
    return "\n\n".join(part for part in parts if part)


def heading_of(page: Path) -> tuple[str, str]:
    """Return a study page's title and the paragraph below it."""
    if not page.is_file():
        raise FileNotFoundError(
            f"no {page}: wanted a page with a title, a paragraph that says what the study asks, "
            f"and the line that includes _generated/{page.name}; list it in _toc.yml too"
        )
    blocks = page.read_text(encoding="utf-8").strip().split("\n\n")
    if not blocks[0].startswith("# ") or len(blocks) < 3:
        raise ValueError(f"{page} starts {blocks[0]!r}: wanted `# Title`, a paragraph, the include")
    return blocks[0][2:].strip(), blocks[1].strip()


def _amount(result: dict[str, Any]) -> str:
    counts = {key: len(result.get(key, [])) for key in ("scores", "differences")}
    return " and ".join(f"{count:,} {key}" for key, count in counts.items() if count)


def made_markdown(name: str, result: dict[str, Any]) -> str:
    """Return which command made a file, where, how long it took, and what its intervals are."""
    made = (
        f"From `results/{name}.json`: `{result['command']}` at commit `{result['commit']}`, on "
        f"{cell(result['hardware'])}, {result['seconds']:,.0f} seconds."
    )
    return f"{made} Intervals: {cell(result['interval'])}." if "interval" in result else made


def claims_markdown(claims: list[Row]) -> str:
    """Return claims with their verdicts, and below, folded, what decided each."""
    if not claims:
        return ""
    rows = [
        [str(n), f"**{c['verdict']}**", f"{cell(c['claim'])}<br>*{cell(c['source'])}*"]
        for n, c in enumerate(claims, 1)
    ]
    reasons = []
    for n, claim in enumerate(claims, 1):
        rule = f" Rule: {cell(claim['rule'])}." if claim.get("rule") else ""
        reasons.append(f"{n}. {cell(claim['claim'])}.{rule} Evidence: {cell(claim['evidence'])}.")
    return f"{table(['', 'verdict', 'claim'], rows)}\n\n" + folded(
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


def short_table(scores: list[Row], systems: tuple[str, ...], metrics: tuple[str, ...]) -> str:
    """Return the systems that the patterns name, in their order, by the metrics named."""
    found = {(row["system"], row["metric"]): row for row in scores}
    names = [
        name
        for pattern in systems
        for name in dict.fromkeys(row["system"] for row in scores)
        if fnmatch(name, pattern)
    ]
    if any(":" in pattern for pattern in systems):  # what stands before the name belongs together
        names.sort(key=lambda name: name.rpartition(":")[0])
    header = ["system", *(f"`{metric}`" for metric in metrics)]
    rows = [[f"`{name}`", *(_two_lines(found.get((name, m))) for m in metrics)] for name in names]
    return table(header, rows)


def _two_lines(row: Row | None) -> str:
    if row is None or row["mean"] is None:
        return "none"
    return held(row).replace("\u00a0[", "<br>[", 1)


def numbers_markdown(name: str, result: dict[str, Any]) -> str:
    """Return every score and difference of a study, folded, with how they were made."""
    parts = [f"Back to [the verdicts](results.md). {made_markdown(name, result)}"]
    for title, key in (("Scores", "scores"), ("Differences", "differences")):
        if result.get(key):
            parts += [f"## {title}", *groups_markdown(result[key])]
    if result.get("map"):
        parts += ["## Settings tried", *map_markdown(result["map"])]
    if result.get("outlook", {}).get("rows"):
        parts += ["## Seen before training", forecast_markdown(result["outlook"]["rows"])]
        if elsewhere := result["outlook"].get("other"):
            parts.append(forecast_markdown(elsewhere["rows"], "in the other world"))
    return "\n\n".join(parts)


def groups_markdown(rows: list[Row]) -> list[str]:
    """Return rows of one kind in folded tables, by metric or by system: the fewer of the two.

    What all rows of a table share, n or seeds, stands in its title instead of in a column.
    """
    by, of = sorted(("metric", "system"), key=lambda key: len({row[key] for row in rows}))
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[by], []).append(row)
    blocks = []
    for name, group in groups.items():
        header, columns, shared = [of], [[row[of] for row in group]], []
        if "against" in group[0]:
            header.append("minus")
            columns.append([row["against"] for row in group])
        header.append("mean [interval]")
        columns.append([held(row) for row in group])
        for label, values in (
            ("n", [number(row["n"]) for row in group]),
            ("seeds", [_seeds(row) for row in group]),
        ):
            if len(set(values)) == 1:
                shared.append(f"{label} {values[0]}")
            else:
                header.append(label)
                columns.append(values)
        title = ", ".join([f"{name}: {len(group)} rows", *shared])
        blocks.append(folded(title, html_table(header, [list(r) for r in zip(*columns)])))
    return blocks


def map_markdown(rows: list[Row]) -> list[str]:
    """Return the rows of a map, a folded table for each metric: gain over control and over base."""
    metrics = [key.removesuffix("_gain") for row in rows for key in row if key.endswith("_gain")]
    settings = [key for key, value in rows[0].items() if not isinstance(value, dict)]
    blocks = []
    for metric in dict.fromkeys(metrics):
        header = [*settings, "minus its control", "minus the base"]
        body = [
            [*(_plain(row[key]) for key in settings),
             *(held(row[f"{metric}_{label}"]) for label in ("gain", "over_base"))]
            for row in rows if f"{metric}_gain" in row
        ]  # fmt: skip
        blocks.append(folded(f"{metric}: {len(body)} settings", html_table(header, body)))
    return blocks


def forecast_markdown(rows: list[Row], where: str = "") -> str:
    """Return what was measured before training beside what the run then did."""
    header = list(rows[0])
    body = [[_plain(row[key]) for key in header] for row in rows]
    return folded(f"{len(rows)} runs {where}".strip(), html_table(header, body))


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    return "none" if value is None else str(value)


def folded(title: str, content: str) -> str:
    """Return content behind a line that opens it."""
    return f"````{{dropdown}} {title}\n{content}\n````"


def held(row: Row) -> str:
    """Return a mean with its interval that no table cell breaks into lines."""
    return interval(row).replace(" ", "\u00a0")


def _seeds(row: Row) -> str:
    seeds = row.get("seeds", "")
    return str(len(seeds)) if isinstance(seeds, list) else str(seeds)


def write_result_pages(root: Path, folder: Path) -> None:
    """Write the page of verdicts and one page of numbers for each study."""
    pages = {"results.md": results_markdown(root)}
    for name, result in studies(root / "results").items():
        if has_page(result):
            pages[f"results_{name}.md"] = numbers_markdown(name, result)
    for name, text in pages.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
