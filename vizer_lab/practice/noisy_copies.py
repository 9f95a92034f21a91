"""Chapter 6: what a captioner without images is trained on, noisy copies of a text feature."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_core.textonly import GaussianNoise, region_noise
from vizer_lab.practice.task import Case, Task


@dataclass(frozen=True, eq=False)
class _Drawn(GaussianNoise):
    """Noise from standard normal numbers that were drawn before."""

    draws: Tensor = field(default_factory=lambda: torch.zeros(0))

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return self.variance**0.5 * self.draws


def answer(texts: Tensor, variance: float, draws: Tensor) -> Tensor:
    """Return the copies, by the package."""
    noise = _Drawn(variance, draws)
    return region_noise(texts, draws.shape[1], noise=noise, generator=seeded(0))


def cases() -> list[Case]:
    """A few texts, more or fewer copies, little noise and much."""
    found = []
    for number, copies, variance in ((2, 3, 0.01), (3, 1, 0.5), (4, 10, 0.06)):
        drawn = seeded(number)
        texts = unit_norm(torch.randn(number, 6, generator=drawn))
        draws = torch.randn(number, copies, 6, generator=drawn)
        says = f"{number} texts, {copies} copies, variance {variance}"
        found.append(Case(says, (texts, variance, draws)))
    return found


def variance_as_deviation(texts: Tensor, variance: float, draws: Tensor) -> Tensor:
    """You multiplied the draws by the variance. Their standard deviation is its square root."""
    return answer(texts, variance**2, draws)


def not_scaled_back(texts: Tensor, variance: float, draws: Tensor) -> Tensor:
    """The copies are longer than 1. CLIP's features have length 1: divide each by its length."""
    return texts[:, None] + variance**0.5 * draws


def one_noise_for_all(texts: Tensor, variance: float, draws: Tensor) -> Tensor:
    """All copies of a text have the same noise. Each copy gets its own: keep the axis of copies."""
    return answer(texts, variance, draws[:, :1].expand_as(draws))


def averaged(texts: Tensor, variance: float, draws: Tensor) -> Tensor:
    """You averaged the copies. That is the network's job: return all of them, [n, copies, d]."""
    return answer(texts, variance, draws).mean(dim=1)


def noise_scaled(texts: Tensor, variance: float, draws: Tensor) -> Tensor:
    """You scaled the noise to length 1 before adding it. Add it as it is, then scale the sum."""
    return unit_norm(texts[:, None] + variance**0.5 * unit_norm(draws))


def only_noise(texts: Tensor, variance: float, draws: Tensor) -> Tensor:
    """The text itself is missing: add the noise to it."""
    return unit_norm(variance**0.5 * draws)


def scaled_together(texts: Tensor, variance: float, draws: Tensor) -> Tensor:
    """You divided by one length, that of all copies together. Each copy has its own: take the norm
    over the last axis, with `keepdim=True`."""
    copies = not_scaled_back(texts, variance, draws)
    return copies / copies.norm()


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        variance_as_deviation,
        not_scaled_back,
        one_noise_for_all,
        averaged,
        noise_scaled,
        only_noise,
        scaled_together,
    ),
    at_home="`vizer_core.textonly.region_noise`",
)
