"""What is read off the vision tower: tiles, patches in order, pooling, and the traps."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange
from tiny_vlm import noise_images, tiny_qwen, tiny_smol, tiny_smol_model, tiny_smol_processor

from vizer_core.vlm import SmolVlm, global_tile_mean, mean_patches, post_connector_mean

WIDE = noise_images(1, size=(20, 40))[0]
SQUARE = noise_images(1, size=(20, 20))[0]


@pytest.mark.parametrize("family", ["Idefics3", "SmolVLM"])
def test_tiles_go_back_to_their_images(family):
    vlm = tiny_smol(family, image_splitting=True)
    vision = vlm.encode_image([WIDE, SQUARE, WIDE])
    assert vision.grid.tolist() == [[3, 1, 2], [5, 2, 2], [3, 1, 2]]
    assert [len(each) for each in vision.image_embeddings] == [12, 20, 12]
    alone = vlm.encode_image([SQUARE])
    torch.testing.assert_close(vision.image_embeddings[1], alone.image_embeddings[0])
    torch.testing.assert_close(vision.image_features[1], alone.image_features[0])


def test_positions_count_from_the_first_real_token():
    vlm = tiny_smol(image_splitting=True)
    prefix = vlm.prefix(vlm.encode_image([WIDE, SQUARE]))
    for mask, positions, follow in zip(
        prefix.mask, prefix.positions, prefix.next_positions(2), strict=True
    ):
        assert positions[mask].tolist() == list(range(int(mask.sum())))
        assert follow.tolist() == [int(mask.sum()), int(mask.sum()) + 1]
    assert not prefix.mask.all()  # one prompt is shorter


def test_without_splitting_an_image_is_one_tile():
    vision = tiny_smol().encode_image([WIDE, SQUARE])
    assert vision.grid.tolist() == [[1, 0, 0], [1, 0, 0]]
    assert [len(each) for each in vision.image_embeddings] == [4, 4]


def test_features_are_the_pooled_patches_of_the_tower():
    vlm = tiny_smol(image_splitting=True)
    patches = vlm.encode_patches([WIDE, SQUARE], batch_size=1)
    assert [tuple(each.shape) for each in patches] == [(3, 16, 24), (5, 16, 24)]
    features = vlm.encode_image([WIDE, SQUARE]).image_features
    torch.testing.assert_close(features[0], patches[0][-1].mean(0))
    torch.testing.assert_close(features[0], global_tile_mean(patches[0]))
    pooled = SmolVlm(
        vlm.base, vlm.processor, "mean", image_splitting=True, pooling=mean_patches
    ).encode_image([WIDE, SQUARE])
    torch.testing.assert_close(pooled.image_features[1], mean_patches(patches[1]))
    assert not torch.allclose(pooled.image_features[1], features[1])


def test_the_last_tile_shows_the_whole_image():
    tiles = tiny_smol(image_splitting=True).encode_patches([WIDE])[0]
    torch.testing.assert_close(tiles[-1], tiny_smol().encode_patches([WIDE])[0][0])


def test_connected_features_live_in_the_language_models_space():
    vision = tiny_smol(image_splitting=True).encode_image([WIDE, SQUARE])
    pooled = post_connector_mean(vision)
    assert pooled.shape == (2, 32)
    torch.testing.assert_close(pooled[1], vision.image_embeddings[1].mean(0))


def test_features_are_float32_whatever_the_model_is():
    vlm = tiny_smol()
    vlm.base.to(torch.bfloat16)
    vision = vlm.encode_image([WIDE])
    assert vision.image_features.dtype == torch.float32
    assert vision.image_embeddings[0].dtype == torch.bfloat16


def test_a_tile_of_zeros_is_reported_and_not_dropped():
    from PIL import Image

    processor = tiny_smol_processor()
    processor.image_processor.do_normalize = False
    vlm = SmolVlm(tiny_smol_model(), processor, "black")
    with pytest.raises(ValueError, match=r"tiles \[1\] of this batch are exactly 0"):
        vlm.encode_image([SQUARE, Image.new("RGB", (20, 20))])


def test_a_grid_that_counts_other_tiles_is_refused():
    vlm = tiny_smol()
    pixels, grid = vlm.preprocess([WIDE, SQUARE])
    with pytest.raises(ValueError, match="got 1 tiles, wanted the 2 that grid counts"):
        vlm.encode_pixels(pixels[:1], grid)


def test_tiles_of_several_sizes_are_refused():
    processor = tiny_smol_processor()

    def padded(images, **_):
        mask = torch.ones(len(images), 1, 16, 16)
        mask[-1, :, 8:] = 0
        zeros = [[0] for _ in images]
        pixels = torch.rand(len(images), 1, 3, 16, 16)
        return {"pixel_values": pixels, "pixel_attention_mask": mask, "rows": zeros, "cols": zeros}

    processor.image_processor = padded
    with pytest.raises(ValueError, match="tiles of several sizes reached the tower"):
        SmolVlm(tiny_smol_model(), processor, "odd").preprocess([WIDE, SQUARE])


@pytest.mark.parametrize("family", ["Qwen2VL", "Qwen2_5_VL"])
def test_qwen_patches_come_row_by_row(family):
    vlm = tiny_qwen(family)
    image = noise_images(1, size=(16, 40))[0]  # 4 x 10 patches of 4 pixels
    pixels, grid = vlm.preprocess([image])
    found = vlm._row_by_row(pixels, grid[0].tolist())[0]
    rows = vlm.processor.image_processor([image], merge_size=1, return_tensors="pt")
    assert rows["image_grid_thw"].tolist() == grid.tolist() == [[1, 4, 10]]
    assert torch.equal(found, rows["pixel_values"])


def test_qwen25_states_leave_the_window_order():
    vlm = tiny_qwen("Qwen2_5_VL")
    pixels, grid = vlm.preprocess([WIDE, SQUARE])
    seen = vlm.base.model.get_image_features(pixels, grid, return_dict=True)
    ordered = vlm._merge_order(seen.last_hidden_state, grid)
    assert not torch.equal(ordered, seen.last_hidden_state)
    merged = vlm.base.model.visual.merger(ordered)
    torch.testing.assert_close(merged, torch.cat(list(seen.pooler_output)))


def test_qwen_merges_the_patches_that_stand_together():
    vlm = tiny_qwen()
    patches = vlm.encode_patches([WIDE])[0]
    grid = vlm.preprocess([WIDE])[1][0].tolist()
    blocks = rearrange(
        patches, "t (h mh w mw) dv -> (t h w mh mw) dv", h=grid[1] // 2, w=grid[2] // 2, mh=2, mw=2
    )
    merged = vlm.base.model.visual.merger(blocks)
    torch.testing.assert_close(merged, vlm.encode_image([WIDE]).image_embeddings[0])


def test_qwen_reads_at_most_max_pixels():
    big = noise_images(1, size=(200, 300))[0]
    for limit in (256, 1024):
        vlm = tiny_qwen(max_pixels=limit)
        grid = vlm.encode_image([big]).grid[0]
        assert int(grid.prod()) * 16 <= limit


def test_qwen_positions_are_places_in_time_height_and_width():
    vlm = tiny_qwen()
    vision = vlm.encode_image([WIDE, SQUARE])
    prefix = vlm.prefix(vision)
    assert prefix.positions.shape[0] == 3
    # vision_start at 0, then 2 x 5 and 2 x 2 image tokens, vision_end, and three words
    rows, columns = [1] * 5 + [2] * 5, [1, 2, 3, 4, 5] * 2
    assert prefix.positions[:, 0].tolist() == [
        [0, *[1] * 10, 6, 7, 8, 9],
        [0, *rows, 6, 7, 8, 9],
        [0, *columns, 6, 7, 8, 9],
    ]
    assert prefix.next_positions(2).tolist() == [[10, 11], [7, 8]]


def test_qwen_positions_do_not_depend_on_what_was_generated_before():
    vlm = tiny_qwen()
    first, second = vlm.encode_image([WIDE]), vlm.encode_image([SQUARE])
    captions = vlm.tokenize(["a dog"])
    before = vlm.caption_states(first, captions)
    vlm.base.generate(**vlm.transformers_inputs(second), max_new_tokens=2, pad_token_id=0)
    assert vlm.base.model.rope_deltas is not None
    assert torch.equal(vlm.caption_states(first, captions), before)
    vlm.base.model.rope_deltas = torch.full((1, 1), 50)
    assert torch.equal(vlm.caption_states(first, captions), before)


def test_a_prompt_with_two_images_is_refused():
    for vlm in (tiny_smol(), tiny_qwen()):
        mark = "<image>" if vlm.lora_stem == "text_model" else "<|image_pad|>"
        with pytest.raises(ValueError, match="more than once"):
            vlm.prompt_batch(vlm.encode_image([WIDE]), prompt=f"{mark} a {mark}")


def test_a_base_model_has_no_chat_prompt():
    with pytest.raises(ValueError, match="no chat template"):
        tiny_smol().chat_prompt("what is this")


def test_a_chat_template_writes_the_prompt():
    vlm = tiny_smol()
    vlm.processor.chat_template = (
        "{% for m in messages %}{% for c in m['content'] %}"
        "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}"
        "{% endfor %}{% endfor %}{% if add_generation_prompt %} a{% endif %}"
    )
    assert vlm.chat_prompt(" what is red") == "<image> what is red a"
