"""What every captioner keeps: one caption per image, by the seed, whatever the company."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_captioners import (
    CLIP_WIDTH,
    DRAWING,
    IMAGES,
    all_captioners,
    encoder,
    states,
)
from tiny_clip import noise_images

from vizer_core.captioners import Captioner, caption_images
from vizer_core.clip import ImageStates
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm

NAMES = tuple(all_captioners())
SILENT = tuple(name for name in NAMES if name not in DRAWING)


def captions(captioner: Captioner, images=None, seed: int = 0) -> list[str]:
    return captioner.caption(states() if images is None else images, generator=seeded(seed))


def some_states(indices: list[int]) -> ImageStates:
    all_ = states()
    return replace(
        all_,
        image_features=all_.image_features[indices],
        patch_features=all_.patch_features[indices],
        attention=all_.attention[indices],
        counterfactual_features=all_.counterfactual_features[indices],
    )


@pytest.fixture(params=NAMES)
def captioner(request: pytest.FixtureRequest) -> Captioner:
    return all_captioners()[request.param]


@pytest.fixture(params=SILENT)
def silent(request: pytest.FixtureRequest) -> Captioner:
    return all_captioners()[request.param]


def test_one_caption_an_image_and_the_same_one_for_the_same_seed(captioner):
    assert isinstance(captioner, Captioner)
    generated = captions(captioner)
    assert len(generated) == IMAGES and all(isinstance(text, str) for text in generated)
    assert any(generated), "every caption is empty: the test would pass on nothing"
    assert generated == captions(captioner)


def test_captions_depend_on_the_image(captioner):
    generated = captions(captioner)
    assert (len(set(generated)) == 1) is (captioner.name == "blind")


@pytest.mark.parametrize("name", DRAWING)
def test_another_seed_draws_other_captions(name):
    captioner = all_captioners()[name]
    assert captions(captioner) != captions(captioner, seed=1)


def test_order_and_batch_do_not_matter_where_nothing_is_drawn(silent):
    generated, order = captions(silent), [3, 0, 4, 1, 2]
    assert captions(silent, some_states(order)) == [generated[i] for i in order]
    parts = captions(silent, some_states([0, 1])) + captions(silent, some_states([2, 3, 4]))
    assert parts == generated


def test_nothing_is_drawn_from_the_generator_of_a_silent_captioner(silent):
    generator = seeded(5)
    silent.caption(states(), generator=generator)
    assert torch.rand(1, generator=generator) == torch.rand(1, generator=seeded(5))


def test_features_alone_are_enough_unless_patches_are_read(captioner):
    features = states().image_features
    if captioner.reads_patches:
        with pytest.raises(ValueError, match=r"got image features only, shape \(5, 16\)"):
            captions(captioner, features)
    else:
        assert captions(captioner, features) == captions(captioner)


def test_features_of_another_width_are_refused(captioner):
    wide = unit_norm(torch.randn(2, CLIP_WIDTH + 4, generator=seeded(0)))
    if captioner.reads_patches:
        tokens = wide.shape[0]
        wide = ImageStates(
            wide, wide[:, None].expand(-1, 4, -1).contiguous(), torch.full((tokens, 5, 5), 0.2),
            wide[:, None].expand(-1, 4, -1).contiguous(), (2, 2),
        )  # fmt: skip
    with pytest.raises(ValueError, match=r"was made for features of width 16 and got width 20"):
        captions(captioner, wide)


@pytest.mark.parametrize("name", [n for n in NAMES if not all_captioners()[n].reads_patches])
def test_no_images_and_images_of_another_length_are_refused(name):
    captioner, features = all_captioners()[name], states().image_features
    with pytest.raises(ValueError, match="image_features is empty"):
        captions(captioner, features[:0])
    with pytest.raises(ValueError, match="must be unit-norm"):
        captions(captioner, features * 2)


def test_images_are_read_once_and_captioned_in_batches(captioner):
    images = noise_images(IMAGES)
    whole = caption_images(captioner, encoder(), images, batch_size=9, generator=seeded(0))
    assert whole == captions(captioner)
    if captioner.name in SILENT:
        parts = caption_images(captioner, encoder(), images, batch_size=2, generator=seeded(0))
        assert parts == whole


def test_no_images_at_all_are_refused():
    with pytest.raises(ValueError, match="got 0 images in batches of 64"):
        caption_images(all_captioners()["clipre"], encoder(), [], generator=seeded(0))
