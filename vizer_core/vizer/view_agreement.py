"""View agreement: does a caption still hold when the image is moved by less than a patch?

A caption that the model wrote of one view is read under views that it did not see. What it took
from the image stays likely there; what it took from where the patches fell does not. Captions that
fit every image are likely everywhere, so half of what other images say is taken off:

    score(y, I) = mean over held-out views v of log p(y | v(I)) - 1/2 log mean over J of p(y | v(J))

p is the model without its adapter, J are other images of the same set. In the trials behind
`results/improvement.json` the mean score ranked systems much as their F1 of objects does; a claim
in the file has the rank correlation of each base. Two things it is not:

- A reward. What is trained on is no judge any more: a model can learn to agree with itself. On the
  first drawn world it did, on the second it did not (`results/improvement.json`, part `views`).
  Judge with it, and keep it out of the training.
- A score across models. Its nats are those of one base: compare captions of the same images under
  the same base, or read `Beside.preferred`.

Test-time augmentation measures agreement under transformations of the image (Ayhan and Berens
2018); the term of other images is that of M3ID (Favero et al. 2024) and of `information`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vizer_core.metrics.stats import Interval, bootstrap, mean_statistics
from vizer_core.vizer.generate_captions import BATCH
from vizer_core.vizer.information import log_likelihood
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel
from vizer_core.vlm.views import Views, encode_views, held_out_offsets, require_shiftable

OTHERS, OFF = 8, 0.5  # images of the second term, and its weight


@dataclass(frozen=True)
class Beside:
    """Captions of n images beside a reference system's captions of the same images.

    `per_image` is the mean difference of scores in nats, `per_token` the same over the reference's
    tokens; `preferred` is the share of images whose caption scores higher than the reference's,
    ties counting half: 1/2 is no difference. Each has a 95% interval over images.
    """

    n: int
    per_image: Interval
    per_token: Interval
    preferred: Interval
    changed: float

    def say(self) -> str:
        """Put the comparison into one line.

        >>> none, half = Interval(0.0, 0.0, 0.0, 4), Interval(0.5, 0.5, 0.5, 4)
        >>> Beside(4, none, none, half, 0.0).say().split("; ")[0]
        'preferred to the reference on 50% [50%, 50%] of 4 images'
        """
        share, nats = self.preferred, self.per_token
        return (
            f"preferred to the reference on {share.mean:.0%} [{share.low:.0%}, {share.high:.0%}] "
            f"of {self.n} images; {nats.mean:+.2f} nats per token "
            f"[{nats.low:+.2f}, {nats.high:+.2f}]"
        )


@dataclass(frozen=True, eq=False)
class Terms:
    """The two terms of n captions' scores, in nats: held-out views, and other images' views."""

    own: Float[Tensor, " n"]
    others: Float[Tensor, " n"]

    def scores(self, weight: float = OFF) -> Float[Tensor, " n"]:
        """Return the first less the weighed second."""
        return self.own - weight * self.others


@dataclass(frozen=True, eq=False)
class ViewAgreement:
    """Scores captions of n images by held-out views of them; vision is computed once.

    `views` are the held-out views, one `VisionBatch` of all images each: make them with `of`, or
    give your own. `others` images make the second term, `weight` is what it counts.
    """

    vlm: VisionLanguageModel
    views: tuple[VisionBatch, ...]
    others: int = OTHERS
    weight: float = OFF
    prompt: str | None = None

    def __post_init__(self) -> None:
        counts = {len(view) for view in self.views}
        if len(counts) != 1 or min(counts) < 2 or self.others < 1:
            raise ValueError(
                f"{len(self.views)} views of {sorted(counts)} images and {self.others} others: "
                "wanted at least 1 view, each of the same 2 or more images, and at least 1 other"
            )

    @classmethod
    def of(
        cls,
        vlm: Any,
        images: Sequence[Image.Image],
        *,
        views: Views | None = None,
        batch_size: int = 32,
        **settings: Any,
    ) -> ViewAgreement:
        """Encode the held-out views of images: by default four moves along the axes.

        The five views that `average_views` takes are others. `settings` are the class's fields.
        """
        if views is None:
            views = held_out_offsets(require_shiftable(vlm).patch_size)
        return cls(vlm, encode_views(vlm, images, views=views, batch_size=batch_size), **settings)

    def __len__(self) -> int:
        return len(self.views[0])

    def scores(self, texts: Sequence[str]) -> Float[Tensor, " n"]:
        """Score one caption per image, in nats, summed over its tokens; higher is better."""
        return self.score_tokens(self.vlm.tokenize(self._checked(texts)))

    def score_tokens(self, captions: CaptionBatch) -> Float[Tensor, " n"]:
        """Score captions that are tokens already, one per image, in the order of the images."""
        return self.terms(captions).scores(self.weight)

    @torch.no_grad()
    def terms(self, captions: CaptionBatch) -> Terms:
        """Return both terms: where the second is no less, the image adds nothing to the caption."""
        self._checked(captions.texts)
        rows = range(len(self))
        found = [
            self._terms(rows[start : start + BATCH], captions)
            for start in range(0, len(self), BATCH)
        ]
        return Terms(*(torch.cat(part) for part in zip(*found, strict=True)))

    def beside(self, texts: Sequence[str], reference: Sequence[str], *, seed: int = 0) -> Beside:
        """Compare captions with a reference system's captions of the same images."""
        mine, theirs = self.scores(texts).cpu().double(), self.scores(reference).cpu().double()
        return self.compare(mine.numpy(), theirs.numpy(), texts, reference, seed=seed)

    def compare(
        self,
        mine: np.ndarray,
        theirs: np.ndarray,
        texts: Sequence[str],
        reference: Sequence[str],
        *,
        seed: int = 0,
    ) -> Beside:
        """Compare scores that `scores` gave of captions and of a reference system's."""
        lengths = self.vlm.tokenize(list(reference)).mask.sum(dim=1).cpu().double().numpy()
        difference = np.round(mine - theirs, 4)  # the same caption in another batch is a tie
        better = (difference > 0) + 0.5 * (difference == 0)
        return Beside(
            n=len(texts),
            per_image=bootstrap(mean_statistics(difference), seed=seed),
            per_token=bootstrap(mean_statistics(difference / lengths), seed=seed),
            preferred=bootstrap(mean_statistics(better), seed=seed),
            changed=sum(a != b for a, b in zip(texts, reference)) / len(texts),
        )

    def _checked(self, texts: Sequence[str]) -> list[str]:
        if len(texts) != len(self):
            raise ValueError(f"{len(texts)} captions for {len(self)} images: wanted one per image")
        return list(texts)

    def _terms(self, rows: range, captions: CaptionBatch) -> tuple[Tensor, Tensor]:
        """Return both terms of the captions of some images."""
        some, n = captions.select(rows), len(self)
        own = torch.stack([self._read(view, rows, some) for view in self.views]).mean(dim=0)
        count = min(self.others, n - 1)
        # other images are spread over the set: neighbours in a folder often show one thing
        steps = [1 + (n - 1) * each // count for each in range(count)]
        others = torch.stack(
            [
                self._read(
                    self.views[i % len(self.views)], [(row + step) % n for row in rows], some
                )
                for i, step in enumerate(steps)
            ]
        )
        return own, others.logsumexp(dim=0) - log(count)

    def _read(
        self, view: VisionBatch, rows: Sequence[int], captions: CaptionBatch
    ) -> Float[Tensor, " b"]:
        return log_likelihood(self.vlm, view.select(rows), captions, prompt=self.prompt)
