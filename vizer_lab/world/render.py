"""Images from scenes: paste each object's art over its place, fast enough to do it on the fly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vizer_lab.world.backgrounds import background
from vizer_lab.world.lexicon import KIND_BY_NAME
from vizer_lab.world.settings import IMAGE_SIZE
from vizer_lab.world.sprites import sprite
from vizer_lab.world.world import Scene


def render_scene(scene: Scene, size: int = IMAGE_SIZE) -> np.ndarray:
    """Draw a scene as uint8 [size, size, 3]. Objects are pasted in order, later ones in front."""
    canvas = background(scene.place, scene.variant, size).copy()
    for item in scene.objects:
        pixels = max(1, round(item.w * size))
        drawn = sprite(KIND_BY_NAME[item.name].code, pixels, item.flip)
        left = min(max(round((item.x - item.w / 2) * size), 0), size - pixels)
        top = min(max(round((item.y - item.w / 2) * size), 0), size - pixels)
        window = canvas[top : top + pixels, left : left + pixels]
        window *= 1.0 - drawn.alpha
        window += drawn.colour
    return (canvas + 0.5).clip(0, 255).astype(np.uint8)


def render_scenes(scenes: Sequence[Scene], size: int = IMAGE_SIZE) -> np.ndarray:
    """Draw many scenes as uint8 [n, size, size, 3]."""
    images = np.empty((len(scenes), size, size, 3), dtype=np.uint8)
    for row, scene in enumerate(scenes):
        images[row] = render_scene(scene, size)
    return images
