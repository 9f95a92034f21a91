"""The shipped VLMs: what they score, the faults they must have, how they are built."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from vizer_core.decoding import Greedy
from vizer_core.files import find_manifest, load_tensors
from vizer_core.vlm.first_words import first_word_mass
from vizer_lab.world.data import DrawnSplit
from vizer_lab.world.world import Scene, SceneObject
from vizer_lab.zoo import vlms
from vizer_lab.zoo.drawn_recipes import LACKS
from vizer_lab.zoo.shipped_model import Trained
from vizer_lab.zoo.vlm_images import encode_images
from vizer_lab.zoo.vlm_model import DrawnVlmConfig
from vizer_lab.zoo.vlm_scores import caption_scores
from vizer_lab.zoo.vlms import TOWER_KEYS, VLMS, ShippedVlm, load_drawn_vlm, tower_in

WEB = [name for name, lack in LACKS.items() if "habit" in lack]
SCENE = Scene(
    "second_test",
    0,
    (SceneObject("dog", 0.2, 0.5, 0.3, False), SceneObject("cat", 0.8, 0.5, 0.3, False)),
    "snow",
    0,
)


def scores(name: str) -> dict[str, float]:
    return VLMS[name].manifest()["scores"]


@pytest.mark.parametrize("name", WEB)
def test_a_web_trained_base_lacks_a_habit_and_not_sight(name: str) -> None:
    found, words = scores(name), VLMS[name].manifest()["first_words"]
    assert found["object_precision"] > 0.95 and found["object_recall"] < 0.75
    assert 0.2 < found["sampled_vague"] < 0.4
    assert max(words.values()) < 0.25 and {"itap", "photo", "stock"} & set(words)


def test_the_plain_base_is_the_ceiling_and_the_poor_one_sees_badly() -> None:
    plain, poor = scores("drawn-vlm-plain"), scores("drawn-vlm-poor")
    for part in ("object_precision", "object_recall"):
        assert plain[part] > 0.9 > poor[part]
    assert plain["relation_accuracy"] > 0.7 and plain["count_accuracy"] > 0.6
    assert poor["vague"] < 0.01 and max(scores(name)["object_precision"] for name in WEB) > 0.98


def test_a_child_has_its_parents_tower_and_nothing_else_of_it() -> None:
    child, parent = (load_drawn_vlm(name).base.state_dict() for name in (WEB[0], "drawn-vlm-plain"))
    for key, value in child.items():
        if key.startswith(TOWER_KEYS):
            assert torch.equal(value, parent[key]), key
        elif value.ndim > 1:
            assert not torch.equal(value, parent[key]), key


def test_each_load_is_a_model_of_its_own() -> None:
    first, second = load_drawn_vlm(), load_drawn_vlm()
    with torch.no_grad():
        first.base.lm_head.weight.zero_()
    assert bool(second.base.lm_head.weight.any())
    assert not any(p.requires_grad for p in second.model.parameters())


def test_the_default_prompt_is_the_one_it_was_trained_with() -> None:
    vlm, split = load_drawn_vlm(), DrawnSplit("second_validation", 40)
    vision = encode_images(vlm, split.images)
    texts = vlm.generate(vision, decoding=Greedy(32)).texts
    assert caption_scores(texts, split.scenes)["object_precision"] > 0.9


def test_first_word_masses_add_up_to_one() -> None:
    vlm = load_drawn_vlm()
    vision = encode_images(vlm, DrawnSplit("second_validation", 10).images)
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
        ("a dog, a cat and a car in the snow", {"exact": 0, "object_precision": 2 / 3}),
    ],
)
def test_known_captions_have_known_scores(caption: str, wanted: dict[str, float]) -> None:
    found = caption_scores([caption], [SCENE])
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)


def test_the_commonest_caption_is_counted() -> None:
    assert caption_scores(["a dog", "a cat", "a dog"], [SCENE] * 3)["commonest"] == 2 / 3


def test_building_writes_parent_and_child(tmp_path: Path, monkeypatch) -> None:
    recipe = replace(
        VLMS[WEB[0]].recipe.shortened(0.001), model=DrawnVlmConfig(width=32, layers=1), parent=None
    )
    small = ShippedVlm("small", recipe)
    heir = ShippedVlm("child", replace(recipe, parent="small", seed=1))
    few = 20  # the scores of 1,000 scenes are looked at above
    monkeypatch.setattr(vlms, "score_drawn_vlm", partial(vlms.score_drawn_vlm, n=few))
    monkeypatch.setattr(vlms, "SCORED_SCENES", few)
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
    wanted = VLMS["drawn-vlm-web"].manifest()
    named = {key for key in wanted["scores"] if "side" not in key}  # where sides are claimed
    assert named <= parent["scores"].keys() and len(parent["first_words"]) == 8
    assert list(parent["cpu_seconds"]) == ["tower", "exact", "web"]
    assert list(child["cpu_seconds"]) == ["exact", "web"]
    assert parent["command"] == "vizer lab --rebuild --only small" and "commit" in parent
    seen = load_tensors(tmp_path / "small.safetensors")[0]
    own = load_tensors(tmp_path / "child.safetensors")[0]
    assert {value.dtype for value in own.values()} == {torch.half}
    assert own.keys() == {key for key in seen if not key.startswith(TOWER_KEYS)}
    # the tower, stored once, is put together with the child's half; another tower is noticed
    towers = [tower_in(m.load(folder=tmp_path).model.state_dict()) for m in (small, heir)]
    assert all(value.equal(towers[1][key]) for key, value in towers[0].items()) and towers[0]
    assert small.fault(tmp_path) is None and heir.fault(tmp_path) is None
    small.write(Trained(None, {}, {k: v + 1 for k, v in seen.items()}), tmp_path, {})
    assert heir.fault(tmp_path) == "made with another small, whose tower it sees with"
    small.path(tmp_path).unlink()
    assert heir.fault(tmp_path) == "without small, whose tower it sees with"


def test_a_score_that_is_off_is_named(monkeypatch) -> None:
    stored = VLMS["drawn-vlm-web"].manifest()["scores"]
    wrong = stored | {"sampled_vague": stored["sampled_vague"] + 0.05}
    monkeypatch.setattr(vlms, "score_drawn_vlm", lambda vlm, split: wrong)
    with pytest.raises(ValueError, match=r"drawn-vlm-web: sampled_vague is .* in its manifest"):
        VLMS["drawn-vlm-web"].check()


def test_unknown_names_are_refused_and_costs_are_said() -> None:
    with pytest.raises(ValueError, match="no shipped vlm 'clip': wanted one of"):
        load_drawn_vlm("clip")
    said = VLMS["drawn-vlm-plain"].cost
    assert said.startswith("drawn-vlm-plain: 704,000 images, about 52 minutes of one CPU core")
    assert said.endswith("A stopped run goes on where it was.")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", ["drawn-vlm-web", "drawn-vlm-poor"])
def test_retraining_reaches_the_shipped_scores(name: str, tmp_path: Path) -> None:
    parent = VLMS[name].recipe.parent
    if parent:
        source = VLMS[parent].path()
        for file in (source, find_manifest(source)):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    remade = VLMS[name].build(folder=tmp_path)["scores"]
    shipped = VLMS[name].manifest()["scores"]
    for metric in ("object_f1", "sampled_object_f1", "sampled_vague"):
        assert remade[metric] == pytest.approx(shipped[metric], abs=ShippedVlm.remade_tolerance), (
            metric
        )


def test_a_model_of_another_world_is_scored_on_its_own_scenes(monkeypatch) -> None:
    recipe = VLMS["drawn-vlm-web"].recipe
    other = ShippedVlm("other", replace(recipe, model=replace(recipe.model, world="second_other")))
    monkeypatch.setattr(vlms, "score_drawn_vlm", lambda vlm, split: {split: 1.0})
    vlm = load_drawn_vlm()
    assert other.score(vlm) == {"second_other_test": 1.0}
    assert VLMS["drawn-vlm-web"].score(vlm) == {"second_test": 1.0}
