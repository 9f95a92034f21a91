"""The noise rule: the paper's own number, the closed form against drawn noise, and refusals."""

import pytest
import torch

from vizer_core.gap.noise_scale import cosine_after_noise, matched_noise_std
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm


def test_the_papers_cosine_gives_the_papers_variance():
    assert matched_noise_std(0.330, 512) ** 2 == pytest.approx(0.0160, abs=5e-5)


@pytest.mark.parametrize(("cosine", "dim"), [(0.33, 512), (0.6, 128), (1.0, 64)])
def test_the_two_functions_undo_each_other(cosine, dim):
    assert cosine_after_noise(matched_noise_std(cosine, dim), dim) == pytest.approx(cosine)


def test_drawn_noise_has_the_cosine_of_the_closed_form():
    text = unit_norm(torch.randn(4000, 256, generator=seeded(0)))
    noisy = unit_norm(text + 0.1 * torch.randn(4000, 256, generator=seeded(1)))
    assert float((text * noisy).sum(dim=1).mean()) == pytest.approx(
        cosine_after_noise(0.1, 256), abs=0.003
    )


def test_impossible_arguments_are_refused():
    with pytest.raises(ValueError, match="wanted above 0 and up to 1"):
        matched_noise_std(-0.2, 512)
    with pytest.raises(ValueError, match="wanted 0 or more"):
        cosine_after_noise(-1.0, 512)
    with pytest.raises(ValueError, match="dim is 0, wanted the width"):
        matched_noise_std(0.5, 0)
