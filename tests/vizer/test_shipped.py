"""The shipped adapter: it is whole, small, its base's, changes captions, and can be made again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from vizer_core.decoding import Greedy, Sample
from vizer_core.micro import MicroSplit, load_micro_vlm
from vizer_core.micro.vlm_scores import caption_scores
from vizer_core.runtime import seeded
from vizer_core.store import read_json, sha256_file
from vizer_core.vizer import LoraSettings, RlConfig, load_adapter, shipped
from vizer_core.vizer.shipped import (
    ADAPTER_RECIPES,
    adapter_cost,
    build_adapter,
    check_adapters,
    context_mapper,
    read_back_mapper,
    shipped_adapter,
    shipped_mapper,
)

NAME = "micro-vlm-read-back"
MEGABYTES = 2


def test_the_folder_is_whole_small_and_made_by_the_recipe():
    folder = shipped_adapter(NAME)
    record = read_json(folder / "vizer.json")
    assert record["made_by"]["recipe"] == ADAPTER_RECIPES[NAME].to_dict(), (
        f"the recipe changed: vizer lab --rebuild --only {NAME}"
    )
    assert record["sha256"] == sha256_file(folder / "adapter_model.safetensors")
    assert sum(file.stat().st_size for file in folder.iterdir()) < MEGABYTES * 2**20


def test_captions_change_for_the_better_and_the_base_is_still_there():
    split, vlm = MicroSplit("test", 60), load_micro_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])
    before = vlm.generate(vision, decoding=Greedy(24)).texts
    load_adapter(vlm, shipped_adapter(NAME))
    after = vlm.generate(vision, decoding=Greedy(24)).texts
    old, new = caption_scores(before, split.scenes), caption_scores(after, split.scenes)
    assert new["object_recall"] > old["object_recall"] + 0.1
    with vlm.adapter_off():
        assert vlm.generate(vision, decoding=Greedy(24)).texts == before


def test_the_mapper_that_rewarded_it_prefers_its_captions():
    split, vlm = MicroSplit("test", 60), load_micro_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])
    fitted = shipped_mapper(NAME, vlm)

    def cosine(texts):
        captions = vlm.tokenize(list(texts))
        states = vlm.text_states(captions)
        return float(fitted.cosines(states, captions.mask, vision.image_features).mean())

    vague = ["itap of a picture"] * 60
    assert cosine([captions[0] for captions in split.captions]) > cosine(vague) + 0.02


def test_it_belongs_to_its_base():
    hard = load_micro_vlm("micro-vlm-hard")
    with pytest.raises(ValueError, match="was trained on 'micro-vlm'"):
        load_adapter(hard, shipped_adapter(NAME))
    with pytest.raises(ValueError, match="reads states of 'micro-vlm'"):
        shipped_mapper(NAME, hard)
    with pytest.raises(ValueError, match=r"no shipped adapter 'x': wanted one of \['micro-vlm-r"):
        shipped_adapter("x")


def test_it_is_made_by_one_call_and_a_wrong_score_is_named(tmp_path, monkeypatch):
    small = replace(
        ADAPTER_RECIPES[NAME],
        captions=540,
        pictures=12,
        lora=LoraSettings(rank=2, alpha=4),
        rl=RlConfig(images_per_step=6, samples=2, decoding=Sample(max_tokens=8), max_kl=0.5),
    )
    monkeypatch.setitem(ADAPTER_RECIPES, "small", small)
    scores = {"sampled_length": 4.0, "object_f1": 0.5}
    monkeypatch.setattr(shipped, "score_micro_vlm", lambda vlm: dict(scores))
    record = build_adapter("small", folder=tmp_path)
    assert record["made_by"]["scores"] == scores and len(record["made_by"]["reward"]) == 2
    assert record["made_by"]["recipe"]["pictures"] == 12 and record["rank"] == 2
    assert shipped_mapper("small", load_micro_vlm(), tmp_path).mapper.config.layer_norm
    assert check_adapters(["small"], tmp_path) == {"small": scores}
    scores["object_f1"] = 0.6
    with pytest.raises(ValueError, match=r"small: object_f1 is 0\.6000 here, but 0\.5000"):
        check_adapters(["small"], tmp_path)


def test_a_model_without_a_shipped_mapper_gets_its_own():
    split, vlm = MicroSplit("test", 20), load_micro_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])
    shipped_one = read_back_mapper(vlm, vision, generator=seeded(0))
    assert shipped_one.made_by == shipped_mapper(NAME, vlm).made_by
    vlm.name = "another"
    own = read_back_mapper(vlm, vision, generator=seeded(0))
    assert own.made_by["config"]["held_out"] == 4
    again = read_back_mapper(vlm, vision, generator=seeded(0))
    assert own.made_by["data"] == again.made_by["data"] != shipped_one.made_by["data"]
    in_context = context_mapper(vlm, vision, generator=seeded(0))
    assert in_context.made_by["data"] != own.made_by["data"]


def test_the_mapper_in_context_knows_the_picture():
    split, vlm = MicroSplit("test", 40), load_micro_vlm()
    vision = vlm.encode_image([Image.fromarray(pixels) for pixels in split.images])
    fitted = context_mapper(vlm, vision, generator=seeded(0))
    captions = vlm.generate(vision, decoding=Greedy(24))
    states = vlm.caption_states(vision, captions)
    assert float(fitted.cosines(states, captions.mask, vision.image_features).mean()) > 0.7


def test_the_cost_is_said_first():
    assert adapter_cost([NAME]).startswith("micro-vlm-read-back: about")
