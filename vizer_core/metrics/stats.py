"""Intervals and tests for caption metrics, from per-image sufficient statistics.

Every metric here is a function of *sums* over images: a mean is (sum of scores) / (count), a rate
is (sum true) / (sum said), BLEU and METEOR are formulas over summed counts. A resample of the
images is a vector of multiplicities, so a thousand resamples of any metric are one matrix product
(bootstrap: Efron 1979; paired, for systems: Koehn 2004; permutation: Riezler & Maxwell 2005).

What an interval covers: the draw of *images*. It does not cover the draw of references, nor of
training seeds; give several seeds' statistics to `bootstrap_seeds` for that. CIDEr's document
frequencies stay those of the whole set under resampling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float64

from vizer_core.metrics.resampling import bounds, multiplicities, swaps


def ratio(sums: np.ndarray) -> np.ndarray:
    """Divide the first column of sums by the second; nothing over nothing is NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]


@dataclass(frozen=True)
class Statistics:
    """One metric of one system: a row of sufficient statistics an image, and the formula.

    `value` maps sums of rows `[..., s]` to scores `[...]`.
    """

    rows: Float64[np.ndarray, "n s"]
    value: Callable[[np.ndarray], np.ndarray]

    @property
    def score(self) -> float:
        """The score of all images."""
        return float(self.value(self.rows.sum(axis=0, keepdims=True))[0])

    @property
    def per_image(self) -> Float64[np.ndarray, " n"]:
        """The score of each image alone."""
        return np.asarray(self.value(self.rows), dtype=np.float64)

    @property
    def scored(self) -> Bool[np.ndarray, " n"]:
        """Which images have a score of their own: a rate has none where nothing was said."""
        return np.isfinite(self.per_image)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Interval:
    """A number with its 95% interval over `n` items, those that have a score of their own.

    `n` is None where the interval is read from a file or is not over items.

    >>> Interval(0.5, 0.4, 0.6).estimate
    0.5
    """

    mean: float
    low: float
    high: float
    n: int | None = None

    @property
    def estimate(self) -> float:
        """The number itself, where `mean` would be the wrong word: a norm, a correlation."""
        return self.mean

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the fields as JSON takes them."""
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """First system minus second, its paired 95% interval, and the test's p-value."""

    mean: float
    low: float
    high: float
    n: int
    p: float


def mean_statistics(scores: Sequence[float | int] | np.ndarray) -> Statistics:
    """Wrap per-image scores whose corpus value is their mean.

    >>> mean_statistics([0.0, 1.0]).score
    0.5
    """
    scores = np.asarray(scores, dtype=np.float64)
    return Statistics(np.column_stack([scores, np.ones_like(scores)]), ratio)


def rate_statistics(
    true: Sequence[float | int] | np.ndarray, said: Sequence[float | int] | np.ndarray
) -> Statistics:
    """Wrap per-image counts whose corpus value is (sum true) / (sum said).

    >>> rate_statistics([1, 1], [1, 3]).score
    0.5
    """
    return Statistics(np.column_stack([true, said]).astype(np.float64), ratio)


def _require(count: int, what: str) -> None:
    if count < 1:
        raise ValueError(f"no {what} to resample: got 0, wanted at least 1")


def _same_images(a: Statistics, b: Statistics) -> None:
    if len(a) != len(b):
        raise ValueError(
            f"paired comparison of {len(a)} and {len(b)} images: wanted the same images for both"
        )


def _same_metrics(a: Mapping[str, Statistics], b: Mapping[str, Statistics]) -> None:
    if a.keys() != b.keys() or not a:
        raise ValueError(f"got metrics {sorted(a)} and {sorted(b)}: wanted the same, at least one")
    for name in a:
        _same_images(a[name], b[name])


def resampled_scores(
    systems: Sequence[Statistics], *, resamples: int = 1000, seed: int = 0
) -> Float64[np.ndarray, "resamples systems"]:
    """Score every entry on the same resamples of the images.

    Entries may be several metrics of one system, one metric of several systems, or both.
    """
    _require(len(systems), "statistics")
    n = len(systems[0])
    _require(n, "images")
    for other in systems:
        _same_images(systems[0], other)
    widths = np.cumsum([system.rows.shape[1] for system in systems])[:-1]
    joined = np.concatenate([system.rows for system in systems], axis=1)
    sums = np.concatenate([counts @ joined for counts in multiplicities(n, resamples, seed)])
    parts = np.split(sums, widths, axis=1)
    return np.column_stack([system.value(part) for system, part in zip(systems, parts)])


def bootstrap(statistics: Statistics, *, resamples: int = 1000, seed: int = 0) -> Interval:
    """Return the score with its percentile bootstrap interval over images.

    >>> bootstrap(mean_statistics([0.5, 0.5, 0.5]))
    Interval(mean=0.5, low=0.5, high=0.5, n=3)
    """
    scores = resampled_scores([statistics], resamples=resamples, seed=seed)[:, 0]
    return Interval(statistics.score, *bounds(scores), n=int(statistics.scored.sum()))


def bootstrap_many(
    statistics: Mapping[str, Statistics], *, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Bootstrap several metrics over one set of resamples."""
    scores = resampled_scores(list(statistics.values()), resamples=resamples, seed=seed)
    return {
        name: Interval(entry.score, *bounds(column), n=int(entry.scored.sum()))
        for (name, entry), column in zip(statistics.items(), scores.T)
    }


def paired_bootstrap(
    a: Statistics, b: Statistics, *, resamples: int = 1000, seed: int = 0
) -> Difference:
    """Compare two systems on the same resamples of the images.

    p is twice the smaller share of resamples on one side of zero, ties counted on both, with one
    added above and below so that it is never 0.
    """
    return paired_bootstraps({"": a}, {"": b}, resamples=resamples, seed=seed)[""]


def paired_bootstraps(
    a: Mapping[str, Statistics],
    b: Mapping[str, Statistics],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Difference]:
    """Compare two systems by several metrics over one set of resamples."""
    _same_metrics(a, b)
    entries = [*a.values(), *(b[name] for name in a)]
    scores = resampled_scores(entries, resamples=resamples, seed=seed)
    found = {}
    for name, drawn in zip(a, (scores[:, : len(a)] - scores[:, len(a) :]).T):
        tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
        p = min(1.0, 2 * (1 + int(tail)) / (1 + resamples))
        point = a[name].score - b[name].score
        n = int((a[name].scored | b[name].scored).sum())
        found[name] = Difference(point, *bounds(drawn), n=n, p=p)
    return found


def paired_permutation(
    a: Statistics, b: Statistics, *, permutations: int = 10_000, seed: int = 0
) -> float:
    """Return the p-value of "the systems' labels could be swapped on any image".

    Two-sided; (1 + as extreme) / (1 + permutations), so two equal systems give 1.

    >>> paired_permutation(mean_statistics([1.0, 2.0]), mean_statistics([1.0, 2.0]))
    1.0
    """
    return paired_permutations({"": a}, {"": b}, permutations=permutations, seed=seed)[""]


def paired_permutations(
    a: Mapping[str, Statistics],
    b: Mapping[str, Statistics],
    *,
    permutations: int = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """Test several metrics over one set of swaps; see `paired_permutation`."""
    _same_metrics(a, b)
    n = len(next(iter(a.values())))
    _require(n, "images")
    swings = np.concatenate([b[name].rows - a[name].rows for name in a], axis=1)
    widths = np.cumsum([a[name].rows.shape[1] for name in a])[:-1]
    extreme = dict.fromkeys(a, 0)
    for swapped in swaps(n, permutations, seed):
        moves = np.split(swapped @ swings, widths, axis=1)
        for name, moved in zip(a, moves):
            first = a[name].value(a[name].rows.sum(axis=0) + moved)
            second = b[name].value(b[name].rows.sum(axis=0) - moved)
            observed = abs(a[name].score - b[name].score)
            extreme[name] += int((np.abs(first - second) >= observed - 1e-12).sum())
    return {name: (1 + count) / (1 + permutations) for name, count in extreme.items()}


def bootstrap_seeds(
    runs: Sequence[Statistics],
    *,
    against: Sequence[Statistics] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Bootstrap over training seeds *and* images; with `against`, the paired difference.

    Each resample draws the images once (all seeds see the same test images), then as many seeds
    as there are, with replacement. `runs[i]` and `against[i]` share seed i. With few seeds the
    interval is rough: three seeds give only ten distinct draws.
    """
    _require(len(runs), "seeds")
    if against is not None and len(against) != len(runs):
        raise ValueError(f"{len(runs)} seeds against {len(against)}: wanted the same seeds")
    scores = resampled_scores([*runs, *(against or ())], resamples=resamples, seed=seed)
    values = scores[:, : len(runs)]
    point = float(np.mean([run.score for run in runs]))
    if against is not None:
        values = values - scores[:, len(runs) :]
        point -= float(np.mean([run.score for run in against]))
    drawn = np.random.default_rng([seed, 1]).integers(0, len(runs), size=values.shape)
    means = np.take_along_axis(values, drawn, axis=1).mean(axis=1)
    return Interval(point, *bounds(means), n=int(runs[0].scored.sum()))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values for testing several metrics at once (Holm 1979).

    >>> holm({"bleu4": 0.01, "cider": 0.04, "rouge_l": 0.03})
    {'bleu4': 0.03, 'cider': 0.06, 'rouge_l': 0.06}
    """
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def rank_correlation(
    a: Sequence[float | int] | np.ndarray,
    b: Sequence[float | int] | np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return Kendall's tau-b of two scores of the same items, with a bootstrap interval.

    >>> rank_correlation([1, 2, 3, 4], [10, 20, 30, 40], resamples=50).mean
    1.0
    """
    from scipy.stats import kendalltau

    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(
            f"rank correlation of {len(a)} and {len(b)} items: wanted two equal counts, at least 2"
        )
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(a), size=(resamples, len(a)))
    taus = np.array([kendalltau(a[draw], b[draw]).statistic for draw in draws])
    return Interval(float(kendalltau(a, b).statistic), *bounds(taus), n=len(a))
