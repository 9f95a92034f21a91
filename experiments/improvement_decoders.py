"""Decoders that train nothing: every one begins with the word that was chosen without labels.

=====================  ===========================================================================
base                   greedy, as the model is
first_word             greedy after the chosen first word
beam                   beam search, width 4
guidance               log p(w | I) + g (log p(w | I) - log p(w | mean image)), among words that
                       have at least a tenth of the likeliest one's probability: the image-free
                       branch of M3ID (Favero et al. 2024), plausibility as in contrastive
                       decoding (Li et al. 2022), but the branch is the mean over other images,
                       since a text mode need not exist
mbr                    of 8 captions drawn at T = .7, the one that agrees best with the others
best_of_n_information  of the same 8, the one of most information: log p(y | I) - w log p(y),
                       p(y) the mean over other images
diverse_beam           4 groups of one beam each, a word costs 1 for each earlier group that said it
                       (Vijayakumar et al. 2016); the one of most information
=====================  ===========================================================================

Each takes any `VisionBatch`, so that each runs on the mean of five views as well: `_views`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from experiments.improvement_world import MAX_TOKENS
from vizer_core.decoding import Beam, Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.vizer.agreement import agreement, word_weights
from vizer_core.vizer.best_of_n import best_index
from vizer_core.vizer.generate_captions import (
    generate_captions,
    sample_captions,
    vision_batches,
)
from vizer_core.vizer.policy_gradient import Reward, group_rewards
from vizer_core.vlm import VisionBatch
from vizer_core.vlm.side_by_side import (
    Choose,
    decode_together,
    diverse,
    guided,
    mean_image,
    mean_log_p,
)

DECODERS = (
    *("base", "first_word", "beam", "guidance", "mbr", "best_of_n_information"),
    "diverse_beam",
)
DRAWN, COOL = 8, 0.7
GROUPS = 4
BATCH = 64


def prompt_of(vlm: Any, word: str) -> str:
    """Return the prompt that ends in a caption's first word."""
    return f"{vlm.default_prompt} {word}" if word else vlm.default_prompt


def with_word(word: str, texts: Sequence[str]) -> list[str]:
    """Put a word that the prompt gave before the texts that followed it.

    >>> with_word("a", ["cat"]), with_word("", ["a cat"])
    (['a cat'], ['a cat'])
    """
    return [f"{word} {text}".strip() for text in texts]


def greedy(vlm: Any, vision: VisionBatch, word: str) -> list[str]:
    """Caption greedily after a word."""
    return with_word(
        word,
        generate_captions(vlm, vision, decoding=Greedy(MAX_TOKENS), prompt=prompt_of(vlm, word)),
    )


def drawn(
    vlm: Any, vision: VisionBatch, word: str, *, temperature: float, samples: int = 1, seed: int = 0
) -> list[list[str]]:
    """Draw `samples` captions an image after a word."""
    rows = sample_captions(
        vlm,
        vision,
        samples=samples,
        generator=seeded(5000 + seed),
        decoding=Sample(temperature=temperature, max_tokens=MAX_TOKENS),
        prompt=prompt_of(vlm, word),
    )
    return [with_word(word, row) for row in rows]


def beam(vlm: Any, vision: VisionBatch, word: str) -> list[str]:
    """Search by beam after a word."""
    return with_word(
        word,
        generate_captions(
            vlm, vision, decoding=Beam(4, max_tokens=MAX_TOKENS), prompt=prompt_of(vlm, word)
        ),
    )


def stepwise(
    vlm: Any, groups: Sequence[VisionBatch], choose: Choose, *, word: str
) -> list[list[str]]:
    """Decode m groups of the same b images side by side after a word: m lists of b captions."""
    texts = decode_together(vlm, groups, choose, prompt=prompt_of(vlm, word), max_tokens=MAX_TOKENS)
    return [with_word(word, row) for row in texts]


def guidance(vlm: Any, vision: VisionBatch, word: str) -> list[str]:
    """Caption greedily by what the image adds; the image-free branch sees the mean image."""
    free, texts = mean_image(vision), []
    for start in range(0, len(vision), BATCH):
        rows = range(start, min(start + BATCH, len(vision)))
        texts += stepwise(vlm, [vision.select(rows), free.select(rows)], guided, word=word)[0]
    return texts


def mean_over_views(vlm: Any, views: Sequence[VisionBatch], word: str) -> list[str]:
    """Caption greedily by the mean log-probability over views: a decode a view."""
    texts: list[str] = []
    for start in range(0, len(views[0]), BATCH):
        rows = range(start, min(start + BATCH, len(views[0])))
        texts += stepwise(vlm, [view.select(rows) for view in views], mean_log_p, word=word)[0]
    return texts


def mbr(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return of each image's captions the one that agrees best with the others.

    >>> mbr([["a cat", "a dog and a cat", "a dog"], ["a mat", "a mat", "a hat"]])
    ['a dog and a cat', 'a mat']
    """
    weights = word_weights([text for row in rows for text in row])
    best = agreement(rows, weights=weights).argmax(dim=1).tolist()
    return [row[index] for row, index in zip(rows, best, strict=True)]


def ranked(
    vlm: Any, vision: VisionBatch, rows: Sequence[Sequence[str]], reward: Reward
) -> tuple[list[str], Float[Tensor, "b n"]]:
    """Return of each image's captions the one that a reward likes best, and all scores."""
    scores, n = [], len(rows[0])
    for start, some in zip(range(0, len(vision), BATCH), vision_batches(vision, batch=BATCH)):
        captions = vlm.tokenize([text for row in rows[start : start + len(some)] for text in row])
        scores.append(group_rewards(reward, some, captions))
    every = torch.cat(scores)
    best = best_index(every, of=n).tolist()
    return [row[index] for row, index in zip(rows, best, strict=True)], every


def diverse_rows(vlm: Any, vision: VisionBatch, word: str) -> list[list[str]]:
    """Return `GROUPS` captions an image, unlike one another."""
    rows: list[list[str]] = []
    for start in range(0, len(vision), BATCH // 2):
        some = vision.select(range(start, min(start + BATCH // 2, len(vision))))
        groups = stepwise(vlm, [some] * GROUPS, diverse, word=word)
        rows += [list(row) for row in zip(*groups, strict=True)]
    return rows


def decode(
    system: str, vlm: Any, vision: VisionBatch, word: str, *, reward: Reward, seed: int = 0
) -> list[str]:
    """Caption by the name of a decoder; `reward` ranks where several captions are made."""
    if system == "base":
        return greedy(vlm, vision, "")
    if system == "first_word":
        return greedy(vlm, vision, word)
    if system == "beam":
        return beam(vlm, vision, word)
    if system == "guidance":
        return guidance(vlm, vision, word)
    if system in ("mbr", "best_of_n_information"):
        rows = drawn(vlm, vision, word, temperature=COOL, samples=DRAWN, seed=seed)
        return mbr(rows) if system == "mbr" else ranked(vlm, vision, rows, reward)[0]
    if system == "diverse_beam":
        return ranked(vlm, vision, diverse_rows(vlm, vision, word), reward)[0]
    raise ValueError(f"no decoder {system!r}: wanted one of {', '.join(DECODERS)}")
