"""What chance finds: many settings compared at once, and the best of many chosen.

Two systems that are equal differ all the same, because training was run with other seeds and
because the test images are a draw. An interval over images alone knows the second and not the
first. These simulations take the seeds' own noise, as controls of a study show it, and ask what a
table of `rows` equal settings would look like.

==================  =============================================================================
seed_noise          what seeds alone do: distances of runs from the mean of their own group
chance_findings     how many of k equal rows an interval over images alone calls different
choose_best         how good the best of k equal settings looks: when chosen, tested, run again
==================  =============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Float64, Int64

Noise = Float64[np.ndarray, " n"]


def seed_noise(groups: Mapping[str, Sequence[float]]) -> Noise:
    """Return each run's distance from its group's mean, widened for the mean being an estimate.

    With k runs a group, distances are sqrt((k - 1) / k) too small on average; groups of one run
    say nothing and are left out.

    >>> seed_noise({"a": [1.0, 3.0], "b": [5.0]}).round(3).tolist()
    [-1.414, 1.414]
    """
    parts = [np.asarray(runs, dtype=np.float64) for runs in groups.values() if len(runs) > 1]
    if not parts:
        raise ValueError("no group has two runs: seeds' noise cannot be told from one seed")
    return np.concatenate(
        [(part - part.mean()) * sqrt(len(part) / (len(part) - 1)) for part in parts]
    )


def chance_findings(
    noise: Noise,
    *,
    rows: int,
    seeds: int,
    half_width: float,
    draws: int = 2000,
    seed: int = 0,
) -> Int64[np.ndarray, " draws"]:
    """Count, in each draw, the rows of equal settings that look different from a reference.

    A row is the mean of `seeds` runs, each with its noise; so is the reference. It looks different
    when it is farther from the reference than `half_width`, the half-width of an interval of the
    difference that covers images alone.

    >>> quiet = np.array([-0.1, 0.1])
    >>> chance_findings(quiet, rows=5, seeds=3, half_width=1.0, draws=3).tolist()
    [0, 0, 0]
    """
    _require(noise, rows, seeds)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(noise, size=(draws, rows + 1, seeds)).mean(axis=2)
    return (np.abs(drawn[:, 1:] - drawn[:, :1]) > half_width).sum(axis=1)


@dataclass(frozen=True)
class Choice:
    """Mean gain over the true score that the chosen setting seems to have, at three places."""

    validation: float  # on the images it was chosen on
    test: float  # the same runs on new images
    again: float  # the same setting with new seeds, on new images


def choose_best(
    noise: Noise,
    *,
    rows: int,
    seeds: int = 1,
    scene_std: float,
    draws: int = 2000,
    seed: int = 0,
) -> Choice:
    """Choose the best of `rows` equal settings on validation images, then look again.

    All settings have one true score, so every gain is luck: of the seeds, which goes with the runs
    to the test images, and of the validation images, which does not. `scene_std` is the
    standard error of one setting's score over images.
    """
    _require(noise, rows, seeds)
    rng = np.random.default_rng(seed)
    runs = rng.choice(noise, size=(draws, rows, seeds)).mean(axis=2)
    validation, test = (runs + rng.normal(0, scene_std, runs.shape) for _ in range(2))
    best = validation.argmax(axis=1)[:, None]
    again = rng.choice(noise, size=(draws, seeds)).mean(axis=1)
    return Choice(
        validation=float(np.take_along_axis(validation, best, axis=1).mean()),
        test=float(np.take_along_axis(test, best, axis=1).mean()),
        again=float((again + rng.normal(0, scene_std, draws)).mean()),
    )


def _require(noise: Noise, rows: int, seeds: int) -> None:
    if not len(noise) or rows < 1 or seeds < 1:
        raise ValueError(
            f"got noise of {len(noise)} runs, rows={rows}, seeds={seeds}: wanted at least 1 of each"
        )
