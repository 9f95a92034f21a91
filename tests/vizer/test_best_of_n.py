"""Best of n: the chosen one is the best of those drawn, and more draws never choose worse."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.decoding import Sample
from vizer_core.runtime import seeded
from vizer_core.vizer.best_of_n import best_index, best_of_n
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch


@dataclass(frozen=True)
class LongWords:
    """A reward that likes letters."""

    name: str = "letters"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> torch.Tensor:
        return torch.tensor([float(len(text)) for text in captions.texts])


@pytest.fixture(scope="module")
def drawn():
    vlm = tiny_smol()
    vision = vlm.encode_image(noise_images(4))
    rule = Sample(max_tokens=5)
    return best_of_n(vlm, vision, LongWords(), n=6, generator=seeded(0), decoding=rule)


def test_each_image_keeps_its_best(drawn):
    assert drawn.scores.shape == (4, 6)
    for row, scores, best in zip(drawn.texts, drawn.scores, drawn.best()):
        assert len(best) == max(map(len, row)) == float(scores.max())


def test_more_draws_never_choose_worse(drawn):
    lengths = [[len(text) for text in drawn.best(of=m)] for m in (1, 3, 6)]
    assert all(a <= b <= c for a, b, c in zip(*lengths))
    assert drawn.best(of=1) == tuple(row[0] for row in drawn.texts)


def test_the_earliest_of_equals_is_taken():
    assert best_index(torch.tensor([[2.0, 5.0, 5.0], [1.0, 1.0, 1.0]]), of=3).tolist() == [1, 0]


def test_errors_by_message(drawn):
    with pytest.raises(ValueError, match="best of 7: there are 6 candidates"):
        drawn.best(of=7)
    with pytest.raises(ValueError, match="best of 0"):
        drawn.best(of=0)
    vlm = tiny_smol()
    with pytest.raises(ValueError, match="n is 0"):
        best_of_n(vlm, vlm.encode_image(noise_images(1)), LongWords(), n=0, generator=seeded(0))
