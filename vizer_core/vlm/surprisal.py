"""How much of what a model generates depends on the image, in nats per token.

The surprisal of token j is -log p(w_j | w_<j, what the model sees). Read a caption three times,
with its own image, with another's and with none, and compare. For captions drawn at T = 1 the mean
surprisal with another image minus that with the right one estimates KL(p(.|I) || p(.|I')) a token:
0 where the image decides nothing. For captions of people it says how much the image helped to
foresee their words.

A sum over the tokens of one kind, divided by their number, is a rate over images; so it is given
as `Statistics`, which `metrics.stats.bootstrap` resamples by image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.metrics.stats import Statistics, rate_statistics
from vizer_core.vlm.language_side import token_log_probs
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel
from vizer_core.vlm.word_kinds import MARKS

BATCH = 64
FIRST, END = "first word", "end"

Words = tuple[tuple[str, ...], ...]


@torch.no_grad()
def surprisal_with_image(
    vlm: VisionLanguageModel, vision: VisionBatch, captions: CaptionBatch
) -> Float[Tensor, "b t"]:
    """Return -log p of each caption token after its image and prompt; 0 at padding."""
    if len(vision) != len(captions):
        raise ValueError(f"{len(captions)} captions for {len(vision)} images: wanted one per image")
    rows = []
    for indices in _batches(len(captions)):
        some = captions.select(indices)
        rows.append(-token_log_probs(vlm, vlm.caption_states(vision.select(indices), some), some))
    return torch.cat(rows)


@torch.no_grad()
def surprisal_without_image(
    vlm: VisionLanguageModel, captions: CaptionBatch
) -> Float[Tensor, "b t"]:
    """Return -log p of each caption token read as text alone; 0 at padding."""
    rows = []
    for indices in _batches(len(captions)):
        some = captions.select(indices)
        rows.append(-token_log_probs(vlm, vlm.text_states(some), some))
    return torch.cat(rows)


def words_of(vlm: VisionLanguageModel, captions: CaptionBatch) -> Words:
    """Return the word that each token of each caption ends in; the end mark's word is empty.

    Tokens that split a word share it; a mark (",") is a word of its own. Padding is left out.
    """
    return tuple(
        _words_of_row(vlm, ids[mask]) for ids, mask in zip(captions.ids, captions.mask, strict=True)
    )


def nats_by_kind(
    surprisal: Float[Tensor, "b t"], words: Words, kind_of: Callable[[str], str]
) -> dict[str, Statistics]:
    """Return the surprisal per token of each kind of word, and of all tokens.

    A caption's first word and its end mark are kinds of their own: the first decides the style.

    >>> from vizer_core.vlm.word_kinds import plain_word_kind
    >>> nats = torch.tensor([[1.0, 2.0, 0.5], [3.0, 0.5, 0.0]])
    >>> found = nats_by_kind(nats, (("a", "dog", ""), ("a", "")), plain_word_kind)
    >>> {kind: value.score for kind, value in found.items()}
    {'all tokens': 1.4, 'end': 0.5, 'first word': 2.0, 'content word': 2.0}
    """
    if len(surprisal) != len(words):
        raise ValueError(f"got {len(surprisal)} rows of surprisal for {len(words)} captions")
    kinds = [[_kind(index, word, kind_of) for index, word in enumerate(row)] for row in words]
    names = ["all tokens", *sorted({kind for row in kinds for kind in row}, key=_order)]
    found = {}
    for name in names:
        chosen = np.zeros(tuple(surprisal.shape))
        for row, mine in enumerate(kinds):
            chosen[row, : len(mine)] = [name in (names[0], kind) for kind in mine]
        sums = (chosen * surprisal.double().cpu().numpy()).sum(axis=1)
        found[name] = rate_statistics(sums, chosen.sum(axis=1))
    return found


def _kind(index: int, word: str, kind_of: Callable[[str], str]) -> str:
    if not word:
        return END
    return FIRST if index == 0 else kind_of(word)


def _order(kind: str) -> tuple[int, str]:
    return (kind not in (FIRST, END), kind)


def _words_of_row(vlm: VisionLanguageModel, ids: Tensor) -> tuple[str, ...]:
    width, end = len(ids), int(vlm.tokenize([""]).ids[0, 0])
    starts = [ids[: n + 1].tolist() + [end] * (width - n - 1) for n in range(width)]
    texts = vlm.decode(torch.tensor(starts))
    found, before = [], ""
    for text in texts:
        rest = texts[-1][len(text) :].split(" ")[0]  # of a word that is cut here
        new, word = text[len(before) :].strip(), text.split(" ")[-1] + rest
        if not new.strip(MARKS):  # a mark; or the end mark, which has no text
            word = new
        found.append(word if word == new else word.rstrip(MARKS))
        before = text
    return tuple(found)


def _batches(count: int) -> list[Sequence[int]]:
    if not count:
        raise ValueError("no captions to read: got an empty batch")
    return [range(first, min(first + BATCH, count)) for first in range(0, count, BATCH)]
