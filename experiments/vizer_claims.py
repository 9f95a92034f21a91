"""ViZer's claims, each with its rule and the rows that it reads.

A claim that a system improves captions holds when its paired difference from the base lies above
zero in every metric of the rule, and so does its difference from the shuffled control: what a run
gains when each image's target is another's was not learned from the images. Rules read the
rounded numbers of the file.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

BEST = "read_back"  # the first recommendation, named before any test scene was scored: rows `best`
RECOMMENDED = "information"  # what validation scenes of `results/vizer_study.json` chose later
GROUNDED = ("sampled_object_precision", "sampled_object_recall")
PAPER_METRICS = ("bleu1", "cider", "clipscore")
SAMPLED = ("sampled_object_f1",)
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Claim:
    """A statement and the differences that must lie above zero, or must hold zero."""

    claim: str
    source: str
    above: tuple[Key, ...]
    around: tuple[Key, ...] = ()

    @property
    def rule(self) -> str:
        """The rule in words."""
        parts = []
        if self.above:
            parts.append("these differences lie above zero")
        if self.around:
            parts.append("these hold zero")
        return "; ".join(parts)


def _gain(system: str, metrics: Sequence[str], *, control: bool = True) -> tuple[Key, ...]:
    others = ("base", f"{system}_shuffled") if control else ("base",)
    return tuple((system, other, metric) for other in others for metric in metrics)


def _grounding_gain(prefix: str) -> tuple[Key, ...]:
    """Return what the recommended system has to beat on a base."""
    others = ("base", f"{RECOMMENDED}_shuffled", "base_primed")
    return tuple(
        (f"{prefix}{RECOMMENDED}", f"{prefix}{other}", metric)
        for other in others for metric in GROUNDED
    )  # fmt: skip


CLAIMS = (
    Claim(
        "ViZer_GT improves BLEU-1, CIDEr and CLIPScore over the base",
        "ViZer, COCO table", _gain("vizer_gt", PAPER_METRICS),
    ),
    Claim(
        "ViZer_G improves BLEU-1, CIDEr and CLIPScore without labels",
        "ViZer, COCO table", _gain("vizer_g", PAPER_METRICS),
    ),
    Claim(
        "CLIPScore rises for every variant of ViZer",
        "ViZer, COCO and CC3M tables",
        tuple((s, "base", "clipscore") for s in ("vizer_gt", "vizer_gt_context", "vizer_g")),
    ),
    Claim(
        "Reinforcement learning on a CLIP reward changes next to nothing",
        "ViZer, RL rows", (),
        tuple(("rl_clip", "base", m) for m in (*PAPER_METRICS, "sampled_object_f1")),
    ),
    Claim(
        "A cautious learning rate makes the same RL change next to nothing",
        "our test of why the RL rows are flat", (),
        tuple(("rl_clip_cautious", "base", m) for m in PAPER_METRICS),
    ),
    Claim(
        "A base that writes very poor captions gains less from read-back training",
        "ViZer, limitations",
        tuple((f"{BEST}'s gain", f"{BEST}'s gain on hard", m) for m in SAMPLED),
    ),
    Claim(
        "A base that writes very poor captions gains less from ViZer_G",
        "ViZer, limitations",
        tuple(("vizer_g's gain", "vizer_g's gain on hard", m) for m in SAMPLED),
    ),
    Claim(
        "Read-back training improves what sampled captions say, beyond its shuffled control",
        "our label-free variant", _gain("best", SAMPLED),
    ),
    Claim(
        "Read-back training says more in sampled captions than an untrained base that is given the "
        "first word",
        "our control: does a prompt do as well?", (("best", "base_primed", "sampled_object_f1"),),
    ),
    Claim(
        "Read-back training raises the precision and the recall of sampled objects",
        "our label-free variant",
        _gain("best", GROUNDED),
    ),
    *(
        Claim(
            f"{where} training on what the image adds to a caption's likelihood raises the "
            "precision and the recall of sampled objects, over the base, its shuffled control and "
            "an untrained base that is given the first word",
            source, _grounding_gain(prefix),
        )
        for prefix, where, source in (
            ("", "On the better base", "our label-free variant; chosen on its validation scenes"),
            ("hard:", "On the hard base", "our label-free variant; chosen on the other base"),
        )
    ),
    Claim(
        "On the hard base ViZer_G raises the precision and the recall of sampled objects, over the "
        "base, its shuffled control and an untrained base that is given the first word",
        "seen in these scores, named after them, to be confirmed; chapter 11 shows the price: "
        "the sentences break",
        tuple(("hard:vizer_g", f"hard:{other}", f"sampled_object_{side}")
              for other in ("base", "vizer_g_shuffled", "base_primed")
              for side in ("precision", "recall")),
    ),
)  # fmt: skip
WIDTH_CLAIM = "A mapper of width 256 is the best"
DATA_CLAIMS = (
    ("vizer_gt_context", "More mapper data than the middle size does not help ViZer_GT"),
    ("vizer_g", "More mapper data than the middle size hurts ViZer_G"),
)


def verdicts(scores: Sequence[dict], differences: Sequence[dict]) -> tuple[list[dict], list[str]]:
    """Judge the claims whose rows are there; return them, and the claims that were not run."""
    rows = {(r["system"], r["against"], r["metric"]): r for r in differences}
    rows |= _gains(rows)
    found = {claim.claim: _verdict(claim, rows) for claim in CLAIMS}
    found |= {claim: _data_verdict(variant, claim, rows) for variant, claim in DATA_CLAIMS}
    found[WIDTH_CLAIM] = _width_verdict(scores)
    judged = [record for record in found.values() if record is not None]
    return judged, [claim for claim, record in found.items() if record is None]


def recommended(differences: Sequence[dict]) -> dict:
    """Return the field `best`: the recommended label-free system, its gains, and its price."""
    rows = {(r["system"], r["against"], r["metric"]): r for r in differences}
    gains = [key for prefix in ("", "hard:") for key in _grounding_gain(prefix)]
    prices = [
        (f"{prefix}{RECOMMENDED}", f"{prefix}base_primed", metric)
        for prefix in ("", "hard:")
        for metric in ("object_precision", "object_recall", "length", "sampled_length")
    ]
    return {
        "system": RECOMMENDED,
        "what": "RLOO on log p(caption | image) - 0.7 log p(caption), both by the frozen base; "
        "no label, no mapper",
        "chosen": "on validation scenes, in results/vizer_study.json; no test scene took part",
        "rows": f"`best` in scores and differences is {BEST}, which was recommended first",
        "differences": [rows[key] for key in gains if key in rows],
        "greedy_and_length": [rows[key] for key in prices if key in rows],
    }


def _gains(rows: dict[Key, dict]) -> dict[Key, dict]:
    """Compare a system's gain on the two bases; the scenes are the same, the models not."""
    found = {}
    for system, metric in itertools.product((BEST, "vizer_g"), SAMPLED):
        easy = rows.get((system, "base", metric))
        hard = rows.get((f"hard:{system}", "hard:base", metric))
        if easy and hard:
            found[f"{system}'s gain", f"{system}'s gain on hard", metric] = {
                "mean": easy["mean"] - hard["mean"],
                "low": easy["low"] - hard["high"],
                "high": easy["high"] - hard["low"],
            }
    return found


def _verdict(claim: Claim, rows: dict[Key, dict]) -> dict | None:
    record = {"claim": claim.claim, "source": claim.source}
    keys = (*claim.above, *claim.around)
    if any(key not in rows for key in keys):
        return None
    holds = all(rows[key]["low"] > 0 for key in claim.above)
    holds &= all(rows[key]["low"] <= 0 <= rows[key]["high"] for key in claim.around)
    return record | {
        "rule": claim.rule,
        "verdict": "holds" if holds else "does not hold",
        "evidence": "; ".join(_said(key, rows[key]) for key in keys),
    }


def _said(key: Key, row: dict) -> str:
    system, against, metric = key
    return (
        f"{system} - {against}: {metric} {row['mean']:+.3f} "
        f"({row['low']:+.3f} to {row['high']:+.3f})"
    )


def _data_verdict(variant: str, claim: str, rows: dict[Key, dict]) -> dict | None:
    """Read the largest mapper data against the middle size."""
    record = {"claim": claim, "source": "ViZer, mapper ablation"}
    prefix = f"ablation:{variant}:m"
    sizes = sorted(
        {int(k[0].removeprefix(prefix).split(":")[0]) for k in rows if k[0].startswith(prefix)}
    )
    largest = f"{prefix}{sizes[-1]}:w256" if sizes else ""
    keys = [key for key in rows if key[0] == largest and key[2] in PAPER_METRICS]
    if not keys:
        return None
    falls = "hurts" in claim
    met = [rows[k]["high"] < 0 if falls else rows[k]["low"] <= 0 for k in keys]
    return record | {
        "rule": "all differences below zero" if falls else "no difference above zero",
        "verdict": "holds" if all(met) else "does not hold",
        "evidence": "; ".join(_said(key, rows[key]) for key in keys),
    }


def _width_verdict(scores: Sequence[dict]) -> dict | None:
    """Width 256 has to lead in every metric of the paper, for both variants."""
    record = {"claim": WIDTH_CLAIM, "source": "ViZer, mapper ablation"}
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in scores:
        if row["system"].startswith("ablation:") and row["metric"] in PAPER_METRICS:
            _, variant, size, width = row["system"].split(":")
            found.setdefault((f"{variant}:{size}", row["metric"]), {})[width] = row["mean"]
    found = {key: widths for key, widths in found.items() if len(widths) > 1}
    if not found:
        return None
    holds = all(max(widths, key=widths.__getitem__) == "w256" for widths in found.values())
    shown = "; ".join(
        f"{name} {metric} " + ", ".join(f"{w}: {value:.3f}" for w, value in sorted(widths.items()))
        for (name, metric), widths in found.items()
    )
    return record | {
        "rule": "256 leads in every metric (means over seeds)",
        "verdict": "holds" if holds else "does not hold",
        "evidence": shown,
    }
