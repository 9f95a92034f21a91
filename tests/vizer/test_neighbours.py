"""Hard negatives: who the neighbours are, and what telling an image from them is worth."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.vizer.ensemble import EnsembleReward, least_of_readers, mean_of_readers
from vizer_core.vizer.neighbours import HardNegativeReward, nearest_images
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch


def vision(features: torch.Tensor) -> VisionBatch:
    tokens = tuple(torch.zeros(1, 2) for _ in features)
    return VisionBatch(features, tokens, torch.ones(len(features), 3).long())


def captions(n: int) -> CaptionBatch:
    return CaptionBatch(torch.ones(n, 1).long(), torch.ones(n, 1).bool(), ("a cat",) * n)


@dataclass(frozen=True, eq=False)
class Says:
    """A pair reward whose captions have the vectors that the test gives them."""

    vectors: torch.Tensor
    name: str = "says"

    def caption_vectors(self, captions: CaptionBatch) -> torch.Tensor:
        return self.vectors

    def image_vectors(self, vision: VisionBatch) -> torch.Tensor:
        return vision.image_features

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> torch.Tensor:
        return self.vectors.sum(dim=1)


@pytest.mark.parametrize("rows_at_once", [7, 1024])
def test_nearest_images_agree_with_sorting_every_pair(rows_at_once, monkeypatch):
    monkeypatch.setattr("vizer_core.vizer.neighbours.ROWS_AT_ONCE", rows_at_once)
    features = torch.randn(40, 6, generator=seeded(0))
    unit = torch.nn.functional.normalize(features, dim=1)
    wanted = (unit @ unit.T).fill_diagonal_(-2).argsort(dim=1, descending=True)[:, :3]
    assert torch.equal(nearest_images(features, count=3), wanted)
    assert torch.equal(nearest_images(7 * features, count=3), wanted)


def test_nearest_images_of_a_table_may_be_the_image_itself():
    features = torch.eye(3)
    assert nearest_images(features, count=1, among=features)[:, 0].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="count is 3 of 3 images"):
        nearest_images(features, count=3)


def test_the_margin_is_own_cosine_less_the_mean_of_the_nearest():
    # image 0 has neighbours 1 (.8) and 2 (.6); the others are far away
    images = torch.tensor([[1, 0, 0], [0.8, 0.6, 0], [0.6, 0, 0.8], [-1, 0, 0], [0, -1, 0]])
    says = Says(torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]]))
    found = HardNegativeReward(says, images, negatives=2)(vision(images[:1]), captions(2))
    assert torch.allclose(found, torch.tensor([1 - (0.8 + 0.6) / 2, 0 - 0.6 / 2]))


def test_a_caption_that_fits_image_and_neighbours_alike_earns_nothing():
    shared = torch.tensor([[0.0, 0.0, 1.0]]).repeat(6, 1)
    images = torch.randn(6, 3, generator=seeded(1)) * torch.tensor([1.0, 1.0, 0.0]) + shared
    found = HardNegativeReward(Says(shared[:1]), torch.nn.functional.normalize(images), negatives=5)
    assert abs(float(found(vision(images[:1]), captions(1))[0])) < 0.5
    with pytest.raises(ValueError, match="9 negatives of 6 images"):
        HardNegativeReward(Says(shared), images, negatives=9)


def test_an_ensemble_joins_its_readers_by_the_rule():
    readers = tuple(Says(torch.tensor(rows)) for rows in ([[1.0], [4.0]], [[3.0], [0.0]]))
    batch, texts = vision(torch.zeros(2, 1)), captions(2)
    assert EnsembleReward(readers)(batch, texts).tolist() == [2.0, 2.0]
    assert EnsembleReward(readers, least_of_readers)(batch, texts).tolist() == [1.0, 0.0]
    assert EnsembleReward(readers, mean_of_readers).name == "mean_of_readers(says, says)"
    with pytest.raises(ValueError, match="got 1 readers"):
        EnsembleReward(readers[:1])
