"""Decode several readings of the same images side by side: one rule sees all before it chooses.

m groups of b images go through one batch, and a rule sees the log-probabilities of every group
before it chooses. That one loop is guidance, a mean over views and diverse beams:

===========  =====================================================================================
guided       log p(w | I) + g (log p(w | I) - log p(w)) among plausible words: classifier-free
             guidance of captions (Kornblith et al. 2307.16686, whose gamma is
             1 + g here). The group that sees no image may see the mean image instead: M3ID
             (Favero et al. 2403.14003) has text alone there, and a model's text mode need not be
             one of captions. The floor of plausibility is contrastive decoding's (Li et al.
             2210.15097, section 3.3)
mean_log_p   the word of the largest mean log-probability: views of one image
diverse      groups of one beam; a word costs more for every earlier group that chose it
             (Vijayakumar et al. 1610.02424, Hamming diversity)
===========  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.vlm.protocol import VisionBatch

GUIDANCE, PLAUSIBLE, DIVERSITY = 0.5, 0.1, 1.0
Choose = Callable[[Float[Tensor, "m b v"]], Int[Tensor, "m b"]]


def guided(
    log_p: Float[Tensor, "m b v"], *, strength: float = GUIDANCE, plausible: float = PLAUSIBLE
) -> Int[Tensor, "m b"]:
    """Choose by what the image adds, among words that are plausible with it.

    The first group sees the image, the second does not; both go on with one word. A word is
    plausible if it has at least the share `plausible` of the likeliest one's probability.

    >>> log_p = torch.tensor([[[0.5, 0.4, 0.1]], [[0.8, 0.1, 0.1]]]).log()
    >>> guided(log_p, strength=0.0).tolist(), guided(log_p, strength=1.0).tolist()
    ([[0], [0]], [[1], [1]])
    """
    if len(log_p) != 2:
        raise ValueError(f"got {len(log_p)} groups: wanted 2, with the image and without")
    own, free = log_p
    scores = own + strength * (own - free)
    # in a tensor's float32, as the recorded studies had it
    least = own.amax(dim=-1, keepdim=True) + torch.tensor(plausible).log()
    return scores.masked_fill(own < least, float("-inf")).argmax(dim=-1).expand(2, -1)


def mean_log_p(log_p: Float[Tensor, "m b v"]) -> Int[Tensor, "m b"]:
    """Choose the word of the largest mean log-probability over groups: views of one image.

    >>> mean_log_p(torch.tensor([[[0.5, 0.5]], [[0.1, 0.9]]]).log()).tolist()
    [[1], [1]]
    """
    return log_p.mean(dim=0).argmax(dim=-1).expand(len(log_p), -1)


def diverse(log_p: Float[Tensor, "m b v"]) -> Int[Tensor, "m b"]:
    """Choose a word a group, each dearer by `DIVERSITY` for every earlier group that chose it.

    >>> diverse(torch.tensor([[[0.6, 0.4]], [[0.6, 0.4]]]).log()).tolist()
    [[0], [1]]
    """
    taken, chosen = torch.zeros_like(log_p[0]), []
    for group in log_p:
        best = (group - DIVERSITY * taken).argmax(dim=-1)
        taken.scatter_add_(1, best[:, None], torch.ones_like(best[:, None], dtype=taken.dtype))
        chosen.append(best)
    return torch.stack(chosen)


def mean_image(vision: VisionBatch) -> VisionBatch:
    """Return as many copies of the mean image as there are images: what the model sees of none.

    Raises `ValueError` where the images have different numbers of embeddings, which have no mean.
    """
    shapes = {tuple(each.shape) for each in vision.image_embeddings}
    if len(shapes) != 1:
        raise ValueError(
            f"image embeddings of shapes {sorted(shapes)}: wanted one shape for a mean"
        )
    mean = torch.stack(list(vision.image_embeddings)).mean(dim=0)
    return VisionBatch(vision.image_features, (mean,) * len(vision), vision.grid)


@torch.no_grad()
def decode_together(
    vlm: Any,
    groups: Sequence[VisionBatch],
    choose: Choose,
    *,
    prompt: str | None = None,
    max_tokens: int = 24,
) -> list[list[str]]:
    """Decode m groups of the same b images side by side; `choose` sees all their log p at once.

    Returns m lists of b captions. No group waits for another's end: what ended gets padding.
    """
    sizes = {len(group) for group in groups}
    if len(sizes) != 1:
        raise ValueError(f"groups of {sorted(sizes)} images: wanted at least one, all of one size")
    prefix = vlm.prefix(VisionBatch.concatenate(list(groups)), prompt=prompt)
    cache, mask = vlm.new_cache(), prefix.mask
    states = vlm.run_text(prefix.embeddings, mask, prefix.positions, cache)[:, -1]
    follow = prefix.next_positions(max_tokens)
    m, b = len(groups), len(groups[0])
    generated = torch.full((m * b, max_tokens), vlm.tokens.pad, dtype=torch.long)
    done, ends = torch.zeros(m * b, dtype=torch.bool), torch.tensor(vlm.tokens.eos_ids)
    for step in range(max_tokens):
        log_p = vlm.token_logits(states).float().log_softmax(dim=-1).cpu()
        log_p[:, vlm.image_token_id] = float("-inf")
        chosen = choose(log_p.reshape(m, b, -1)).flatten().masked_fill(done, vlm.tokens.pad)
        generated[:, step] = chosen
        done |= torch.isin(chosen, ends)
        if bool(done.all()):
            break
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        now = follow[:, step : step + 1]
        embedded = vlm.embed(chosen[:, None].to(mask.device))
        states = vlm.run_text(embedded, mask, now, cache)[:, -1]
    texts = list(vlm.decode(generated))
    return [texts[start : start + b] for start in range(0, m * b, b)]
