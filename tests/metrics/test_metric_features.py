"""CLIPScore, RefCLIPScore and self-retrieval on features of known cosines."""

from __future__ import annotations

import math

import pytest
import torch

from vizer_core.metrics.clipscore import (
    W,
    clip_cosines,
    clipscores,
    refclipscores,
    refclipscores_clamped,
    reference_cosines,
)
from vizer_core.metrics.self_retrieval import (
    retrieval_credit,
    self_retrieval_hits,
)


def at(*degrees: float) -> torch.Tensor:
    """Unit vectors of the plane at these angles."""
    angles = torch.tensor(degrees) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_scale_and_clamp_are_per_pair_before_any_mean():
    images, texts = at(0, 0, 0), at(60, 90, 180)
    assert clip_cosines(images, texts).tolist() == pytest.approx([0.5, 0, -1], abs=1e-6)
    assert clipscores(images, texts).tolist() == pytest.approx([1.25, 0, 0], abs=1e-6)
    assert clipscores(images, texts).mean() > W * clip_cosines(images, texts).mean().clamp(min=0)


def test_refclipscore_is_a_harmonic_mean_with_the_best_reference():
    images, texts = at(0, 0), at(60, 60)
    references = at(60, 150, 120)  # image 0 has two, image 1 one
    image_of = torch.tensor([0, 0, 1])
    best = reference_cosines(texts, references, image_of=image_of)
    assert best.tolist() == pytest.approx([1.0, 0.5], abs=1e-6)
    expected = [2 * 1.25 * b / (1.25 + b) for b in (1.0, 0.5)]
    found = refclipscores(images, texts, references, image_of=image_of)
    assert found.tolist() == pytest.approx(expected, abs=1e-5)
    mixed = torch.tensor([1, 0, 0])  # the order of references does not matter
    again = reference_cosines(texts, references[[2, 0, 1]], image_of=mixed)
    assert torch.equal(again, best)


def test_refclipscore_is_unclamped_like_the_authors_code_and_the_papers_formula_stands_beside_it():
    """A reference that is not like the caption at all: below 0 in the code, 0 in the paper."""
    images, texts, image_of = at(0, 0, 0), at(60, 60, 80), torch.tensor([0, 1, 2])
    references = at(60, 160, 200)  # cosines 1, -0.17 and -0.5; CLIPScores 1.25, 1.25 and 0.43
    code = refclipscores(images, texts, references, image_of=image_of)
    paper = refclipscores_clamped(images, texts, references, image_of=image_of)
    for found, a, b in zip(code.tolist(), (0.5, 0.5, math.cos(math.radians(80))), (1, 100, 120)):
        a, b = 2.5 * a, b if b == 1 else math.cos(math.radians(b))
        assert found == pytest.approx(2 * a * b / (a + b), rel=1e-4)
    assert code[1] < 0 and code[2] > 10 / 7  # two numbers that nearly cancel
    assert paper.tolist() == [code[0], 0.0, 0.0]
    most = refclipscores_clamped(images, images, images, image_of=image_of)
    assert most.tolist() == pytest.approx([10 / 7] * 3)


def test_nothing_over_nothing_is_zero():
    image = torch.tensor([[1.0, 0.0]])
    text = torch.tensor([[-1.0, 0.0]])
    reference = torch.tensor([[0.0, 1.0]])
    found = refclipscores(image, text, reference, image_of=torch.tensor([0]))
    assert found.tolist() == [0.0]


def test_half_precision_features_are_normalised_in_float32():
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(64, 512, generator=rng) * 40
    texts = images + torch.randn(64, 512, generator=rng) * 40
    half = clipscores(images.half(), texts.half())
    assert half.dtype == torch.float32
    assert (half - clipscores(images, texts)).abs().max() < 3e-4
    assert torch.isfinite(clipscores((images * 100).half(), texts.half())).all()


def test_length_of_a_feature_does_not_matter():
    images, texts = at(0, 10, 20), at(30, 40, 50)
    assert torch.allclose(clipscores(images * 7, texts * 0.1), clipscores(images, texts))


def test_an_image_without_reference_features_is_named():
    with pytest.raises(ValueError, match="image number 1 has no reference features"):
        reference_cosines(at(0, 0), at(0), image_of=torch.tensor([0]))


def test_a_caption_that_fits_all_images_finds_none_but_one():
    images = torch.eye(20)
    generic = torch.ones(20, 20)
    assert self_retrieval_hits(images, generic).float().mean() == 0  # all tied: counted against
    specific = torch.eye(20) + 0.1
    assert self_retrieval_hits(images, specific).all()


def test_hits_are_those_of_a_full_sort_whatever_the_block(monkeypatch):
    rng = torch.Generator().manual_seed(1)
    images = torch.randn(50, 8, generator=rng)
    texts = images + torch.randn(50, 8, generator=rng)
    order = (
        (
            torch.nn.functional.normalize(texts, dim=1)
            @ torch.nn.functional.normalize(images, dim=1).T
        )
        .argsort(dim=1, descending=True)
        .tolist()
    )
    ranks = torch.tensor([row.index(i) for i, row in enumerate(order)])
    for queries in (1024, 7):
        monkeypatch.setattr("vizer_core.metrics.self_retrieval._QUERIES", queries)
        for k in (1, 3, 20):
            assert self_retrieval_hits(images, texts, k=k).equal(ranks < k)
    shares = [self_retrieval_hits(images, texts, k=k).float().mean() for k in (1, 5, 50)]
    assert shares == sorted(shares) and shares[-1] == 1


def test_k_out_of_range_is_named():
    with pytest.raises(ValueError, match="k=4: wanted 1 to 3"):
        self_retrieval_hits(torch.eye(3), torch.eye(3), k=4)


def test_ties_count_against_for_or_are_shared():
    table = torch.tensor([[0.5, 0.5, 0.5, 0.1], [0.9, 0.2, 0.1, 0.0], [0.9, 0.2, 0.1, 0.0]])
    own = torch.tensor([0.5, 0.9, 0.2])
    assert retrieval_credit(table, own, ties="against").tolist() == [0, 1, 0]
    assert retrieval_credit(table, own, ties="for").tolist() == [1, 1, 0]
    assert retrieval_credit(table, own, ties="shared") == pytest.approx([1 / 3, 1, 0])
    assert retrieval_credit(table, own, ties="against", k=2).tolist() == [0, 1, 1]
    assert retrieval_credit(table, own, ties="against", k=3).tolist() == [1, 1, 1]
    near = retrieval_credit(table, own + 1e-7, ties="shared", within=1e-6)
    assert near == pytest.approx([1 / 3, 1, 0])
    with pytest.raises(ValueError, match="a shared place is the first"):
        retrieval_credit(table, own, ties="shared", k=5)
