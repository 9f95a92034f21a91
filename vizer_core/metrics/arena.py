"""An arena: captioners meet image by image, and ratings say how often one would win.

CapArena (Cheng et al. 2503.12329) lets people, then a language model, judge pairs of
captions, and fits ratings. Whoever judges, the arithmetic is Bradley and Terry's (1952): system i
beats j with probability s_i / (s_i + s_j), and its rating is 400 log10 s_i, as Elo wrote it. A
rating has no zero of its own: here the mean over systems is `CENTRE`.

Where we differ: no order of play, so the maximum of the likelihood and not Elo's running update,
whose result depends on the order; intervals resample images, since captions of one image meet in
many pairs.

>>> scores = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
>>> meetings(scores).sum(axis=0).tolist()  # a win counts 1, a draw a half
[[0.0, 2.5], [1.5, 0.0]]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

CENTRE, SCALE = 1000.0, 400.0
PRIOR = 0.5  # wins for each of a pair, one draw in all: a system that never loses has a rating
STEPS = 1000  # Newton's; a hundred systems, each better than the next on 5,000 images, take 76
SMALL = 1e-6  # a step of log-strengths; the next would be its square


@dataclass(frozen=True)
class Rating:
    """A system's rating with its 95% interval over images, and the share of meetings it won."""

    system: str
    mean: float
    low: float
    high: float
    won: float


def meetings(scores: Float64[np.ndarray, "n s"]) -> Float64[np.ndarray, "n s s"]:
    """Return who beat whom on each image: 1 for a higher score, a half for an equal one."""
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ValueError(f"scores have shape {scores.shape}: wanted [images, systems], 2 or more")
    higher = scores[:, :, None] > scores[:, None, :]
    equal = scores[:, :, None] == scores[:, None, :]
    return (higher + 0.5 * equal) * (1 - np.eye(scores.shape[1]))


def ratings(wins: Float64[np.ndarray, "s t"]) -> Float64[np.ndarray, " s"]:
    """Fit Bradley and Terry's strengths to a table of wins; `wins[i, j]` is how often i beat j.

    By Newton's steps, damped as Sun and Tran-Dinh (2019) do, so that each one climbs. Raises
    `ValueError` where the maximum is not reached in `STEPS` of them.

    >>> strong, weak = ratings(np.array([[0.0, 10.0], [1.0, 0.0]]))
    >>> round(float(strong - weak)), round(float(strong + weak))
    (338, 2000)
    """
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1] or (wins < 0).any():
        raise ValueError(f"wins have shape {wins.shape}: wanted a square table of counts")
    table = wins + PRIOR * (1 - np.eye(len(wins)))
    games, won = table + table.T, table.sum(axis=1)
    log_strength = np.zeros(len(table))
    for _ in range(STEPS):
        chance = np.exp(-np.logaddexp(0, log_strength[None, :] - log_strength[:, None]))
        weight = games * chance * chance.T
        curvature = np.diag(weight.sum(axis=1)) - weight + 1  # + 1: the mean stays where it is
        step = np.linalg.solve(curvature, won - (games * chance).sum(axis=1))
        spread = np.ptp(step)
        log_strength += step * (np.log1p(spread) / spread if spread > 0 else 1)
        if spread < SMALL:
            return CENTRE + SCALE * log_strength / np.log(10)
    raise ValueError(
        f"the ratings of {len(table)} systems still move after {STEPS} steps: wanted wins that are "
        f"counts of meetings, got {won.min():g} to {won.max():g} for a system"
    )


def arena(scores: dict[str, np.ndarray], *, resamples: int = 300, seed: int = 0) -> list[Rating]:
    """Rate systems by their scores on the same images, the strongest first.

    >>> found = arena({"a": np.ones(9), "b": np.zeros(9)}, resamples=5)
    >>> [(row.system, row.won) for row in found], found[0].mean > found[1].mean
    ([('a', 1.0), ('b', 0.0)], True)
    """
    lengths = {len(values) for values in scores.values()}
    if len(scores) < 2 or len(lengths) != 1:
        raise ValueError(
            f"{len(scores)} systems with {sorted(lengths)} scores: wanted at least 2 systems, "
            "scored on the same images"
        )
    each = meetings(np.stack(list(scores.values()), axis=1))
    n, rng = len(each), np.random.default_rng(seed)
    drawn = np.stack(
        [
            ratings(np.einsum("n,nij->ij", rng.multinomial(n, np.full(n, 1 / n)), each))
            for _ in range(resamples)
        ]
    )
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    mean, won = ratings(each.sum(axis=0)), each.sum(axis=(0, 2)) / (n * (len(scores) - 1))
    rows = [Rating(name, *map(float, row)) for name, *row in zip(scores, mean, low, high, won)]
    return sorted(rows, key=lambda row: -row.mean)
