"""What the ViZer study works on: bases, unlabelled images seen once by their towers, states.

A *base* is a shipped micro VLM. Its vision side is frozen, so what it says about an image is
computed once and lies in the run's folder; so do the pooled states that mappers are trained on.
Images for training come from the stream, which has no captions. Human captions, for ViZer_GT
only, come from the training scenes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vizer_core.decoding import Greedy, Sample
from vizer_core.files import load_tensors, save_tensors
from vizer_core.runtime import seeded
from vizer_core.vizer.text_states import (
    generated_states,
    ground_truth_states,
    ground_truth_states_in_context,
    read_back_states,
)
from vizer_core.vlm import VisionBatch
from vizer_lab.world import MicroSplit, unlabelled_stream
from vizer_lab.world.data import UnlabelledImage
from vizer_lab.zoo.vlm_images import encode_images
from vizer_lab.zoo.vlms import load_micro_vlm

BASES = ("micro-vlm", "micro-vlm-hard")
# the bases' tower started as micro-clip-avg, so neither it nor its kin may judge
REWARD_CLIP, JUDGE = "micro-clip-avg", "micro-clip"
MAX_TOKENS = 24
GREEDY, SAMPLED = Greedy(MAX_TOKENS), Sample(max_tokens=MAX_TOKENS)


def images_of(split: str, n: int) -> np.ndarray:
    """Return the first n images of a split; the stream gives images and nothing else."""
    if split == "stream":
        images: list[UnlabelledImage] = list(unlabelled_stream(n))
        return np.stack([image.pixels for image in images])
    return MicroSplit(split, n).images


def _vision_path(runs: str, base: str, split: str, n: int) -> Path:
    return Path(runs) / "vision" / f"{base}-{split}-{n}.safetensors"


def encode(runs: str, base: str, sizes: dict[str, int]) -> None:
    """Let a base's tower see the images of each split once."""
    for split, n in sizes.items():
        path = _vision_path(runs, base, split, n)
        if path.is_file():
            continue
        vision = encode_images(load_micro_vlm(base), images_of(split, n))
        tensors = {
            "image_features": vision.image_features,
            "image_embeddings": torch.stack(vision.image_embeddings),
            "grid": vision.grid,
        }
        save_tensors(path, tensors, {"base": base, "split": split})


@cache
def vision(runs: str, base: str, split: str, n: int) -> VisionBatch:
    """Return what a base's tower says about the first n images of a split."""
    tensors, _ = load_tensors(_vision_path(runs, base, split, n), verify=False)
    return VisionBatch(
        tensors["image_features"], tuple(tensors["image_embeddings"]), tensors["grid"]
    )


def _states_path(runs: str, base: str, reader: str, count: int, seed: int) -> Path:
    return Path(runs) / "states" / f"{base}-{reader}-{count}-{seed}.safetensors"


def states_cell(
    runs: str, base: str, reader: str, count: int, stored: int, seed: int
) -> dict[str, int]:
    """Compute and store the states that a mapper of this reader is trained on."""
    vlm, labelled = load_micro_vlm(base), reader.startswith("gt")
    split, n = ("train", count) if labelled else ("stream", stored)
    source = vision(runs, base, split, n).select(range(count))
    if labelled:
        # one caption an image, so that no image counts five times
        texts = [captions[i % 5] for i, captions in enumerate(MicroSplit("train", count).captions)]
    if reader == "gt":
        states, features = ground_truth_states(vlm, texts), source.image_features
    elif reader == "gt_context":
        found = ground_truth_states_in_context(vlm, source, texts)
        states, features = found.states, found.image_features
    elif reader == "own_context":
        found = generated_states(vlm, source, decoding=GREEDY)
        states, features = found.states, found.image_features
    elif reader == "own":
        found = read_back_states(vlm, source, decoding=SAMPLED, generator=seeded(seed))
        states, features = found.states, found.image_features
    else:
        raise ValueError(f"no reader {reader!r}: wanted gt, gt_context, own_context or own")
    path = _states_path(runs, base, reader, count, seed)
    save_tensors(path, {"states": states, "image_features": features.float()}, {"reader": reader})
    return {"captions": len(states)}


@cache
def states(runs: str, base: str, reader: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return stored states and the F_I that belong to them."""
    tensors, _ = load_tensors(_states_path(runs, base, reader, count, seed), verify=False)
    return tensors["states"], tensors["image_features"]
