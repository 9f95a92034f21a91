"""The shipped CLIPs.

==================  ==============================================================================
micro-clip          CLS pooling, `logit_scale` learned
micro-clip-100      the same, trained on with `logit_scale` held at 100, where real CLIP ends
micro-clip-avg      the image feature is the mean of the patches, so patches are trained too
==================  ==============================================================================

Those of the second edition are listed in `drawn_recipes`.
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
from vizer_lab.world.data import MicroSplit
from vizer_lab.world.editions import FIRST, edition_of
from vizer_lab.world.world import split_in
from vizer_lab.zoo.clip_model import MicroClipConfig, normalise_pixels, open_clip_config
from vizer_lab.zoo.clip_recipe import ClipRecipe, Stage
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
from vizer_lab.zoo.tokenizer import MicroTokenizer
from vizer_lab.zoo.train_clip import train_micro_clip

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
        model, history = train_micro_clip(
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
        """Return what one who knows every scene finds, to hold R@1 against: second edition only."""
        world = self.recipe.model.world
        if edition_of(world) is FIRST:
            return {}
        data = MicroSplit(split_in(world, "test"), GALLERY)
        captions = [said[0] for said in data.captions]
        return {"oracle_t2i_r1": oracle_retrieval(captions, data.scenes)}

    def wrap(self, state: Mapping[str, Tensor], device: str) -> OpenClipEncoder:
        return encoder_from_state(self.name, self.recipe.model, state, device)

    def score(self, model: OpenClipEncoder) -> dict[str, float]:
        """Measure retrieval, the gap and the scale on test scenes of its world.

        In the second edition also what it knows of objects against places.
        """
        world = self.recipe.model.world
        found = score_micro_clip(model, split_in(world, "test"))
        return found if edition_of(world) is FIRST else found | objects_against_places(model)


_CURRICULUM = (
    Stage("one object", steps=600, batch=128, learning_rate=1e-3, easy=True),
    Stage("full scenes", steps=2000, batch=128, learning_rate=1e-3),
)
CLIPS: dict[str, ShippedClip] = by_name(
    ShippedClip("micro-clip", ClipRecipe(MicroClipConfig(layers=4), _CURRICULUM)),
    ShippedClip(
        "micro-clip-100",
        ClipRecipe(
            MicroClipConfig(layers=4),
            (Stage("scale 100", steps=300, batch=128, learning_rate=5e-4, scale=100.0),),
            parent="micro-clip",
            first_scene=2600 * 128,
        ),
    ),
    ShippedClip(
        "micro-clip-avg",
        ClipRecipe(
            MicroClipConfig(layers=4, pool="avg"),
            (_CURRICULUM[0], Stage("full scenes", steps=1200, batch=128, learning_rate=1e-3)),
        ),
    ),
    *(ShippedClip(name, recipe) for name, recipe in CLIP_RECIPES.items()),
)


@cache
def load_micro_clip(name: str = "micro-clip-100", device: str = "cpu") -> OpenClipEncoder:
    """Load a shipped CLIP, once; its weights are checked against their manifest."""
    return named(CLIPS, name).load(device)


def encoder_from_state(
    name: str,
    config: MicroClipConfig,
    state: Mapping[str, Tensor],
    device: str | torch.device = "cpu",
) -> OpenClipEncoder:
    """Wrap a micro CLIP's weights as an encoder."""
    model = loading.build_model(open_clip_config(config))
    model.load_state_dict({key: value.float() for key, value in state.items()})
    preprocess = loading.preprocess_for(
        model, {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD}
    )
    tokenizer = MicroTokenizer(world=config.world)
    return OpenClipEncoder(model.to(device), preprocess=preprocess, tokenizer=tokenizer, name=name)


def score_micro_clip(encoder: OpenClipEncoder, split: str = "test") -> dict[str, float]:
    """Measure retrieval on a gallery of 1,000 scenes, one caption (the first) a scene.

    Chance is .001. Several scenes share a caption ("a crown"), so 1 cannot be reached.
    """
    data = MicroSplit(split, GALLERY)
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
    """Turn uint8 images [n, s, s, 3] into what the micro towers see, float [n, 3, s, s]."""
    return normalise_pixels(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
