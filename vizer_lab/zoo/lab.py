"""The shipped micro CLIP models: how each is made, where it lies, and how to make it again.

==================  ==============================================================================
micro-clip          CLS pooling, `logit_scale` learned
micro-clip-100      the same, trained on with `logit_scale` held at 100, where real CLIP ends
micro-clip-avg      the image feature is the mean of the patches, so patches are trained too
==================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from vizer_core.clip import loading
from vizer_core.clip.encoder import OpenClipEncoder
from vizer_core.metrics.self_retrieval import retrieval_credit
from vizer_core.runtime import git_commit, hardware
from vizer_core.store import load_manifest, load_tensors, remove_tensors, save_tensors
from vizer_lab.world.data import MicroSplit
from vizer_lab.world.sprites import check_art
from vizer_lab.zoo.clip_model import (
    MicroClipConfig,
    normalise_pixels,
    open_clip_config,
)
from vizer_lab.zoo.clip_recipe import ClipRecipe, History, Stage
from vizer_lab.zoo.tokenizer import MicroTokenizer
from vizer_lab.zoo.train_clip import train_micro_clip

WEIGHTS = Path(__file__).parent / "weights"
GALLERY = 1000
SCORE_TOLERANCE = 0.05  # a remade model against the shipped one: other hardware rounds apart
CHECK_TOLERANCE = 0.01  # the shipped weights scored here against scored where they were made
SAMPLES_PER_CPU_SECOND = 150  # one core, with nothing beside it

_CURRICULUM = (
    Stage("one object", steps=600, batch=128, learning_rate=1e-3, easy=True),
    Stage("full scenes", steps=2000, batch=128, learning_rate=1e-3),
)
RECIPES: dict[str, ClipRecipe] = {
    "micro-clip": ClipRecipe(MicroClipConfig(layers=4), _CURRICULUM),
    "micro-clip-100": ClipRecipe(
        MicroClipConfig(layers=4),
        (Stage("scale 100", steps=300, batch=128, learning_rate=5e-4, scale=100.0),),
        parent="micro-clip",
        first_scene=2600 * 128,
    ),
    "micro-clip-avg": ClipRecipe(
        MicroClipConfig(layers=4, pool="avg"),
        (_CURRICULUM[0], Stage("full scenes", steps=1200, batch=128, learning_rate=1e-3)),
    ),
}


def _require_known(name: str) -> None:
    if name not in RECIPES:
        raise ValueError(f"no micro model {name!r}: wanted one of {sorted(RECIPES)}")


def weights_path(name: str, folder: Path = WEIGHTS) -> Path:
    """Return where a micro model's weights lie."""
    _require_known(name)
    return Path(folder) / f"{name}.safetensors"


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
    return OpenClipEncoder(
        model.to(device), preprocess=preprocess, tokenizer=MicroTokenizer(), name=name
    )


@cache
def load_micro_clip(name: str = "micro-clip-100", device: str = "cpu") -> OpenClipEncoder:
    """Load a shipped micro CLIP; its weights are checked against their manifest."""
    state, _ = load_tensors(weights_path(name))
    return encoder_from_state(name, RECIPES[name].model, state, device)


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


def build_micro_clip_weights(
    name: str, *, folder: Path = WEIGHTS, device: str = "cpu", progress: bool = False
) -> dict[str, Any]:
    """Train one shipped model by its recipe, score it, and write weights and manifest.

    A killed run goes on from `folder/name.run.safetensors`. Returns the manifest.
    """
    path = weights_path(name, folder)
    recipe = RECIPES[name]
    start = load_tensors(weights_path(recipe.parent, folder))[0] if recipe.parent else None
    checkpoint = path.with_name(f"{name}.run.safetensors")
    model, history = train_micro_clip(
        recipe, start=start, device=device, checkpoint=checkpoint, progress=progress
    )
    state = {key: value.half().cpu() for key, value in model.state_dict().items()}
    manifest = {
        "name": name,
        "command": f"vizer lab --rebuild --only {name}",
        "recipe": recipe.to_dict(),
        "samples": recipe.samples,
        "scores": score_micro_clip(encoder_from_state(name, recipe.model, state, device)),
        "loss": _thinned(history),
        "hardware": hardware() if device != "cpu" else f"CPU, torch {torch.__version__}",
        "commit": git_commit(),
        "art": "OpenMoji, https://openmoji.org, CC BY-SA 4.0",
    }
    save_tensors(path, state, manifest)
    remove_tensors(checkpoint)
    return load_manifest(path)


def _thinned(history: History, keep: int = 100) -> dict[str, Any]:
    """Keep about `keep` means of consecutive losses, enough to draw the curve."""
    block = max(1, len(history.loss) // keep)
    means = [
        round(sum(history.loss[i : i + block]) / len(history.loss[i : i + block]), 4)
        for i in range(0, len(history.loss), block)
    ]
    return {"every": block, "mean": means, "stage_starts": history.stage_starts}


def pixels_of(images: np.ndarray) -> Tensor:
    """Turn uint8 pictures [n, s, s, 3] into what the micro towers see, float [n, 3, s, s]."""
    return normalise_pixels(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())


def build_cost(names: Sequence[str]) -> str:
    """Say what training these models will cost, before it starts."""
    samples = sum(RECIPES[name].samples for name in names)
    minutes = samples / SAMPLES_PER_CPU_SECOND / 60
    return (
        f"{', '.join(names)}: {samples:,} image-text pairs, about {minutes:.0f} minutes of one CPU "
        "core, 2 GiB of memory. A stopped run goes on where it was."
    )


def check_lab(names: Sequence[str], folder: Path = WEIGHTS) -> dict[str, dict[str, float]]:
    """Score shipped models again and compare with their manifests.

    Raises `ValueError` naming the model and the score when one is off by more than rounding.
    """
    check_art()
    found = {}
    for name in names:
        state, manifest = load_tensors(weights_path(name, folder))
        scores = score_micro_clip(encoder_from_state(name, RECIPES[name].model, state))
        for metric, stored in manifest["scores"].items():
            if abs(scores[metric] - stored) > CHECK_TOLERANCE:
                raise ValueError(
                    f"{name}: {metric} is {scores[metric]:.4f} here, but {stored:.4f} in its "
                    "manifest. The drawings or a library changed; `vizer lab --rebuild` trains it "
                    "again."
                )
        found[name] = scores
    return found
