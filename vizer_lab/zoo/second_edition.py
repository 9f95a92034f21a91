"""The models of the drawn world's second edition: recipes, and what their trials measure.

They lie beside the first edition's (`clips`, `vlms`) until all of them are trained. All see 112 px
in patches of 14: a grid of 8 x 8, as many tokens as before, four times the pixels.

================  ===============================================================================
second-clip       CLS pooling, `logit_scale` learned
second-clip-100   the same, trained on with `logit_scale` held at 100
second-clip-50    the same at 50, where the gap may be more like real CLIP's
second-clip-avg   the image feature is the mean of the patches
second-vlm-plain  sees what there is and says it plainly: what the others are measured against
second-vlm-web    the same tower, and web habits of many kinds: no single word hides what it knows
second-vlm-poor   a tower from fresh weights, trained too short: it lacks sight, not words
second-vlm-other  as the plain one, in the other world
================  ===============================================================================

A name here is a recipe; which of them have been trained, and how they scored, says
`results/trials/world_second_edition.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from vizer_core.clip import loading
from vizer_core.clip.encoder import OpenClipEncoder
from vizer_core.files import load_tensors
from vizer_core.vlm import SmolVlm
from vizer_lab.world.backgrounds import VARIANTS
from vizer_lab.world.lexicon import HOME_PLACES, OBJECTS
from vizer_lab.world.render import render_scenes
from vizer_lab.world.wording import with_article
from vizer_lab.world.world import Scene, SceneObject, scene_rng
from vizer_lab.zoo.clip_model import MicroClipConfig, normalise_pixels, open_clip_config
from vizer_lab.zoo.clip_recipe import ClipRecipe, Stage
from vizer_lab.zoo.noisy_captions import CaptionNoise
from vizer_lab.zoo.tokenizer import MicroTokenizer
from vizer_lab.zoo.vlm_model import MicroVlmConfig
from vizer_lab.zoo.vlm_recipe import VlmRecipe, VlmStage
from vizer_lab.zoo.vlms import vlm_from_state

WORLD = "second"
# in a checkout only: they are shipped, and stand in the registry, when all of them are trained
TRIALS = Path(__file__).resolve().parents[2] / "results" / "trials"
EMPTY_PLACES = 5
ASKED = 300

_CLIP = MicroClipConfig(layers=4, image_size=112, patch_size=14, world=WORLD)
_CURRICULUM = (
    Stage("one object", steps=350, batch=64, learning_rate=1e-3, easy=True),
    Stage("full scenes", steps=1900, batch=96, learning_rate=1e-3, captions_each=2),
)
_SEEN = sum(stage.steps * stage.batch for stage in _CURRICULUM)


def _held_at(scale: float) -> ClipRecipe:
    stage = Stage(
        f"scale {scale:g}", steps=300, batch=128, learning_rate=5e-4, scale=scale, captions_each=2
    )
    return ClipRecipe(_CLIP, (stage,), parent="second-clip", first_scene=_SEEN)


CLIP_RECIPES: dict[str, ClipRecipe] = {
    "second-clip": ClipRecipe(_CLIP, _CURRICULUM),
    "second-clip-100": _held_at(100.0),
    "second-clip-50": _held_at(50.0),
    "second-clip-avg": ClipRecipe(replace(_CLIP, pool="avg"), _CURRICULUM),
}

_VLM = MicroVlmConfig(image_size=112, patch_size=14, world=WORLD)
_POOR = VlmRecipe(
    _VLM,
    tower=VlmStage("tower", steps=1500, batch=64, learning_rate=1e-3),
    exact=VlmStage("exact", steps=1400, batch=64, learning_rate=2e-3),
    web=None,
    mix=CaptionNoise(generic=0.0, partial=0.0, wrong=0.0),
    scenes=12_000,
    clip=None,
)
_PLAIN = replace(
    _POOR,
    tower=VlmStage("tower", steps=1200, batch=64, learning_rate=8e-4),
    exact=VlmStage("exact", steps=2000, batch=64, learning_rate=2e-3),
    scenes=20_000,
    seed=1,
    clip="second-clip",
)
VLM_RECIPES: dict[str, VlmRecipe] = {
    "second-vlm-poor": _POOR,
    "second-vlm-plain": _PLAIN,
    "second-vlm-web": replace(
        _PLAIN,
        web=VlmStage("web", steps=300, batch=64, learning_rate=1e-3),
        mix=CaptionNoise(generic=0.25, partial=0.30, wrong=0.10, habits="many"),
        seed=2,
        parent="second-vlm-plain",
    ),
    "second-vlm-other": replace(_PLAIN, model=replace(_VLM, world="second_other"), seed=3),
}


def clip_encoder(
    name: str, config: MicroClipConfig, state: Mapping[str, Tensor], device: str = "cpu"
) -> OpenClipEncoder:
    """Wrap a CLIP's weights as an encoder that reads the words of its own world."""
    model = loading.build_model(open_clip_config(config))
    model.load_state_dict({key: value.float() for key, value in state.items()})
    preprocess = loading.preprocess_for(
        model, {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD}
    )
    return OpenClipEncoder(
        model.to(device),
        preprocess=preprocess,
        tokenizer=MicroTokenizer(world=config.world),
        name=name,
    )


def second_weights(name: str, folder: Path = TRIALS) -> Path:
    """Return where a model of the second edition lies, trained or not."""
    known = sorted({**CLIP_RECIPES, **VLM_RECIPES})
    if name not in known:
        raise ValueError(f"no model {name!r} in the second edition: wanted one of {known}")
    return Path(folder) / f"{name}.safetensors"


def load_second_clip(name: str = "second-clip", device: str = "cpu") -> OpenClipEncoder:
    """Load a shipped CLIP of the second edition."""
    state, manifest = load_tensors(second_weights(name))
    return clip_encoder(name, MicroClipConfig(**manifest["recipe"]["model"]), state, device)


def load_second_vlm(
    name: str = "second-vlm-plain", device: str = "cpu", *, folder: Path = TRIALS
) -> SmolVlm:
    """Load a shipped VLM of the second edition: a fresh model at each call, for LoRA changes it."""
    state, manifest = load_tensors(second_weights(name, folder))
    return vlm_from_state(name, MicroVlmConfig(**manifest["recipe"]["model"]), state, device)


def objects_against_places(encoder: OpenClipEncoder, asked: int = ASKED) -> dict[str, float]:
    """Ask for "a robot in the sea": does the robot come before five empty seas?

    `there`: the share of questions in which the image of the object at the place is nearer to the
    words than all five images of the empty place (chance 1/6). `elsewhere`: the same with the
    object at another place, so that object and place pull apart.
    """
    rng = scene_rng("second_validation", 0, purpose=40)
    texts, scenes = [], []
    for _ in range(asked):
        kind = OBJECTS[int(rng.integers(len(OBJECTS)))]
        place, other = (HOME_PLACES[k] for k in rng.choice(len(HOME_PLACES), 2, replace=False))
        variants = rng.choice(VARIANTS, EMPTY_PLACES + 1, replace=False).tolist()
        size, (x, y) = 40 / 112, rng.uniform(0.25, 0.75, 2).tolist()
        thing = (SceneObject(kind.name, x, y, size, flip=False),)
        texts.append(f"{with_article(kind.name)} {place.phrases[int(rng.integers(3))]}")
        scenes.append(Scene("second_validation", 0, thing, place.name, variants[0]))
        scenes.append(Scene("second_validation", 0, thing, other.name, variants[0]))
        scenes += [Scene("second_validation", 0, (), place.name, v) for v in variants[1:]]
    images = torch.from_numpy(render_scenes(scenes).transpose(0, 3, 1, 2).copy())
    seen = encoder.encode_image(normalise_pixels(images)).view(asked, EMPTY_PLACES + 2, -1)
    near = (seen @ encoder.encode_text(texts)[:, :, None])[..., 0]
    best_empty = near[:, 2:].max(dim=1).values
    return {
        "there": round(float((near[:, 0] > best_empty).float().mean()), 4),
        "elsewhere": round(float((near[:, 1] > best_empty).float().mean()), 4),
    }
