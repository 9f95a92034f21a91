"""The drawn CLIP's training: it learns, it repeats, and a killed run ends where it would have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vizer_lab.world.world import make_scene
from vizer_lab.zoo import clips
from vizer_lab.zoo.clip_checkpoint import load_checkpoint
from vizer_lab.zoo.clip_model import (
    DrawnClipConfig,
    build_drawn_clip,
    normalise_pixels,
)
from vizer_lab.zoo.clip_recipe import ClipRecipe, Stage
from vizer_lab.zoo.clips import (
    CLIPS,
    ShippedClip,
    load_drawn_clip,
    retrieval_hits,
)
from vizer_lab.zoo.tokenizer import DrawnTokenizer
from vizer_lab.zoo.train_clip import (
    contrastive_loss,
    easy_view,
    learning_rate,
    make_batch,
    pair_batches,
    train_drawn_clip,
)

TINY = ClipRecipe(
    DrawnClipConfig(layers=1, width=64, text_layers=1, embed_dim=32),
    (
        Stage("one object", steps=4, batch=8, learning_rate=1e-3, easy=True),
        Stage("full scenes", steps=4, batch=8, learning_rate=1e-3),
        Stage("scale 100", steps=3, batch=8, learning_rate=5e-4, scale=100.0),
    ),
)


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def equal(a: dict, b: dict) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_repeats_and_another_seed_does_not() -> None:
    first, history = train_drawn_clip(TINY)
    again, same = train_drawn_clip(TINY)
    other, _ = train_drawn_clip(replace(TINY, seed=1))
    assert history.loss == same.loss and equal(weights_of(first), weights_of(again))
    assert not equal(weights_of(first), weights_of(other))
    assert history.stage_starts == {"one object": 0, "full scenes": 4, "scale 100": 8}


@pytest.mark.parametrize("stop_at", [2, 3, 5, 10])
def test_a_killed_run_goes_on_to_the_same_end(stop_at: int, tmp_path: Path, monkeypatch) -> None:
    whole, history = train_drawn_clip(TINY)
    calls = []

    def dies(*args):
        calls.append(1)
        if len(calls) > stop_at:
            raise KeyboardInterrupt
        return contrastive_loss(*args)

    checkpoint = tmp_path / "run.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr("vizer_lab.zoo.train_clip.contrastive_loss", dies)
        with pytest.raises(KeyboardInterrupt):
            train_drawn_clip(TINY, checkpoint=checkpoint, save_every=2)
    resumed, after = train_drawn_clip(TINY, checkpoint=checkpoint, save_every=2)
    assert after.loss == history.loss
    assert equal(weights_of(whole), weights_of(resumed))
    assert after.stage_starts == history.stage_starts


def test_a_run_of_another_recipe_is_not_continued(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.safetensors"
    train_drawn_clip(TINY, checkpoint=checkpoint, save_every=2)
    with pytest.raises(ValueError, match="another recipe"):
        load_checkpoint(checkpoint, replace(TINY, seed=7))


def test_a_fixed_scale_stays_fixed_and_a_free_one_moves() -> None:
    fixed, _ = train_drawn_clip(TINY)
    assert float(fixed.logit_scale.detach().exp()) == pytest.approx(100, rel=1e-4)
    free, _ = train_drawn_clip(replace(TINY, stages=TINY.stages[:2]))
    assert float(free.logit_scale.detach().exp()) != pytest.approx(1 / 0.07, rel=1e-4)


def test_it_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    model = build_drawn_clip(TINY.model)
    images, tokens = make_batch(0, TINY.stages[1], DrawnTokenizer(), 112)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(60):
        loss = contrastive_loss(*model(normalise_pixels(images), tokens)[:3])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3


def test_the_loss_is_symmetric_and_zero_for_perfect_pairs() -> None:
    a, b = (torch.nn.functional.normalize(torch.randn(6, 8), dim=1) for _ in range(2))
    scale = torch.tensor(10.0)
    assert torch.allclose(contrastive_loss(a, b, scale), contrastive_loss(b, a, scale))
    assert float(contrastive_loss(a, b, torch.tensor(0.0))) == pytest.approx(1.7918, abs=1e-3)


def test_the_easy_view_names_the_only_object_left() -> None:
    scene = next(
        s for s in (make_scene("second_train", i) for i in range(50)) if len(s.objects) > 2
    )
    easy, text = easy_view(scene)
    assert len(easy.objects) == 1 and text.split(" ", 1)[1] == scene.objects[0].name


def test_the_learning_rate_warms_up_and_ends_at_zero() -> None:
    stage = Stage("x", steps=100, batch=2, learning_rate=1.0)
    rates = [learning_rate(step, stage, 10) for step in range(100)]
    assert rates[:10] == pytest.approx([k / 10 for k in range(1, 11)])
    assert rates[-1] < 0.001 and rates[10:] == sorted(rates[10:], reverse=True)


def test_wrong_recipes_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted steps >= 1"):
        Stage("x", steps=0, batch=8, learning_rate=1e-3)
    with pytest.raises(ValueError, match="give `start` exactly when it is set"):
        train_drawn_clip(replace(TINY, parent="drawn-clip"))
    with pytest.raises(ValueError, match="no shipped clip 'clip': wanted one of"):
        load_drawn_clip("clip")


def test_building_writes_weights_that_load_and_a_manifest_that_says_how(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(clips, "GALLERY", 50)
    manifest = ShippedClip("tiny", TINY).build(folder=tmp_path)
    assert manifest["recipe"]["seed"] == 0 and manifest["samples"] == 8 * 11
    assert set(manifest["scores"]) >= {"i2t_r1", "t2i_r1", "gap_norm"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "tiny.safetensors",
        "tiny.safetensors.json",
    ]
    assert manifest["command"] == "vizer lab --rebuild --only tiny"


def test_retrieval_counts_the_own_caption_only() -> None:
    hits = retrieval_hits(torch.eye(4), torch.eye(4)[[1, 0, 2, 3]])
    assert hits["i2t_r1"].tolist() == [False, False, True, True]
    assert hits["i2t_r5"].all() and hits["t2i_r5"].all()


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_the_recipe_gave_the_same_scores_on_other_hardware(name: str) -> None:
    manifest = CLIPS[name].manifest()
    if "remade" not in manifest:
        pytest.skip("these weights were trained here: no second machine's run to compare with")
    assert manifest["remade"]["hardware"] != manifest["hardware"]
    for metric in ("i2t_r1", "t2i_r1", "gap_norm"):
        remade, shipped = manifest["remade"]["scores"][metric], manifest["scores"][metric]
        assert remade == pytest.approx(shipped, abs=ShippedClip.remade_tolerance), metric


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_retraining_the_shortest_model_reaches_the_shipped_scores(tmp_path: Path) -> None:
    """Continue `drawn-clip` to scale 50 again; minutes, where the others take half an hour."""
    for suffix in (".safetensors", ".json"):
        source = CLIPS["drawn-clip"].path().with_suffix(suffix)
        (tmp_path / source.name).write_bytes(source.read_bytes())
    remade = CLIPS["drawn-clip-50"].build(folder=tmp_path)["scores"]
    shipped = CLIPS["drawn-clip-50"].manifest()["scores"]
    for metric in ("i2t_r1", "t2i_r1", "gap_norm"):
        assert remade[metric] == pytest.approx(shipped[metric], abs=ShippedClip.remade_tolerance), (
            metric
        )


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", ["drawn-clip", "drawn-clip-avg"])
def test_retraining_from_nothing_reaches_the_shipped_scores(name: str, tmp_path: Path) -> None:
    remade = CLIPS[name].build(folder=tmp_path)["scores"]
    shipped = CLIPS[name].manifest()["scores"]
    for metric in ("i2t_r1", "t2i_r1", "gap_norm"):
        assert remade[metric] == pytest.approx(shipped[metric], abs=ShippedClip.remade_tolerance), (
            metric
        )


def test_given_pairs_go_round_whole_and_a_resumed_run_sees_the_same():
    images, tokens = torch.arange(5), torch.arange(5) + 10
    stage = Stage("pairs", steps=4, batch=5, learning_rate=1e-3)
    feed = pair_batches(images, tokens, seed=3)
    every = list(feed(stage, 0))
    assert all(sorted(some.tolist()) == [0, 1, 2, 3, 4] for some, _ in every)
    assert all(torch.equal(some + 10, texts) for some, texts in every)  # a pair stays a pair
    later = list(feed(stage, 3))
    assert len(later) == 1 and torch.equal(later[0][0], every[3][0])
    assert not all(torch.equal(some, every[0][0]) for some, _ in every)
    with pytest.raises(ValueError, match="5 images and 4 texts"):
        pair_batches(images, tokens[:4])
