"""Write the pages of results: one that a reader can read, and one of all numbers for each study.

`results_markdown` gives the verdicts of every study with a short table. `numbers_markdown` gives
every score and difference of one study, in folded grids (`results_grids.py`).
A study's page is `book/results_NAME.md`: its heading names the study on the first page as well, its
first paragraph says there what was asked.
"""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tools.results_figures import write_results_figure
from tools.results_grids import grids_markdown, mean_and_interval
from tools.tables import cell, folded, html_grid, html_table, number, table
from vizer_lab.names import cell_in_words, in_words, sentence_in_words

Row = dict[str, Any]

# what stands in a study's short table: patterns of systems, in order, and metrics
SHORT: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bertscore_real": (
        ("coco:unedited", "coco:another_writer", "coco:shuffled_words", "coco:repetition",
         "coco:truncated", "coco:generic", "coco:another_image"),
        ("cider", "bertscore_layer3", "bertscore_layer6"),
    ),
    "gap_real_clip": (
        ("real", "drawn-clip*"),
        ("gap_norm", "constant_share", "ks_raw", "ks_standardised", "separability_held_out"),
    ),
    "gap_drawn": (
        ("cls*", "patch_mean*"),
        ("gap_norm", "constant_share", "i2t_r1", "patch_closer"),
    ),
    "maccap_drawn": (
        ("oracle_text", "clipcap", "clipre", "socratic", "magic", "zerocap", "decap", "capdec",
         "baseline", "decap_mlp", "capdec_mlp", "baseline_mlp", "maccap", "maccap_global",
         "maccap_pass", "maccap_pass_global", "multi_clean", "maccap_pass_random",
         "maccap_pass_other_image", "mean_shift", "blind"),
        ("object_f1", "cider", "object_precision", "object_recall"),
    ),
    "metrics_drawn": (
        ("unedited", "reworded", "paraphrase", "more_true_detail", "object_swapped", "wrong_count",
         "wrong_relation", "shuffled_words", "keyword_list", "generic", "another_image"),
        ("bleu4", "cider", "meteor", "clipscore", "object_f1"),
    ),
    "reconstruction_real": (("*:text", "*:another"), ("sentence_cosine", "bleu1", "cider")),
    "real_language_vlm": (
        ("real", "small_lm", "another"),
        ("object_precision", "object_recall", "relation_accuracy", "exact", "cider"),
    ),
    "reconstruction_drawn": (("x0:*", "x1:*", "x3:*", "x10:*"), ("cider", "object_f1", "exact")),
    "text_only_real_lm": (
        ("clipre", "real:clipcap", "real:capdec", "real:decap", "real:baseline", "real:maccap_pass",
         "real:maccap_pass_global", "drawn:clipcap", "drawn:capdec", "drawn:decap",
         "drawn:baseline", "drawn:maccap_pass", "drawn:maccap_pass_global"),
        ("object_f1", "cider", "object_precision", "object_recall"),
    ),
    "zero_shot_real_lm": (
        ("socratic:*", "magic:*", "zerocap:*"),
        ("object_precision", "object_recall", "object_f1", "length"),
    ),
    "questions_real_lm": (
        ("drawn:*", "real:*"),
        ("top1", "top1_presence", "top1_count", "top1_place", "top1_relation"),
    ),
    "field": (
        ("*:base", "*:first_word", "*:beam", "*:guidance", "*:consensus", "*:information",
         "*:diverse", "*:fused", "*:checked", "*:contrasted", "*:clip_ranked", "*:crops_fused",
         "*:verified", "*:best_of_nine", "*:clip_reward", "*:mocha", "*:caprl",
         "*:bag_curriculum", "*:human", "*:knowada", "*:baseline", "*:capdec", "*:decap",
         "*:concepts", "*:close"),
        ("object_precision", "object_recall", "statement_precision", "relation_accuracy", "length"),
    ),
    "improvement": (
        ("*:base", "*:first_word", "*:beam", "*:mbr", "*:best_of_n_information", "*:views_5",
         "*:self_training", "*:beam_distillation", "*:raft", "*:information", "*:vizer_g",
         "*:best"),
        ("object_precision", "object_recall", "exact", "relation_accuracy", "length"),
    ),
}  # fmt: skip


# columns that stand in a table's title where all its rows have the same
SHARED = ("views", "n", "seeds")

# other fields of a file that a study's page shows as they are
PLAIN_TABLES = {
    "Success over seeds": "success",
    "Precision and recall over temperature": "curve",
    "View agreement and exact scores": "correlations",
    "Views": "views",
    "One setting at a time": "ablations",
    "Bars on validation scenes": "bars",
    "Rates on validation scenes": "rates",
    "Weights of views on validation scenes": "weights",
    "Arena": "arena",
    "Variety": "variety",
    "Captions drawn again": "round_trip",
    "Cost": "cost",
}


def studies(folder: Path) -> dict[str, dict[str, Any]]:
    """Return every file of results/ by name: studies, then benchmarks."""
    found = {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(folder.glob("*.json"))
    }
    return {name: found[name] for name in sorted(found, key=lambda n: ("figures" in found[n], n))}


def named(rows: list[Row]) -> list[Row]:
    """Return rows whose systems carry the base that they stand on, where rows have one.

    >>> named([{"base": "web", "system": "views", "against": "base"}])
    [{'base': 'web', 'system': 'web:views', 'against': 'web:base'}]
    """
    return [
        row | {key: f"{row['base']}:{row[key]}" for key in ("system", "against") if key in row}
        if "base" in row
        else row
        for row in rows
    ]


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
    figures = [[in_words(key), number(value)] for key, value in result.get("figures", {}).items()]
    parts = [
        f"## {title}",
        asked,
        claims_markdown(result.get("claims", []), name),
        not_run_markdown(result.get("not_run", []), name),
        table(["measured", "value"], figures) if figures else "",
        short_table(result["scores"], *SHORT[name], name)
        if name in SHORT and has_page(result)
        else "",
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
    """Return which command made a file, where, how long it took, its intervals, what was cut."""
    made = (
        f"From `results/{name}.json`: `{result['command']}` at commit `{result['commit']}`, on "
        f"{cell(result['hardware'])}, {result['seconds']:,.0f} seconds."
    )
    if "interval" in result:
        made += f" Intervals: {cell(result['interval'])}."
    if result.get("cut"):
        made += f" Cut: {'; '.join(cell(sentence_in_words(part, name)) for part in result['cut'])}."
    return made


def claims_markdown(claims: list[Row], study: str = "") -> str:
    """Return claims with their verdicts, and below, folded, what decided each."""
    if not claims:
        return ""
    rows = [
        [str(n), f"**{c['verdict']}**", f"{claimed(c, study)}<br>*{cell(c['source'])}*"]
        for n, c in enumerate(claims, 1)
    ]
    reasons = []
    for n, claim in enumerate(claims, 1):
        rule, evidence = (
            cell(sentence_in_words(claim.get(key, ""), study)) for key in ("rule", "evidence")
        )
        rule = f" Rule: {rule}." if rule else ""
        reasons.append(f"{n}. {claimed(claim, study)}.{rule} Evidence: {evidence}.")
    return f"{table(['', 'verdict', 'claim'], rows)}\n\n" + folded(
        "What decided each claim", "\n".join(reasons)
    )


def claimed(claim: Row, study: str = "") -> str:
    """Return what a claim says, as a cell of a table."""
    return cell(sentence_in_words(claim["claim"], study))


FEW = 5  # that are named in the open: more would be a wall of names


def not_run_markdown(claims: list[str], study: str = "") -> str:
    """Return the claims that this run of a study left out: nothing is said about them.

    >>> not_run_markdown(["Less is more"])
    'Not run yet, and so without a verdict: Less is more.'
    >>> print(not_run_markdown(["a"] * 8).splitlines()[0])
    8 parts were not run yet, and so nothing is said about them.
    """
    if not claims:
        return ""
    listed = "; ".join(cell(sentence_in_words(c, study)) for c in claims)
    if len(claims) <= FEW:
        return f"Not run yet, and so without a verdict: {listed}."
    said = f"{len(claims)} parts were not run yet, and so nothing is said about them."
    return f"{said}\n\n{folded('Which', listed)}"


def short_table(
    scores: list[Row], systems: tuple[str, ...], metrics: tuple[str, ...], study: str = ""
) -> str:
    """Return the systems that the patterns name, in their order, by the metrics named."""
    scores = named(scores)
    found = {(row["system"], row["metric"]): row for row in scores}
    names = [
        name
        for pattern in systems
        for name in dict.fromkeys(row["system"] for row in scores)
        if fnmatch(name, pattern)
    ]
    if any(":" in pattern for pattern in systems):  # what stands before the name belongs together
        names.sort(key=lambda name: name.rpartition(":")[0])
    header = ["system", *(in_words(metric, study) for metric in metrics)]
    rows = [
        [in_words(name, study), *(_cell(found.get((name, metric))) for metric in metrics)]
        for name in names
    ]
    return html_grid(header, rows)


def _cell(row: Row | None) -> str:
    return "none" if row is None or row["mean"] is None else mean_and_interval(row)


def numbers_markdown(name: str, result: dict[str, Any]) -> str:
    """Return every score and difference of a study, folded, with how they were made."""
    parts = [f"Back to [the verdicts](results.md). {made_markdown(name, result)}"]
    for title, key in (("Scores", "scores"), ("Differences", "differences")):
        if result.get(key):
            parts += [f"## {title}", *grids_markdown(result[key], name)]
    for title, key in PLAIN_TABLES.items():
        if result.get(key):
            parts += [f"## {title}", *plain_markdown(result[key], name)]
    return "\n\n".join([*parts, keys_markdown(name, result)])


def keys_markdown(name: str, result: dict[str, Any]) -> str:
    """Return, folded, what the results file calls the systems and metrics of a page."""
    rows = [row for key in ("scores", "differences") for row in result.get(key, [])]
    keys = dict.fromkeys(row[key] for key in ("system", "metric") for row in rows)
    told = [[in_words(key, name), key] for key in keys if in_words(key, name) != key]
    return folded(f"What `results/{name}.json` calls them", html_table(["here", "there"], told))


def plain_markdown(rows: list[Row], study: str = "") -> list[str]:
    """Return rows as they are in folded tables, one for each base; a row may hold rows itself.

    What is `SHARED` by all rows of a table stands in its title.
    """
    flat = [
        {key: value for key, value in row.items() if key != "rows"} | each
        for row in rows
        for each in row.get("rows", [{}])
    ]
    groups: dict[str, list[Row]] = {}
    for row in flat:
        groups.setdefault(str(row.get("base", "all")), []).append(row)
    blocks = []
    for name, group in groups.items():
        keys = list(dict.fromkeys(key for row in group for key in row if key != "base"))
        title = f"{name}: {len(group)} rows"
        for key in [key for key in SHARED if key in keys and len(group) > 1]:
            if len({_listed(row.get(key, ""), study) for row in group}) == 1:
                keys.remove(key)
                title += f", {in_words(key)} {_listed(group[0][key], study)}"
        body = [[_listed(row.get(key, ""), study) for key in keys] for row in group]
        blocks.append(folded(title, html_grid([in_words(key) for key in keys], body)))
    return blocks


def _listed(value: object, study: str) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(each, study) for each in value)
    return _plain(value, study)


def _plain(value: object, study: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    return "none" if value is None else cell_in_words(str(value), study)


def write_result_pages(root: Path, folder: Path) -> None:
    """Write the page of verdicts and one page of numbers for each study."""
    pages = {"results.md": results_markdown(root)}
    for name, result in studies(root / "results").items():
        write_results_figure(name, result, folder)
        if has_page(result):
            pages[f"results_{name}.md"] = numbers_markdown(name, result)
    for name, text in pages.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
