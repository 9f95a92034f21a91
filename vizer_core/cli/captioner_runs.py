"""What `vizer train-captioner` says around the training: of few captions, and what was learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vizer_core.cli.app import say

FEW = 1_000  # captions; with fewer, what is learned is mostly a phrase or two
SHOWN = 3  # captions that are generated again when training is over


def require_captions(texts: Sequence[str], corpus: str) -> None:
    """Raise `ValueError` where there is nothing to tell apart; warn of a corpus that is small."""
    different = len(set(texts))
    if different < 2:
        raise ValueError(
            f"{corpus} has one caption, {texts[0]!r}, and a captioner learns from differences: "
            "wanted at least 2 captions, better some thousands"
        )
    if different < FEW:
        say(
            f"warning: {different} different captions are few: the captioner may say one of a few "
            "phrases, whatever the image. Better are some thousands (the papers have 500,000).",
            err=True,
        )


def show_captions(prefix_network: Any, lm: Any, pairs: Any, tokens: int) -> None:
    """Print some captions of the corpus and what the captioner generates from their features.

    No noise is added. Every process generates, since each may have a part of the model.
    """
    import torch

    from vizer_core.runtime import seeded
    from vizer_core.textonly import NoNoise, PrefixGenerator, region_noise

    different = list(dict.fromkeys(pairs.captions))
    count = min(SHOWN, len(different))
    chosen = [different[index * len(different) // count] for index in range(count)]
    rows = torch.tensor([list(pairs.captions).index(text) for text in chosen])
    inputs = region_noise(pairs.features[rows], tokens, noise=NoNoise(), generator=seeded(0))
    generated = [
        " ".join(text.split()) for text in PrefixGenerator(prefix_network, lm).generate(inputs)
    ]
    say("captions of the corpus, and what is generated from their features:")
    for text, said in zip(chosen, generated):
        say(f"  {text}  ->  {said}")
    if len(set(generated)) < len(generated):
        say(
            "warning: different captions come back alike, so the captioner reads little of what "
            "it is shown: give more captions or --epochs",
            err=True,
        )
