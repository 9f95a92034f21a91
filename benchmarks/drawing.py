"""Time the drawn world's drawing against pasting with PIL, scene by scene, in the same run.

    python benchmarks/drawing.py   # seconds; the last line of stdout is one JSON object

The reference shrinks each object's art anew and lets PIL blend it; the package keeps every sprite
at every size, already multiplied by its alpha. Both draw the same scenes on the same backgrounds;
`max_abs_diff` is the largest mean difference of an image, in levels of 255.
"""

from __future__ import annotations

import json
import time

import numpy as np
from PIL import Image

from vizer_lab.world.backgrounds import background
from vizer_lab.world.lexicon import KIND_BY_NAME
from vizer_lab.world.render import render_scenes
from vizer_lab.world.settings import IMAGE_SIZE
from vizer_lab.world.sprites import art
from vizer_lab.world.world import Scene, make_scene


def paste_scene(scene: Scene) -> np.ndarray:
    """Draw a scene with PIL alone: the reference."""
    size = IMAGE_SIZE
    ground = background(scene.place, scene.variant, size)
    canvas = Image.fromarray((ground + 0.5).clip(0, 255).astype(np.uint8)).convert("RGBA")
    for item in scene.objects:
        pixels = max(1, round(item.w * size))
        drawn = art(KIND_BY_NAME[item.name].code)
        if item.flip:
            drawn = drawn.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        drawn = drawn.resize((pixels, pixels), Image.Resampling.BOX)
        left = min(max(round((item.x - item.w / 2) * size), 0), size - pixels)
        top = min(max(round((item.y - item.w / 2) * size), 0), size - pixels)
        canvas.alpha_composite(drawn, (left, top))
    return np.asarray(canvas.convert("RGB"))


def measure(scenes: int, split: str = "second_test") -> dict[str, float]:
    """Draw the first scenes of a split both ways and compare time and images."""
    drawn = [make_scene(split, i) for i in range(scenes)]
    render_scenes(drawn)  # both find the art in the cache
    began = time.process_time()
    ours = render_scenes(drawn)
    seconds = time.process_time() - began
    began = time.process_time()
    pasted = np.stack([paste_scene(scene) for scene in drawn])
    reference = time.process_time() - began
    apart = np.abs(ours.astype(int) - pasted.astype(int)).mean(axis=(1, 2, 3))
    return {
        "render_speedup": round(reference / seconds, 2),
        "scenes_per_second": round(scenes / seconds),
        "max_abs_diff": round(float(apart.max()), 3),
        "scenes": scenes,
    }


if __name__ == "__main__":
    print(json.dumps(measure(2000)))
