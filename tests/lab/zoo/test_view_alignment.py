"""Views of an image are drawn towards it: the loss, the batches, and what training on them does."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from vizer_core.vlm.views import held_out_offsets, shift_edges
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo.clip_model import DrawnClipConfig, normalise_pixels
from vizer_lab.zoo.clip_recipe import ClipRecipe, Stage
from vizer_lab.zoo.tokenizer import DrawnTokenizer
from vizer_lab.zoo.train_clip import pair_batches, train_drawn_clip
from vizer_lab.zoo.view_alignment import trained_offsets, view_alignment, with_views

STAGE = Stage("views", steps=3, batch=4, learning_rate=1e-3)
RECIPE = ClipRecipe(DrawnClipConfig(layers=1, width=64, text_layers=1, embed_dim=32), (STAGE,))


def drawn_pairs(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    split = DrawnSplit("second_train", n)
    images = torch.from_numpy(split.images).permute(0, 3, 1, 2).contiguous()
    return images, DrawnTokenizer()([captions[0] for captions in split.captions])


def test_only_the_farthest_view_counts():
    anchor = torch.eye(2)
    near = normalize(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), dim=-1)
    same, turned = anchor.clone(), anchor.flip(0)
    assert float(view_alignment(same[None], anchor)) == 0.0
    assert float(view_alignment(turned[None], anchor)) == 1.0
    far = 1 - 0.5**0.5  # the first image's view at 45 degrees, the second's where it was
    assert float(view_alignment(torch.stack([same, near]), anchor)) == pytest.approx(far / 2)


def test_the_image_as_it_is_has_no_gradient_and_nearer_views_have_none():
    torch.manual_seed(0)
    anchor, views = (normalize(torch.randn(*s, 5), dim=-1) for s in ((3,), (4, 3)))
    anchor.requires_grad_(), views.requires_grad_()
    view_alignment(views, anchor).backward()
    assert anchor.grad is None or not anchor.grad.any()
    moved = views.grad.abs().sum(dim=-1) > 0
    farthest = (views * anchor).sum(dim=-1).argmin(dim=0)
    assert moved.sum(dim=0).tolist() == [1, 1, 1] and moved.float().argmax(0).equal(farthest)


def test_no_view_that_is_tested_on_is_trained_on():
    offsets = trained_offsets(14)
    assert not {(0, 0), *held_out_offsets(14)} & set(offsets)
    assert max(max(abs(x), abs(y)) for x, y in offsets) == 6  # under half a patch


def test_views_stand_behind_their_images_and_a_stopped_run_draws_the_same():
    images, tokens = drawn_pairs(8)
    feed = pair_batches(images, tokens)
    moved = with_views(feed, [(3, 0)], count=2)
    (first, words), *rest = moved(STAGE, 0)
    own, texts = next(feed(STAGE, 0))
    assert torch.equal(words, texts) and torch.equal(first[:4], own)
    assert torch.equal(first[4:8], shift_edges(own, (3, 0))) and torch.equal(first[8:], first[4:8])
    shuffled, _ = next(with_views(feed, [(3, 0)], count=1, shuffled=True)(STAGE, 0))
    assert torch.equal(shuffled[4:], shift_edges(own.roll(1, dims=0), (3, 0)))
    drawn = with_views(feed, trained_offsets(14), count=1, seed=5)
    resumed = [batch for batch, _ in drawn(STAGE, 2)]
    assert torch.equal(resumed[0], [batch for batch, _ in drawn(STAGE, 0)][2])
    assert len(rest) == STAGE.steps - 1


def test_training_on_views_brings_them_nearer_than_the_same_steps_without():
    images, tokens = drawn_pairs(16)
    feed = with_views(pair_batches(images, tokens), [(4, 4), (-4, -4)], count=1)
    stage = replace(STAGE, steps=12, batch=8, learning_rate=3e-3)

    def distance(views: float) -> float:
        recipe = replace(RECIPE, stages=(replace(stage, views=views),))
        model, _ = train_drawn_clip(recipe, feed=feed)
        seen = normalise_pixels(images)
        with torch.no_grad():
            own, moved = (
                model.encode_image(each, normalize=True)
                for each in (seen, shift_edges(seen, (4, 4)))
            )
        return float(view_alignment(moved[None], own))

    assert distance(8.0) < 0.8 * distance(0.0)


def test_a_stage_without_views_is_trained_as_it_was():
    images, tokens = drawn_pairs(8)
    _, first = train_drawn_clip(RECIPE, feed=pair_batches(images, tokens))
    feed = with_views(pair_batches(images, tokens), trained_offsets(14), count=1)
    _, again = train_drawn_clip(RECIPE, feed=feed)
    assert first.loss == pytest.approx(again.loss, abs=1e-5)  # the views have no say
    assert "views" not in RECIPE.to_dict()["stages"][0]


def test_errors_by_message():
    with pytest.raises(ValueError, match="0 views: wanted at least 1"):
        view_alignment(torch.zeros(0, 2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="0 views of 1 offsets"):
        with_views(pair_batches(torch.zeros(2), torch.zeros(2)), [(1, 0)], count=0)
    with pytest.raises(ValueError, match="views >= 0"):
        replace(STAGE, views=-1.0)
