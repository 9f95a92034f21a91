"""Parts of images as images: crops on a grid, and boxes, for captions of regions.

Systems that caption regions (FlexCap, Dwibedi et al. 2403.12026; URECA, Lim et al. 2504.05305)
train a model to read a box. A captioner that was never told of boxes can still be shown one: cut it
out, with some of what is around it, and caption the cut as an image. Patch Matters (Peng et al.
2504.06666) cuts four quarters and a centre, captions each, and merges.

A box is (left, top, right, bottom) as shares of the image's sides.

>>> image = Image.new("RGB", (100, 80))
>>> [crop.size for crop in crops_of(image, QUARTERS)]
[(60, 48), (60, 48), (60, 48), (60, 48)]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from PIL import Image

Box: TypeAlias = tuple[float, float, float, float]
CONTEXT = 0.25  # of a box's side, on each side of it
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
# quarters that overlap by a fifth, so that what lies on a seam is whole in one of them
QUARTERS: tuple[Box, ...] = (
    (0.0, 0.0, 0.6, 0.6),
    (0.4, 0.0, 1.0, 0.6),
    (0.0, 0.4, 0.6, 1.0),
    (0.4, 0.4, 1.0, 1.0),
)


def box_around(x: float, y: float, w: float, *, context: float = CONTEXT) -> Box:
    """Return the square box of a centre and a width, with context, inside the image.

    >>> box_around(0.5, 0.25, 0.2)
    (0.35, 0.1, 0.65, 0.4)
    """
    if not w > 0 or context < 0:
        raise ValueError(f"a box of width {w} with context {context}: wanted w > 0, context >= 0")
    half = w * (0.5 + context)
    left, top, right, bottom = (round(v, 6) for v in (x - half, y - half, x + half, y + half))
    return max(0.0, left), max(0.0, top), min(1.0, right), min(1.0, bottom)


def crops_of(image: Image.Image, boxes: Sequence[Box]) -> list[Image.Image]:
    """Cut boxes out of an image; raises `ValueError` on a box without area or outside."""
    width, height = image.size
    cuts = []
    for box in boxes:
        left, top, right, bottom = box
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ValueError(f"box {box}: wanted 0 <= left < right <= 1 and 0 <= top < bottom <= 1")
        corners = (left * width, top * height, right * width, bottom * height)
        a, b, c, d = (round(corner) for corner in corners)
        cuts.append(image.crop((a, b, max(c, a + 1), max(d, b + 1))))
    return cuts
