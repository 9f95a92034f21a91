"""What differs between two images, or between two sets of images, in words.

==================  ==============================================================================
spoken_difference   statements of one image's captions about things that the other's never mention:
                    image difference captioning (OmniDiff, 2503.11093) with any captioner, and no
                    model that reads two images
rated_difference    the same among statements of both, by how much likelier the model finds them
                    under one image than under the other
set_difference      VisDiff (Dunlap et al. 2312.02974): statements of captions of set A,
                    ranked by how well CLIP's cosine tells A's images from B's (AUC)
==================  ==============================================================================

>>> spoken_difference(["a cat and a dog on a lawn"], ["a dog on a lawn"])
Difference(first=('a cat',), second=())
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.metrics.phrases import head_of, heads_of, parts_of, phrases_of, statements_of


@dataclass(frozen=True)
class Difference:
    """What only the first image, and what only the second is said to contain."""

    first: tuple[str, ...]
    second: tuple[str, ...]

    def sentence(self) -> str:
        """Say it in words.

        >>> Difference(("a cat",), ()).sentence(), Difference((), ()).sentence()
        ('only the first has a cat', 'no difference')
        """
        sides = (("first", self.first), ("second", self.second))
        said = [f"only the {side} has {' and '.join(things)}" for side, things in sides if things]
        return "; ".join(said) or "no difference"


def spoken_difference(first: Sequence[str], second: Sequence[str]) -> Difference:
    """Compare what captions of two images speak of; one wording of each thing is kept."""
    if not first or not second:
        raise ValueError(
            f"{len(first)} and {len(second)} captions: wanted at least 1 of each image"
        )
    return Difference(_only(first, second), _only(second, first))


def _only(own: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    known = frozenset().union(*map(heads_of, other))
    things = (part for caption in own for p in phrases_of(caption) for part in parts_of(p))
    new = {head_of(thing): thing for thing in reversed(list(things)) if head_of(thing) not in known}
    return tuple(reversed(new.values()))


def rated_difference(
    statements: Sequence[str],
    under_first: Sequence[float],
    under_second: Sequence[float],
    *,
    least: float,
) -> Difference:
    """Keep the statements that one image makes likelier by at least `least` nats.

    >>> statements = ["a cat", "a dog", "a hat"]
    >>> rated_difference(statements, [-1.0, -2.0, -9.0], [-8.0, -2.0, -1.0], least=3.0)
    Difference(first=('a cat',), second=('a hat',))
    """
    lengths = {len(statements), len(under_first), len(under_second)}
    if len(lengths) != 1 or not least > 0:
        raise ValueError(
            f"{len(statements)} statements, {len(under_first)} and {len(under_second)} scores, "
            f"least {least}: wanted a score a statement on both sides, and least above 0"
        )
    rated = list(zip(statements, under_first, under_second))
    return Difference(
        tuple(said for said, a, b in rated if a - b >= least),
        tuple(said for said, a, b in rated if b - a >= least),
    )


def set_difference(
    encoder: ImageTextEncoder,
    first: Float[Tensor, "n d"],
    second: Float[Tensor, "m d"],
    captions: Sequence[str],
    *,
    top: int = 5,
) -> list[tuple[str, float]]:
    """Rank the statements of captions of the first set by their AUC; .5 tells nothing apart.

    `first` and `second` are image features of the encoder. Returns statements with their AUC.
    """
    statements = [said for said in statements_of(captions) if parts_of(said) == (said,)]
    if not statements or top < 1:
        raise ValueError(f"{len(statements)} statements, top {top}: wanted at least 1 of each")
    texts = encoder.encode_text(statements).to(first)
    scores = areas(first @ texts.T, second @ texts.T).tolist()
    ranked = sorted(zip(statements, scores), key=lambda pair: -pair[1])
    return ranked[:top]


def areas(above: Float[Tensor, "n s"], below: Float[Tensor, "m s"]) -> Float[Tensor, " s"]:
    """Return for each column how often a score of the first set is above one of the second.

    >>> areas(torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [0.0]])).tolist()
    [0.75]
    """
    if not len(above) or not len(below):
        raise ValueError(f"sets of {len(above)} and {len(below)} images: wanted at least 1 of each")
    wins, ties = above[:, None] > below[None], above[:, None] == below[None]
    return torch.stack([wins.float(), 0.5 * ties.float()]).sum(dim=0).mean(dim=(0, 1))
