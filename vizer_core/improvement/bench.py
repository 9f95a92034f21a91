"""Some images with their views, and what captions of them are worth without a label.

Everything is measured on greedy or beam captions of the same images under the same frozen base:

==================  ===============================================================================
agreement           `view_agreement.Beside`: how much likelier captions stay under held-out views
                    than the base's own greedy captions do, beside other images
vague               share of captions that their image makes no likelier than other images do
repetition          mean share of a caption's word pairs that it has said before
commonest           share of the commonest caption: near 1 in a collapsed model
unfinished          share of captions that ran into the token limit
length              mean words
==================  ===============================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image

from vizer_core.improvement.ways import BASE, Way
from vizer_core.metrics.diversity import diversity
from vizer_core.metrics.tokenize import tokenize_captions
from vizer_core.vizer.rewards import repeated_share
from vizer_core.vizer.view_agreement import Beside, ViewAgreement
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch
from vizer_core.vlm.views import (
    encode_views,
    held_out_offsets,
    mean_of_views,
    require_shiftable,
    view_offsets,
)


@dataclass(frozen=True, eq=False)
class Rung:
    """Captions of a way, and their label-free scores; `beside` is the base as it is."""

    way: Way
    texts: tuple[str, ...]
    scores: np.ndarray
    beside: Beside
    vague: float
    repetition: float
    commonest: float
    unfinished: float
    length: float
    seconds: float  # of vision and decoding, an image

    def to_dict(self) -> dict[str, Any]:
        """The rung as plain JSON values, without its captions."""
        names = ("vague", "repetition", "commonest", "unfinished", "length")
        plain = {name: round(float(getattr(self, name)), 4) for name in names}
        return {
            "way": self.way.to_dict(),
            "cost": self.way.cost,
            "seconds": round(self.seconds, 4),
            "agreement": beside_dict(self.beside),
            **plain,
        }


def beside_dict(beside: Beside) -> dict[str, Any]:
    """Return a comparison as plain JSON values."""
    found = {"n": beside.n, "changed": round(beside.changed, 4)}
    for name in ("preferred", "per_image", "per_token"):
        interval = asdict(getattr(beside, name))
        found[name] = {key: round(float(interval[key]), 4) for key in ("mean", "low", "high")}
    return found


@dataclass(frozen=True, eq=False)
class Bench:
    """n images, encoded once: as they are, and as the mean of their views; a judge of captions.

    `views` is how many are averaged, 1 to 5; the judge's views are others.
    """

    vlm: Any
    plain: VisionBatch
    mean: VisionBatch
    views: int
    judge: ViewAgreement
    seed: int = 0
    seconds: float = 0.0  # of one view of one image

    @classmethod
    def of(cls, vlm: Any, images: Sequence[Image.Image], *, views: int, seed: int = 0) -> Bench:
        """Encode images and all their views once."""
        if not 1 <= views <= 5:
            raise ValueError(f"views is {views}: wanted 1 to 5; the judge keeps four others")
        patch = require_shiftable(vlm).patch_size
        averaged, held_out = view_offsets(patch, views=views), held_out_offsets(patch)
        began = perf_counter()
        seen = encode_views(vlm, images, views=[*averaged, *held_out])
        seconds = (perf_counter() - began) / len(seen) / len(images)
        judge = ViewAgreement(vlm, seen[views:])
        return cls(vlm, seen[0], mean_of_views(seen[:views]), views, judge, seed, seconds)

    def __len__(self) -> int:
        return len(self.plain)

    @torch.no_grad()
    def captions(self, way: Way, rows: Sequence[int] | None = None) -> CaptionBatch:
        """Caption the images a way, or those at some rows."""
        if way.views not in (1, self.views):
            raise ValueError(f"{way.name}: {way.views} views, and the bench has {self.views}")
        vision = self.plain if way.views == 1 else self.mean
        with nullcontext() if way.adapter else self.vlm.adapter_off():
            return self.vlm.generate(
                vision if rows is None else vision.select(rows),
                decoding=way.decoding,
                prompt=way.prompt,
                opening=way.opening,
            )

    @cached_property
    def base(self) -> Rung:
        """The model as it is: greedy, its default prompt, one view."""
        return self.rung(BASE)

    def rung(self, way: Way) -> Rung:
        """Caption the images a way and score the captions beside the base's."""
        began = perf_counter()
        captions = self.captions(way)
        seconds = (perf_counter() - began) / len(self) + way.views * self.seconds
        terms = self.judge.terms(captions)
        scores = terms.scores(self.judge.weight).cpu().double().numpy()
        against = (scores, captions.texts) if way == BASE else (self.base.scores, self.base.texts)
        words = tokenize_captions(captions.texts)
        return Rung(
            way=way,
            texts=captions.texts,
            scores=scores,
            beside=self.judge.compare(
                scores, against[0], captions.texts, against[1], seed=self.seed
            ),
            vague=float((terms.own <= terms.others).float().mean()),
            repetition=float(np.mean([repeated_share(text, n=2) for text in words])),
            commonest=Counter(captions.texts).most_common(1)[0][1] / len(self),
            unfinished=float(1 - _finished(self.vlm, captions).float().mean()),
            length=diversity(words).mean_length,
            seconds=seconds,
        )

    def beside(self, rung: Rung, other: Rung) -> Beside:
        """Compare two rungs of this bench, the second as the reference."""
        return self.judge.compare(
            rung.scores, other.scores, rung.texts, other.texts, seed=self.seed
        )


def _finished(vlm: Any, captions: CaptionBatch) -> torch.Tensor:
    ends = torch.tensor(vlm.tokens.eos_ids, device=captions.ids.device)
    return (torch.isin(captions.ids, ends) & captions.mask).any(dim=1)
