"""Has a mapper learned the images, or one vector that is a little like all of them?

ViZer's loss is 1 - cos(F_I, M(f_psi(.))) (section 3). Mean-pooled image features share a large
common part: with F = m + e, where m is common and carries a share rho of the energy, the answer m
to every question scores a cosine of about sqrt(rho). So a cosine is never read alone: beside it
stand what a constant scores, how many directions the mapped features use, and how often a mapped
feature finds its own image in its batch.

=================  ==============================================================================
F_I                `targets`, [n, d]
F^_T               `mapped`, [n, d]: the mapper's answer for text i
effective rank     exp of the entropy of the singular values' shares (Roy and Vetterli 2007,
                   section 2), of the *centred* features: a common part is not a direction
=================  ==============================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vizer_core.metrics.self_retrieval import self_retrieval_hits

SPREAD = 0.25  # share of the targets' effective rank below which a mapper counts as collapsed


@dataclass(frozen=True)
class Collapse:
    """How a mapper's answers stand beside those of a constant, over n pairs."""

    n: int
    cosine: float
    constant_cosine: float  # what the mean of the targets scores against each target
    effective_rank: float
    target_effective_rank: float
    pairwise_cosine: float  # mean over different pairs: near 1 when all answers are one
    target_pairwise_cosine: float
    retrieval_r1: float

    @property
    def collapsed(self) -> bool:
        """True where the answers use a quarter of the targets' directions, or fewer."""
        return self.effective_rank <= SPREAD * self.target_effective_rank

    @property
    def beyond_constant(self) -> float:
        """Cosine gained over the constant answer: what the text was needed for."""
        return self.cosine - self.constant_cosine


def _require_pairs(a: Tensor, b: Tensor, least: int = 2) -> None:
    if a.shape != b.shape or len(a) < least:
        raise ValueError(
            f"got features {tuple(a.shape)} and {tuple(b.shape)}: wanted two equal shapes with at "
            f"least {least} rows"
        )


def constant_cosine(targets: Float[Tensor, "n d"]) -> float:
    """Return the mean cosine of targets with their own mean direction.

    >>> round(constant_cosine(torch.tensor([[1.0, 1.0], [1.0, -1.0]])), 4)
    0.7071
    >>> constant_cosine(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))  # centred: nothing in common
    0.0
    """
    directions = functional.normalize(targets.float(), dim=-1)
    centre = directions.mean(dim=0)
    return float(functional.cosine_similarity(directions, centre[None], dim=-1).mean())


def mean_pairwise_cosine(features: Float[Tensor, "n d"]) -> float:
    """Return the mean cosine over all pairs of different rows, in O(n d).

    The sum over all pairs is |sum of unit vectors|^2; the n pairs of a row with itself come off.

    >>> mean_pairwise_cosine(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])) * 3
    1.0
    """
    if len(features) < 2:
        raise ValueError(f"got {len(features)} features: wanted at least 2 for a pair")
    directions = functional.normalize(features.double(), dim=-1)
    n = len(directions)
    own = float(directions.square().sum())  # zero vectors have no direction and count as 0
    return (float(directions.sum(dim=0).square().sum()) - own) / (n * (n - 1))


def effective_rank(features: Float[Tensor, "n d"]) -> float:
    """Return how many directions centred features spread over: 1 for a line, d for a ball.

    >>> corners = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> round(effective_rank(corners), 4), round(effective_rank(corners * torch.eye(2)[0]), 4)
    (2.0, 1.0)
    """
    centred = features.double() - features.double().mean(dim=0)
    values = torch.linalg.svdvals(centred)
    total = values.sum()
    if float(total) <= 1e-9 * max(1.0, float(features.double().norm())):
        return 0.0  # all rows are one
    shares = values / total
    shares = shares[shares > 0]
    return float((-(shares * shares.log()).sum()).exp())


def measure_collapse(mapped: Float[Tensor, "n d"], targets: Float[Tensor, "m w"]) -> Collapse:
    """Measure a mapper's answers against their images and against a constant.

    R@1 is among these n images, ties counted against the text; so state n beside it.

    >>> eye = torch.eye(4)
    >>> report = measure_collapse(eye, eye)
    >>> report.cosine, report.retrieval_r1, report.collapsed
    (1.0, 1.0, False)
    """
    _require_pairs(mapped, targets)
    mapped, targets = mapped.detach().float(), targets.detach().float()
    return Collapse(
        n=len(mapped),
        cosine=float(functional.cosine_similarity(mapped, targets, dim=-1).mean()),
        constant_cosine=constant_cosine(targets),
        effective_rank=effective_rank(mapped),
        target_effective_rank=effective_rank(targets),
        pairwise_cosine=mean_pairwise_cosine(mapped),
        target_pairwise_cosine=mean_pairwise_cosine(targets),
        retrieval_r1=float(self_retrieval_hits(targets, mapped).float().mean()),
    )
