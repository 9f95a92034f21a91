"""Views of drawn images: arrays and Pillow images give the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vizer_core.vlm import average_views, encode_views
from vizer_lab.zoo.qwen_model import build_drawn_qwen, drawn_qwen_vlm
from vizer_lab.zoo.view_images import average_array_views, encode_array_views
from vizer_lab.zoo.vlm_model import DrawnVlmConfig, build_drawn_vlm
from vizer_lab.zoo.vlms import vlm_from_state

CONFIG = DrawnVlmConfig(vision_layers=1, layers=1)
ARRAYS = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
IMAGES = [Image.fromarray(each) for each in ARRAYS]


@pytest.fixture(params=["smol", "qwen"])
def vlm(request):
    if request.param == "qwen":
        return drawn_qwen_vlm(build_drawn_qwen(CONFIG), CONFIG, "qwen")
    return vlm_from_state("smol", CONFIG, build_drawn_vlm(CONFIG).state_dict())


def test_arrays_and_images_give_the_same_views(vlm):
    arrays, images = encode_array_views(vlm, ARRAYS, batch_size=2), encode_views(vlm, IMAGES)
    for mine, theirs in zip(arrays, images, strict=True):
        torch.testing.assert_close(mine.image_features, theirs.image_features, atol=1e-4, rtol=1e-3)
    mine, theirs = average_array_views(vlm, ARRAYS), average_views(vlm, IMAGES)
    for row in range(3):
        torch.testing.assert_close(
            mine.image_embeddings[row], theirs.image_embeddings[row], atol=1e-4, rtol=1e-3
        )


def test_no_array_is_refused(vlm):
    with pytest.raises(ValueError, match="no images to encode"):
        average_array_views(vlm, ARRAYS[:0])
