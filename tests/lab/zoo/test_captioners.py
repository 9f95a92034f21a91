"""The shipped prefix networks: their manifests, their scores, and the models they are for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vizer_core.files import load_tensors, sha256_file
from vizer_lab.zoo import captioners, load_drawn_clip
from vizer_lab.zoo.captioners import (
    CAPTIONERS,
    drawn_prefix_network_path,
    load_drawn_prefix_network,
)


@pytest.mark.parametrize("name", CAPTIONERS)
def test_the_manifest_says_how_it_was_made(name):
    manifest = CAPTIONERS[name].manifest()
    assert manifest["command"] == f"vizer lab --rebuild --only {name}"
    assert manifest["config"] == CAPTIONERS[name].recipe.to_dict(), (
        "the recipe changed: run make lab"
    )
    assert manifest["sha256"] == sha256_file(drawn_prefix_network_path(name))
    assert {"pairs", "corpus", "seed", "hardware", "commit", "scores", "note"} <= set(manifest)
    assert manifest["clip"]["name"] == captioners.CLIP == "drawn-clip-50"
    assert manifest["language_model"]["name"] == captioners.LANGUAGE_MODEL == "drawn-lm"


def test_shipped_prefix_networks_are_small():
    assert sum(each.size() for each in CAPTIONERS.values()) < 2.9e6
    assert max(each.size() for each in CAPTIONERS.values()) < 0.72e6


def test_the_shipped_prefix_networks_score_what_their_manifests_say():
    found = {name: CAPTIONERS[name].check() for name in ("drawn-maccap", "drawn-decap")}
    # without noise the things in a text come back; with it far fewer do
    assert found["drawn-decap"]["text_recall"] > 2 * found["drawn-maccap"]["text_recall"]


def test_it_comes_with_the_settings_it_was_trained_with():
    found = load_drawn_prefix_network("drawn-maccap")
    assert found.config.noise.variance == 0.05952 and found.config.tokens == 10
    assert not found.prefix_generator.prefix_network.training


def test_another_clip_and_other_names_are_refused():
    with pytest.raises(ValueError, match=r"trained with the clip 'drawn-clip-50' .*clip-avg"):
        load_drawn_prefix_network(encoder=load_drawn_clip("drawn-clip-avg"))
    with pytest.raises(ValueError, match="no shipped captioner 'maccap': wanted one of"):
        drawn_prefix_network_path("maccap")


def test_the_cost_is_said_before_training_starts():
    said = CAPTIONERS["drawn-decap"].cost
    assert said.startswith("drawn-decap: 36,203 captions, 1 epochs, about 2 minutes")


def test_building_writes_an_prefix_network_that_loads_and_leaves_no_run_behind(
    tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(captioners, "CAPTIONS", 320)
    monkeypatch.setattr(captioners, "HELD_OUT", 4)
    capdec = CAPTIONERS["drawn-capdec"]
    manifest = capdec.build(folder=tmp_path)
    assert manifest["corpus"]["captions"] == 320 and manifest["steps"] == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "drawn-capdec.safetensors",
        "drawn-capdec.safetensors.json",
    ]
    assert capdec.check(tmp_path) == manifest["scores"]
    stored, _ = load_tensors(capdec.path(tmp_path))
    assert {t.dtype for t in stored.values() if t.is_floating_point()} == {torch.half}
