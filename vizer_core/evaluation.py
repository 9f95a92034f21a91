"""Score captions against references: every metric with its interval, its settings, its reason.

`evaluate` scores one system, `compare` two on the same images, and `arena` lets any number of them
meet image by image. A metric's score comes with the number of images and a 95% interval; a metric
that could not run is listed with the reason.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vizer_core.files import write_json
from vizer_core.metrics.arena import Rating
from vizer_core.metrics.arena import arena as rated
from vizer_core.metrics.availability import MetricUnavailable
from vizer_core.metrics.diversity import Diversity, diversity
from vizer_core.metrics.references import (
    PTB,
    PTB_JAVA,
    ImageId,
    Matched,
    References,
    make_references,
    match,
)
from vizer_core.metrics.scorers import (
    AUTOMATIC,
    FAMILIES,
    SCORERS,
    Inputs,
    Job,
    missing,
    own_metric,
)
from vizer_core.metrics.stats import (
    Difference,
    Interval,
    Statistics,
    bootstrap_many,
    holm,
    paired_bootstraps,
    paired_permutations,
)

__all__ = [
    "PTB",
    "PTB_JAVA",
    "Comparison",
    "Difference",
    "Evaluation",
    "Inputs",
    "Interval",
    "MetricUnavailable",
    "Rating",
    "References",
    "arena",
    "compare",
    "evaluate",
    "make_references",
]

logger = logging.getLogger(__name__)
FEW_IMAGES = 100  # below this CIDEr's own document frequencies inflate it by a tenth or more
LONG_CAPTION = 3  # times the longest reference of the image


@dataclass(frozen=True)
class Evaluation:
    """The scores of one system: 0..1, but CIDEr 0..10, the CLIP scores, and `length` in words."""

    ids: tuple[ImageId, ...]
    scores: dict[str, Interval]
    statistics: dict[str, Statistics]
    signatures: dict[str, str]
    skipped: dict[str, str]  # not tried: something that the metric needs is absent
    failed: dict[str, str]  # tried and broken
    diversity: Diversity

    def per_image(self, metric: str) -> np.ndarray:
        """Return one metric's score of each image, in the order of `ids`."""
        if metric not in self.statistics:
            raise ValueError(f"no metric {metric!r} here: got {sorted(self.statistics)}")
        return self.statistics[metric].per_image

    def as_dict(self) -> dict[str, Any]:
        """Return what `vizer evaluate --json` writes."""
        return {
            "scores": {name: interval.as_dict() for name, interval in self.scores.items()},
            "signatures": self.signatures,
            "skipped": self.skipped,
            "failed": self.failed,
            "diversity": asdict(self.diversity),
            "images": len(self.ids),
        }

    def write(self, path: Path) -> None:
        """Write the scores as JSON."""
        write_json(path, self.as_dict())

    def table(self) -> str:
        """Lay the scores out as text, times 100 (but `length`)."""
        lines = [f"{'metric':<20}{'score':>9}   95% interval        n   (percent, but for length)"]
        for name, score in self.scores.items():
            times = 1 if name == "length" else 100
            low, high = times * score.low, times * score.high
            lines.append(
                f"{name:<20}{times * score.mean:9.2f}   {low:8.2f} to {high:8.2f} {score.n:6d}"
            )
        for name, reason in (*self.skipped.items(), *self.failed.items()):
            lines.append(f"{name:<20}        -   {reason}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Comparison:
    """First system minus second, metric by metric; `holm` adjusts the p-values for their number."""

    differences: dict[str, Difference]
    holm: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return what `vizer compare --json` writes."""
        return {
            "differences": {
                name: asdict(difference) | {"p_holm": self.holm[name]}
                for name, difference in self.differences.items()
            }
        }

    def table(self) -> str:
        """Lay the differences out as text, times 100 (but `length`)."""
        lines = [f"{'metric':<20}{'a - b':>9}   95% interval            p   p (Holm)"]
        for name, d in self.differences.items():
            times = 1 if name == "length" else 100
            lines.append(
                f"{name:<20}{times * d.mean:9.2f}   {times * d.low:8.2f} to {times * d.high:8.2f}"
                f" {d.p:9.4f} {self.holm[name]:9.4f}"
            )
        return "\n".join(lines)


def _families(metrics: str | Sequence[str]) -> list[str]:
    """Turn `auto`, names of metrics and names of families into families, in table order."""
    if metrics == "auto":
        return [family for family in FAMILIES if family in AUTOMATIC]
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    owner = {name: family for family, members in FAMILIES.items() for name in (*members, family)}
    if unknown := [name for name in names if name not in owner]:
        raise ValueError(f"unknown metrics {unknown}: wanted 'auto' or some of {sorted(owner)}")
    if not names:
        raise ValueError("no metrics: wanted 'auto' or at least one name")
    wanted = {owner[name] for name in names}
    return [family for family in FAMILIES if family in wanted]


def _warn(matched: Matched, families: Sequence[str], inputs: Inputs) -> None:
    if "cider" in families and inputs.df is None and len(matched.ids) < FEW_IMAGES:
        logger.warning(
            "CIDEr of %d images takes its document frequencies from them alone and is inflated; "
            "give a corpus (df) to compare with other sets",
            len(matched.ids),
        )
    pairs = zip(matched.hypotheses, matched.references.captions)
    long = sum(
        len(caption.split()) > LONG_CAPTION * max(len(r.split()) for r in references)
        for caption, references in pairs
    )
    if long:
        logger.warning("%d captions have over %d times their references' words", long, LONG_CAPTION)


def _signature(settings: str, matched: Matched) -> str:
    counts = [len(captions) for captions in matched.references.captions]
    references = str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)}-{max(counts)}"
    version = importlib.metadata.version("vizer-core")
    return f"{settings}|refs:{references}|n:{len(matched.ids)}|impl:vizer-core-{version}"


def _check_inputs(inputs: Inputs, matched: Matched) -> None:
    taken = {name for family, members in FAMILIES.items() for name in (family, *members)}
    if clash := sorted(taken & inputs.functions.keys()):
        raise ValueError(f"a function of your own is called {clash[0]!r}, as a metric here is")
    for role in ("image_features", "text_features"):
        features = getattr(inputs, role)
        if features is not None and len(features) != len(matched.ids):
            raise ValueError(
                f"{role} has {len(features)} rows for {len(matched.ids)} scored images: "
                "wanted one per image, in the references' order"
            )


def evaluate(
    hypotheses: Mapping[ImageId, str] | Sequence[str],
    references: References | Mapping[ImageId, Sequence[str]] | Sequence[Sequence[str]],
    *,
    metrics: str | Sequence[str] = "auto",
    inputs: Inputs | None = None,
    missing_captions: str = "error",
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Score one caption per image against its references.

    `metrics="auto"` computes what the captions and `inputs` allow; a metric that is asked for by
    name and cannot run raises `MetricUnavailable` before anything is scored. One that breaks on
    the way is reported in `failed` and costs the others nothing; the only one raises. Metrics of
    your own come in `Inputs(functions={"name": function})` and are computed beside the others.
    Pass a `References` object to tokenise once and score many systems.

    >>> result = evaluate(["a cat"], [["a cat", "the cat"]], metrics=["bleu", "rouge_l"])
    >>> round(result.scores["bleu2"].mean, 6), result.scores["rouge_l"].n
    (1.0, 1)
    """
    inputs, families = inputs or Inputs(), _families(metrics)
    if not isinstance(references, References):
        references = make_references(references)
    absent = {f: reason for f in families if (reason := missing(f, inputs)) is not None}
    if absent and metrics != "auto":
        raise MetricUnavailable("; ".join(f"{f}: {reason}" for f, reason in absent.items()))
    matched = match(hypotheses, references, missing=missing_captions)
    _check_inputs(inputs, matched)
    _warn(matched, families, inputs)
    job = Job(matched, inputs)
    statistics: dict[str, Statistics] = {}
    signatures: dict[str, str] = {}
    failed: dict[str, str] = {}
    wanted = {family: SCORERS[family] for family in families if family not in absent}
    wanted |= {name: partial(own_metric, name=name) for name in inputs.functions}
    for family, scorer in wanted.items():
        try:
            scored = scorer(job)
        except Exception as error:
            if len(wanted) == 1:
                raise  # there is nothing else to save
            logger.exception("%s failed; the other metrics go on", family)
            failed[family] = f"{type(error).__name__}: {error}"
            continue
        statistics |= scored.statistics
        signatures |= dict.fromkeys(scored.statistics, _signature(scored.settings, matched))
    scores = bootstrap_many(statistics, resamples=resamples, seed=seed) if statistics else {}
    return Evaluation(
        ids=matched.ids,
        scores=scores,
        statistics=statistics,
        signatures=signatures,
        skipped=absent,
        failed=failed,
        diversity=diversity(job.tokens, inputs.text_features),
    )


def compare(
    a: Evaluation,
    b: Evaluation,
    *,
    resamples: int = 1000,
    permutations: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Test system `a` against `b` on the same images, for every metric that both have.

    Intervals are of the paired bootstrap, p-values of the paired permutation test, both over
    images. Name one primary metric beforehand and read its p; for the rest read Holm's.
    """
    if a.ids != b.ids:
        raise ValueError(
            f"the systems were scored on different images ({len(a.ids)} and {len(b.ids)}, "
            f"{len(set(a.ids) & set(b.ids))} in common): score both on the same"
        )
    names = [name for name in a.statistics if name in b.statistics]
    if not names:
        raise ValueError(
            f"no metric in common: got {sorted(a.statistics)} and {sorted(b.statistics)}"
        )
    for name in names:
        if a.signatures[name] != b.signatures[name]:
            raise ValueError(
                f"{name} was computed with other settings: {a.signatures[name]} against "
                f"{b.signatures[name]}"
            )
    first = {name: a.statistics[name] for name in names}
    second = {name: b.statistics[name] for name in names}
    p_values = paired_permutations(first, second, permutations=permutations, seed=seed)
    found = paired_bootstraps(first, second, resamples=resamples, seed=seed)
    differences = {
        name: Difference(d.mean, d.low, d.high, d.n, p_values[name]) for name, d in found.items()
    }
    return Comparison(differences, holm(p_values))


def arena(
    systems: Mapping[str, Evaluation], *, metric: str = "cider", resamples: int = 300, seed: int = 0
) -> list[Rating]:
    """Let systems meet on each image, the higher score wins, and rate them, the strongest first.

    A rating orders systems and says nothing of how good any of them is (`metrics.arena`).

    >>> right, wrong = (evaluate([said], [["a cat"]], metrics="rouge_l") for said in ("a cat", "x"))
    >>> [row.system for row in arena({"wrong": wrong, "right": right}, metric="rouge_l")]
    ['right', 'wrong']
    """
    ids = {system.ids for system in systems.values()}
    settings = {system.signatures.get(metric) for system in systems.values()}
    if len(ids) > 1 or len(settings) > 1:
        raise ValueError(
            f"{len(systems)} systems were scored on {len(ids)} sets of images, {metric} with "
            f"{len(settings)} settings: score all on the same images in the same way"
        )
    scores = {name: system.per_image(metric) for name, system in systems.items()}
    return rated(scores, resamples=resamples, seed=seed)
