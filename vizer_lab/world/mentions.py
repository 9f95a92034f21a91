"""What a caption names of its scene, what it leaves out, and which patches the named thing covers.

Exact, because scenes are known. Two questions of MacCap section 3.1 can be asked with it: does a
sub-region feature say *where* the named object is, and is a sub-region closer to the caption when
the caption tells less than the image shows (information loss)?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vizer_core.metrics.grounding import parse_caption
from vizer_lab.world.lexicon import drawn_lexicon
from vizer_lab.world.world import Scene


@dataclass(frozen=True, eq=False)
class NamedObjects:
    """The pairs whose caption names one kind of a scene that has others, and where that kind is.

    `rows` are places in the list of pairs; `covered` marks the patches whose centre lies in the
    box of a named object, row by row from the top left.
    """

    rows: Int[Tensor, " k"]
    covered: Bool[Tensor, "k p"]

    @property
    def chance(self) -> Float[Tensor, " k"]:
        """Share of patches that are covered: how often a patch drawn blindly is a hit."""
        return self.covered.float().mean(dim=1)

    def hits(self, scores: Float[Tensor, "n p"]) -> Float[Tensor, " k"]:
        """Return 1 for each pair whose best-scored patch lies on the named object, else 0."""
        if scores.shape[1] != self.covered.shape[1] or len(scores) <= int(self.rows.max()):
            raise ValueError(
                f"scores {tuple(scores.shape)} do not fit: wanted one row per pair (more than "
                f"{int(self.rows.max())}) and {self.covered.shape[1]} patches"
            )
        best = scores.cpu()[self.rows].argmax(dim=1, keepdim=True)
        return self.covered.gather(1, best)[:, 0].float()


def named_kinds(text: str) -> frozenset[str]:
    """Return the kinds of object that a caption names; category words name none.

    >>> sorted(named_kinds("a dog next to a cat and an animal"))
    ['cat', 'dog']
    """
    mentions = parse_caption(text, drawn_lexicon()).mentions
    return frozenset(name for m in mentions if not m.is_category for name in m.names)


def kinds_left_out(scene: Scene, text: str) -> int:
    """Count the kinds of a scene that a caption does not name."""
    return len({item.name for item in scene.objects} - named_kinds(text))


def covered_patches(
    scene: Scene, names: frozenset[str], grid: tuple[int, int]
) -> Bool[Tensor, " p"]:
    """Mark the patches whose centre lies in the box of an object called one of `names`."""
    y, x = torch.meshgrid(*((torch.arange(k) + 0.5) / k for k in grid), indexing="ij")
    covered = torch.zeros(grid, dtype=torch.bool)
    for item in scene.objects:
        if item.name in names:
            covered |= ((x - item.x).abs() <= item.w / 2) & ((y - item.y).abs() <= item.w / 2)
    return covered.flatten()


def find_named_objects(
    scenes: Sequence[Scene], texts: Sequence[str], grid: tuple[int, int]
) -> NamedObjects:
    """Pick the pairs in which pointing at the named object is a real choice.

    The caption names exactly one kind that is there, and the scene contains at least one other.
    """
    if len(scenes) != len(texts):
        raise ValueError(f"got {len(scenes)} scenes and {len(texts)} texts: wanted one text each")
    rows, covered = [], []
    for row, (scene, text) in enumerate(zip(scenes, texts)):
        there, named = {item.name for item in scene.objects}, named_kinds(text)
        if len(there) > 1 and len(named) == 1 and named <= there:
            rows.append(row)
            covered.append(covered_patches(scene, named, grid))
    if not rows:
        raise ValueError(
            f"none of {len(scenes)} captions names one kind of several: take more scenes"
        )
    return NamedObjects(torch.tensor(rows), torch.stack(covered))
