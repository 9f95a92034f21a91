"""How likely a model finds the tokens of captions: the one place where logits become log p.

Rewards sum it over tokens (`vizer.listener`), a policy gradient takes it token by token
(`vizer.advantages`), and its negative is the surprise of a token (`vlm.surprise`). Only the tokens
of captions pass the LM head, padding does not. `base_kl` is how far one model's log p lies from
another's: the anchor KL(base || new) of zero-label training.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vizer_core.vlm.protocol import CaptionBatch, VisionLanguageModel


def log_probs_of(
    logits: Float[Tensor, "m v"], captions: CaptionBatch, *, temperature: float = 1.0
) -> Float[Tensor, "b t"]:
    """Return log p of each caption token from the m logits that predict them; 0 at padding.

    Divide by the temperature that the captions were drawn at.

    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> captions = CaptionBatch(torch.tensor([[0, 1], [1, 0]]), mask, ("a cat", "a"))
    >>> log_probs_of(torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.5, 0.5]]).log(), captions).exp()
    tensor([[0.5000, 0.8000],
            [0.5000, 1.0000]])
    """
    mask = captions.mask.to(logits.device)
    chosen = captions.ids[captions.mask].to(logits.device)[:, None]
    if len(logits) != len(chosen):
        raise ValueError(
            f"{len(logits)} rows of logits for {len(chosen)} caption tokens: wanted one a token, "
            "padding left out"
        )
    scaled = logits.float() if temperature == 1 else logits.float() / temperature
    picked = scaled.gather(1, chosen)[:, 0] - scaled.logsumexp(dim=1)
    return torch.zeros(mask.shape, device=mask.device).masked_scatter(mask, picked)


def token_log_probs(
    vlm: VisionLanguageModel, states: Float[Tensor, "b t1 h"], captions: CaptionBatch
) -> Float[Tensor, "b t"]:
    """Return log p of each caption token from the captions' states; 0 at padding."""
    return log_probs_of(vlm.token_logits(states[:, :-1][captions.mask.to(states.device)]), captions)


def base_kl(
    base_logits: Float[Tensor, "m v"], new_logits: Float[Tensor, "m v"]
) -> Float[Tensor, ""]:
    """Return KL(base || new) in nats, averaged over m token positions.

    >>> base = torch.tensor([[0.5, 0.5]]).log()
    >>> base_kl(base, torch.tensor([[0.25, 0.75]]).log())
    tensor(0.1438)
    """
    if base_logits.shape != new_logits.shape or not len(base_logits):
        raise ValueError(
            f"got base logits {tuple(base_logits.shape)} and new logits {tuple(new_logits.shape)}: "
            "wanted two equal shapes with at least one position"
        )
    base = base_logits.float().log_softmax(dim=-1)
    new = new_logits.float().log_softmax(dim=-1)
    return functional.kl_div(new, base, log_target=True, reduction="batchmean")
