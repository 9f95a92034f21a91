"""The shipped adaptors: their manifests, their scores, and the models they are for."""

from __future__ import annotations

from pathlib import Path

import pytest

from vizer_core.store import load_manifest, sha256_file
from vizer_core.textonly.presets import MICRO_VARIANCE
from vizer_lab.zoo import captioner as micro_adaptor
from vizer_lab.zoo import load_micro_clip
from vizer_lab.zoo.captioner import (
    RECIPES,
    adaptor_build_cost,
    build_micro_adaptor,
    check_micro_adaptors,
    load_micro_adaptor,
    micro_adaptor_path,
)


@pytest.mark.parametrize("name", RECIPES)
def test_the_manifest_says_how_it_was_made(name):
    manifest = load_manifest(micro_adaptor_path(name))
    assert manifest["command"] == f"vizer lab --rebuild --only {name}"
    assert manifest["config"] == RECIPES[name].to_dict(), "the recipe changed: run make lab"
    assert manifest["sha256"] == sha256_file(micro_adaptor_path(name))
    assert {"pairs", "corpus", "seed", "hardware", "commit", "scores", "note"} <= set(manifest)
    assert manifest["clip"]["name"] == "micro-clip-100"


def test_shipped_adaptors_are_small():
    assert sum(micro_adaptor_path(name).stat().st_size for name in RECIPES) < 4.5e6


def test_the_shipped_adaptors_score_what_their_manifests_say():
    found = check_micro_adaptors(["micro-maccap", "micro-decap"])
    # without noise the things in a text come back; with it far fewer do
    assert found["micro-decap"]["text_recall"] > 2 * found["micro-maccap"]["text_recall"]


def test_it_comes_with_the_settings_it_was_trained_with():
    found = load_micro_adaptor("micro-maccap")
    assert found.config.noise.variance == MICRO_VARIANCE and found.config.tokens == 10
    assert not found.writer.adaptor.training


def test_another_clip_and_other_names_are_refused():
    with pytest.raises(ValueError, match=r"trained with the clip 'micro-clip-100' .*clip-avg"):
        load_micro_adaptor(encoder=load_micro_clip("micro-clip-avg"))
    with pytest.raises(ValueError, match=r"no micro adaptor 'maccap': wanted one of \['micro-cap"):
        micro_adaptor_path("maccap")


def test_the_cost_is_said_before_training_starts():
    said = adaptor_build_cost(["micro-maccap", "micro-decap"])
    assert said.startswith("micro-maccap, micro-decap: 28,500 captions, 3 epochs, about 3 minutes")


def test_building_writes_an_adaptor_that_loads_and_leaves_no_run_behind(
    tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(micro_adaptor, "CAPTIONS", 64)
    monkeypatch.setattr(micro_adaptor, "HELD_OUT", 4)
    manifest = build_micro_adaptor("micro-capdec", folder=tmp_path)
    assert manifest["corpus"]["captions"] == 64 and manifest["steps"] == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "micro-capdec.safetensors", "micro-capdec.safetensors.json",
    ]  # fmt: skip
    assert check_micro_adaptors(["micro-capdec"], tmp_path)["micro-capdec"] == manifest["scores"]
    monkeypatch.setattr(micro_adaptor, "CHECK_TOLERANCE", -1.0)
    with pytest.raises(ValueError, match=r"micro-capdec: text_same is \d\.\d{4} here, but"):
        check_micro_adaptors(["micro-capdec"], tmp_path)
