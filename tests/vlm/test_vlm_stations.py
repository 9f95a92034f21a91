"""The components an image passes, by hand: each part's name, the connector, and the pixel path."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import noise_images, tiny_qwen, tiny_smol

from vizer_core.vlm.modules import COMPONENTS, component_of

FAMILIES = {
    "idefics3": lambda: tiny_smol("Idefics3"),
    "smolvlm": lambda: tiny_smol("SmolVLM"),
    "qwen2": lambda: tiny_qwen("Qwen2VL"),
    "qwen2.5": lambda: tiny_qwen("Qwen2_5_VL"),
}
IMAGE = noise_images(1, size=(20, 32))[0]


@pytest.fixture(params=FAMILIES)
def vlm(request):
    return FAMILIES[request.param]()


def test_every_weight_belongs_to_a_station_and_each_station_has_some(vlm):
    found = {component_of(name) for name, _ in vlm.base.named_parameters()}
    tied = vlm.base.lm_head.weight is vlm.embedding_table
    assert found == set(COMPONENTS) - ({"head"} if tied else set())
    whole = sum(weight.numel() for weight in vlm.text_model.parameters())
    named = vlm.base.named_parameters()
    assert whole == sum(w.numel() for n, w in named if component_of(n) == "language model")


def test_a_name_of_no_station_is_refused():
    with pytest.raises(ValueError, match=r"'decoder\.layers' belongs to no component: wanted"):
        component_of("decoder.layers")


def test_blocks_of_patches_through_the_connector_are_the_image_embeddings(vlm):
    (patches,) = vlm.encode_patches([IMAGE])
    vision = vlm.encode_image([IMAGE])
    rows = vlm.patch_rows(tuple(vision.grid[0].tolist()))
    columns, width = patches.shape[1] // rows, patches.shape[2]
    squares = patches[-1].reshape(rows // vlm.merge, vlm.merge, -1, vlm.merge, width)
    chained = squares.permute(0, 2, 1, 3, 4).flatten(2).flatten(0, 1)
    assert columns * rows == patches.shape[1]
    by_hand = vlm.connect(chained)
    torch.testing.assert_close(by_hand, vision.image_embeddings[0][-len(by_hand) :])


def test_the_pixel_path_gives_the_states_of_cached_features(vlm):
    vision = vlm.encode_image([IMAGE])
    prefix = vlm.prefix(vision)
    cached = vlm.run_text(prefix.embeddings, prefix.mask, prefix.positions)
    ids, _ = vlm.prompt_batch(vision)
    with torch.no_grad():
        wanted = vlm.base.model(**vlm.pixel_inputs(IMAGE, ids), use_cache=False)
    torch.testing.assert_close(cached, wanted.last_hidden_state)
