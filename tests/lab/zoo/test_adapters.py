"""The shipped adapter: whole, small, its base's, it changes captions, and can be made again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from vizer_core.decoding import Greedy, Sample
from vizer_core.files import read_json, sha256_file
from vizer_core.runtime import seeded
from vizer_core.vizer import POLICY_GRADIENT, LoraSettings, load_adapter
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo import adapters as shipped
from vizer_lab.zoo import load_drawn_vlm
from vizer_lab.zoo.adapters import (
    ADAPTERS,
    InformationRecipe,
    ShippedAdapter,
    context_mapper,
    read_back_mapper,
    shipped_adapter,
)
from vizer_lab.zoo.vlm_processor import PROMPT
from vizer_lab.zoo.vlm_scores import caption_scores

NAME = "drawn-vlm-web-information"
MEGABYTES = 2
SMALL = replace(POLICY_GRADIENT, images_per_step=6, samples=2, decoding=Sample(max_tokens=8))


def test_the_folder_is_whole_small_and_made_by_the_recipe():
    folder = shipped_adapter(NAME)
    record = read_json(folder / "vizer.json")
    assert record["made_by"]["recipe"] == ADAPTERS[NAME].recipe.to_dict(), (
        f"the recipe changed: vizer lab --rebuild --only {NAME}"
    )
    assert record["sha256"] == sha256_file(folder / "adapter_model.safetensors")
    assert sum(file.stat().st_size for file in folder.iterdir()) < MEGABYTES * 2**20


def test_captions_change_for_the_better_and_the_base_is_still_there():
    split, vlm = DrawnSplit("second_test", 60), load_drawn_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])
    before = vlm.generate(vision, decoding=Greedy(24)).texts
    load_adapter(vlm, shipped_adapter(NAME))
    after = vlm.generate(vision, decoding=Greedy(24)).texts
    old, new = caption_scores(before, split.scenes), caption_scores(after, split.scenes)
    assert new["object_recall"] > old["object_recall"] + 0.1
    with vlm.adapter_off():
        assert vlm.generate(vision, decoding=Greedy(24)).texts == before


def test_drawn_captions_say_more_and_err_less_than_the_base_given_the_first_word():
    split, vlm = DrawnSplit("second_test", 60), load_drawn_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])

    def drawn(prompt=PROMPT):
        captions = vlm.generate(
            vision, decoding=Sample(max_tokens=24), samples=4, prompt=prompt, generator=seeded(1)
        )
        return caption_scores(captions.texts, [scene for scene in split.scenes for _ in range(4)])

    base, primed = drawn(), drawn(f"{PROMPT} a")
    load_adapter(vlm, shipped_adapter(NAME))
    trained = drawn()
    for side in ("object_precision", "object_recall"):
        assert trained[side] > max(base[side], primed[side]) + 0.02


def test_it_belongs_to_its_base():
    hard = load_drawn_vlm("drawn-vlm-plain")
    with pytest.raises(ValueError, match="was trained on 'drawn-vlm-web'"):
        load_adapter(hard, shipped_adapter(NAME))
    with pytest.raises(
        ValueError, match=r"no shipped adapter 'x': wanted one of \['drawn-vlm-web-i"
    ):
        shipped_adapter("x")


def test_it_is_made_by_one_call_repeats_and_a_wrong_score_is_named(tmp_path, monkeypatch):
    lora = LoraSettings(rank=2, alpha=4)
    recipe = InformationRecipe(images=12, lora=lora, rl=SMALL)
    small = ShippedAdapter("small", recipe)
    scores = {"sampled_length": 4.0, "object_f1": 0.5}
    monkeypatch.setattr(shipped, "score_drawn_vlm", lambda vlm, split: dict(scores))
    record = small.build(folder=tmp_path)
    assert record["made_by"]["recipe"] == recipe.to_dict()
    assert len(record["made_by"]["reward"]) == 2 and record["rank"] == 2
    assert sorted(file.name for file in (tmp_path / "small").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "vizer.json",
    ]
    assert small.check(tmp_path) == scores
    scores["object_f1"] = 0.6
    with pytest.raises(ValueError, match=r"small: object_f1 is 0\.6000 here, but 0\.5000"):
        small.check(tmp_path)
    again = small.build(folder=tmp_path)
    assert again["sha256"] == record["sha256"]


def test_a_mapper_is_fitted_on_the_models_own_captions_and_repeats():
    split, vlm = DrawnSplit("second_test", 20), load_drawn_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])
    own = read_back_mapper(vlm, vision, generator=seeded(0))
    assert own.metadata["config"]["held_out"] == 4
    again = read_back_mapper(vlm, vision, generator=seeded(0))
    assert own.metadata["data"] == again.metadata["data"]
    in_context = context_mapper(vlm, vision, generator=seeded(0))
    assert in_context.metadata["data"] != own.metadata["data"]


def test_the_cost_is_said_first():
    assert ADAPTERS[NAME].cost.startswith(f"{NAME}: 640 images, about 2 minutes")
