"""The shipped adapters: whole, small, their base's, they change captions, and can be made again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from vizer_core.decoding import Greedy, Sample
from vizer_core.files import read_json, sha256_file
from vizer_core.runtime import seeded
from vizer_core.vizer import POLICY_GRADIENT, LoraSettings, load_adapter
from vizer_core.vizer.checkpoint import load_mapper
from vizer_lab.world import MicroSplit
from vizer_lab.zoo import adapters as shipped
from vizer_lab.zoo import load_micro_vlm
from vizer_lab.zoo.adapters import (
    ADAPTERS,
    MAPPER,
    InformationRecipe,
    ShippedAdapter,
    context_mapper,
    read_back_mapper,
    shipped_adapter,
    shipped_mapper,
)
from vizer_lab.zoo.vlm_processor import PROMPT
from vizer_lab.zoo.vlm_scores import caption_scores

NAME = "micro-vlm-read-back"
INFORMATION = "micro-vlm-information"
MEGABYTES = 2
SMALL = replace(POLICY_GRADIENT, images_per_step=6, samples=2, decoding=Sample(max_tokens=8))


@pytest.mark.parametrize("name", [NAME, INFORMATION])
def test_the_folder_is_whole_small_and_made_by_the_recipe(name):
    folder = shipped_adapter(name)
    record = read_json(folder / "vizer.json")
    assert record["made_by"]["recipe"] == ADAPTERS[name].recipe.to_dict(), (
        f"the recipe changed: vizer lab --rebuild --only {name}"
    )
    assert record["sha256"] == sha256_file(folder / "adapter_model.safetensors")
    assert sum(file.stat().st_size for file in folder.iterdir()) < MEGABYTES * 2**20


@pytest.mark.parametrize("name", [NAME, INFORMATION])
def test_captions_change_for_the_better_and_the_base_is_still_there(name):
    split, vlm = MicroSplit("test", 60), load_micro_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])
    before = vlm.generate(vision, decoding=Greedy(24)).texts
    load_adapter(vlm, shipped_adapter(name))
    after = vlm.generate(vision, decoding=Greedy(24)).texts
    old, new = caption_scores(before, split.scenes), caption_scores(after, split.scenes)
    assert new["object_recall"] > old["object_recall"] + 0.1
    with vlm.adapter_off():
        assert vlm.generate(vision, decoding=Greedy(24)).texts == before


def test_drawn_captions_say_more_and_err_less_than_the_base_given_the_first_word():
    split, vlm = MicroSplit("test", 60), load_micro_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])

    def drawn(prompt=PROMPT):
        captions = vlm.generate(
            vision, decoding=Sample(max_tokens=24), samples=4, prompt=prompt, generator=seeded(1)
        )
        return caption_scores(captions.texts, [scene for scene in split.scenes for _ in range(4)])

    base, primed = drawn(), drawn(f"{PROMPT} a")
    load_adapter(vlm, shipped_adapter(INFORMATION))
    trained = drawn()
    for side in ("object_precision", "object_recall"):
        assert trained[side] > max(base[side], primed[side]) + 0.02


def test_the_mapper_that_rewarded_it_prefers_its_captions():
    split, vlm = MicroSplit("test", 60), load_micro_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])
    fitted = shipped_mapper(NAME, vlm)

    def cosine(texts):
        captions = vlm.tokenize(list(texts))
        states = vlm.text_states(captions)
        return float(fitted.cosines(states, captions.mask, vision.image_features).mean())

    vague = ["itap of an image"] * 60
    assert cosine([captions[0] for captions in split.captions]) > cosine(vague) + 0.02


def test_it_belongs_to_its_base():
    hard = load_micro_vlm("micro-vlm-hard")
    with pytest.raises(ValueError, match="was trained on 'micro-vlm'"):
        load_adapter(hard, shipped_adapter(NAME))
    with pytest.raises(ValueError, match="reads states of 'micro-vlm'"):
        shipped_mapper(NAME, hard)
    with pytest.raises(ValueError, match=r"no shipped adapter 'x': wanted one of \['micro-vlm-i"):
        shipped_adapter("x")
    with pytest.raises(ValueError, match="micro-vlm-information was trained without a mapper"):
        shipped_mapper(INFORMATION, load_micro_vlm())


def test_it_is_made_by_one_call_and_a_wrong_score_is_named(tmp_path, monkeypatch):
    recipe = replace(
        ADAPTERS[NAME].recipe,
        captions=60,
        images=12,
        lora=LoraSettings(rank=2, alpha=4),
        rl=replace(SMALL, max_kl=0.5),
    )
    small = ShippedAdapter("small", recipe)
    monkeypatch.setattr(shipped, "MAPPER_FIT", replace(shipped.MAPPER_FIT, held_out=20))
    scores = {"sampled_length": 4.0, "object_f1": 0.5}
    monkeypatch.setattr(shipped, "score_micro_vlm", lambda vlm: dict(scores))
    record = small.build(folder=tmp_path)
    assert record["made_by"]["scores"] == scores and len(record["made_by"]["reward"]) == 2
    assert record["made_by"]["recipe"]["images"] == 12 and record["rank"] == 2
    fitted = load_mapper(small.path(tmp_path) / MAPPER, load_micro_vlm())
    assert fitted.mapper.config.layer_norm
    assert small.check(tmp_path) == scores
    scores["object_f1"] = 0.6
    with pytest.raises(ValueError, match=r"small: object_f1 is 0\.6000 here, but 0\.5000"):
        small.check(tmp_path)


def test_information_is_made_by_one_call_without_a_mapper(tmp_path, monkeypatch):
    lora = LoraSettings(rank=2, alpha=4)
    recipe = InformationRecipe(first=7, images=12, lora=lora, rl=SMALL)
    small = ShippedAdapter("small", recipe)
    monkeypatch.setattr(shipped, "score_micro_vlm", lambda vlm: {"object_f1": 0.5})
    record = small.build(folder=tmp_path)
    assert record["made_by"]["recipe"] == recipe.to_dict()
    assert len(record["made_by"]["reward"]) == 2 and record["rank"] == 2
    assert sorted(file.name for file in (tmp_path / "small").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "vizer.json",
    ]
    again = small.build(folder=tmp_path)
    assert again["sha256"] == record["sha256"]


def test_a_model_without_a_shipped_mapper_gets_its_own():
    split, vlm = MicroSplit("test", 20), load_micro_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])
    shipped_one = read_back_mapper(vlm, vision, generator=seeded(0))
    assert shipped_one.metadata == shipped_mapper(NAME, vlm).metadata
    vlm.name = "another"
    own = read_back_mapper(vlm, vision, generator=seeded(0))
    assert own.metadata["config"]["held_out"] == 4
    again = read_back_mapper(vlm, vision, generator=seeded(0))
    assert own.metadata["data"] == again.metadata["data"] != shipped_one.metadata["data"]
    in_context = context_mapper(vlm, vision, generator=seeded(0))
    assert in_context.metadata["data"] != own.metadata["data"]


def test_the_mapper_in_context_knows_the_image():
    split, vlm = MicroSplit("test", 40), load_micro_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])
    fitted = context_mapper(vlm, vision, generator=seeded(0))
    captions = vlm.generate(vision, decoding=Greedy(24))
    states = vlm.caption_states(vision, captions)
    assert float(fitted.cosines(states, captions.mask, vision.image_features).mean()) > 0.7


def test_the_cost_is_said_first():
    said = ADAPTERS[NAME].cost
    assert said.startswith("micro-vlm-read-back: 11,000 images, 20,000 captions, about 2 minutes")
    assert ADAPTERS[INFORMATION].cost.startswith(f"{INFORMATION}: 640 images, about 1 minutes")
