"""The moonshot asked once more, on scenes that no earlier cell saw: more of them, and more seeds.

1,000 test scenes tell precision apart by about .005, and that is what the trainers differ by. So
what may beat the untrained first word is trained again, each seed on its own images, and captions
three times as many other scenes, from one view, greedily. Which trainers and at which rate was
settled on validation scenes before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from experiments.improvement_record import statistics_of
from experiments.improvement_world import CORE, Trial, scenes_of
from vizer_core.metrics.stats import Statistics, bootstrap_seeds, paired_bootstraps

PART, TIMES = "confirm", 3  # as many scenes as a test has
RIVAL = "first_word"
CONFIRMED = ("beam_distillation", "beam_view_distillation")
LEAD = ("object_precision", "object_recall")


def confirm_trials(
    plain: Trial, words: Mapping[str, str], rates: Mapping[str, Mapping[str, Any]], seeds: int
) -> list[Trial]:
    """Return the rival and the trainers of every core base, seed by seed."""
    found = []
    for base in CORE:
        if base not in words:
            continue
        about = replace(plain, base=base, word=words[base], part=PART, n=TIMES * plain.n)
        found.append(replace(about, system=RIVAL))
        found += [
            replace(about, system=name, seed=seed, rate=rates[name]["rate"])
            for seed in range(seeds)
            for name in CONFIRMED
            if name in rates
        ]
    return found


def confirm_rows(finished: Sequence[tuple[Trial, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return per base and trainer each seed's differences from the rival, and how many are clear.

    `precision` and `recall` are [mean, low, high] of each seed, over scenes; `over_seeds` are
    those of all seeds together, over scenes and seeds.
    """
    runs: dict[tuple[str, str], list[dict[str, Statistics]]] = {}
    for trial, answer in sorted(finished, key=lambda pair: pair[0].seed):
        split = scenes_of(trial.base, trial.part, trial.n)
        every = statistics_of(answer["greedy"]["one"], split)
        runs.setdefault((trial.base, trial.system), []).append({m: every[m] for m in LEAD})
    rows = []
    for (base, system), trained in runs.items():
        if system == RIVAL or (base, RIVAL) not in runs:
            continue
        rival = runs[base, RIVAL][0]
        seeds = [paired_bootstraps(run, rival) for run in trained]
        both = [[each[metric] for metric in LEAD] for each in seeds]
        together = {
            name: bootstrap_seeds(
                [run[metric] for run in trained], against=[rival[metric]] * len(trained)
            )
            for name, metric in zip(("precision", "recall"), LEAD, strict=True)
        }
        rows.append(
            {
                "base": base,
                "system": system,
                "against": RIVAL,
                "n": len(rival[LEAD[0]]),
                "seeds": len(trained),
                "both_above": sum(all(d.mean > 0 for d in pair) for pair in both),
                "both_clear": sum(all(d.low > 0 for d in pair) for pair in both),
                "precision": [_row(pair[0]) for pair in both],
                "recall": [_row(pair[1]) for pair in both],
                "over_seeds": {name: _row(found) for name, found in together.items()},
            }
        )
    return rows


def _row(found: Any) -> list[float]:
    return [round(value, 4) for value in (found.mean, found.low, found.high)]
