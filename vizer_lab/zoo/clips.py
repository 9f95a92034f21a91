"""The shipped CLIPs.

`drawn_recipes` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from vizer_core.clip import loading
from vizer_core.clip.encoder import OpenClipEncoder
from vizer_core.files import load_tensors
from vizer_core.metrics.self_retrieval import retrieval_credit
from vizer_lab.world.data import DrawnSplit
from vizer_lab.world.world import split_in
from vizer_lab.zoo.clip_model import DrawnClipConfig, normalise_pixels, open_clip_config
from vizer_lab.zoo.drawn_recipes import CLIP_RECIPES
from vizer_lab.zoo.drawn_scores import objects_against_places, oracle_retrieval
from vizer_lab.zoo.shipped_model import (
    ART,
    ShippedModel,
    Trained,
    by_name,
    fp16,
    named,
    thinned,
)
from vizer_lab.zoo.tokenizer import DrawnTokenizer
from vizer_lab.zoo.train_clip import train_drawn_clip

GALLERY = 1000
SAMPLES_PER_CPU_SECOND = 150  # one core, with nothing beside it


@dataclass(frozen=True)
class ShippedClip(ShippedModel):
    """A shipped CLIP; `recipe` is a `ClipRecipe`."""

    kind: ClassVar[str] = "clip"

    @property
    def work(self) -> str:
        return f"{self.recipe.samples:,} image-text pairs"

    @property
    def cpu_seconds(self) -> float:
        return self.recipe.samples / SAMPLES_PER_CPU_SECOND

    def train(self, folder: Path, *, device: str, progress: bool) -> Trained:
        """Train by the recipe, from the parent's weights if it has one."""
        parent = self.recipe.parent
        start = load_tensors(replace(self, name=parent).path(folder))[0] if parent else None
        model, history = train_drawn_clip(
            self.recipe,
            start=start,
            device=device,
            checkpoint=self.run_file(folder),
            progress=progress,
        )
        state = fp16(model.state_dict())
        facts = {
            "samples": self.recipe.samples,
            "loss": thinned(history.loss) | {"stage_starts": history.stage_starts},
            "art": ART,
            **self.oracle(),
        }
        return Trained(self.wrap(state, device), facts, state)

    def oracle(self) -> dict[str, float]:
        """Return what one who knows every scene finds, to hold R@1 against."""
        data = DrawnSplit(split_in(self.recipe.model.world, "test"), GALLERY)
        captions = [said[0] for said in data.captions]
        return {"oracle_t2i_r1": oracle_retrieval(captions, data.scenes)}

    def wrap(self, state: Mapping[str, Tensor], device: str) -> OpenClipEncoder:
        return encoder_from_state(self.name, self.recipe.model, state, device)

    def score(self, model: OpenClipEncoder) -> dict[str, float]:
        """Measure retrieval, gap, scale, and what it knows of objects against places."""
        found = score_drawn_clip(model, split_in(self.recipe.model.world, "test"))
        return found | objects_against_places(model)


CLIPS: dict[str, ShippedClip] = by_name(
    *(ShippedClip(name, recipe) for name, recipe in CLIP_RECIPES.items()),
)


@cache
def load_drawn_clip(name: str = "drawn-clip-50", device: str = "cpu") -> OpenClipEncoder:
    """Load a shipped CLIP, once; its weights are checked against their manifest."""
    return named(CLIPS, name).load(device)


def encoder_from_state(
    name: str,
    config: DrawnClipConfig,
    state: Mapping[str, Tensor],
    device: str | torch.device = "cpu",
) -> OpenClipEncoder:
    """Wrap a drawn CLIP's weights as an encoder."""
    model = loading.build_model(open_clip_config(config))
    model.load_state_dict({key: value.float() for key, value in state.items()})
    preprocess = loading.preprocess_for(
        model, {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD}
    )
    tokenizer = DrawnTokenizer(world=config.world)
    return OpenClipEncoder(model.to(device), preprocess=preprocess, tokenizer=tokenizer, name=name)


def score_drawn_clip(encoder: OpenClipEncoder, split: str = "second_test") -> dict[str, float]:
    """Measure retrieval on a gallery of 1,000 scenes, one caption (the first) a scene.

    Chance is .001. Several scenes share a caption ("a crown"), so 1 cannot be reached.
    """
    data = DrawnSplit(split, GALLERY)
    images = encoder.encode_image(pixels_of(data.images).to(encoder.device))
    texts = encoder.encode_text([captions[0] for captions in data.captions])
    scores = {
        name: float(hits.float().mean()) for name, hits in retrieval_hits(images, texts).items()
    }
    return {name: round(value, 4) for name, value in scores.items()} | {
        "pair_cosine": round(float((images * texts).sum(-1).mean()), 4),
        "gap_norm": round(float((texts.mean(0) - images.mean(0)).norm()), 4),
        "logit_scale": round(encoder.logit_scale, 2),
    }


def retrieval_hits(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "n d"]
) -> dict[str, Bool[Tensor, " n"]]:
    """Say of each pair whether its other half ranks first, and among the first five, both ways.

    Equal candidates count for the pair.

    >>> retrieval_hits(torch.eye(2), torch.eye(2))["i2t_r1"]
    tensor([True, True])
    """
    scores, hits = image_features @ text_features.T, {}
    for way, table in (("i2t", scores), ("t2i", scores.T)):
        for k in (1, 5):
            credit = retrieval_credit(table, table.diagonal(), ties="for", k=k)
            hits[f"{way}_r{k}"] = credit.bool()
    return hits


def pixels_of(images: np.ndarray) -> Tensor:
    """Turn uint8 images [n, s, s, 3] into what the drawn towers see, float [n, 3, s, s]."""
    return normalise_pixels(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
