"""Recipes of the drawn world's models: CLIPs, a language model, and VLM bases that lack things.

All see 112 px in patches of 14: a grid of 8 x 8. Matrices are trained with Muon (`zoo.muon`): 500
batches of it bring the tower farther than 1,500 of AdamW's.

====================  =========================================================================
drawn-clip            CLS pooling, `logit_scale` learned
drawn-clip-100        the same, trained on with `logit_scale` held at 100, where real CLIP ends
drawn-clip-50         the same at 50: a gap of about the size that real CLIP's has
drawn-clip-avg        the same, trained on with the mean of the patches as image feature, so that
                      patches are trained too
drawn-lm              the language model that reads and writes the world's captions
drawn-vlm-plain       sees nearly all and says it plainly: what the others are measured against
drawn-vlm-web         lacks the habit of describing: it writes as the web does, in many ways
drawn-vlm-general     the same habits, and its text mode is general text, not its captions
drawn-vlm-poor        lacks sight: a tower from fresh weights, trained too short
drawn-vlm-qwen        a Qwen2-VL with web habits: own positions, own merger
drawn-vlm-other       of the other world: other objects, other places, other words
drawn-vlm-other-web   the same with web habits
====================  =========================================================================
"""

from __future__ import annotations

from dataclasses import replace

from vizer_lab.zoo.clip_model import DrawnClipConfig
from vizer_lab.zoo.clip_recipe import ClipRecipe, Stage
from vizer_lab.zoo.lm_model import DrawnLMConfig
from vizer_lab.zoo.lm_recipe import LMRecipe
from vizer_lab.zoo.noisy_captions import CaptionNoise
from vizer_lab.zoo.vlm_model import DrawnVlmConfig
from vizer_lab.zoo.vlm_recipe import VlmRecipe, VlmStage

_CLIP = DrawnClipConfig(layers=4)
_CURRICULUM = (
    Stage("one object", steps=200, batch=64, learning_rate=5e-3, easy=True, method="muon"),
    Stage("full scenes", steps=2200, batch=96, learning_rate=5e-3, captions_each=2, method="muon"),
)
_SEEN = sum(stage.steps * stage.batch for stage in _CURRICULUM)


def _held_at(scale: float) -> ClipRecipe:
    stage = Stage(
        f"scale {scale:g}",
        steps=300,
        batch=128,
        learning_rate=2e-3,
        scale=scale,
        captions_each=2,
        method="muon",
    )
    return ClipRecipe(_CLIP, (stage,), parent="drawn-clip", first_scene=_SEEN)


_PATCHES = Stage(
    "patch mean", steps=700, batch=96, learning_rate=4e-3, captions_each=2, method="muon"
)
CLIP_RECIPES: dict[str, ClipRecipe] = {
    "drawn-clip": ClipRecipe(_CLIP, _CURRICULUM),
    "drawn-clip-100": _held_at(100.0),
    "drawn-clip-50": _held_at(50.0),
    "drawn-clip-avg": ClipRecipe(
        replace(_CLIP, pool="avg"), (_PATCHES,), parent="drawn-clip", first_scene=_SEEN
    ),
}

LM_RECIPE = LMRecipe(
    DrawnLMConfig(),
    steps=1400,
    batch=32,
    learning_rate=5e-3,
    method="muon",
)

_VLM = DrawnVlmConfig()
_NO_NOISE = CaptionNoise(generic=0.0, partial=0.0, wrong=0.0)
_SHORTER = VlmStage("exact", steps=1500, batch=64, learning_rate=5e-3, method="muon")
_WEB = VlmStage("web", steps=400, batch=64, learning_rate=2e-3, method="muon")
_MANY = CaptionNoise(generic=0.25, partial=0.30, wrong=0.10)
_PLAIN = VlmRecipe(
    _VLM,
    tower=VlmStage("tower", steps=5000, batch=64, learning_rate=5e-3, method="muon"),
    exact=VlmStage("exact", steps=3000, batch=64, learning_rate=5e-3, method="muon"),
    web=None,
    mix=_NO_NOISE,
    scenes=40_000,
    seed=1,
    clip=None,
)
VLM_RECIPES: dict[str, VlmRecipe] = {
    # numbers of things are learned last: 3,000 steps on half the scenes named 47% of them right
    "drawn-vlm-plain": replace(_PLAIN, exact=replace(_PLAIN.exact, steps=6000), scenes=80_000),
    "drawn-vlm-web": replace(
        _PLAIN, exact=_SHORTER, web=_WEB, mix=_MANY, seed=2, parent="drawn-vlm-plain"
    ),
    "drawn-vlm-general": replace(
        _PLAIN,
        exact=replace(_SHORTER, text="general"),
        web=replace(_WEB, text="general"),
        mix=_MANY,
        seed=3,
        parent="drawn-vlm-plain",
    ),
    "drawn-vlm-poor": replace(
        _PLAIN,
        tower=VlmStage("tower", steps=1500, batch=64, learning_rate=1e-3),
        exact=VlmStage("exact", steps=1400, batch=64, learning_rate=2e-3),
        scenes=12_000,
        seed=0,
    ),
    "drawn-vlm-other": replace(
        _PLAIN,
        model=replace(_VLM, world="second_other"),
        tower=replace(_PLAIN.tower, steps=2200),
        exact=_SHORTER,
        seed=5,
    ),
}
VLM_RECIPES["drawn-vlm-other-web"] = replace(
    VLM_RECIPES["drawn-vlm-other"], web=_WEB, mix=_MANY, seed=6, parent="drawn-vlm-other"
)
QWEN_RECIPE = replace(
    _PLAIN,
    tower=VlmStage("tower", steps=400, batch=64, learning_rate=3e-3, method="muon"),
    exact=_SHORTER,
    web=_WEB,
    mix=_MANY,
    seed=4,
)

# what the book's table of bases says of each
LACKS: dict[str, str] = {
    "drawn-vlm-plain": "next to nothing: the ceiling",
    "drawn-vlm-web": "the habit of describing: it writes as the web does",
    "drawn-vlm-general": "the same habit, and a text mode that is its captions' own",
    "drawn-vlm-poor": "sight: a tower trained too short",
    "drawn-vlm-qwen": "the habit of describing; a Qwen2-VL",
    "drawn-vlm-other": "the home world: it knows another one",
    "drawn-vlm-other-web": "the same, and the habit of describing",
}
