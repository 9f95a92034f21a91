"""Learning rates over a run: the release's warm-up with steps by epoch, and a plain cosine.

`ReleaseSchedule`: linear warm-up over 200 iterations from 1%, then one rate an epoch on half a
cosine from 1 to a tenth:

    factor(epoch) = floor + (1 - floor) (1 + cos(pi epoch / (epochs - 1))) / 2

For 8 epochs 1, .955, .831, .650, .450, .269, .145, .100. The release divides by zero for a single
epoch; here that epoch keeps factor 1, and a warm-up longer than an epoch goes on into the next.

`WarmupCosine`: linear warm-up, then half a cosine to a floor, step by step.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import Protocol, runtime_checkable


@runtime_checkable
class Schedule(Protocol):
    """What share of the top learning rate a step gets."""

    def factor(self, step: int, *, steps_per_epoch: int, epochs: int) -> float:
        """Return a factor between 0 and 1 for step 0, 1, ..."""


@dataclass(frozen=True)
class ReleaseSchedule:
    """MacCap's release: warm-up, then a rate that changes at epochs only.

    >>> rates = ReleaseSchedule()
    >>> [round(rates.factor(s, steps_per_epoch=500, epochs=4), 3) for s in (0, 499, 500, 1999)]
    [0.01, 1.0, 0.775, 0.1]
    """

    warmup: int = 200
    start: float = 0.01
    floor: float = 0.1

    def factor(self, step: int, *, steps_per_epoch: int, epochs: int) -> float:
        """Return the warm-up's factor times the epoch's."""
        _require_run(step, steps_per_epoch, epochs)
        warm = min(1.0, self.start + (1 - self.start) * step / max(1, self.warmup))
        epoch = min(step // steps_per_epoch, epochs - 1)
        share = epoch / (epochs - 1) if epochs > 1 else 0.0
        return warm * (self.floor + (1 - self.floor) * (1 + cos(pi * share)) / 2)


@dataclass(frozen=True)
class WarmupCosine:
    """Linear warm-up, at most a quarter of the run, then half a cosine to the floor.

    >>> rates = WarmupCosine(warmup=10)
    >>> [round(rates.factor(s, steps_per_epoch=110, epochs=1), 3) for s in (0, 9, 60, 109)]
    [0.1, 1.0, 0.5, 0.0]
    """

    warmup: int = 100
    floor: float = 0.0

    def factor(self, step: int, *, steps_per_epoch: int, epochs: int) -> float:
        """Return the step's factor."""
        _require_run(step, steps_per_epoch, epochs)
        total = steps_per_epoch * epochs
        warmup = max(1, min(self.warmup, total // 4))
        if step < warmup:
            return (step + 1) / warmup
        share = min(1.0, (step - warmup) / max(1, total - warmup))
        return self.floor + (1 - self.floor) * (1 + cos(pi * share)) / 2


def _require_run(step: int, steps_per_epoch: int, epochs: int) -> None:
    if step < 0 or steps_per_epoch < 1 or epochs < 1:
        raise ValueError(
            f"got step {step}, {steps_per_epoch} steps an epoch, {epochs} epochs: wanted a step of "
            "0 or more and at least 1 of the others"
        )
