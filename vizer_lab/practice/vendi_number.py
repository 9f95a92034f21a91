"""Chapter 16: how many different things a set of features contains."""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.metrics.vendi import vendi_score
from vizer_core.runtime import seeded
from vizer_lab.practice.task import Case, Task


def answer(features: Tensor) -> Tensor:
    """Return the Vendi score, as a tensor without axes."""
    return torch.tensor(vendi_score(features))


def cases() -> list[Case]:
    """Different features, copies among them, and features of different lengths."""
    found = [Case("three orthogonal features of lengths 1, 2 and 3", (torch.eye(3) * _lengths(3),))]
    for n, d in ((6, 4), (5, 8)):
        features = torch.randn(n, d, generator=seeded(n)) * _lengths(n)
        found.append(Case(f"{n} features of width {d}", (features,)))
    copies = torch.eye(4)[[0, 0, 0, 1, 2]]
    return [*found, Case("five features, three of them copies", (copies,))]


def _lengths(n: int) -> Tensor:
    return torch.arange(1, n + 1).float()[:, None]


def _eigenvalues(rows: Tensor) -> Tensor:
    return torch.linalg.eigvalsh((rows @ rows.T).double()).clamp(min=0)


def _units(features: Tensor) -> Tensor:
    return features / features.norm(dim=1, keepdim=True)


def _entropy(shares: Tensor) -> Tensor:
    return torch.special.entr(shares).sum()


def not_unit(features: Tensor) -> Tensor:
    """Your features keep their lengths. Divide each by its own first: a long feature is not more
    things than a short one."""
    values = _eigenvalues(features)
    return _entropy(values / values.sum()).exp().float()


def no_exponential(features: Tensor) -> Tensor:
    """You gave the entropy. Its exponential is the number of things: n orthogonal ones give n."""
    return _entropy(_eigenvalues(_units(features)) / len(features)).float()


def not_shares(features: Tensor) -> Tensor:
    """Your eigenvalues do not add up to 1. Divide the table of cosines by the number of
    features."""
    return _entropy(_eigenvalues(_units(features))).exp().float()


def rank(features: Tensor) -> Tensor:
    """You counted the eigenvalues above zero. A direction that hardly occurs must count little:
    take the entropy of their shares."""
    return (_eigenvalues(_units(features)) > 1e-6).sum().float()


def of_squares(features: Tensor) -> Tensor:
    """You gave 1 over the sum of squared shares. That is another count of different things, without
    an entropy."""
    shares = _eigenvalues(_units(features)) / len(features)
    return (1 / shares.square().sum()).float()


def in_bits(features: Tensor) -> Tensor:
    """Your entropy is in bits, by the logarithm of base 2, but `exp` wants nats: use the natural
    logarithm, or raise 2 to the entropy."""
    shares = _eigenvalues(_units(features)) / len(features)
    return (_entropy(shares) / torch.tensor(2.0).log()).exp().float()


def upside_down(features: Tensor) -> Tensor:
    """A minus sign is missing: the entropy is *minus* the sum of shares times their logarithms."""
    shares = _eigenvalues(_units(features)) / len(features)
    return (-_entropy(shares)).exp().float()


def over_width(features: Tensor) -> Tensor:
    """You divided by the width of the features. Divide by their number, n."""
    shares = _eigenvalues(_units(features)) / features.shape[1]
    return _entropy(shares).exp().float()


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        not_unit,
        no_exponential,
        not_shares,
        rank,
        of_squares,
        in_bits,
        upside_down,
        over_width,
    ),
    at_home="`vizer_core.metrics.vendi.vendi_score`",
)
