"""Images and their texts stay together."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from vizer_core.clip import PairedFeatures
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm


def pairs(**changes: object) -> PairedFeatures:
    generator = seeded(0)
    fields = {
        "ids": ("a", "b", "c"),
        "image_features": unit_norm(torch.randn(3, 4, generator=generator)),
        "text_features": unit_norm(torch.randn(4, 4, generator=generator)),
        "image_index": torch.tensor([0, 2, 2, 0]),
    }
    return PairedFeatures(**(fields | changes))


def test_pairs_repeat_the_image_of_each_text():
    features = pairs()
    assert features.pair_image_features.equal(features.image_features[[0, 2, 2, 0]])


def test_first_pairs_keep_one_text_an_image():
    features = pairs()
    firsts = features.first_pairs()
    assert firsts.ids == ("a", "c")
    assert firsts.text_features.equal(features.text_features[[0, 1]])
    assert firsts.pair_image_features.equal(features.image_features[[0, 2]])


def test_pairs_survive_the_disk(tmp_path):
    features = pairs()
    features.save(tmp_path / "pairs.safetensors", {"model": "tiny"})
    again = PairedFeatures.load(tmp_path / "pairs.safetensors")
    assert again.ids == features.ids
    assert again.text_features.equal(features.text_features)
    assert again.image_index.equal(features.image_index)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": ("a", "b")}, "got 2 ids"),
        ({"ids": ("a", "b", "b")}, "2 different"),
        ({"image_index": torch.tensor([0, 1, 2, 3])}, "runs from 0 to 3, but there are 3 images"),
        ({"image_index": torch.tensor([0, -1, 2, 1])}, "runs from -1"),
        ({"text_features": torch.ones(4, 4)}, "text_features must be unit-norm"),
        ({"image_features": torch.full((3, 4), torch.nan)}, "image_features contains NaN"),
    ],
)
def test_wrong_pairs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        pairs(**changes)


def test_mismatched_counts_are_refused_without_the_shape_checker_too():
    fields = vars(pairs()) | {"image_index": torch.tensor([0, 1])}
    with pytest.raises(ValueError, match="4 text features but 2 image indices"):
        PairedFeatures.__post_init__(SimpleNamespace(**fields))


def test_images_without_texts_have_no_pairs():
    alone = pairs(text_features=torch.zeros(0, 4), image_index=torch.zeros(0, dtype=torch.long))
    assert alone.pair_image_features.shape == (0, 4)
    with pytest.raises(ValueError, match="none of the 3 images has a text"):
        alone.first_pairs()
