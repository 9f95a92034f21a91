"""What papers of the field promise, and whether it holds on this world: two bases and a control.

A claim is (what is said, by whom, system, rival, metric, sign). Sources are abstracts: a claim is
the promise of an idea, not of the paper's system, whose models and data are not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.improvement_claims import MOST_BASES

CLAIMS = (
    (
        "Checking a caption's statements by agreement raises their precision",
        "Patch Matters, abstract",
        "checked",
        "beam",
        "statement_precision",
        1,
    ),
    (
        "Merging captions of crops raises the recall of things",
        "Patch Matters, abstract",
        "crops_fused",
        "beam",
        "object_recall",
        1,
    ),
    (
        "Dropping what is as likely without the image raises the precision of things",
        "ScaleCap, abstract",
        "contrasted",
        "beam",
        "object_precision",
        1,
    ),
    (
        "Verified proposals name more of what is there",
        "VisualFactChecker, abstract",
        "verified",
        "beam",
        "object_recall",
        1,
    ),
    (
        "Guidance makes captions more like the image by CLIP",
        "Kornblith et al., abstract",
        "guidance",
        "first_word",
        "clipscore",
        1,
    ),
    (
        "Adding fidelity to a CLIP reward raises precision",
        "MOCHa, abstract",
        "mocha",
        "clip_reward",
        "object_precision",
        1,
    ),
    (
        "A reward of answered questions raises recall",
        "CapRL, abstract",
        "caprl",
        "base",
        "object_recall",
        1,
    ),
    (
        "Ever nearer negatives keep the precision that a plain CLIP reward loses",
        "Gaur et al., abstract",
        "bag_curriculum",
        "clip_reward",
        "object_precision",
        1,
    ),
    (
        "Dropping what the model cannot know raises the precision of statements",
        "KnowAda, abstract",
        "knowada",
        "human",
        "statement_precision",
        1,
    ),
    (
        "Aligning views keeps more captions as they are when an image moves than augmentation does",
        "Omniview-Tuning, abstract",
        "views_omniview",
        "views_augmented",
        "kept",
        1,
    ),
)


def claim_rows(differences: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return verdicts: a claim holds where every base says so clearly, and there are two of them.

    Where a system has a shuffled control, it has to lie above that as well.

    >>> row = {"system": "mocha", "against": "clip_reward", "mean": 0.1, "low": 0.05, "high": 0.2,
    ...        "metric": "object_precision"}
    >>> [claim["verdict"] for claim in claim_rows([row | {"base": base} for base in "ab"])]
    ['holds']
    >>> [claim["verdict"] for claim in claim_rows([row | {"base": "a"}])]
    ['not testable here']
    """
    found = []
    for claim, source, system, against, metric, sign in CLAIMS:
        rows = [
            row
            for row in differences
            if (row["system"], row["metric"]) == (system, metric)
            and row["against"] in (against, f"{system}_shuffled")
        ]
        if not rows:
            continue
        clear = [sign * (int(r["low"] > 0) - int(r["high"] < 0)) for r in rows]
        bases = {row["base"] for row in rows}
        controls = sum(row["against"] != against for row in rows)
        verdict = "not testable here"
        if len(bases) >= MOST_BASES:
            verdict = "holds" if min(clear) > 0 else "does not hold"
        said = [
            f"{r['base']}, minus {r['against']}: {r['mean']:+.3f} "
            f"[{r['low']:+.3f}, {r['high']:+.3f}]"
            for r in rows
        ]
        found.append(
            {
                "claim": claim,
                "source": source,
                "verdict": verdict,
                "rule": "every interval lies on the claim's side of zero, over the rival and over "
                f"the shuffled control where there is one; gate: {MOST_BASES} bases",
                "gate": f"{len(bases)} bases, {controls} with a control, "
                f"{max(r.get('seeds', 1) for r in rows)} seeds at most",
                "evidence": f"{metric} of {system}; {'; '.join(said)}",
            }
        )
    return found
