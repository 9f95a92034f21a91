"""The drawn VLM's training: it learns, it repeats, and a killed run ends where it would have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from vizer_core.vlm import CaptionBatch, VisionBatch
from vizer_lab.world.render import render_scenes
from vizer_lab.world.world import make_scene
from vizer_lab.zoo import vlm_run
from vizer_lab.zoo.noisy_captions import CaptionNoise, caption_draw, exact_caption
from vizer_lab.zoo.vlm_images import encode_images, pixel_values_of
from vizer_lab.zoo.vlm_model import DrawnVlmConfig, build_drawn_vlm
from vizer_lab.zoo.vlm_recipe import HEADS_FASTER, VlmRecipe, VlmStage
from vizer_lab.zoo.vlm_run import VlmRun, run_stages
from vizer_lab.zoo.vlm_train import (
    caption_ids,
    caption_loss,
    patches_of_scenes,
    text_loss,
    train_captions,
    visits_of,
)
from vizer_lab.zoo.vlm_vision import train_tower
from vizer_lab.zoo.vlms import vlm_from_state

TINY = DrawnVlmConfig(vision_width=32, vision_layers=1, vision_ffn=64, width=32, layers=1, ffn=64)
RECIPE = VlmRecipe(
    TINY,
    tower=VlmStage("tower", steps=3, batch=4, learning_rate=1e-3),
    exact=VlmStage("exact", steps=7, batch=4, learning_rate=1e-3),
    web=VlmStage("web", steps=3, batch=4, learning_rate=1e-3),
    mix=CaptionNoise(generic=0.3, partial=0.3, wrong=0.2),
    scenes=8,
    seed=3,
    parent="another",
)
SCENES = [make_scene("second_train", i) for i in range(6)]
TEXTS = [exact_caption(s, caption_draw("second_train", s.index, 0)) for s in SCENES]


def tiny_tower() -> dict[str, torch.Tensor]:
    return build_drawn_vlm(TINY, seed=9).model.vision_model.state_dict()


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().clone() for key, value in model.state_dict().items()}


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def finished(path: Path, recipe: VlmRecipe = RECIPE) -> dict[str, torch.Tensor]:
    return weights_of(run_stages(VlmRun.open(path, recipe), tiny_tower()))


def test_a_run_repeats_and_another_seed_does_not(tmp_path: Path) -> None:
    first = finished(tmp_path / "a.safetensors")
    assert equal(first, finished(tmp_path / "b.safetensors"))
    assert not equal(first, finished(tmp_path / "c.safetensors", replace(RECIPE, seed=4)))


def test_a_killed_run_goes_on_to_the_same_end(tmp_path: Path, monkeypatch) -> None:
    whole = finished(tmp_path / "whole.safetensors")
    path, train = tmp_path / "run.safetensors", vlm_run.train_captions

    def dies_on_the_web(model, patches, stage, **options):
        if stage.name == "web":
            raise KeyboardInterrupt
        return train(model, patches, stage, **options)

    with monkeypatch.context() as patch:
        patch.setattr(vlm_run, "train_captions", dies_on_the_web)
        with pytest.raises(KeyboardInterrupt):
            finished(path)
    run = VlmRun.open(path, RECIPE)
    assert list(run.losses) == ["exact"] and len(run.losses["exact"]) == 7
    assert equal(weights_of(run_stages(run, tiny_tower())), whole)
    assert list(VlmRun.open(path, RECIPE).seconds) == ["exact", "web"]
    run.remove()
    assert not list(tmp_path.glob("run*"))


def test_a_run_of_another_recipe_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    finished(path)
    with pytest.raises(ValueError, match="belongs to another recipe"):
        VlmRun.open(path, replace(RECIPE, seed=7))


def test_the_parents_tower_stays_as_it_was(tmp_path: Path) -> None:
    model = run_stages(VlmRun.open(tmp_path / "run.safetensors", RECIPE), tiny_tower())
    assert equal(weights_of(model.model.vision_model), tiny_tower())
    assert not any(p.requires_grad for p in model.model.vision_model.parameters())
    assert all(p.requires_grad for p in model.model.connector.parameters())
    with pytest.raises(ValueError, match="give `tower` exactly when it is set"):
        run_stages(VlmRun.open(tmp_path / "x.safetensors", RECIPE), {})


def test_a_recipe_without_parent_trains_the_tower_from_a_clip(tmp_path: Path) -> None:
    sizes = DrawnVlmConfig(width=32, layers=1, ffn=64)
    own = replace(RECIPE, parent=None, model=sizes, clip="drawn-clip")
    run = VlmRun.open(tmp_path / "run.safetensors", own)
    model = run_stages(run, {})
    assert [stage.name for stage in own.stages] == list(run.losses) == ["tower", "exact", "web"]
    assert not any(p.requires_grad for p in model.model.vision_model.parameters())
    thinned = run.thinned_losses()["tower"]
    assert thinned["every"] == 1 and thinned["mean"] == [round(x, 4) for x in run.losses["tower"]]


def test_captions_train_connector_and_language_model_and_nothing_else() -> None:
    model = build_drawn_vlm(TINY)
    model.model.vision_model.requires_grad_(False)
    before = weights_of(model)
    patches = patches_of_scenes(model.model.vision_model, 0, 8, size=112)
    train_captions(model, patches, RECIPE.exact, write=exact_caption, seed=0)
    changed = {k for k, v in weights_of(model).items() if not torch.equal(v, before[k])}
    assert not any("vision_model" in key for key in changed)
    assert changed == {key for key in before if "vision_model" not in key}


def test_the_losses_are_those_of_the_adapter() -> None:
    model = build_drawn_vlm(TINY, seed=1)
    images = render_scenes(SCENES)
    patches = model.model.vision_model(pixel_values=pixel_values_of(images)[:, 0])
    ids = caption_ids(TEXTS)
    with torch.no_grad():
        seen, read = caption_loss(model, patches.last_hidden_state, ids), text_loss(model, ids)
    vlm = vlm_from_state("tiny", TINY, model.state_dict())
    captions = vlm.tokenize(TEXTS)
    assert torch.equal(captions.ids, ids)

    def nats(states: torch.Tensor) -> torch.Tensor:
        logits = vlm.token_logits(states[:, :-1])[captions.mask]
        return functional.cross_entropy(logits, captions.ids[captions.mask])

    with torch.no_grad():
        vision: VisionBatch = encode_images(vlm, images)
        assert torch.allclose(nats(vlm.caption_states(vision, captions)), seen, atol=1e-5)
        assert torch.allclose(nats(vlm.text_states(captions)), read, atol=1e-5)
    assert not torch.allclose(seen, read, atol=1e-3)


def test_padding_changes_no_loss() -> None:
    model = build_drawn_vlm(TINY, seed=1)
    ids = caption_ids(TEXTS)
    wider = functional.pad(ids, (0, 3), value=0)
    with torch.no_grad():
        assert torch.allclose(text_loss(model, ids), text_loss(model, wider), atol=1e-6)


def test_it_learns_one_batch_by_heart_and_needs_the_images_for_it() -> None:
    config = replace(TINY, width=64, layers=2, ffn=128)
    model = build_drawn_vlm(config)
    model.model.vision_model.requires_grad_(False)
    patches = patches_of_scenes(model.model.vision_model, 0, 6, size=112).float()
    ids, stage = caption_ids(TEXTS), VlmStage("x", steps=150, batch=6, learning_rate=5e-3)
    optimizer = stage.optimizer(model)
    for step in range(stage.steps):
        stage.set_rate(optimizer, step)
        loss = caption_loss(model, patches, ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = float(loss.detach())
    assert right < 0.1
    with torch.no_grad():
        assert float(caption_loss(model, patches.flip(0), ids)) > right + 1


def test_the_tower_learns_and_is_frozen_after() -> None:
    tower = build_drawn_vlm(TINY).model.vision_model
    stage = VlmStage("tower", steps=30, batch=16, learning_rate=3e-3)
    losses = train_tower(tower, stage, seed=0, grid=8)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert not tower.training and not any(p.requires_grad for p in tower.parameters())


def test_patches_are_the_towers_in_half_precision() -> None:
    tower = build_drawn_vlm(TINY).model.vision_model
    found = patches_of_scenes(tower, 2, 4, size=112, batch=3)
    with torch.no_grad():
        pixels = pixel_values_of(render_scenes(SCENES[2:6]))[:, 0]
        wanted = tower(pixel_values=pixels).last_hidden_state
    assert found.dtype == torch.half and torch.allclose(found.float(), wanted, atol=5e-3)


def test_every_passvisits_of_every_scene_once() -> None:
    stage = VlmStage("x", steps=5, batch=4, learning_rate=1e-3)
    visits = [visit for batch in visits_of(10, stage, seed=0) for visit in batch]
    assert sorted(i for i, epoch in visits[:10]) == list(range(10))
    assert {epoch for _, epoch in visits[:10]} == {0} and {e for _, e in visits[10:]} == {1}


def test_rates_warm_up_and_fall_and_heads_run_faster() -> None:
    stage = VlmStage("x", steps=400, batch=2, learning_rate=1.0)
    rates = [stage.rate(step) for step in range(400)]
    assert rates[:80] == pytest.approx([k / 80 for k in range(1, 81)])
    assert rates[80:] == sorted(rates[80:], reverse=True) and rates[-1] < 1e-3
    optimizer = stage.optimizer(torch.nn.Linear(2, 2), heads=torch.nn.Linear(2, 2))
    stage.set_rate(optimizer, 79)
    assert [g["lr"] for g in optimizer.param_groups] == [1, 1, HEADS_FASTER, HEADS_FASTER]
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.01, 0, 0.01, 0]


def test_stages_without_steps_are_refused_and_recipes_can_be_cut() -> None:
    with pytest.raises(ValueError, match="wanted steps >= 1 and batch >= 2"):
        VlmStage("x", steps=0, batch=8, learning_rate=1e-3)
    short = replace(RECIPE, exact=replace(RECIPE.exact, steps=100), scenes=100).shortened(0.1)
    assert (short.exact.steps, short.web.steps, short.scenes) == (10, 2, 10)
    assert RECIPE.exact.samples == 28


def test_unknown_words_and_ends_have_their_ids() -> None:
    ids = caption_ids(["a zeppelin", "a"])
    vlm = vlm_from_state("tiny", TINY, build_drawn_vlm(TINY).state_dict())
    captions: CaptionBatch = vlm.tokenize(["a zeppelin", "a"])
    assert torch.equal(ids, captions.ids) and ids[1, -1] == 0
