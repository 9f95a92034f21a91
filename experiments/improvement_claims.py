"""Verdicts of the study of unlabelled images: by intervals, seeds and bases, each with its gate.

What ViZer's paper claims is judged in `improvement_paper`.

A claim is judged on the bases that have what it needs: both systems and, where something was
trained, `MOST_SEEDS` seeds. With fewer than `MOST_BASES` of them its verdict is "not testable
here". The evidence of every base stands beside it, of those with fewer seeds too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

LEAD = ("object_precision", "object_recall")
DRAWN = ("sampled_object_precision", "sampled_object_recall")
MOST_BASES, MOST_SEEDS = 2, 3
AGREES = 0.5  # where a rank correlation's interval must begin
Row = Mapping[str, Any]
LABELLED = ("clip_reward", "vizer_gt", "vizer_gt_contrastive")


def claims(content: Mapping[str, Sequence[Row]], best: str | None) -> list[dict[str, str]]:
    """Return every claim with its verdict."""
    rows = {(r["base"], r["system"], r["against"], r["metric"]): r for r in content["differences"]}
    return [
        moonshot(content.get("confirm") or content["success"], best),
        gain(
            rows,
            "views_5",
            "first_word",
            "The mean of five views raises greedy precision and "
            "recall over one view, first word forced, nothing trained",
            trained=False,
        ),
        gain(
            rows,
            "beam",
            "first_word",
            "Beam search after the first word raises greedy precision "
            "and recall over greedy decoding after it",
            trained=False,
        ),
        gain(
            rows,
            "self_training",
            "first_word",
            "Self-training raises greedy precision and "
            "recall over its own teacher, the untrained base with its first word forced",
        ),
        gain(
            rows,
            "self_training",
            "base",
            "Self-training raises greedy precision and recall over the base as it is",
        ),
        gain(
            rows,
            "self_training",
            "first_word",
            "Self-training raises sampled precision and "
            "recall over the untrained base with its first word forced",
            metrics=DRAWN,
        ),
        gain(
            rows,
            "information",
            "self_training",
            "A reward of information, its prior from other "
            "images, raises greedy precision and recall over self-training",
        ),
        gain(
            rows,
            "information",
            "information_shuffled",
            "What the information reward gains comes "
            "from the images: greedy precision and recall over its shuffled control",
        ),
        gain(
            rows,
            "best",
            "beam",
            "The best adapter's greedy captions raise precision and recall "
            "over beam search by the untrained base",
        ),
        gain(
            rows,
            "view_distillation",
            "self_training",
            "Captions written from five views teach "
            "more than captions written from one: greedy precision and recall",
        ),
        gain(
            rows,
            "beam_distillation",
            "self_training",
            "Captions written by beam search teach more "
            "than greedy ones: greedy precision and recall",
        ),
        gain(
            rows,
            "beam_distillation",
            "beam",
            "A model taught by beam search raises, in one greedy "
            "pass, precision and recall over beam search itself",
        ),
        gain(
            rows,
            "best_views",
            "views_5",
            "The best adapter read with five views raises greedy "
            "precision and recall over five views alone",
        ),
        agreement_ranks(content["correlations"]),
    ]


def _said(row: Row) -> str:
    return f"{row['metric']} {row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def gain(
    rows: Mapping[tuple, Row],
    system: str,
    against: str,
    claim: str,
    *,
    metrics: Sequence[str] = LEAD,
    trained: bool = True,
    source: str = "this study",
) -> dict[str, str]:
    """Judge that a system lies above another in all metrics, on every base that has both."""
    rule = f"{' and '.join(metrics)}: both differences lie above zero on every base that has them"
    about = {"claim": claim, "source": source, "rule": rule}
    wanted = [(system, against, metric) for metric in metrics]
    return judged(rows, wanted, about, above_zero, trained=trained)


def above_zero(found: Sequence[Row]) -> bool:
    """Tell whether all intervals lie above zero."""
    return all(row["low"] > 0 for row in found)


def judged(
    rows: Mapping[tuple, Row],
    wanted: Sequence[tuple[str, str, str]],
    claim: Mapping[str, str],
    holds: Callable[[Sequence[Row]], bool],
    *,
    trained: bool = True,
) -> dict[str, str]:
    """Judge a claim, with its source and rule, on every base that has the differences wanted."""
    said, verdicts, seeds = [], [], []
    for base in dict.fromkeys(key[0] for key in rows):
        keys = [(base, *names) for names in wanted]
        found = [rows[key] for key in keys if key in rows]
        if len(found) < len(keys):
            continue
        seeds.append(min(row["seeds"] for row in found))
        verdicts.append(holds(found))
        said.append(f"{base}, {seeds[-1]} seeds: {'; '.join(_said(row) for row in found)}")
    least = MOST_SEEDS if trained else 1
    enough = [at for at, count in enumerate(seeds) if count >= least]
    verdict = verdict_of([verdicts[at] for at in enough], [seeds[at] for at in enough], least)
    gate = f"at least {MOST_BASES} bases" + f" and {least} seeds" * trained
    return {
        **claim,
        "rule": f"{claim['rule']}; gate: {gate}",
        "verdict": verdict,
        "evidence": ". ".join(said) or "no base has these systems",
    }


def verdict_of(verdicts: Sequence[bool], seeds: Sequence[int], least: int) -> str:
    """Return the verdict, where the gate lets it be one.

    >>> verdict_of([True, True], [3, 3], 3), verdict_of([True, True], [1, 3], 3)
    ('holds', 'not testable here')
    >>> verdict_of([True, False], [3, 3], 3)
    'does not hold'
    """
    if len(verdicts) < MOST_BASES or min(seeds) < least:
        return "not testable here"
    return "holds" if all(verdicts) else "does not hold"


def moonshot(success: Sequence[Row], best: str | None) -> dict[str, str]:
    """Judge that some adapter beats the first word forced, clear of zero, on most seeds."""
    free = [row for row in success if row["system"] not in (*LABELLED, "best")]
    won: dict[str, list[str]] = {}
    for row in free:
        if 2 * row["both_clear"] > row["seeds"] >= MOST_SEEDS:
            won.setdefault(row["system"], []).append(row["base"])
    enough = {
        base
        for base in {row["base"] for row in free}
        if any(row["base"] == base and row["seeds"] >= MOST_SEEDS for row in free)
    }
    said = [
        f"{row['system']} on {row['base']}: clear on {row['both_clear']} of {row['seeds']} seeds, "
        f"above on {row['both_above']}" + (f", {row['n']:,} scenes" if "n" in row else "")
        for row in free
        if row["system"] == best or row["both_above"]
    ]
    verdict = "not testable here"
    if len(enough) >= MOST_BASES:
        held = any(len(bases) >= MOST_BASES for bases in won.values())
        verdict = "holds" if held else "does not hold"
    return {
        "claim": "An adapter trained without labels writes one-view greedy captions that beat the "
        "untrained greedy captions with the first word forced, in precision and in recall",
        "source": "the study's moonshot",
        "rule": "one label-free trainer, both differences clear of zero on most seeds of at least "
        f"two bases; gate: {MOST_SEEDS} seeds on {MOST_BASES} bases",
        "verdict": verdict,
        "evidence": "; ".join(said) or "no label-free run lies above in both",
    }


def agreement_ranks(rows: Sequence[Row]) -> dict[str, str]:
    """Judge that view agreement orders systems as exact F1 does."""
    found = [r for r in rows if r["kind"] == "all" and r["metric"] == "object_f1"]
    said = "; ".join(
        f"{r['base']}: {r['rho']:.2f} [{r['low']:.2f}, {r['high']:.2f}] over {r['n']}"
        for r in found
    )
    verdicts = [row["low"] > AGREES for row in found]
    return {
        "claim": "View agreement, which reads no label, ranks systems as exact F1 of objects does",
        "source": "this study",
        "rule": f"the interval of Spearman's correlation lies above {AGREES} on every base; gate: "
        f"{MOST_BASES} bases",
        "verdict": verdict_of(verdicts, [1] * len(verdicts), 1),
        "evidence": said or "no base has enough systems",
    }
