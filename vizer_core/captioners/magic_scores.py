"""MAGIC's three terms, as functions of what the models said about k candidates.

Su et al. 2022 (MAGIC), section 3.2, equations 3 to 5; the first two terms are contrastive search
(Su et al. 2022, SimCTG, section 3.2):

    score(v) = (1 - alpha) p(v | x) - alpha max_j cos(h_v, h_j) + beta f(v | I, x)
    f(v | I, x) = softmax over the k candidates of logit_scale cos(I, text of x and v)

symbol -> name: p -> probabilities; max_j cos(h_v, h_j) -> penalty; f -> magic.

The language model of MAGIC was tuned with SimCTG's loss, which pushes the states of different
tokens apart so that the penalty means something: `simctg_contrast`.

Where we differ: the states h_j run over BOS and the prompt too, as in the release.
"""

from __future__ import annotations

import torch
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

SIMCTG_MARGIN = 0.5  # rho of SimCTG, section 4.1


def degeneration_penalty(
    candidate_states: Float[Tensor, "b k h"], past_states: Float[Tensor, "b t h"]
) -> Float[Tensor, "b k"]:
    """Return each candidate's greatest cosine with a state before it.

    >>> past = torch.tensor([[[1.0, 0.0]]])
    >>> degeneration_penalty(torch.tensor([[[2.0, 0.0], [0.0, 3.0]]]), past)
    tensor([[1., 0.]])
    """
    if past_states.shape[1] == 0:
        raise ValueError("got no states before the candidates: wanted at least that of BOS")
    candidates, past = normalize(candidate_states, dim=-1), normalize(past_states, dim=-1)
    return einsum(candidates, past, "b k h, b t h -> b k t").amax(dim=-1)


def magic_term(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b k d"],
    *,
    logit_scale: float,
) -> Float[Tensor, "b k"]:
    """Return f: how the image shares its preference out among k continuations; rows sum to 1.

    >>> texts = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    >>> magic_term(torch.tensor([[1.0, 0.0]]), texts, logit_scale=100.0)
    tensor([[0.5000, 0.5000]])
    """
    cosines = einsum(image_features.float(), text_features.float(), "b d, b k d -> b k")
    return (logit_scale * cosines).softmax(dim=-1)


def simctg_contrast(
    states: Float[Tensor, "b t h"], mask: Bool[Tensor, "b t"], *, margin: float = SIMCTG_MARGIN
) -> Float[Tensor, ""]:
    """Return SimCTG's loss: states of different tokens of a text should not be alike.

    The mean over i != j of max(0, margin - 1 + cos(h_i, h_j)) (equation 2), over the real tokens
    of each text, then over texts. Add it to the usual cross-entropy.

    >>> simctg_contrast(torch.ones(1, 3, 2), torch.ones(1, 3, dtype=torch.bool))
    tensor(0.5000)
    """
    lengths = mask.sum(dim=1)
    if int(lengths.min()) < 2:
        raise ValueError(
            f"a text of {int(lengths.min())} tokens has no pair of them: wanted at least 2 in each"
        )
    directions = normalize(states, dim=-1)
    cosines = einsum(directions, directions, "b i h, b j h -> b i j")
    pairs = (
        mask[:, :, None]
        & mask[:, None, :]
        & ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    )
    over = ((margin - 1 + cosines).clamp(min=0) * pairs).sum(dim=(1, 2))
    return (over / (lengths * (lengths - 1))).mean()
