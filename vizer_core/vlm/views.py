"""Views of an image: the same image moved by less than a patch, and the mean of what is read.

A vision transformer cuts an image into patches on a fixed lattice, and what it reads depends on
where the lattice falls. Moving the image by a part of a patch changes nothing that a person sees
and many greedy captions. Averaged over a few such views, the features lose that part: test-time
augmentation (Krizhevsky et al. 2012, section 4.1, averages over crops) with shifts that are too
small to change what is in the frame. A shift of a whole patch only renumbers the patches: it is the
control, and `average_views` refuses it.

==================  ===============================================================================
view_offsets        where the views are: (0, 0), then the diagonals (+-d, +-d), then the axes
encode_views        one `VisionBatch` a view: to average log-probabilities, or to hold some out
average_views       one `VisionBatch`, the mean: prompts, adapters and decoding are as before, and
                    one decode is enough. Its price is a vision pass a view
==================  ===============================================================================

The move happens in the pixels that the tower gets, after the processor's resize: with SmolVLM's
tiles in the whole resized image before it is cut, and in the global tile by as many of its own
pixels; with Qwen2-VL before patching, so that the grid stays. What moves out of the frame is gone,
what comes in repeats the edge. Any family takes part that has what `Shiftable` lists.

>>> view_offsets(14)
((0, 0), (4, 4), (-4, -4), (4, -4), (-4, 4))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Int, Shaped
from PIL import Image
from torch import Tensor

from vizer_core.data.images import prefetch
from vizer_core.vlm.prepared import Prepared, prepare
from vizer_core.vlm.protocol import VisionBatch

VIEWS = 5  # the image and its four diagonal neighbours; fewer are unreliable, more add little
SHIFT = 0.29  # of a patch's side: 2 of 7 px, 4 of 14, 5 of 16
Offset: TypeAlias = tuple[int, int]  # pixels to the right and down
Views: TypeAlias = int | Sequence[Offset]
DIAGONALS = ((1, 1), (-1, -1), (1, -1), (-1, 1))
AXES = ((1, 0), (-1, 0), (0, 1), (0, -1))


@runtime_checkable
class Shiftable(Protocol):
    """What a family has beside `VisionLanguageModel` so that its images can be moved."""

    name: str

    @property
    def patch_size(self) -> int:
        """Pixels a side of what the tower reads as one patch."""

    def preprocess(self, images: Sequence[Image.Image]) -> tuple[Tensor, Int[Tensor, "b 3"]]:
        """Turn images into the tower's pixels, and their grid."""

    def shift_pixels(self, pixels: Tensor, grid: Int[Tensor, "b 3"], offset: Offset) -> Tensor:
        """Move every image to the right and down, its edges repeated."""

    def encode_pixels(self, pixels: Tensor, grid: Int[Tensor, "b 3"]) -> VisionBatch:
        """Run the frozen vision side on pixels that are already preprocessed."""


def view_offsets(patch: int, *, views: int = VIEWS, shift: int | None = None) -> tuple[Offset, ...]:
    """Return how far each view is moved, in pixels to the right and down; the first stays.

    `shift` is .29 of a patch unless told otherwise. There are at most 9 views.

    >>> view_offsets(7, views=3)
    ((0, 0), (2, 2), (-2, -2))
    """
    if not 1 <= views <= 1 + len(DIAGONALS) + len(AXES):
        raise ValueError(f"views is {views}: wanted 1 to 9; more can be given as offsets in pixels")
    if shift is None:
        shift = default_shift(patch)
    if shift < 1:
        raise ValueError(f"shift is {shift} px: all views would be one, wanted at least 1")
    moved = tuple((shift * x, shift * y) for x, y in (*DIAGONALS, *AXES))
    return require_sub_patch(((0, 0), *moved)[:views], patch)


def held_out_offsets(patch: int, *, shift: int | None = None) -> tuple[Offset, ...]:
    """Return four moves that no 5 views of `view_offsets` make: along the axes.

    >>> held_out_offsets(14)
    ((4, 0), (-4, 0), (0, 4), (0, -4))
    """
    return view_offsets(patch, views=9, shift=shift)[1 + len(DIAGONALS) :]


def default_shift(patch: int) -> int:
    """Return .29 of a patch in whole pixels, at least 1.

    >>> [default_shift(patch) for patch in (2, 7, 14, 16)]
    [1, 2, 4, 5]
    """
    if patch < 2:
        raise ValueError(f"patches of {patch} px: nothing smaller than a patch can be moved by")
    return max(1, round(SHIFT * patch))


def require_sub_patch(offsets: Sequence[Offset], patch: int) -> tuple[Offset, ...]:
    """Return offsets as they are, or raise `ValueError` where one reaches a whole patch.

    >>> require_sub_patch([(0, 14)], 14)
    Traceback (most recent call last):
    ValueError: (0, 14) moves an image of patches of 14 px by a whole patch or more: ...
    """
    if not offsets:
        raise ValueError("no views: wanted at least 1 offset, (0, 0) for the image as it is")
    for right, down in offsets:
        if max(abs(right), abs(down)) >= patch:
            raise ValueError(
                f"{(right, down)} moves an image of patches of {patch} px by a whole patch or "
                "more: that renumbers patches and averages nothing out. Give less, or make the "
                "control with encode_views(..., control=True)"
            )
    return tuple((int(right), int(down)) for right, down in offsets)


def require_shiftable(vlm: Any) -> Shiftable:
    """Return the model, or raise `TypeError` naming what its family lacks for views."""
    wanted = ("patch_size", "preprocess", "shift_pixels", "encode_pixels")
    missing = [name for name in wanted if not hasattr(vlm, name)]
    if missing:
        raise TypeError(
            f"{getattr(vlm, 'name', vlm)} cannot move its images: {type(vlm).__name__} has no "
            f"{', '.join(missing)}. Give its class what vizer_core.vlm.views.Shiftable lists"
        )
    return vlm


def offsets_of(vlm: Any, views: Views, *, control: bool = False) -> tuple[Offset, ...]:
    """Return the offsets of `views`, a count or offsets; `control` allows whole patches."""
    patch = require_shiftable(vlm).patch_size
    if isinstance(views, int):
        return view_offsets(patch, views=views)
    if control and views:
        return tuple((int(right), int(down)) for right, down in views)
    return require_sub_patch(views, patch)


def shift_edges(
    images: Shaped[Tensor, "*axes height width"], offset: Offset
) -> Shaped[Tensor, "*axes height width"]:
    """Move images to the right and down; what comes in repeats the edge.

    >>> shift_edges(torch.tensor([[1.0, 2.0, 3.0]]), (1, 0))
    tensor([[1., 1., 2.]])
    """
    height, width = images.shape[-2:]
    right, down = offset
    rows = (torch.arange(height, device=images.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) - right).clamp(0, width - 1)
    return images.index_select(-2, rows).index_select(-1, columns)


@torch.no_grad()
def encode_views(
    vlm: Any,
    images: Sequence[Image.Image],
    *,
    views: Views = VIEWS,
    control: bool = False,
    batch_size: int = 32,
) -> tuple[VisionBatch, ...]:
    """Run the frozen vision side on every view; return one `VisionBatch` a view.

    Images are opened and resized once. `control` lets an offset reach whole patches.
    """
    offsets = offsets_of(vlm, views, control=control)
    parts = [
        tuple(encode_pixel_views(vlm, *seen, offsets))
        for seen in _preprocessed(vlm, images, batch_size)
    ]
    return tuple(VisionBatch.concatenate(view) for view in zip(*parts, strict=True))


@torch.no_grad()
def average_views(
    vlm: Any, images: Sequence[Image.Image], *, views: Views = VIEWS, batch_size: int = 32
) -> VisionBatch:
    """Return the mean over views of what the vision side says: features and embeddings.

    `views` is a count (`view_offsets`) or offsets in pixels. Everything that takes a `VisionBatch`
    takes this one. Costs a vision pass a view and nothing at decoding.

    Raises `ValueError` where an offset reaches a whole patch, and `TypeError` where the model's
    family cannot move its images.
    """
    offsets = offsets_of(vlm, views)
    parts = [
        mean_of_views(encode_pixel_views(vlm, *seen, offsets))
        for seen in _preprocessed(vlm, images, batch_size)
    ]
    return VisionBatch.concatenate(parts)


def encode_pixel_views(
    vlm: Any, pixels: Tensor, grid: Int[Tensor, "b 3"], offsets: Sequence[Offset]
) -> Iterator[VisionBatch]:
    """Yield one `VisionBatch` an offset, of pixels that are already preprocessed.

    For images that are at hand as arrays. Offsets are taken as they are, whole patches too.
    """
    for offset in offsets:
        moved = pixels if offset == (0, 0) else vlm.shift_pixels(pixels, grid, offset)
        yield vlm.encode_pixels(moved, grid)


def mean_of_views(views: Iterator[VisionBatch] | Sequence[VisionBatch]) -> VisionBatch:
    """Average views of the same images: image features and embeddings, in float32.

    Raises `ValueError` where there is none, or where views are of other images or grids.
    """
    first: VisionBatch | None = None
    count, features, embeddings = 0, torch.empty(0), []
    for view in views:
        count += 1
        if first is None:
            first, features = view, view.image_features.float()
            embeddings = [each.float() for each in view.image_embeddings]
            continue
        if len(view) != len(first) or not torch.equal(view.grid, first.grid):
            raise ValueError(
                f"views of {len(first)} and {len(view)} images, or of other grids: wanted the same "
                "images in the same order"
            )
        features = features + view.image_features
        embeddings = [a + b for a, b in zip(embeddings, view.image_embeddings, strict=True)]
    if first is None:
        raise ValueError("no views to average: got none")
    return VisionBatch(
        (features / count).to(first.image_features),
        tuple(
            (each / count).to(one)
            for each, one in zip(embeddings, first.image_embeddings, strict=True)
        ),
        first.grid,
        first.index,
    )


def _preprocessed(
    vlm: Any, images: Sequence[Image.Image], batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    if not len(images) or batch_size < 1:
        raise ValueError(
            f"got {len(images)} images in batches of {batch_size}: wanted at least 1 of each"
        )
    starts = range(0, len(images), batch_size)

    def seen(first: int) -> tuple[Tensor, Tensor]:
        return vlm.preprocess(images[first : first + batch_size])

    yield from map(seen, starts) if len(starts) == 1 else prefetch(seen, starts, threads=1, ahead=1)


@dataclass(frozen=True, eq=False)
class ViewSource:
    """Images that are encoded when their turn comes, as the mean of their views.

    A `VisionSource`, as `vizer.text_states.ImageSource` is one without views.
    """

    vlm: Any
    images: Sequence[Image.Image]
    views: Views = VIEWS

    def __post_init__(self) -> None:
        offsets_of(self.vlm, self.views)

    def __len__(self) -> int:
        return len(self.images)

    def select(self, indices: Sequence[int]) -> VisionBatch:
        """Encode the images at `indices`, in that order."""
        some = [self.images[i] for i in indices]
        return average_views(self.vlm, some, views=self.views).numbered(indices)

    def prepare(self, indices: Sequence[int]) -> Prepared:
        """Open and preprocess the images at `indices` (`vizer.read_ahead`)."""
        return prepare(self.vlm, [self.images[i] for i in indices])

    def encode(self, prepared: Prepared, indices: Sequence[int]) -> VisionBatch:
        """Return what `select` does, of what `prepare` made."""
        parts = prepared.pixels
        if parts is None:
            return average_views(self.vlm, prepared.images, views=self.views).numbered(indices)
        offsets = offsets_of(self.vlm, self.views)
        means = [mean_of_views(encode_pixel_views(self.vlm, *part, offsets)) for part in parts]
        return VisionBatch.concatenate(means).numbered(indices)
