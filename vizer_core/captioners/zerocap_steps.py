"""ZeroCap's arithmetic: the loss on a shifted distribution, the step, and the fusion.

Tewel et al. 2022 (ZeroCap), section 3, equations 3 to 6. At each word the language model's cached
keys and values get an offset delta, found by a few steps down the gradient of

    L = CE(softmax_v(cos(I, x + v) / tau), p) + lambda KL(p || p_plain),

    delta <- delta - alpha g / |g|^.9      (g: the gradient, a norm for each row and tensor)

and the next word is drawn from p^a p_plain^(1 - a), scaled to sum 1.

symbol -> name: tau -> clip_temperature; lambda -> fluency; alpha -> step; a -> fusion.

Where we differ: CLIP reads the candidates once a word, for the words that are likeliest before any
step; the release reads them again at every step, for the words likeliest by then.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

TINY = 1e-15  # keeps 0 / 0 out of a step without gradient


def clip_target(
    cosines: Float[Tensor, "b k"],
    candidates: Int[Tensor, "b k"],
    *,
    vocabulary: int,
    temperature: float,
) -> Float[Tensor, "b v"]:
    """Spread CLIP's preference among the candidates over the vocabulary; other words get 0.

    >>> clip_target(torch.zeros(1, 2), torch.tensor([[2, 0]]), vocabulary=3, temperature=0.01)
    tensor([[0.5000, 0.0000, 0.5000]])
    """
    target = torch.zeros(len(cosines), vocabulary, device=cosines.device)
    return target.scatter(1, candidates, (cosines.float() / temperature).softmax(dim=-1))


def zerocap_loss(
    logits: Float[Tensor, "b v"],
    plain_logits: Float[Tensor, "b v"],
    target: Float[Tensor, "b v"],
    *,
    fluency: float,
) -> Float[Tensor, " b"]:
    """Return each row's loss: cross-entropy to CLIP's target plus `fluency` times KL to the LM.

    >>> even = torch.zeros(1, 2)
    >>> zerocap_loss(even, even, torch.tensor([[1.0, 0.0]]), fluency=0.2)
    tensor([0.6931])
    """
    log_p, log_plain = logits.log_softmax(dim=-1), plain_logits.log_softmax(dim=-1)
    guidance = -(target * log_p).sum(dim=-1)
    drift = (log_p.exp() * (log_p - log_plain)).sum(dim=-1)
    return guidance + fluency * drift


def offset_step(
    gradient: Float[Tensor, "b heads t e"], *, size: float, norm_power: float
) -> Float[Tensor, "b heads t e"]:
    """Return what to take from an offset: `size` times the gradient over a power of its norm.

    >>> offset_step(torch.tensor([[[[3.0, 4.0]]]]), size=0.5, norm_power=1.0)
    tensor([[[[0.3000, 0.4000]]]])
    """
    norms = gradient.flatten(1).norm(dim=1) + TINY
    return size * gradient / norms[:, None, None, None] ** norm_power


def fuse(
    logits: Float[Tensor, "b v"], plain_logits: Float[Tensor, "b v"], *, fusion: float
) -> Float[Tensor, "b v"]:
    """Return log p for p proportional to p_shifted^fusion p_plain^(1 - fusion).

    >>> fuse(torch.tensor([[0.0, 9.0]]), torch.tensor([[0.0, 0.0]]), fusion=0.0).exp()
    tensor([[0.5000, 0.5000]])
    """
    shifted, plain = logits.log_softmax(dim=-1), plain_logits.log_softmax(dim=-1)
    return (fusion * shifted + (1 - fusion) * plain).log_softmax(dim=-1)
