"""Every score and difference of a study as grids: a line for each system, a column for each metric.

A grid says each name once, which makes a page of thousands of numbers half as heavy as a table with
a line for each number, and sets the numbers to be compared below each other.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tools.tables import folded, html_grid, interval, number
from vizer_lab.names import in_words

Row = dict[str, Any]
Pair = tuple[str, str]  # a system, and what it is compared with: "" for a score

USUAL = 0.9  # the share of a grid's numbers from which on their n stands in its title


def grids_markdown(rows: list[Row], study: str = "") -> list[str]:
    """Return scores or differences in folded grids, one or more for each base.

    Systems stand across where they are fewer than the metrics. Metrics that no system has in common
    stand in grids of their own, which leaves fewer places empty.
    """
    turned = len({row["metric"] for row in rows}) > len({_pair(row) for row in rows})
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.get("base", ""), []).append(row)
    return [
        grid_markdown([row for row in group if row["metric"] in metrics], turned, study)
        for group in groups.values()
        for metrics in measured_together(group)
    ]


def _pair(row: Row) -> Pair:
    return row["system"], row.get("against", "")


def measured_together(rows: list[Row]) -> list[set[str]]:
    """Return the metrics in groups: two are in one where some system has both.

    >>> had = {"a": ["f1", "cider"], "b": ["cider", "exact"], "c": ["top1"]}
    >>> rows = [{"system": of, "metric": m} for of, metrics in had.items() for m in metrics]
    >>> [sorted(group) for group in measured_together(rows)]
    [['cider', 'exact', 'f1'], ['top1']]
    """
    of: dict[Pair, set[str]] = {}
    for row in rows:
        of.setdefault(_pair(row), set()).add(row["metric"])
    groups: list[set[str]] = []
    for metrics in of.values():
        touched = [group for group in groups if group & metrics]
        groups = [group for group in groups if not group & metrics]
        groups.append(metrics.union(*touched))
    return groups


def grid_markdown(rows: list[Row], turned: bool, study: str = "") -> str:
    """Return the numbers of one base as one folded grid; `turned` puts the metrics on its lines.

    What all numbers share, n or seeds, stands in the title, and otherwise in a column. A number
    with another n or other seeds than its title or its line says so itself.
    """
    systems = list(dict.fromkeys(_pair(row) for row in rows))
    compared = list(dict.fromkeys(against for _, against in systems))
    systems.sort(key=lambda pair: compared.index(pair[1]))
    metrics = [metric for metric, _ in Counter(row["metric"] for row in rows).most_common()]
    by_place = {(_pair(row), row["metric"]): row for row in rows}
    if turned:
        lines = [[by_place.get((pair, metric)) for pair in systems] for metric in metrics]
        header, names = ["metric"], [[in_words(metric, study)] for metric in metrics]
        across = [" minus ".join(_names(pair, study)) for pair in systems]
    else:
        lines = [[by_place.get((pair, metric)) for metric in metrics] for pair in systems]
        header, names = ["system"], [_names(pair, study) for pair in systems]
        header += ["minus"] * (compared != [""])
        across = [in_words(metric, study) for metric in metrics]
    title = _title(rows, len(systems), metrics, study)
    told: list[dict[str, str]] = [{} for _ in lines]  # what each line's numbers need not say
    for key in ("n", "seeds"):
        most, times = Counter(_count(row, key) for row in rows).most_common(1)[0]
        if times >= USUAL * len(rows):
            title += f", {key} {most}" + " unless said" * (times < len(rows))
            usual = [most] * len(lines)
        else:
            usual = [_most_common(line, key) for line in lines]
            header.append(key)
            names = [[*name, count] for name, count in zip(names, usual)]
        told = [known | {key: count} for known, count in zip(told, usual)]
    body = [
        [*name, *(_held(row, known) for row in line)]
        for name, line, known in zip(names, lines, told)
    ]
    return folded(title, html_grid([*header, *across], body))


def _names(pair: Pair, study: str) -> list[str]:
    return [in_words(name, study) for name in pair if name]


def _title(rows: list[Row], systems: int, metrics: list[str], study: str) -> str:
    """Return what a grid holds: its base, how many systems or pairs, how many metrics or which."""
    what = "pair" if "against" in rows[0] else "system"
    parts = [f"{systems} {what}" + "s" * (systems != 1)]
    if base := rows[0].get("base"):
        parts[0] = f"{in_words(base, study)}: {parts[0]}"
    named = [in_words(metric, study) for metric in metrics]
    return ", ".join([*parts, *(named if len(named) < 3 else [f"{len(named)} metrics"])])


def _count(row: Row, key: str) -> str:
    value = row.get(key, "")
    return number(len(value) if isinstance(value, list) else value) if value != "" else ""


def _most_common(line: list[Row | None], key: str) -> str:
    return Counter(_count(row, key) for row in line if row).most_common(1)[0][0]


def mean_and_interval(row: Row) -> str:
    """Return a mean and its interval, which stays on one line below the mean or beside it.

    >>> mean_and_interval({"mean": 0.5, "low": 0.4, "high": 0.6}).replace("\u00a0", "_")
    '0.500 [0.400,_0.600]'
    """
    return interval(row).replace(", ", ",\u00a0")


def _held(row: Row | None, known: dict[str, str]) -> str:
    """Return what a place of a grid holds."""
    if row is None:
        return ""
    if row["mean"] is None:
        return number(None)
    others = [f"{key} {_count(row, key)}" for key in known if _count(row, key) != known[key]]
    return ", ".join([mean_and_interval(row), *others])
