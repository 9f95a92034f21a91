"""What a drawn language model's training run consists of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import cos, pi
from typing import Any

from vizer_lab.zoo.lm_model import DrawnLMConfig
from vizer_lab.zoo.muon import OPTIMIZERS


@dataclass(frozen=True)
class LMRecipe:
    """A whole training run: the model, how many rows it reads, at what rate, from what seed.

    `method` is the optimizer: `adamw` for all, or `muon` for the matrices (`zoo.muon`).
    """

    model: DrawnLMConfig
    steps: int
    batch: int
    learning_rate: float
    first_row: int = 0
    weight_decay: float = 0.1
    warmup_steps: int = 80
    seed: int = 0
    method: str = "adamw"

    def __post_init__(self) -> None:
        if self.method not in OPTIMIZERS:
            raise ValueError(f"no optimizer {self.method!r}: wanted one of {list(OPTIMIZERS)}")
        if self.steps < 1 or self.batch < 1:
            raise ValueError(f"wanted steps >= 1 and batch >= 1, got {self}")

    @property
    def tokens(self) -> int:
        """Tokens read in all."""
        return self.steps * self.batch * self.model.positions

    def rate(self, step: int) -> float:
        """Return the learning rate at a step: linear warm-up, then half a cosine to zero.

        >>> LMRecipe(DrawnLMConfig(), 100, 8, learning_rate=1.0, warmup_steps=10).rate(4)
        0.5
        """
        warmup = min(self.warmup_steps, max(1, self.steps // 4))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        share = (step - warmup) / max(1, self.steps - warmup)
        return self.learning_rate * 0.5 * (1 + cos(pi * share))

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, for a manifest.

        A field that is younger than a shipped manifest is left out where it is as it was then.
        """
        plain = asdict(self)
        if plain["method"] == "adamw":
            del plain["method"]
        return plain

    def shortened(self, factor: float) -> LMRecipe:
        """The same recipe cut to `factor` of its steps (for tests)."""
        return replace(self, steps=max(2, int(self.steps * factor)))
