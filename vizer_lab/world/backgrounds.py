"""The places of the drawn world, painted by rule: a few shapes and a little grain each.

Every place has `VARIANTS` versions (other horizons, other hues, other grain), drawn once per
image size and cached. All drawing is arithmetic on a pixel grid, so the bytes repeat.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from vizer_lab.world.lexicon import PLACE_BY_NAME

VARIANTS = 12
Rgb = tuple[int, int, int]


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.meshgrid(axis, axis, indexing="xy")


def _fade(y: np.ndarray, top: Rgb, bottom: Rgb) -> np.ndarray:
    """Blend from `top` to `bottom` along y."""
    start, end = np.asarray(top, np.float32), np.asarray(bottom, np.float32)
    return start + (end - start) * y[..., None]


def _paint(image: np.ndarray, mask: np.ndarray, colour: Rgb) -> None:
    image[mask] = colour


def _snow(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (205, 222, 240), (238, 244, 252))
    _paint(image, y > 0.5 + 0.3 * u[0] + 0.05 * np.sin(7 * x + 6 * u[1]), (250, 252, 255))
    return image


def _beach(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (150, 205, 240), (190, 228, 245))
    shore = 0.45 + 0.2 * u[0]
    _paint(image, y > shore - 0.15, (70, 160, 200))
    _paint(image, y > shore + 0.03 * np.sin(9 * x + 6 * u[1]), (236, 214, 160))
    return image


def _grass(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (160, 215, 250), (205, 235, 250))
    _paint(image, y > 0.3 + 0.3 * u[0], (118, 190, 90))
    _paint(image, (y > 0.35 + 0.3 * u[0]) & (np.sin(60 * x + 40 * y * u[1]) > 0.6), (100, 172, 76))
    return image


def _street(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (196, 200, 206), (180, 184, 190))
    kerb = 0.5 + 0.2 * u[0]
    _paint(image, y > kerb, (110, 112, 118))
    _paint(
        image,
        (y > kerb) & (np.abs(y - (kerb + 1) / 2) < 0.025) & (x % 0.25 < 0.15),
        (240, 236, 200),
    )
    return image


def _forest(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (44, 92, 60), (74, 116, 66))
    _paint(image, ((x + 0.3 * u[0]) % (0.2 + 0.06 * u[1])) < 0.06, (92, 70, 48))
    _paint(image, y > 0.85, (60, 84, 44))
    return image


def _night(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (16, 20, 52), (40, 44, 92))
    for k in range(10):
        dx, dy = (0.37 * k + u[0]) % 1, (0.61 * k + u[1]) % 0.8
        _paint(image, (np.abs(x - dx) < 0.012) & (np.abs(y - dy) < 0.012), (255, 250, 210))
    return image


def _sea(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (64, 150, 210), (24, 84, 160))
    _paint(image, np.sin(40 * y + 3 * np.sin(8 * x + 6 * u[0]) + 6 * u[1]) > 0.85, (120, 190, 232))
    return image


def _room(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (244, 232, 208), (236, 222, 196))
    floor = 0.55 + 0.2 * u[0]
    _paint(image, y > floor, (186, 132, 84))
    _paint(image, (y > floor) & ((x + u[1]) % 0.2 < 0.02), (150, 102, 62))
    return image


def _sunset(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (122, 74, 140), (250, 168, 84))
    centre = 0.2 + 0.6 * u[0]
    _paint(image, (x - centre) ** 2 + (y - 0.75) ** 2 < 0.02, (255, 226, 130))
    return image


def _mountains(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (186, 214, 236), (222, 232, 240))
    for k, colour in ((0, (150, 158, 172)), (1, (120, 128, 142))):
        ridge = 0.35 + 0.15 * k + 0.5 * np.abs(((x + u[k]) * (1.6 + k)) % 1 - 0.5)
        _paint(image, y > ridge, colour)
    return image


def _desert(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (250, 220, 170), (246, 206, 140))
    for k, colour in ((0, (222, 166, 96)), (1, (204, 142, 76))):
        _paint(image, y > 0.5 + 0.2 * k + 0.08 * np.sin(5 * x + 6 * u[k]), colour)
    return image


def _stage(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (150, 20, 34), (120, 12, 28))
    image *= (0.85 + 0.15 * np.sin(50 * x + 6 * u[0]))[..., None]
    _paint(image, y > 0.75 + 0.1 * u[1], (96, 62, 40))
    return image


def _table(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (250, 250, 246), (244, 244, 240))
    step = 0.2 + 0.06 * u[0]
    _paint(image, ((x // step + y // step) % 2) < 0.5, (206, 84, 84))
    return image


def _lake(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (190, 220, 236), (206, 230, 240))
    _paint(image, y > 0.3 + 0.1 * u[0], (70, 130, 84))
    _paint(image, y > 0.45 + 0.1 * u[0], (128, 190, 204))
    _paint(image, (y > 0.5) & (np.abs(y - 0.7 - 0.1 * u[1]) < 0.012), (176, 220, 230))
    return image


def _bricks(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (176, 88, 66), (160, 76, 56))
    row = np.floor(y * 9)
    _paint(image, (y * 9) % 1 < 0.14, (214, 200, 186))
    _paint(image, ((x * 5 + 0.5 * (row % 2) + u[0]) % 1) < 0.08, (214, 200, 186))
    return image


def _space(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = _fade(y, (24, 8, 36), (52, 14, 70))
    centre = 0.2 + 0.6 * u[0]
    _paint(image, (x - centre) ** 2 + (y - 0.25 - 0.4 * u[1]) ** 2 < 0.045, (120, 96, 190))
    return image


PAINTERS = {
    "snow": _snow, "beach": _beach, "grass": _grass, "street": _street, "forest": _forest,
    "night": _night, "sea": _sea, "room": _room, "sunset": _sunset, "mountains": _mountains,
    "desert": _desert, "stage": _stage, "table": _table, "lake": _lake, "bricks": _bricks,
    "space": _space,
}  # fmt: skip


@cache
def background(place: str, variant: int, size: int) -> np.ndarray:
    """Paint version `variant` of a place as float32 [size, size, 3] in 0..255.

    >>> background("snow", 0, 8).shape
    (8, 8, 3)
    """
    if place not in PAINTERS:
        raise ValueError(f"no place {place!r}: wanted one of {sorted(PAINTERS)}")
    rng = np.random.default_rng([list(PLACE_BY_NAME).index(place), variant])
    u = rng.random(4)
    x, y = _grid(size)
    image = PAINTERS[place](x, y, u) * (0.88 + 0.2 * rng.random())
    image = image + 6.0 * (rng.random((size, size, 1)) - 0.5)
    return np.clip(image, 0, 255).astype(np.float32)
