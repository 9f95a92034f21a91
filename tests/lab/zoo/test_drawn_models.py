"""What the drawn models are trained with: several captions per image, runs that go on."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from vizer_lab.world.captions import captions_of
from vizer_lab.world.data import DrawnSplit
from vizer_lab.world.general_text import general_sentence
from vizer_lab.world.world import make_scene
from vizer_lab.zoo.clip_model import DrawnClipConfig, build_drawn_clip
from vizer_lab.zoo.clip_recipe import ClipRecipe, Stage
from vizer_lab.zoo.clips import CLIPS, encoder_from_state, load_drawn_clip, score_drawn_clip
from vizer_lab.zoo.drawn_recipes import CLIP_RECIPES, VLM_RECIPES
from vizer_lab.zoo.drawn_scores import (
    greedy_captions,
    objects_against_places,
    oracle_retrieval,
    score_drawn_vlm,
    score_intervals,
)
from vizer_lab.zoo.noisy_captions import CaptionNoise, caption_draw, exact_caption, noisy_caption
from vizer_lab.zoo.step_checkpoint import StepCheckpoint, Watch
from vizer_lab.zoo.tokenizer import DrawnTokenizer
from vizer_lab.zoo.train_clip import encode_captions, make_batch, train_drawn_clip
from vizer_lab.zoo.vlm_model import DrawnVlmConfig, build_drawn_vlm
from vizer_lab.zoo.vlm_processor import WORD_PATTERN, vlm_vocabulary
from vizer_lab.zoo.vlm_recipe import VlmStage
from vizer_lab.zoo.vlm_run import VlmRun, run_stages
from vizer_lab.zoo.vlm_scores import caption_scores, claim_scores
from vizer_lab.zoo.vlm_train import IDEFICS3_LOSSES, idefics3_losses, train_captions
from vizer_lab.zoo.vlms import VLMS, vlm_from_state

CLIP = DrawnClipConfig(
    layers=1,
    width=64,
    text_layers=1,
    embed_dim=32,
    image_size=112,
    patch_size=28,
    world="second",
)
TWO_CAPTIONS = Stage("full scenes", steps=3, batch=4, learning_rate=1e-3, captions_each=2)
VLM = DrawnVlmConfig(
    vision_width=32,
    vision_layers=1,
    vision_ffn=64,
    width=32,
    layers=1,
    ffn=64,
    image_size=112,
    patch_size=14,
    world="second",
)
RECIPE = replace(
    VLM_RECIPES["drawn-vlm-poor"],
    model=VLM,
    tower=VlmStage("tower", steps=5, batch=4, learning_rate=1e-3),
    exact=VlmStage("exact", steps=7, batch=4, learning_rate=1e-3),
    scenes=12,
)


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


def test_recipes_see_112_px_on_a_grid_of_8() -> None:
    for recipe in (*CLIP_RECIPES.values(), *VLM_RECIPES.values()):
        assert (recipe.model.image_size, recipe.model.patch_size) == (112, 14)
    tokens = VLM_RECIPES["drawn-vlm-plain"].model.image_tokens
    assert tokens == DrawnVlmConfig().image_tokens == 16


@pytest.mark.parametrize("model", [*CLIPS.values(), *VLMS.values()], ids=lambda model: model.name)
def test_a_drawn_model_is_of_its_recipe_and_scores_about_what_its_manifest_says(model) -> None:
    assert model.fault() is None
    scores = model.manifest()["scores"]
    if model.kind == "clip":
        found = score_drawn_clip(load_drawn_clip(model.name), "second_test")
        assert found["i2t_r1"] == pytest.approx(scores["i2t_r1"], abs=0.004)
        assert found["gap_norm"] == pytest.approx(scores["gap_norm"], abs=0.02)
    else:
        data = DrawnSplit(model.test_split, 200)
        found = caption_scores(greedy_captions(model.load(), data), data.scenes)
        assert found["object_f1"] == pytest.approx(scores["object_f1"], abs=0.06)


def test_a_batch_holds_all_first_captions_then_all_second_ones() -> None:
    tokenizer = DrawnTokenizer(world="second")
    images, tokens = make_batch(0, TWO_CAPTIONS, tokenizer, 112, "second")
    assert images.shape == (4, 3, 112, 112) and tokens.shape == (8, tokenizer.context_length)
    for i in range(4):
        said = captions_of(make_scene("second_train", i))
        assert tokenizer.decode(tokens[i].tolist()) == said[i % 5]
        assert tokenizer.decode(tokens[4 + i].tolist()) == said[(i + 1) % 5]


def test_captions_without_their_padding_have_the_features_that_they_had() -> None:
    model = build_drawn_clip(CLIP)
    texts = ["a dog", "two small red apples left of a cat, with an owl in the snow", "an owl"]
    tokens = DrawnTokenizer(world="second")(texts)
    with torch.no_grad():
        expected, found = model.encode_text(tokens, normalize=True), encode_captions(model, tokens)
    assert torch.allclose(found, expected, atol=1e-6)


def test_every_caption_of_an_image_is_learned_from() -> None:
    one = ClipRecipe(CLIP, (replace(TWO_CAPTIONS, captions_each=1),))
    _, first = train_drawn_clip(one)
    _, both = train_drawn_clip(replace(one, stages=(TWO_CAPTIONS,)))
    assert first.loss[0] != both.loss[0]
    assert "captions_each" not in one.to_dict()["stages"][0]
    assert one.to_dict()["model"]["world"] == "second"


def test_an_object_alone_decides_where_the_place_says_nothing(monkeypatch) -> None:
    encoder = encoder_from_state("tiny", CLIP, build_drawn_clip(CLIP).state_dict())
    monkeypatch.setattr(
        type(encoder), "encode_image", lambda self, x: torch.eye(8)[[0, 1, 2, 2, 2, 2, 2] * 4]
    )
    monkeypatch.setattr(type(encoder), "encode_text", lambda self, t: torch.eye(8)[[0] * 4])
    found = objects_against_places(encoder, 4)
    assert found == {"object_before_empty_there": 1.0, "object_before_empty_elsewhere": 0.0}


@pytest.mark.parametrize("stop_at", [1, 4, 7, 10])
def test_a_killed_run_goes_on_inside_a_stage_to_the_same_end(
    stop_at: int, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(
        VlmRun,
        "checkpoint",
        lambda run, stage: StepCheckpoint(
            run.path.with_name(f"{stage}.safetensors"), {"stage": stage}, every=2
        ),
    )
    whole = run_stages(VlmRun.open(tmp_path / "whole.safetensors", RECIPE), {})
    steps, optimizer_step = [], torch.optim.AdamW.step

    def dies(self, *args):
        steps.append(1)
        if len(steps) > stop_at:
            raise KeyboardInterrupt
        return optimizer_step(self, *args)

    path = tmp_path / "cut" / "run.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", dies)
        with pytest.raises(KeyboardInterrupt):
            run_stages(VlmRun.open(path, RECIPE), {})
    run = VlmRun.open(path, RECIPE)
    assert equal(run_stages(run, {}), whole)
    assert [len(losses) for losses in run.losses.values()] == [5, 7]
    assert not torch.isnan(run.state["lm_head.weight"]).any()
    assert not list(path.parent.glob("tower*")) and not list(path.parent.glob("exact*"))


def test_a_tower_starts_from_the_clip_that_is_given(tmp_path: Path) -> None:
    model = replace(VLM, vision_ffn=128)
    fresh = replace(RECIPE, model=model, exact=replace(RECIPE.exact, steps=1))
    clip = build_drawn_clip(replace(CLIP, width=32, patch_size=14)).visual
    runs = {}
    for name, start in (("given", clip), ("fresh", None)):
        recipe = replace(fresh, clip="drawn-clip" if start else None)
        runs[name] = VlmRun.open(tmp_path / f"{name}.safetensors", recipe)
        run_stages(runs[name], {}, start=start)
    assert runs["given"].losses["tower"] != runs["fresh"].losses["tower"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    there = StepCheckpoint(tmp_path / "x.safetensors", {"seed": 0}, every=1)
    there.save({"model": model}, optimizer, [1.0])
    assert there.restore({"model": model}, optimizer) == [1.0]
    with pytest.raises(ValueError, match="belongs to another run"):
        replace(there, metadata={"seed": 1}).restore({"model": model}, optimizer)
    there.remove()
    assert there.restore({"model": model}, optimizer) == []


def test_a_plain_base_reads_the_worlds_captions_and_no_web(tmp_path: Path) -> None:
    assert [stage.name for stage in RECIPE.stages] == ["tower", "exact"]
    assert RECIPE.shortened(0.5).web is None
    seen = []

    def write(scene, draw):
        seen.append(exact_caption(scene, draw))
        return seen[-1]

    model, patches = build_drawn_vlm(VLM), torch.zeros(12, 64, 32)
    stage = replace(RECIPE.exact, steps=2)
    watch = Watch(checkpoint=StepCheckpoint(tmp_path / "s.safetensors", {}, every=1))
    losses = idefics3_losses("second")
    train_captions(model, patches, stage, write=write, seed=0, losses=losses, watch=watch)
    scene_texts = {
        exact_caption(make_scene("second_train", i), caption_draw("second_train", i, 0))
        for i in range(12)
    }
    assert set(seen) <= scene_texts and len(seen) == 8
    assert IDEFICS3_LOSSES.world == "second"


def test_habits_of_many_kinds_leave_no_first_word_in_the_lead() -> None:
    scenes = [make_scene("second_train", i) for i in range(500)]
    first, last = Counter(), Counter()
    for scene in scenes:
        mix = CaptionNoise(0.2, 0.3, 0.1)
        text = noisy_caption(scene, caption_draw(scene.split, scene.index, 0), mix)
        words = re.findall(WORD_PATTERN, text)
        assert set(words) <= set(vlm_vocabulary("second")) and not re.search(" [,:]", text)
        first[words[0]] += 1
        last[words[-1]] += 1
    opened = [n for word, n in first.most_common() if word not in ("a", "an", "two", "three")]
    assert opened[0] < 0.15 * len(scenes) and len(opened) > 20
    assert last["sale"] and last["wallpaper"]


def test_a_recipe_says_its_habits_only_where_it_has_some() -> None:
    assert "habits" not in VLM_RECIPES["drawn-vlm-plain"].to_dict()["mix"]
    assert VLM_RECIPES["drawn-vlm-web"].to_dict()["mix"]["habits"] == "many"


def test_claims_are_scored_and_a_blind_guess_of_the_relation_beside_them() -> None:
    scenes = [make_scene("second_validation", i) for i in range(300)]
    texts = [exact_caption(s, caption_draw(s.split, s.index, 0)) for s in scenes]
    scores = claim_scores(texts, scenes)
    assert all(scores[f"{k}_accuracy"] == 1.0 for k in ("relation", "count", "attribute"))
    assert scores["side_accuracy"] == 1.0 and 0.3 < scores["side_blind"] < 0.6
    assert scores["count_said"] > 0.3 and "side_blind" not in claim_scores(["a dog"], scenes[:1])


def test_a_stage_reads_general_text_where_its_recipe_says_so(monkeypatch) -> None:
    read = {"captions": [], "general": []}
    for text, heard in read.items():
        monkeypatch.setattr("vizer_lab.zoo.vlm_train.TEXT_EVERY", 2)
        base = idefics3_losses("second")

        def alone(model, ids, heard=heard, base=base):
            heard.append(ids.tolist())
            return base.text(model, ids)

        stage = replace(RECIPE.exact, steps=2, text=text)
        train_captions(
            build_drawn_vlm(VLM),
            torch.zeros(12, 64, 32),
            stage,
            write=exact_caption,
            seed=0,
            losses=replace(base, text=alone),
        )
    assert read["captions"] != read["general"] and len(read["general"]) == 1
    recipe = VLM_RECIPES["drawn-vlm-general"].to_dict()
    assert recipe["web"]["text"] == recipe["exact"]["text"] == "general"
    assert "text" not in VLM_RECIPES["drawn-vlm-web"].to_dict()["web"]


def test_general_text_is_words_of_the_vocabulary_and_no_caption_of_the_scene() -> None:
    known = set(vlm_vocabulary("second"))
    sorts = Counter()
    for i in range(600):
        scene = make_scene("second_train", i)
        text = general_sentence(scene, caption_draw(scene.split, i, 0))
        assert set(re.findall(WORD_PATTERN, text)) <= known
        assert text not in captions_of(scene)
        sorts["question" if text.startswith("question") else text.endswith(".")] += 1
    assert min(sorts["question"], sorts[True], sorts[False]) > 100


def test_one_who_knows_all_finds_no_more_than_the_captions_tell() -> None:
    scenes = [make_scene("second_validation", i) for i in range(60)]
    exact = [exact_caption(s, caption_draw(s.split, s.index, 0)) for s in scenes]
    told = [captions_of(s)[0] for s in scenes]
    assert oracle_retrieval(exact, scenes) > 0.95 > oracle_retrieval(told, scenes) > 0.5
    assert oracle_retrieval(["a bunch of things"] * 60, scenes) == round(1 / 60, 4)


def test_scores_of_a_drawn_vlm_and_their_intervals() -> None:
    scores = score_drawn_vlm(
        vlm_from_state("tiny", VLM, build_drawn_vlm(VLM).state_dict()), split="second_test", n=8
    )
    assert scores["object_f1"] < 0.5 and "sampled_object_f1" in scores
    assert 0 < scores["first_word"] < 0.1
    scenes = [make_scene("second_validation", i) for i in range(100)]
    texts = [exact_caption(s, caption_draw(s.split, s.index, 0)) for s in scenes]
    texts[:30] = ["an owl in the snow"] * 30
    low, high = score_intervals(texts, scenes)["object_precision"]
    point = caption_scores(texts, scenes)["object_precision"]
    assert low < point < high and high - low < 0.2
