"""How likely a model finds the tokens of captions: the one place where logits become log p.

Rewards sum it over tokens (`vizer.information`), a policy gradient takes it token by token
(`vizer.advantages`), and its negative is the surprise of a token (`vlm.surprisal`). Only the tokens
of captions pass the LM head, padding does not. `base_kl` is how far one model's log p lies from
another's: the anchor KL(base || new) of zero-label training.

`first_word_mass` is how a model begins: the mean probability of each first word over images. Greedy
decoding shows only the likeliest first word, and the words after it follow from that one. A model
whose first word is "itap" with probability .3 and "a" with .2 writes "itap ..." under every image,
although most of its mass begins another way.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vizer_core.vlm.protocol import CaptionBatch, Prompt, VisionBatch, VisionLanguageModel


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


@torch.no_grad()
def first_word_mass(
    vlm: VisionLanguageModel, batches: Iterable[VisionBatch], *, top: int, prompt: Prompt = None
) -> dict[str, float]:
    """Return the `top` first words with their mean probability over all images, likeliest first.

    Marks without a text, such as the end mark, are left out; tokens of one text are one word.
    """
    if top < 1:
        raise ValueError(f"top is {top}: wanted at least 1 word")
    total, images = torch.zeros(1, dtype=torch.float64), 0
    for vision in batches:
        empty = vlm.tokenize([""] * len(vision))
        states = vlm.caption_states(vision, empty, prompt=prompt)[:, 0]
        mass = vlm.token_logits(states).float().softmax(dim=-1)
        total, images = total.to(mass.device) + mass.double().sum(dim=0), images + len(vision)
    if not images:
        raise ValueError("got no image: wanted at least 1 to average over")
    return _likeliest(vlm, total / images, top)


def _likeliest(vlm: VisionLanguageModel, mass: Tensor, top: int) -> dict[str, float]:
    """Name tokens from the likeliest down, a few at a time, until `top` words are found."""
    order, found = mass.argsort(descending=True), {}
    for start in range(0, len(order), 4 * top):
        places = order[start : start + 4 * top]
        for place, word in zip(places.tolist(), vlm.decode(places[:, None]), strict=True):
            if word and len(found) < top:
                found[word] = found.get(word, 0.0) + float(mass[place])
        if len(found) >= top:
            break
    return found


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
