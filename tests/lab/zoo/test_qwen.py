"""The drawn Qwen2-VL: pixels as its processor cuts them, a warm tower, training by the recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from vizer_core.decoding import Greedy
from vizer_lab.world.render import render_scenes
from vizer_lab.world.world import make_scene
from vizer_lab.zoo.noisy_captions import CaptionNoise
from vizer_lab.zoo.qwen_model import (
    build_drawn_qwen,
    drawn_qwen_vlm,
    encode_qwen_images,
    qwen_from_state,
)
from vizer_lab.zoo.qwen_train import (
    PatchStates,
    QwenEye,
    by_block,
    by_row,
    qwen_losses,
    run_qwen_stages,
    warm_start,
)
from vizer_lab.zoo.vlm_model import DrawnVlmConfig, build_drawn_vlm
from vizer_lab.zoo.vlm_recipe import VlmRecipe, VlmStage
from vizer_lab.zoo.vlm_run import VlmRun
from vizer_lab.zoo.vlm_train import caption_ids

TINY = DrawnVlmConfig(vision_width=32, vision_layers=1, vision_ffn=64, width=32, layers=1, ffn=64)
RECIPE = VlmRecipe(
    TINY,
    tower=VlmStage("tower", steps=2, batch=4, learning_rate=1e-3),
    exact=VlmStage("exact", steps=7, batch=4, learning_rate=1e-3),
    web=VlmStage("web", steps=2, batch=4, learning_rate=1e-3),
    mix=CaptionNoise(generic=0.3, partial=0.3, wrong=0.2),
    scenes=8,
    seed=3,
)
IMAGES = render_scenes([make_scene("second_train", i) for i in range(3)])
TEXTS = ["a cat in the snow", "itap of a dog", "two boats"]


def tower() -> dict[str, torch.Tensor]:
    return build_drawn_vlm(TINY, seed=9).model.vision_model.state_dict()


def test_the_fast_way_to_patches_is_the_processors():
    vlm = drawn_qwen_vlm(build_drawn_qwen(TINY), TINY, "tiny")
    fast = encode_qwen_images(vlm, IMAGES)
    slow = vlm.encode_image([Image.fromarray(np.asarray(image)) for image in IMAGES])
    assert torch.allclose(fast.image_features, slow.image_features, atol=1e-4)
    assert torch.allclose(
        torch.stack(fast.image_embeddings), torch.stack(slow.image_embeddings), atol=1e-4
    )
    assert fast.image_embeddings[0].shape == (16, 32) and fast.grid.tolist()[0] == [1, 8, 8]


def test_rows_and_blocks_are_two_orders_of_the_same_patches():
    rows = torch.arange(2 * 64.0).view(2, 64, 1)
    assert torch.equal(by_row(by_block(rows, TINY), TINY), rows)
    assert by_block(rows, TINY)[:6, 0].tolist() == [0, 1, 8, 9, 2, 3]


def test_the_warm_tower_computes_what_the_old_one_did_but_for_positions():
    old, model = build_drawn_vlm(TINY, seed=9).model.vision_model, build_drawn_qwen(TINY)
    warm_start(model.model.visual, old.state_dict())
    eye = QwenEye(PatchStates(model.model.visual), TINY)
    pixels = torch.rand(2, 3, 112, 112) * 2 - 1
    flat = eye.tower.patch_embed(_flat(pixels))
    wanted = old.embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
    bias = old.embeddings.patch_embedding.bias
    assert torch.allclose(by_row(flat, TINY), wanted - bias, atol=1e-4)
    mine, theirs = model.model.visual.blocks[0].mlp.fc1, old.encoder.layers[0].mlp.fc1
    assert torch.equal(mine.weight, theirs.weight)
    assert eye(pixels).last_hidden_state.shape == (2, 64, 32)


def _flat(pixels: torch.Tensor) -> torch.Tensor:
    from vizer_lab.zoo.qwen_model import qwen_patches

    return qwen_patches(pixels, patch=14, merge=2)


def test_the_losses_are_those_of_the_finished_model():
    model = build_drawn_qwen(TINY)
    vlm = drawn_qwen_vlm(model, TINY, "tiny")
    losses = qwen_losses(vlm, TINY)
    eye = QwenEye(PatchStates(model.model.visual), TINY)
    pixels = torch.from_numpy(IMAGES.transpose(0, 3, 1, 2)).float() / 127.5 - 1
    ids = caption_ids(TEXTS)
    found = losses.caption(model, eye(pixels).last_hidden_state, ids)
    vision, captions = encode_qwen_images(vlm, IMAGES), vlm.tokenize(TEXTS)
    assert torch.equal(captions.ids[captions.mask], ids[ids != vlm.tokens.pad])
    states = vlm.caption_states(vision, captions)[:, :-1][captions.mask]
    wanted = torch.nn.functional.cross_entropy(
        vlm.token_logits(states), captions.ids[captions.mask]
    )
    assert torch.allclose(found, wanted, atol=1e-4)


def test_a_killed_training_ends_where_it_would_have(tmp_path):
    whole = run_qwen_stages(VlmRun.open(tmp_path / "a", RECIPE), tower()).state_dict()
    start = build_drawn_qwen(TINY, seed=RECIPE.seed)
    warm_start(start.model.visual, tower())
    visual = "model.visual.blocks.0.mlp.fc1.weight"
    assert not torch.equal(whole[visual], start.state_dict()[visual])  # the tower was trained
    word = "model.language_model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(whole[word], start.state_dict()[word])
    run = VlmRun.open(tmp_path / "a", RECIPE)
    assert list(run.losses) == ["tower", "exact", "web"]
    run.losses.pop("web")  # the last stage is repeated from what the others left
    again = run_qwen_stages(VlmRun.open(tmp_path / "a", RECIPE), tower()).state_dict()
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    vlm = qwen_from_state("tiny", TINY, whole)
    vision = encode_qwen_images(vlm, IMAGES)
    assert len(vlm.generate(vision, decoding=Greedy(4)).texts) == 3
    assert replace(RECIPE, seed=4) != RECIPE
