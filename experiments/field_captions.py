"""Captions of systems that train nothing; in their controls the judge sees another image.

====================  ============================================================================
base, first_word      greedy, as the model is and after a first word
beam                  beam search after it: the rival of all that decode
guidance ... diverse  decoders by name (`vizer_core.vizer.decoders`)
fused, checked,       the same file's, which write captions anew
contrasted
clip_ranked           of 8 drawn captions and the beam's, the one that a CLIP likes best: rank and
                      fuse's first half
crops_fused           captions of four crops and of the image, merged by agreement
verified              statements of 8 drawn captions and the beam's, each kept if the image ranks
                      high for it; the beam's caption is rewritten
best_of_nine          an oracle chooses: SPIDEr-max's bound by F1 of named objects
====================  ============================================================================

Bars are chosen on validation scenes of the first base (`bar_cell`), by F1 of named objects. With
`shuffled` what judges (votes, information, CLIP) looks at another image's scene; captions and
statements are still the image's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from experiments import field_world as world
from experiments.improvement_decoders import beam, drawn, greedy
from experiments.improvement_record import pack_captions
from experiments.improvement_world import load_once
from vizer_core.decoding import Style
from vizer_core.metrics.clipscore import clip_cosines
from vizer_core.metrics.grounding import ground_captions
from vizer_core.runtime import seeded
from vizer_core.vizer.best_of_n import best_index
from vizer_core.vizer.decoders import CHECK, CONTRAST, COOL, DECODERS, DRAWN, FUSE, decode_with
from vizer_core.vizer.verify import (
    Scores,
    information_scores,
    rank_scores,
    rewritten,
    vote_scores,
)
from vizer_core.vlm import VisionBatch
from vizer_lab.world import drawn_lexicon

RANK = 0.9  # of the other images a statement has to fit worse
CROPS = 0.4  # of the five captions: the whole and one quarter, or two quarters
BARS: dict[str, tuple[float, ...]] = {  # what `bar_cell` tries
    "crops_fused": (0.2, 0.4, 0.6),
    "verified": (0.8, 0.9, 0.95, 0.98),
    "fused": (0.25, 0.35, 0.5, 0.7),
    "checked": (0.125, 0.25, 0.375),
    "contrasted": (-3.0, -1.0, 0.0),
}
USED = {
    **{"crops_fused": CROPS, "verified": RANK},
    **{"fused": FUSE, "checked": CHECK, "contrasted": CONTRAST},
}
PLAIN = ("base", "first_word", "beam", *DECODERS)
JUDGED = ("clip_ranked", "crops_fused", "verified", "best_of_nine")
CONTROLLED = ("information", "fused", "checked", "contrasted", "clip_ranked", "verified")
SYSTEMS = (*PLAIN, *JUDGED)


@lru_cache(maxsize=2)
def candidates(
    base: str, n: int, seed: int, part: str = "test"
) -> tuple[list[str], list[list[str]]]:
    """Return the beam's caption of every scene of a part, and 8 drawn ones."""
    vlm, vision = load_once(base), world.seen(base, n, part)
    rows = drawn(vlm, vision, world.WORD, temperature=COOL, samples=DRAWN, seed=seed)
    return beam(vlm, vision, world.WORD), rows


def caption(base: str, system: str, *, n: int, seed: int = 0, shuffled: bool = False) -> list[str]:
    """Caption the test scenes."""
    vlm, vision = load_once(base), world.seen(base, n)
    if shuffled:
        return _controlled(base, system, n, seed)
    if system in ("base", "first_word"):
        return greedy(vlm, vision, world.WORD if system == "first_word" else "")
    if system == "beam":
        return candidates(base, n, seed)[0]
    if system in DECODERS:
        return decode_with(
            system,
            vlm,
            vision,
            word=world.WORD,
            style=Style(max_tokens=32),
            generator=seeded(5000 + seed),
        )
    return _judged(base, system, n, seed, list(range(n)))


def _judged(base: str, system: str, n: int, seed: int, order: list[int]) -> list[str]:
    """Caption by a judge that looks at the scenes in another order."""
    seeds, rows = candidates(base, n, seed)
    pool = [[first, *row] for first, row in zip(seeds, rows, strict=True)]
    features = world.clip_features(n)[order]
    if system == "clip_ranked":
        texts = world.ranker().encode_text([text for row in pool for text in row])
        scores = clip_cosines(features.repeat_interleave(len(pool[0]), dim=0), texts)
        best = best_index(scores.reshape(n, -1), of=len(pool[0])).tolist()
        return [row[i] for row, i in zip(pool, best, strict=True)]
    if system == "verified":
        scores = rank_scores(world.ranker(), features, pool)
        return rewritten(seeds, scores, least=RANK)
    if system == "crops_fused":
        return rewritten(seeds, _crop_votes(base, n, seeds), least=CROPS)
    if system == "best_of_nine":
        return [row[i] for row, i in zip(pool, _oracle(pool, n), strict=True)]
    raise ValueError(f"no system {system!r}: wanted one of {', '.join(SYSTEMS)}")


def _crop_votes(base: str, n: int, seeds: Sequence[str], part: str = "test") -> Scores:
    """Let the whole image and its four quarters vote on all that any of them says."""
    parts = [beam(load_once(base), view, world.WORD) for view in world.quarters(base, n, part)]
    return vote_scores([[first, *rest] for first, *rest in zip(seeds, *parts, strict=True)])


def _contrast_of(vlm: Any, vision: VisionBatch, seeds: Sequence[str]) -> Scores:
    """Rate statements against other images, in batches as `decode_with` makes them."""
    n = len(seeds)
    rows = [range(start, min(start + 64, n)) for start in range(0, n, 64)]
    found = [
        information_scores(vlm, vision.select(list(some)), [[seeds[i]] for i in some])
        for some in rows
    ]
    return [scores for batch in found for scores in batch]


def bar_cell(base: str, n: int) -> dict[str, Any]:
    """Try every bar on validation scenes; return precision, recall and F1 of named objects."""
    torch.set_num_threads(1)
    part = "validation"
    seeds, rows = candidates(base, n, 0, part)
    pool = [[first, *row] for first, row in zip(seeds, rows, strict=True)]
    votes = vote_scores(pool, rows)
    scores = {
        "crops_fused": _crop_votes(base, n, seeds, part),
        "verified": rank_scores(world.ranker(), world.clip_features(n, part), pool),
        "fused": votes,
        "checked": votes,
        "contrasted": _contrast_of(load_once(base), world.seen(base, n, part), seeds),
    }
    found: dict[str, Any] = {}
    for system, bars in BARS.items():
        for bar in bars:
            add = system not in ("checked", "contrasted")
            texts = rewritten(seeds, scores[system], least=bar, add=add)
            row = {"bar": bar} | world.named_objects(texts, n, part)
            found.setdefault(system, []).append(row)
    return {"bars": found}


def _controlled(base: str, system: str, n: int, seed: int) -> list[str]:
    """Caption with votes, information or CLIP of another scene."""
    order = [(i + n // 2) % n for i in range(n)]
    vlm, vision = load_once(base), world.seen(base, n).select(order)
    seeds, rows = candidates(base, n, seed)
    if system in ("fused", "checked"):
        own = [[first, *row] for first, row in zip(seeds, rows, strict=True)]
        scores = vote_scores(own, [rows[i] for i in order])
        least, add = (FUSE, True) if system == "fused" else (CHECK, False)
        return rewritten(seeds, scores, least=least, add=add)
    if system == "contrasted":
        return rewritten(seeds, _contrast_of(vlm, vision, seeds), least=CONTRAST, add=False)
    if system == "information":
        from experiments.improvement_decoders import ranked
        from vizer_core.vizer.decoders import OTHERS, PRIOR
        from vizer_core.vizer.information import InformationReward

        return ranked(vlm, vision, rows, InformationReward(vlm, PRIOR, others=OTHERS))[0]
    return _judged(base, system, n, seed, order)


def _oracle(pool: Sequence[Sequence[str]], n: int) -> list[int]:
    """Return each scene's candidate of the highest F1; labels choose."""
    truths, lexicon = [s.truth for s in world.split_of(n).scenes], drawn_lexicon("second")
    table = []
    for place in range(len(pool[0])):
        counts = ground_captions([row[place] for row in pool], truths, lexicon=lexicon)
        table.append([2 * c.object_found / max(1, c.object_said + c.object_there) for c in counts])
    return np.asarray(table).argmax(axis=0).tolist()


def caption_cell(
    base: str, system: str, n: int, seed: int = 0, shuffled: bool = False
) -> dict[str, Any]:
    """Caption with a system; what is kept are the captions."""
    torch.set_num_threads(1)
    found = caption(base, system, n=n, seed=seed, shuffled=shuffled)
    return {"captions": pack_captions(found), "samples": found[:3]}
