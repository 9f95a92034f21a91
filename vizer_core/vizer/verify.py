"""Check captions statement by statement, and write them anew from what was accepted: no training.

Four published systems are one loop with four judges. Some captions of an image are cut into
statements (`phrases`), each statement gets a score, and a caption is rewritten from those that
score enough.

===================  =============================================================================
vote_scores          the share of an image's captions that speak of it: captions of crops merged by
                     agreement (Patch Matters, Peng et al. 2504.06666), candidates
                     fused (Bianco et al. 2306.11593)
information_scores   log p(statement | I) less its prior, by the model that wrote it: ScaleCap's
                     contrastive rating of sentences (Xing et al. 2506.19848). A
                     statement that is as likely without the image is a habit of language
rank_scores          how the statement ranks this image among others by CLIP's cosine: propose,
                     verify, rewrite (VisualFactChecker, Ge et al. 2404.19752, which asks
                     a detector or a model that answers questions)
known_statements     the share of a model's own samples that speak of it, asked of a *human*
                     caption: what the model cannot know is dropped before it is trained on it
                     (KnowAda, Yanuka et al. 2411.09018)
===================  =============================================================================

Where we differ: the papers cut, ask and join with a large language model. Here cutting and joining
are rules, so a caption stays a list; and all judges read images that nobody labelled.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import replace
from math import log
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.metrics.phrases import (
    head_of,
    heads_of,
    is_place,
    join_phrases,
    parts_of,
    phrases_of,
    rewrite,
    statements_of,
)
from vizer_core.vizer.information import log_likelihood
from vizer_core.vlm.protocol import VisionBatch, VisionLanguageModel

Rows: TypeAlias = Sequence[Sequence[str]]  # captions per image
Scores: TypeAlias = list[dict[str, float]]  # by image: every statement with its score
BATCH = 256  # statements scored at once


def vote_scores(rows: Rows, voters: Rows | None = None) -> Scores:
    """Return the share of an image's captions that speak of all that a statement speaks of.

    `voters` are other captions of the same images than those that are cut into statements. Places
    are not put to the vote, since one place has many wordings: they score 1.

    >>> vote_scores([["a cat and a dog", "a cat"]])
    [{'a cat': 1.0, 'a dog': 0.5}]
    """
    voters = rows if voters is None else voters
    _require_rows(rows, voters)
    found: Scores = []
    for row, votes in zip(rows, voters, strict=True):
        said = [heads_of(caption) for caption in votes]
        found.append(
            {
                statement: 1.0 if is_place(statement) else _share(statement, said)
                for statement in statements_of(row)
            }
        )
    return found


def _share(statement: str, said: Sequence[frozenset[str]]) -> float:
    about = {head_of(part) for part in parts_of(statement)}
    return sum(about <= heads for heads in said) / len(said)


@torch.no_grad()
def information_scores(
    vlm: VisionLanguageModel, vision: VisionBatch, rows: Rows, *, others: int = 4
) -> Scores:
    """Return log p(statement | I) less the log of its mean over `others` other images of the batch.

    A statement is scored as the beginning of a caption: the end mark is not scored.
    """
    _require_rows(rows, [[text] for text in vision.grid])
    if len(vision) < 2 or others < 1:
        raise ValueError(
            f"{len(vision)} images and {others} others: a prior wants at least 2 images and 1 other"
        )
    pairs = [(i, said) for i, row in enumerate(rows) for said in statements_of(row)]
    steps = range(min(others, len(vision) - 1) + 1)
    tables = [
        torch.cat(
            [
                _beginnings(vlm, vision, [((i + step) % len(vision), said) for i, said in some])
                for some in _batches(pairs)
            ]
        )
        for step in steps
    ]
    prior = torch.stack(tables[1:]).logsumexp(dim=0) - log(len(tables) - 1)
    return _by_image(pairs, (tables[0] - prior).tolist(), len(rows))


def rank_scores(
    encoder: ImageTextEncoder, image_features: Float[Tensor, "n d"], rows: Rows
) -> Scores:
    """Return the share of the other images that a statement's cosine is lower with.

    1 means that no other image fits better. What is true of half of the images ranks one of them at
    .75 on average, so a bar near 1 forgets what is common.
    """
    _require_rows(rows, image_features)
    if len(image_features) < 2:
        raise ValueError("got 1 image: wanted at least 2, a rank is one among others")
    pairs = [(i, said) for i, row in enumerate(rows) for said in statements_of(row)]
    different = list(dict.fromkeys(said for _, said in pairs))
    cosines = image_features @ encoder.encode_text(different).to(image_features).T
    below = cosines.argsort(dim=0).argsort(dim=0).float() / (len(image_features) - 1)
    column = {said: k for k, said in enumerate(different)}
    return _by_image(pairs, [float(below[i, column[said]]) for i, said in pairs], len(rows))


def rewritten(
    captions: Sequence[str], scores: Scores, *, least: float, add: bool = True
) -> list[str]:
    """Write each image's caption anew: what scores at least `least` stays, the best is added.

    Without `add` statements are only dropped.

    >>> rewritten(["a cat under a hat"], [{"a cat": 1.0, "a hat": 0.1, "two dogs": 0.9}], least=0.5)
    ['a cat and two dogs']
    """
    if len(captions) != len(scores):
        raise ValueError(
            f"{len(captions)} captions, scores of {len(scores)} images: wanted as many"
        )
    texts = []
    for caption, own in zip(captions, scores, strict=True):
        accepted = {said: score for said, score in own.items() if score >= least}
        single = [said for said in accepted if add and parts_of(said) == (said,)]
        texts.append(rewrite(caption, sorted(single, key=lambda s: -accepted[s]), accepted))
    return texts


def known_statements(captions: Sequence[str], samples: Rows, *, least: float) -> list[str]:
    """Drop from each caption what fewer than `least` of the model's samples speak of.

    A caption of which nothing is left stays as it is.

    >>> known_statements(["a cat and a newt"], [["a cat", "a cat in the snow"]], least=0.5)
    ['a cat']
    """
    kept = []
    scores = vote_scores([[caption] for caption in captions], samples)
    for caption, own in zip(captions, scores, strict=True):
        whole = [p for p in phrases_of(caption) if own[p] >= least]
        kept.append(join_phrases(whole) if whole else caption)
    return kept


def _beginnings(
    vlm: VisionLanguageModel, vision: VisionBatch, pairs: Sequence[tuple[int, str]]
) -> Float[Tensor, " m"]:
    """Return log p of each statement as a caption's first words, under the image it comes with."""
    captions = vlm.tokenize([said for _, said in pairs])
    ends = torch.isin(captions.ids, torch.tensor(vlm.tokens.eos_ids).to(captions.ids))
    open_end = replace(captions, mask=captions.mask & ~ends)
    return log_likelihood(vlm, vision.select([i for i, _ in pairs]), open_end)


def _batches(pairs: Sequence[tuple[int, str]]) -> list[Sequence[tuple[int, str]]]:
    return [pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH)]


def _by_image(pairs: Sequence[tuple[int, str]], values: Sequence[float], n: int) -> Scores:
    found: Scores = [{} for _ in range(n)]
    for (i, said), value in zip(pairs, values, strict=True):
        found[i][said] = value
    return found


def _require_rows(rows: Sequence, others: Sized) -> None:
    if len(rows) != len(others) or not rows or not all(len(row) for row in rows):
        raise ValueError(
            f"captions of {len(rows)} images for {len(others)}: wanted at least one caption per "
            "image, and the same images on both sides"
        )
