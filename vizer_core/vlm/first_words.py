"""How a model begins its captions: the mean probability of each first word over images.

Greedy decoding shows only the likeliest first word, and the words after it follow from that one. A
model whose first word is "itap" with probability .3 and "a" with .2 generates "itap ..." under
every image, although most of its mass begins another way.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from vizer_core.vlm.protocol import Prompt, VisionBatch, VisionLanguageModel


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
    """Add the mass of all tokens of a word, then choose the `top` words.

    Every token is decoded: a word's later tokens may be less likely than other words' first ones.
    """
    order = mass.argsort(descending=True)
    found: dict[str, float] = {}
    for token, word in zip(order.tolist(), vlm.decode(order[:, None]), strict=True):
        if word:
            found[word] = found.get(word, 0.0) + float(mass[token])
    return dict(sorted(found.items(), key=lambda pair: -pair[1])[:top])
