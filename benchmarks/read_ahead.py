"""Time what reading ahead hides: photographs prepared while a device works on the last batch.

    python benchmarks/read_ahead.py            # adds `read_ahead_speedup` to vizer_benchmark.json
    python benchmarks/read_ahead.py --quick    # fewer images; writes nothing

Photographs are JPEG files of 1200 x 900, opened and brought to 512 pixels by SmolVLM's own
processor. In the place of a GPU stands a wait, as long as a batch's preparation takes on this
machine: where both take equally long the most that can be hidden is a half, a ratio of 2. Wall
time, the least of some rounds, both ways taking turns. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vizer_core.cli.named_images import NamedImages
from vizer_core.data.images import ImageFiles
from vizer_core.files import read_json, write_json
from vizer_core.runtime import git_commit, hardware
from vizer_core.vizer.read_ahead import batches_of, read_ahead
from vizer_core.vlm import VisionBatch

ROOT = Path(__file__).resolve().parent.parent
SIDE, SIZE, BATCH = 512, (1200, 900), 8


class Waiting:
    """A model whose images are prepared as SmolVLM's are, and whose device only takes its time."""

    prepares = True

    def __init__(self) -> None:
        from vizer_lab.zoo.vlm_processor import drawn_vlm_processor

        self.reads, self.seconds = drawn_vlm_processor(64, SIDE).image_processor, 0.0

    def preprocess(self, images: Any) -> tuple[Tensor, Tensor]:
        """Bring images to the tower's size."""
        rows = [[image.convert("RGB")] for image in images]
        pixels = self.reads(rows, do_image_splitting=False, return_tensors="pt")["pixel_values"]
        return pixels[:, 0], torch.tensor([[1, 0, 0]] * len(images))

    def encode_pixels(self, pixels: Tensor, grid: Tensor) -> VisionBatch:
        """Wait as for a device."""
        time.sleep(self.seconds)
        means = pixels.mean(dim=(2, 3))
        return VisionBatch(means, tuple(means[:, None]), grid)

    def encode_image(self, images: Any) -> VisionBatch:
        """Do one after the other."""
        return self.encode_pixels(*self.preprocess(images))


def photographs(folder: Path, count: int) -> ImageFiles:
    """Write smooth noise as JPEG files: they compress as photographs do."""
    draws = np.random.default_rng(0)
    for row in range(count):
        small = Image.fromarray(draws.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        small.resize(SIZE, Image.Resampling.BICUBIC).save(folder / f"{row:03d}.jpg", quality=90)
    return ImageFiles(sorted(folder.glob("*.jpg")))


def seconds_of(source: NamedImages, batches: list[list[int]], *, ahead: bool) -> float:
    """Return the wall time of all batches."""
    start = time.perf_counter()
    with read_ahead(source, batches if ahead else []) as reading:
        for batch in batches:
            reading.select(batch)
    return time.perf_counter() - start


def figures_of(images: int, rounds: int) -> dict[str, float]:
    """Race both ways."""
    with tempfile.TemporaryDirectory() as folder:
        vlm = Waiting()
        files = photographs(Path(folder), images)
        source = NamedImages(vlm, files, [path.name for path in files.paths])
        batches = batches_of(images, BATCH)
        vlm.seconds = min(seconds_of(source, batches, ahead=False) for _ in range(2)) / len(batches)
        turns = []
        for _ in range(rounds):
            turns.append([seconds_of(source, batches, ahead=way) for way in (False, True)])
    plain, ahead = (min(way) for way in zip(*turns))
    return {
        "read_ahead_speedup": plain / ahead,
        "preparation_ms_per_image": 1000 * vlm.seconds / BATCH,
    }


def main() -> None:
    """Run the comparison and add it to the record of `benchmarks/vizer.py`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer images; writes nothing")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "vizer_benchmark.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    figures = figures_of(16, 1) if options.quick else figures_of(48, 4)
    if not options.quick:
        record = read_json(options.out)
        record["figures"] |= figures
        record["reading_ahead"] = {
            "command": "python benchmarks/read_ahead.py",
            "commit": git_commit(),
            "hardware": hardware(),
            "seconds": round(time.perf_counter() - start, 1),
        }
        write_json(options.out, record)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
