"""The claims about the gap, each with the rule that decides it and the numbers it was decided by.

A claim `holds` when its rule is true at the unfavourable end of every interval it reads, `does not
hold` otherwise. The rules were written down with the claims, in words beside each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from vizer_core.gap import Interval

SCALED = ("cls_scale5", "cls_scale10", "cls", "cls_scale50", "cls_scale100")
LIKE_CLIP = "cls_scale100"  # the logit scale at which real CLIP ends


@dataclass(frozen=True)
class Table:
    """Rows by (system, metric) over the same scenes; `seeds` says how many each system has."""

    rows: dict[tuple[str, str], Interval]
    n: int
    seeds: dict[str, int]

    def __call__(self, system: str, metric: str) -> Interval:
        """Return one row."""
        return self.rows[system, metric]

    def say(self, system: str, metric: str) -> str:
        """Return one row as words for the evidence."""
        row = self(system, metric)
        return f"{system} {metric} {row.estimate:.3f} [{row.low:.3f}, {row.high:.3f}]"

    def say_seeds(self, systems: Iterable[str]) -> str:
        """Return how many seeds some systems have, in words."""
        counts = sorted({self.seeds[system] for system in systems})
        many = " to ".join(str(count) for count in counts[:: max(1, len(counts) - 1)])
        return f"{many} seed{'s' * (counts[-1] > 1)}"

    def to_rows(self) -> list[dict]:
        """Return the rows in the form of every results file."""
        return [
            {
                "system": system,
                "metric": metric,
                "mean": row.estimate,
                "low": row.low,
                "high": row.high,
                "n": self.n,
                "seeds": self.seeds[system],
            }
            for (system, metric), row in self.rows.items()
        ]


@dataclass(frozen=True)
class Claim:
    """A published statement, where it stands, the rule that tests it here, and what it reads."""

    claim: str
    source: str
    rule: str
    holds: Callable[[Table], bool]
    evidence: tuple[tuple[str, str], ...]


def _rising(t: Table, metric: str) -> bool:
    rows = [t(system, metric) for system in SCALED]
    return all(a.high < b.low for a, b in pairwise(rows))


CLAIMS = (
    Claim(
        "A gap separates images and texts",
        "Liang et al. 2022; MacCap section 2",
        "gap norm at logit scale 100 above ten times what random swapping gives, and a flat cut "
        "tells the held-out clouds apart in at least 99% of cases",
        lambda t: (
            t(LIKE_CLIP, "gap_norm").low > 10 * t(LIKE_CLIP, "gap_norm_null").high
            and t(LIKE_CLIP, "separability_held_out").low >= 0.99
        ),
        (
            (LIKE_CLIP, "gap_norm"),
            (LIKE_CLIP, "gap_norm_null"),
            (LIKE_CLIP, "separability_held_out"),
        ),
    ),
    Claim(
        "A lower temperature (a higher logit scale) widens the gap",
        "Liang et al. 2022 (temperature)",
        "gap norm rises at every step of logit scale 5, 10, learned, 50, 100, intervals apart",
        lambda t: _rising(t, "gap_norm"),
        tuple((system, "gap_norm") for system in SCALED),
    ),
    Claim(
        "At logit scale 100 each modality fills a narrow cone",
        "Liang et al. 2022 (cone effect)",
        "mean cosine between different images, and between different texts, above .3 at scale 100",
        lambda t: t(LIKE_CLIP, "cone_image").low > 0.3 and t(LIKE_CLIP, "cone_text").low > 0.3,
        (
            (LIKE_CLIP, "cone_image"),
            (LIKE_CLIP, "cone_text"),
            ("cls", "cone_image"),
            ("cls", "cone_text"),
        ),
    ),
    Claim(
        "The trained gap is where the loss is least",
        "Liang et al. 2022 (loss landscape)",
        "moving the clouds together until the gap is least raises the symmetric loss, all seeds",
        lambda t: (
            t(LIKE_CLIP, "shift_closed_loss_change").low > 0
            and t("cls", "shift_closed_loss_change").low > 0
        ),
        ((LIKE_CLIP, "shift_closed_loss_change"), ("cls", "shift_closed_loss_change")),
    ),
    Claim(
        "Closing the gap by shifting the means helps retrieval",
        "a common expectation; Liang et al. 2022 report mixed effects on zero-shot accuracy",
        "R@1 (both ways) rises when the clouds are moved together, all seeds",
        lambda t: t(LIKE_CLIP, "shift_closed_recall_change").low > 0,
        ((LIKE_CLIP, "shift_closed_recall_change"), ("cls", "shift_closed_recall_change")),
    ),
    Claim(
        "The pooled gap has mean zero",
        "MacCap section 3.2",
        "the pooled mean is within a tenth of the pooled standard deviation of zero",
        lambda t: (
            max(abs(t(LIKE_CLIP, "pooled_mean").low), abs(t(LIKE_CLIP, "pooled_mean").high))
            < 0.1 * t(LIKE_CLIP, "pooled_std").low
        ),
        ((LIKE_CLIP, "pooled_mean"), (LIKE_CLIP, "pooled_std")),
    ),
    Claim(
        "So the gap is noise around zero, without a constant part",
        "the reading of MacCap section 3.2 that noise injection rests on",
        "one constant vector holds less than 10% of the gap's energy",
        lambda t: t(LIKE_CLIP, "constant_share").high < 0.1,
        ((LIKE_CLIP, "constant_share"), ("cls", "constant_share")),
    ),
    Claim(
        "The pooled gap looks Gaussian",
        "MacCap section 3.2, figure 1",
        "KS distance to the fitted normal below .03",
        lambda t: t(LIKE_CLIP, "ks_raw").high < 0.03 and t("cls", "ks_raw").high < 0.03,
        ((LIKE_CLIP, "ks_raw"), ("cls", "ks_raw"), (LIKE_CLIP, "excess_kurtosis")),
    ),
    Claim(
        "For a third of the captions some patch is closer than the whole image",
        "MacCap section 3.1",
        "fraction at least .2 in a CLS tower, with the paper's last-layer patches",
        lambda t: t("cls", "patch_closer").low > 0.2,
        (
            ("cls", "patch_closer"),
            (LIKE_CLIP, "patch_closer"),
            ("cls", "patch_closer_other_image"),
        ),
    ),
    Claim(
        "The same, where the patches themselves are trained",
        "our variant of MacCap section 3.1 (the image feature is the mean of the patches)",
        "fraction at least .2, and four times its other-image null",
        lambda t: (
            t("patch_mean", "patch_closer").low
            > max(0.2, 4 * t("patch_mean", "patch_closer_other_image").high)
        ),
        (("patch_mean", "patch_closer"), ("patch_mean", "patch_closer_other_image")),
    ),
    Claim(
        "Sub-regions win because captions leave things out",
        "MacCap section 3.1 (incomplete description)",
        "in three-kind scenes the counterfactual fraction is higher where the caption leaves two "
        "kinds out than where it names all, intervals apart",
        lambda t: (
            t("cls", "counterfactual_closer_0_of_3_left_out").high
            < t("cls", "counterfactual_closer_2_of_3_left_out").low
        ),
        tuple(("cls", f"counterfactual_closer_{k}_of_3_left_out") for k in (0, 1, 2)),
    ),
    Claim(
        "Mixing sub-regions into the image feature raises the pair cosine",
        "MacCap table 1",
        "the gain of the paper's mix over the global feature is above zero in some tower",
        lambda t: any(t(s, "paper_mix_gain").low > 0 for s in ("cls", LIKE_CLIP, "patch_mean")),
        (
            ("cls", "paper_mix_gain"),
            (LIKE_CLIP, "paper_mix_gain"),
            ("patch_mean", "paper_mix_gain"),
        ),
    ),
    Claim(
        "Attention picks better sub-regions than no choice at all",
        "implied by MacCap section 4.3 (no control in the paper)",
        "the paper's mix gains more than mixing in the plain mean of the patches, intervals apart",
        lambda t: all(
            t(s, "paper_mix_gain").low > t(s, "paper_mix_mean_token_gain").high
            for s in ("cls", LIKE_CLIP)
        ),
        (
            ("cls", "paper_mix_gain"),
            ("cls", "paper_mix_mean_token_gain"),
            (LIKE_CLIP, "paper_mix_gain"),
            (LIKE_CLIP, "paper_mix_mean_token_gain"),
        ),
    ),
)

NOT_TESTABLE = (
    {
        "claim": "Real CLIP's pair cosine has mean .330, maximum .446 and minimum .228 on COCO",
        "source": "MacCap table 1",
        "verdict": "not testable here",
        "evidence": "needs ViT-B/32 weights and COCO images: the notebook's full profile",
    },
)


def verdicts(table: Table) -> list[dict[str, str]]:
    """Judge every claim by its rule; one whose models were not measured is not testable here."""
    judged = []
    for c in CLAIMS:
        present = [key for key in c.evidence if key in table.rows]
        said = "; ".join(table.say(*key) for key in present)
        if len(present) < len(c.evidence):
            lacking = dict.fromkeys(key[0] for key in c.evidence if key not in present)
            verdict, said = "not testable here", f"{said}; not measured: {', '.join(lacking)}"
        else:
            verdict = "holds" if c.holds(table) else "does not hold"
            said += f" (n = {table.n}, {table.say_seeds(s for s, _ in c.evidence)})"
        judged.append(
            {
                "claim": c.claim,
                "source": c.source,
                "rule": c.rule,
                "verdict": verdict,
                "evidence": said,
            }
        )
    return [*judged, *NOT_TESTABLE]
