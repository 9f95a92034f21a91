"""From finished cells to the file: rates, scores, differences, success, curves, view agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.grid import Cell
from experiments.improvement_ablations import ablation_rows
from experiments.improvement_claims import LABELLED, claims
from experiments.improvement_confirm import confirm_rows
from experiments.improvement_cost import cost_rows
from experiments.improvement_paper import vizer_claims
from experiments.improvement_record import rates_in, statistics_of
from experiments.improvement_words import WORDS, word_statistics
from experiments.improvement_world import Trial, scenes_of
from experiments.scoring import difference_rows, score_rows
from vizer_core.metrics.resampling import bounds
from vizer_core.metrics.stats import Statistics, bootstrap_seeds, paired_bootstraps

VIEWS_SUFFIX = {"one": "", "five": "_views"}
RIVALS = ("base", "first_word", "beam", "self_training")
LEAD = ("object_precision", "object_recall")
COMPARED = (
    *LEAD,
    "object_f1",
    "exact",
    "relation_accuracy",
    "sampled_object_precision",
    "sampled_object_recall",
    *WORDS,
)
SAMPLES_OF_A_RATE = 2  # captions shown beside what a rate gave
UNSEEN = "_shuffled_views"  # controls are told from one view
FEW = 8  # trainers that are named where their runs are missing
LITTLE_ASKED = ("sampled_vague", "sampled_length")
LEADING = (*LEAD, "object_f1", "exact", "relation_accuracy", "count_accuracy", "length")
ALIASES = {"first_word_views": "views_5"}
Runs = dict[str, list[dict[str, Statistics]]]


def system_of(what: Mapping[str, Any]) -> str:
    """Return a system's name: the control's has its mark.

    >>> system_of({"system": "dpo", "shuffled": True})
    'dpo_shuffled'
    """
    return what["system"] + "_shuffled" * what["shuffled"]


def trials_in(
    planned: Mapping[str, Cell], answers: Mapping[str, Any], part: str
) -> list[tuple[Trial, Mapping[str, Any]]]:
    """Return the finished trials of a part, test or validation, with their answers."""
    return [
        (Trial(**cell.arguments), answers[name])
        for name, cell in planned.items()
        if name in answers and cell.arguments.get("part") == part and "system" in cell.arguments
    ]


def chosen_rates(
    planned: Mapping[str, Cell], answers: Mapping[str, Any], base: str
) -> dict[str, dict[str, Any]]:
    """Return per trainer the rate and weight of a base's highest greedy F1 on validation scenes."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for trial, answer in trials_in(planned, answers, "validation"):
        if trial.base != base:
            continue
        split = scenes_of(trial.base, trial.part, trial.n)
        rates = rates_in(answer["greedy"]["one"], split)
        kept = ("object_precision", "object_recall", "object_f1", "changed", "length")
        row = {"rate": trial.rate, "weight": trial.weight}
        row |= {name: rates[name] for name in kept if name in rates}
        row |= {"view_agreement": answer["agreement"]["one"]["mean"]}
        record = answer.get("record", {})
        row |= {key: record.get(key) for key in ("kl", "stopped")} | {
            "curve": record.get("curve", [])
        }
        row |= {"samples": answer.get("samples", {}).get("one", [])[:SAMPLES_OF_A_RATE]}
        rows.setdefault(trial.system, []).append(row)
    chosen = {}
    for system, tried in rows.items():
        if tried[0]["rate"] > 0:
            best = max(tried, key=lambda row: row["object_f1"])
            chosen[system] = {
                "rate": best["rate"],
                "weight": best["weight"],
                "object_f1": best["object_f1"],
                "candidates": tried,
            }
    return chosen


def best_trainer(rates: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the label-free trainer of the highest F1 on validation scenes."""
    free = [name for name in rates if name not in LABELLED]
    return max(free, key=lambda name: rates[name]["object_f1"], default=None)


def runs_of(
    finished: Sequence[tuple[Trial, Mapping[str, Any]]], base: str, best: str | None
) -> Runs:
    """Return every system's statistics, one entry per seed, on the test scenes of a base."""
    found: Runs = {}
    for trial, answer in sorted(
        ((t, a) for t, a in finished if t.base == base), key=lambda pair: pair[0].seed
    ):
        split = scenes_of(base, trial.part, trial.n)
        for views, record in answer["greedy"].items():
            name = system_of(vars(trial)) + VIEWS_SUFFIX[views]
            every = statistics_of(record, split)
            if "drawn" in answer:
                warm = statistics_of(answer["drawn"][views]["1"], split)
                every |= {f"sampled_{metric}": value for metric, value in warm.items()}
            if views == "one":
                every |= word_statistics(answer, base, trial.part, trial.n)
            found.setdefault(ALIASES.get(name, name), []).append(every)
    for mark in ("", "_views", "_shuffled", "_shuffled_views"):
        if best and best + mark in found:
            found["best" + mark] = found[best + mark]
    return found


def pairs_of(found: Runs) -> list[tuple[str, str]]:
    """Return which systems are compared: each with the rivals and with its control."""
    pairs = []
    for name in found:
        stem, views = name.removesuffix("_views"), "_views" * name.endswith("_views")
        # the results page shows every row: of controls and of five views those that decide
        rivals = ("base",) if "_shuffled" in name else () if views else RIVALS
        if name.endswith("_shuffled_views"):
            continue
        others = [rival for rival in rivals if rival != name]
        others += [stem] if views else [f"{stem}_shuffled"]
        others += ["views_5"] if name.endswith("_views") else []
        pairs += [
            (name, other)
            for other in dict.fromkeys(others)
            if other in found and other != name and _comparable(found[name], found[other])
        ]
    return pairs


def is_asked(row: Mapping[str, Any]) -> bool:
    """Tell whether the file keeps a score: of controls and of five views those that lead.

    >>> is_asked({"system": "raft", "metric": "vague"})
    True
    >>> is_asked({"system": "raft_views", "metric": "vague"})
    False
    """
    told = "_shuffled" in row["system"] or row["system"].endswith("_views")
    return row["metric"] in LEADING if told else row["metric"] not in LITTLE_ASKED


def is_compared(row: Mapping[str, Any]) -> bool:
    """Tell whether the file keeps a difference: of five views those of objects.

    >>> is_compared({"system": "raft_views", "metric": "exact"})
    False
    """
    return not row["system"].endswith("_views") or row["metric"] in (*LEAD, "object_f1")


def _comparable(runs: Sequence, others: Sequence) -> bool:
    return len(runs) == len(others) or 1 in (len(runs), len(others))


def success_rows(found: Runs, trained: Sequence[str]) -> list[dict[str, Any]]:
    """Return over seeds how often greedy precision and recall both beat the first word forced."""
    rows = []
    rival = found.get("first_word", [None])[0]
    for name in trained:
        if name not in found or rival is None:
            continue
        seeds = []
        for run in found[name]:
            each = paired_bootstraps(
                {metric: run[metric] for metric in LEAD}, {m: rival[m] for m in LEAD}
            )
            seeds.append([each[metric] for metric in LEAD])
        rows.append(
            {
                "system": name,
                "seeds": len(seeds),
                "both_above": sum(all(d.mean > 0 for d in pair) for pair in seeds),
                "both_clear": sum(all(d.low > 0 for d in pair) for pair in seeds),
                "precision": [round(pair[0].mean, 4) for pair in seeds],
                "recall": [round(pair[1].mean, 4) for pair in seeds],
            }
        )
    return rows


def curve_rows(
    finished: Sequence[tuple[Trial, Mapping[str, Any]]], base: str
) -> list[dict[str, Any]]:
    """Return precision and recall over temperature of every system that draws captions."""
    groups: dict[tuple[str, str, float], list[dict[str, Statistics]]] = {}
    for trial, answer in finished:
        if trial.base != base or "drawn" not in answer:
            continue
        split = scenes_of(base, trial.part, trial.n)
        for views, by_temperature in answer["drawn"].items():
            records = {0.0: answer["greedy"][views]}
            records |= {float(t): record for t, record in by_temperature.items()}
            for temperature, record in records.items():
                key = (system_of(vars(trial)), views, temperature)
                groups.setdefault(key, []).append(statistics_of(record, split))
    return [
        {
            "base": base,
            "system": system,
            "views": {"one": 1, "five": 5}[views],
            "temperature": temperature,
            "n": len(runs[0]["object_f1"]),
            "seeds": len(runs),
            **_intervals(runs),
        }
        for (system, views, temperature), runs in sorted(groups.items())
    ]


def _intervals(runs: Sequence[Mapping[str, Statistics]]) -> dict[str, list[float]]:
    """Return mean, low and high of what exists: captions that name nothing have no precision."""
    names = [m for m in (*LEAD, "object_f1") if all(m in run for run in runs)]
    found = {metric: _interval(runs, metric) for metric in names}
    return {metric: row for metric, row in found.items() if np.isfinite(row).all()}


def _interval(runs: Sequence[Mapping[str, Statistics]], metric: str) -> list[float]:
    row = bootstrap_seeds([run[metric] for run in runs])
    return [round(value, 4) for value in (row.mean, row.low, row.high)]


def agreement_rows(
    finished: Sequence[tuple[Trial, Mapping[str, Any]]], base: str
) -> list[dict[str, Any]]:
    """Return every run's view agreement beside its exact scores."""
    rows = []
    for trial, answer in finished:
        if trial.base != base:
            continue
        split = scenes_of(base, trial.part, trial.n)
        for views, record in answer["greedy"].items():
            rates = rates_in(record, split)
            kind = "decoder" if not trial.rate else "control" if trial.shuffled else "trained"
            rows.append(
                {
                    "base": base,
                    "system": system_of(vars(trial)) + VIEWS_SUFFIX[views],
                    "seed": trial.seed,
                    "kind": kind,
                    **answer["agreement"][views],
                    **{m: rates.get(m, 0.0) for m in (*LEAD, "object_f1")},
                }
            )
    return rows


def correlation_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return Spearman's correlation of view agreement with exact scores, over systems of a base."""
    found = []
    for base in dict.fromkeys(row["base"] for row in rows):
        for kind in ("all", "decoder", "trained", "control"):
            some = [r for r in rows if r["base"] == base and kind in ("all", r["kind"])]
            if len(some) < 5:
                continue
            scores = np.array([row["mean"] for row in some])
            for metric in (*LEAD, "object_f1"):
                exact = np.array([row[metric] for row in some])
                if len(set(exact)) < 2 or len(set(scores)) < 2:
                    continue  # there is no rank where all are alike
                found.append(
                    {"base": base, "kind": kind, "metric": metric, "n": len(some)}
                    | _spearman(scores, exact)
                )
    return found


def _spearman(a: np.ndarray, b: np.ndarray, *, resamples: int = 500) -> dict[str, float]:
    from scipy.stats import rankdata

    def rho(rows: np.ndarray) -> float:
        x, y = rankdata(a[rows]), rankdata(b[rows])
        if not x.std() or not y.std():
            return float("nan")
        return float(np.corrcoef(x, y)[0, 1])

    rng = np.random.default_rng(0)
    drawn = np.array([rho(rng.integers(0, len(a), len(a))) for _ in range(resamples)])
    low, high = bounds(drawn)
    named = {"rho": rho(np.arange(len(a))), "low": low, "high": high}
    return {name: round(value, 4) for name, value in named.items()}


def not_run(planned: Mapping[str, Cell], answers: Mapping[str, Any]) -> list[str]:
    """Say what is missing, a line per base and kind of cell; where few trainers are, say which."""
    groups: dict[str, list[str]] = {}
    for name, cell in planned.items():
        if name in answers:
            continue
        what = cell.arguments
        kind = f"seed {what.get('seed')}" if what.get("rate") else "decoders"
        if what.get("part") in ("validation", "confirm"):
            kind = {"validation": "rates", "confirm": "confirm"}[what["part"]]
        elif "system" not in what:
            kind = name.split("/")[1].split("-")[0]
        groups.setdefault(f"{what['base']}: {kind}", []).append(name)
    return [
        f"{group}, {len(names)} cells{_few(group, names, planned)}"
        for group, names in groups.items()
    ]


def _few(group: str, names: Sequence[str], planned: Mapping[str, Cell]) -> str:
    """Return the trainers of some cells in brackets, or nothing where they are many."""
    systems = dict.fromkeys(str(planned[name].arguments.get("system")) for name in names)
    few = ": seed" in group and len(systems) <= FEW
    return f" ({', '.join(systems)})" if few else ""


def report(
    planned: Mapping[str, Cell],
    answers: Mapping[str, Any],
    words: Mapping[str, str],
    rates_by_base: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> dict[str, Any]:
    """Return all fields of the file that come from cells; the first base chose for most others."""
    rates, *own = rates_by_base.values()
    finished, best = trials_in(planned, answers, "test"), best_trainer(rates)
    content: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("scores", "differences", "success", "curve", "agreement")
    }
    for base in dict.fromkeys(trial.base for trial, _ in finished):
        found, about = runs_of(finished, base, best), {"base": base}
        kept = {name: [_kept(run) for run in runs] for name, runs in found.items()}
        shown = {name: runs for name, runs in found.items() if not name.endswith(UNSEEN)}
        content["scores"] += [about | row for row in score_rows(shown) if is_asked(row)]
        content["differences"] += [
            about | row for row in difference_rows(kept, pairs_of(kept)) if is_compared(row)
        ]
        content["success"] += [about | row for row in success_rows(found, ["best", *rates])]
        content["curve"] += curve_rows(finished, base)
        content["agreement"] += agreement_rows(finished, base)
    fields: dict[str, Any] = {
        "choices": {
            "first_word": {base: answers[f"{base}/word"] for base in words},
            "rates": dict(rates),
            "own_rates": dict(zip(list(rates_by_base)[1:], own, strict=True)),
            "best": best,
        },
        **content,
        "confirm": (confirmed := confirm_rows(trials_in(planned, answers, "confirm"))),
        "views": [
            answers[name] | {"base": cell.arguments["base"]}
            for name, cell in planned.items()
            if name in answers and "what" in cell.arguments
        ],
        "ablations": ablation_rows(planned, answers),
        "cost": cost_rows(),
        "runs": run_rows(finished),
        "correlations": (correlations := correlation_rows(content["agreement"])),
        "not_run": not_run(planned, answers),
    }
    fields["claims"] = [
        *claims({**content, "confirm": confirmed, "correlations": correlations}, best),
        *vizer_claims(fields["differences"], fields.get("ablations", [])),
    ]
    return fields


def _kept(run: Mapping[str, Statistics]) -> dict[str, Statistics]:
    return {metric: value for metric, value in run.items() if metric in COMPARED}


def run_rows(finished: Sequence[tuple[Trial, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return what each training recorded, and a few of its captions."""
    return [
        {
            "base": t.base,
            "system": system_of(vars(t)),
            "seed": t.seed,
            "samples": answer["samples"]["one"],
            **answer.get("record", {}),
        }
        for t, answer in finished
    ]
