"""Views: the pixels that a moved image gives, their mean, and moves that are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_vlm import (
    noise_images,
    tiny_qwen,
    tiny_smol,
    tiny_smol_model,
    tiny_smol_processor,
)

from vizer_core.decoding import Greedy
from vizer_core.vlm import SmolVlm, average_views, encode_views
from vizer_core.vlm.views import (
    ViewSource,
    default_shift,
    encode_pixel_views,
    held_out_offsets,
    mean_of_views,
    shift_edges,
    view_offsets,
)

FAMILIES = {
    "idefics3": tiny_smol,
    "in tiles": lambda: tiny_smol(image_splitting=True),
    "qwen2": tiny_qwen,
    "qwen2.5": lambda: tiny_qwen("Qwen2_5_VL"),
}
IMAGES = [*noise_images(2), *noise_images(1, size=(20, 40))]


@pytest.fixture(params=FAMILIES)
def vlm(request):
    return FAMILIES[request.param]()


def moved(image: Image.Image, right: int, down: int) -> Image.Image:
    """Move an image by the long way, pixel by pixel."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    out = np.empty_like(pixels)
    for row in range(height):
        for column in range(width):
            out[row, column] = pixels[
                min(max(row - down, 0), height - 1), min(max(column - right, 0), width - 1)
            ]
    return Image.fromarray(out)


def test_an_image_moves_to_the_right_and_down_and_repeats_its_edge():
    image = noise_images(1)[0]
    planes = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    wanted = torch.from_numpy(np.asarray(moved(image, 3, -2)).copy()).permute(2, 0, 1)
    assert torch.equal(shift_edges(planes, (3, -2)), wanted)


@pytest.mark.parametrize("offset", [(1, 0), (-2, 3), (1, -1)])
def test_moving_pixels_is_moving_the_resized_image(offset):
    """These images have the size that the processors make: nothing is resized on either way."""
    smol = SmolVlm(tiny_smol_model(), tiny_smol_processor(16), "smol")
    for vlm, size in ((tiny_qwen(), (32, 16)), (smol, (16, 16))):
        image = noise_images(1, size=size)[0]
        pixels, grid = vlm.preprocess([image])
        by_hand, _ = vlm.preprocess([moved(image, *offset)])
        torch.testing.assert_close(vlm.shift_pixels(pixels, grid, offset), by_hand)


def test_tiles_are_joined_before_they_move_and_the_global_tile_moves_by_itself():
    vlm = tiny_smol(image_splitting=True)
    image = noise_images(1, size=(16, 32))[0]  # two tiles, as they are
    pixels, grid = vlm.preprocess([image, image])
    found = vlm.shift_pixels(pixels, grid, (1, 1))
    by_hand, _ = vlm.preprocess([moved(image, 1, 1)])
    torch.testing.assert_close(found[:2], by_hand[:2])
    torch.testing.assert_close(found[2], shift_edges(pixels[2], (1, 1)))
    torch.testing.assert_close(found[3:], found[:3])


def test_the_first_view_is_the_image_as_it_is(vlm):
    plain, views = vlm.encode_image(IMAGES), encode_views(vlm, IMAGES, batch_size=2)
    assert len(views) == 5
    assert torch.equal(views[0].grid, plain.grid)
    for row in range(len(IMAGES)):
        torch.testing.assert_close(views[0].image_embeddings[row], plain.image_embeddings[row])
        assert not torch.allclose(views[1].image_embeddings[row], plain.image_embeddings[row])


def test_the_mean_is_over_the_views(vlm):
    views, mean = encode_views(vlm, IMAGES, views=3), average_views(vlm, IMAGES, views=3)
    for row in range(len(IMAGES)):
        wanted = torch.stack([view.image_embeddings[row] for view in views]).mean(dim=0)
        torch.testing.assert_close(mean.image_embeddings[row], wanted, atol=1e-5, rtol=1e-4)
    wanted = torch.stack([view.image_features for view in views]).mean(dim=0)
    torch.testing.assert_close(mean.image_features, wanted, atol=1e-5, rtol=1e-4)
    assert mean.is_its_own_target and torch.equal(mean.index, torch.arange(len(IMAGES)))
    assert len(vlm.generate(mean, decoding=Greedy(3)).texts) == len(IMAGES)


def test_one_view_is_no_change(vlm):
    plain, one = vlm.encode_image(IMAGES), average_views(vlm, IMAGES, views=1)
    torch.testing.assert_close(one.image_features, plain.image_features)


def test_a_source_of_views_is_asked_by_number():
    vlm = tiny_smol()
    found = ViewSource(vlm, IMAGES).select([2, 0])
    torch.testing.assert_close(
        found.image_features, average_views(vlm, IMAGES).image_features[[2, 0]]
    )
    assert found.index.tolist() == [2, 0]
    with pytest.raises(ValueError, match="views is 0"):
        ViewSource(vlm, IMAGES, views=0)


def test_half_precision_is_averaged_in_float32_and_given_back():
    vlm = tiny_smol()
    view = vlm.encode_image(IMAGES[:1])
    half = [type(view)(view.image_features.half(), view.image_embeddings, view.grid)] * 2
    assert mean_of_views(half).image_features.dtype == torch.float16


def test_offsets_are_less_than_a_patch_and_held_out_ones_are_others():
    for patch in (4, 7, 14, 16):
        all_views = view_offsets(patch, views=9)
        assert len(set(all_views)) == 9
        assert max(abs(x) for pair in all_views for x in pair) == default_shift(patch) < patch
        assert not set(view_offsets(patch)) & set(held_out_offsets(patch))


def test_a_whole_patch_is_refused_and_allowed_as_the_control():
    vlm = tiny_smol()
    with pytest.raises(ValueError, match="by a whole patch or more: that renumbers"):
        average_views(vlm, IMAGES, views=[(0, 0), (4, 0)])
    with pytest.raises(ValueError, match=r"control=True"):
        encode_views(vlm, IMAGES, views=[(0, -4)])
    assert len(encode_views(vlm, IMAGES, views=[(0, 0), (4, 0)], control=True)) == 2
    with pytest.raises(ValueError, match="by a whole patch"):
        view_offsets(4, shift=4)


def test_bad_requests_say_what_is_wrong():
    vlm = tiny_smol()
    for views in (0, 10):
        with pytest.raises(ValueError, match=f"views is {views}: wanted 1 to 9"):
            average_views(vlm, IMAGES, views=views)
    with pytest.raises(ValueError, match="shift is 0 px"):
        view_offsets(14, shift=0)
    with pytest.raises(ValueError, match="no views: wanted at least 1 offset"):
        average_views(vlm, IMAGES, views=[])
    with pytest.raises(ValueError, match="got 0 images"):
        average_views(vlm, [])
    with pytest.raises(ValueError, match="nothing smaller than a patch"):
        default_shift(1)
    with pytest.raises(ValueError, match="no views to average"):
        mean_of_views([])
    with pytest.raises(ValueError, match="views of 3 and 2 images"):
        mean_of_views([vlm.encode_image(IMAGES), vlm.encode_image(IMAGES[:2])])


def test_a_family_that_cannot_move_its_images_is_told_what_it_lacks():
    class Other:
        name = "other"

        def preprocess(self, images): ...

    with pytest.raises(TypeError, match="Other has no patch_size, shift_pixels, encode_pixels"):
        average_views(Other(), IMAGES)


def test_pixels_at_hand_need_no_processor():
    vlm = tiny_qwen()
    pixels, grid = vlm.preprocess(IMAGES)
    found = list(encode_pixel_views(vlm, pixels, grid, ((0, 0), (1, 1))))
    for mine, theirs in zip(found, encode_views(vlm, IMAGES, views=2), strict=True):
        torch.testing.assert_close(mine.image_features, theirs.image_features)
