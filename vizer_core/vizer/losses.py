"""ViZer's losses as formulas: cosine, and in-batch contrast.

Section 3 of ViZer: L_zero = 1 - F_I . F^_T / (|F_I| |F^_T|), averaged over a batch. The prose
calls the mapper's loss contrastive and gives the same formula; `info_nce` is the contrastive
reading (van den Oord et al. 2018, equation 4, both ways as in CLIP).

=========  =====================================================================================
F^_T       `mapped`, [b, d]
F_I        `targets`, [b, d], in the space of `vizer_core.vizer.targets`
=========  =====================================================================================
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

NCE_TEMPERATURE = 0.07  # where CLIP's learned temperature starts


def cosine_loss(mapped: Float[Tensor, "b d"], targets: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """Return the mean of 1 - cos(F_I, F^_T).

    >>> cosine_loss(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor(0.5000)
    """
    _require_pairs(mapped, targets, 1)
    return (1 - functional.cosine_similarity(mapped, targets, dim=-1)).mean()


def info_nce(
    mapped: Float[Tensor, "b d"],
    targets: Float[Tensor, "b d"],
    *,
    temperature: float = NCE_TEMPERATURE,
) -> Float[Tensor, ""]:
    """Return the cross-entropy of finding the own image among the batch's, both ways.

    Pairs that all look alike score ln b.

    >>> info_nce(torch.ones(4, 3), torch.ones(4, 3))
    tensor(1.3863)
    """
    _require_pairs(mapped, targets, 2)
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: wanted more than 0")
    a, b = functional.normalize(mapped, dim=-1), functional.normalize(targets, dim=-1)
    logits = a @ b.T / temperature
    own = torch.arange(len(a), device=a.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def _require_pairs(mapped: Tensor, targets: Tensor, least: int) -> None:
    if mapped.shape != targets.shape or len(mapped) < least:
        raise ValueError(
            f"got mapped {tuple(mapped.shape)} and targets {tuple(targets.shape)}: wanted two "
            f"equal shapes with at least {least} rows"
        )
