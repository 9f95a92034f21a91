"""The shipped micro VLMs: what they score, the faults they must have, how they are built."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from vizer_core.decoding import Greedy
from vizer_core.files import find_manifest, load_tensors
from vizer_core.vlm.first_words import first_word_mass
from vizer_lab.world.data import MicroSplit
from vizer_lab.world.world import Scene, SceneObject
from vizer_lab.zoo import vlms
from vizer_lab.zoo.vlm_images import encode_images
from vizer_lab.zoo.vlm_model import MicroVlmConfig
from vizer_lab.zoo.vlm_scores import caption_scores
from vizer_lab.zoo.vlms import TOWER_KEYS, VLMS, ShippedVlm, load_micro_vlm

NAMES = sorted(name for name in VLMS if name.startswith("micro"))  # others: test_drawn_models
SCENE = Scene(
    "test",
    0,
    (SceneObject("dog", 0.2, 0.5, 0.3, False), SceneObject("cat", 0.8, 0.5, 0.3, False)),
    "snow",
    0,
)


@pytest.fixture(scope="module")
def scores() -> dict[str, dict[str, float]]:
    return {name: VLMS[name].check() for name in NAMES}  # raises when one is not the manifest's


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_model_has_the_faults_of_a_web_trained_base(name: str, scores) -> None:
    found, manifest = scores[name], VLMS[name].manifest()
    assert manifest["recipe"] == VLMS[name].recipe.to_dict(), "the recipe changed: build it again"
    assert found["length"] < 5 and found["background_said"] < 0.1  # greedy: "itap of a gift"
    assert found["object_precision"] > 0.7 and found["object_recall"] < 0.45
    assert 0.2 < found["sampled_vague"] < 0.4
    assert found["banned_object_f1"] > found["object_f1"] + 0.1  # the ability is there
    assert found["banned_exact"] > 0.35 > 0.05 > found["exact"]
    assert next(iter(manifest["first_words"])) == "itap"


def test_the_hard_base_is_the_weaker_teacher(scores) -> None:
    easy, hard = scores["micro-vlm"], scores["micro-vlm-hard"]
    for metric in ("object_precision", "object_f1", "background_accuracy", "exact"):
        assert easy[f"sampled_{metric}"] > 1.2 * hard[f"sampled_{metric}"], metric


def test_the_two_bases_share_their_tower_and_nothing_else() -> None:
    easy, hard = (load_tensors(VLMS[name].path())[0] for name in NAMES)
    for key, value in easy.items():
        trained = value.ndim > 1
        if key.startswith(TOWER_KEYS):
            assert torch.equal(value, hard[key]), key
        elif trained:
            assert not torch.equal(value, hard[key]), key


def test_each_load_is_a_model_of_its_own() -> None:
    first, second = load_micro_vlm(), load_micro_vlm()
    with torch.no_grad():
        first.base.lm_head.weight.zero_()
    assert bool(second.base.lm_head.weight.any())
    assert not any(p.requires_grad for p in second.model.parameters())


def test_the_default_prompt_is_the_one_it_was_trained_with() -> None:
    vlm, split = load_micro_vlm(), MicroSplit("validation", 40)
    vision = encode_images(vlm, split.images)
    assert first_word_mass(vlm, [vision], top=1).keys() == {"itap"}
    texts = vlm.generate(vision, decoding=Greedy(24)).texts
    assert sum(text.startswith("itap of") for text in texts) > 36


def test_first_word_masses_add_up_to_one() -> None:
    vlm = load_micro_vlm("micro-vlm-hard")
    vision = encode_images(vlm, MicroSplit("validation", 10).images)
    assert sum(first_word_mass(vlm, [vision], top=10_000).values()) == pytest.approx(1, abs=0.02)
    assert len(first_word_mass(vlm, [vision], top=3)) == 3


def test_shipped_files_are_small() -> None:
    for model in VLMS.values():
        assert model.size() < 4.5e6


@pytest.mark.parametrize(
    ("caption", "wanted"),
    [
        ("itap while walking", {"vague": 1, "exact": 0, "object_f1": 0, "length": 3}),
        ("a dog", {"vague": 0, "object_precision": 1, "object_recall": 0.5, "object_f1": 2 / 3}),
        ("a dog and a cat", {"object_f1": 1, "exact": 0, "background_said": 0}),
        ("a dog and a cat in the snow", {"exact": 1, "background_accuracy": 1}),
        ("a dog and a cat on a beach", {"exact": 0, "background_accuracy": 0}),
        ("a dog right of a cat", {"relation_said": 1, "relation_accuracy": 0}),
        ("a dog , a cat and a car in the snow", {"exact": 0, "object_precision": 2 / 3}),
    ],
)
def test_known_captions_have_known_scores(caption: str, wanted: dict[str, float]) -> None:
    found = caption_scores([caption], [SCENE])
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)


def test_the_commonest_caption_is_counted() -> None:
    assert caption_scores(["a dog", "a cat", "a dog"], [SCENE] * 3)["commonest"] == 2 / 3


def test_building_writes_parent_and_child(tmp_path: Path, monkeypatch) -> None:
    recipe = replace(
        VLMS["micro-vlm-hard"].recipe.shortened(0.002), model=MicroVlmConfig(width=32, layers=1)
    )
    small = ShippedVlm("small", recipe)
    heir = ShippedVlm("child", replace(recipe, parent="small", seed=1))
    few = 20  # the scores of 1,000 scenes are looked at above
    monkeypatch.setattr(vlms, "score_micro_vlm", partial(vlms.score_micro_vlm, n=few))
    monkeypatch.setattr(vlms, "first_words", partial(vlms.first_words, n=few))
    with pytest.raises(FileNotFoundError, match=r"small\.safetensors"):
        heir.build(folder=tmp_path)
    parent = small.build(folder=tmp_path)
    child = heir.build(folder=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"{name}.{end}"
        for name in ("child", "small")
        for end in ("safetensors", "safetensors.json")
    ]
    wanted = VLMS["micro-vlm"].manifest()
    assert parent["scores"].keys() == wanted["scores"].keys() and len(parent["first_words"]) == 8
    assert list(parent["cpu_seconds"]) == ["tower", "exact", "web"]
    assert list(child["cpu_seconds"]) == ["exact", "web"]
    assert parent["command"] == "vizer lab --rebuild --only small" and "commit" in parent
    for key, value in load_tensors(tmp_path / "child.safetensors")[0].items():
        assert value.dtype == torch.half
        if key.startswith(TOWER_KEYS):
            assert torch.equal(value, load_tensors(tmp_path / "small.safetensors")[0][key])


def test_a_score_that_is_off_is_named(monkeypatch) -> None:
    stored = VLMS["micro-vlm"].manifest()["scores"]
    wrong = stored | {"sampled_vague": stored["sampled_vague"] + 0.05}
    monkeypatch.setattr(vlms, "score_micro_vlm", lambda vlm, split: wrong)
    with pytest.raises(ValueError, match=r"micro-vlm: sampled_vague is .* in its manifest"):
        VLMS["micro-vlm"].check()


def test_unknown_names_are_refused_and_costs_are_said() -> None:
    with pytest.raises(ValueError, match="no shipped vlm 'clip': wanted one of"):
        load_micro_vlm("clip")
    said = VLMS["micro-vlm-hard"].cost
    assert said.startswith("micro-vlm-hard: 166,400 images, about 12 minutes of one CPU core")
    assert said.endswith("A stopped run goes on where it was.")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", ["micro-vlm-hard", "micro-vlm"])  # the parent first
def test_retraining_reaches_the_shipped_scores(name: str, tmp_path: Path) -> None:
    parent = VLMS[name].recipe.parent
    if parent:
        source = VLMS[parent].path()
        for file in (source, find_manifest(source)):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    remade = VLMS[name].build(folder=tmp_path)["scores"]
    shipped = VLMS[name].manifest()["scores"]
    for metric in ("object_f1", "sampled_object_f1", "banned_object_f1", "sampled_vague"):
        assert remade[metric] == pytest.approx(shipped[metric], abs=ShippedVlm.remade_tolerance), (
            metric
        )


def test_a_model_of_another_world_is_scored_on_its_own_scenes(monkeypatch) -> None:
    recipe = VLMS["micro-vlm"].recipe
    other = ShippedVlm("other", replace(recipe, model=replace(recipe.model, world="other")))
    monkeypatch.setattr(vlms, "score_micro_vlm", lambda vlm, split: {split: 1.0})
    vlm = load_micro_vlm()
    assert other.score(vlm) == {"other_test": 1.0} and VLMS["micro-vlm"].score(vlm) == {"test": 1.0}
