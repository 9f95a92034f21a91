"""Shifting the modalities: geometry in closed form, both directions of the loss, retrieval."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from vizer_core.gap.shift import (
    contrastive_loss,
    gap_direction,
    recall_at_1,
    shift_images,
    shift_modalities,
    sweep_shift,
)
from vizer_core.gap.stats import gap_vector
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.world.synthetic import plant_gap


def random_pairs(n=40, d=16, seed=0):
    rng = seeded(seed)
    image = unit_norm(torch.randn(n, d, generator=rng) + 0.3)
    return image, unit_norm(image - 0.6 + 0.8 * torch.randn(n, d, generator=rng))


def test_a_planted_gap_closes_at_its_own_size_and_follows_the_closed_form():
    """All vectors are s w - (g/2) u: after the shift their height is h / sqrt(s^2 + h^2)."""
    planted = plant_gap(100, 32, generator=seeded(0), gap_norm=0.8, noise_std=0.05)
    image, text = planted.image_features, planted.text_features
    for delta in (-1.0, 0.0, 0.4, 0.8, 1.5):
        height = 0.4 - delta / 2
        wanted = 2 * height / math.sqrt(1 - 0.16 + height**2)
        (point,) = sweep_shift(image, text, [delta])
        assert point.distance == pytest.approx(wanted, abs=1e-5)
        one_sided = height - delta / 2
        (point,) = sweep_shift(image, text, [delta], shift=shift_images)
        u, moved = gap_direction(image, text).double(), shift_images(image, text, delta)
        along = float(gap_vector(moved.image_features, moved.text_features) @ u)
        assert along == pytest.approx(0.4 + one_sided / math.sqrt(0.84 + one_sided**2), abs=1e-5)
        assert point.distance * along >= 0


def test_delta_zero_changes_nothing_and_results_stay_unit_norm():
    image, text = random_pairs()
    same = shift_modalities(image, text, 0.0)
    assert torch.allclose(same.image_features, image, atol=1e-6)
    assert torch.allclose(same.text_features, text, atol=1e-6)
    for shift in (shift_modalities, shift_images):
        moved = shift(image, text, 0.7)
        assert torch.allclose(moved.image_features.norm(dim=1), torch.ones(40), atol=1e-6)
    assert torch.equal(shift_images(image, text, 0.7).text_features, text)


def test_swapping_the_modalities_flips_the_direction():
    image, text = random_pairs()
    assert torch.allclose(gap_direction(image, text), -gap_direction(text, image))
    there, back = shift_modalities(image, text, 0.5), shift_modalities(text, image, 0.5)
    assert torch.allclose(there.image_features, back.text_features, atol=1e-6)


def test_the_loss_is_clips_and_its_two_directions_differ():
    """Equal directions on uneven features would mean a double transpose."""
    image, text = random_pairs(n=20)
    loss = contrastive_loss(image, text, logit_scale=30.0, batch_size=10)
    rows, columns = [], []
    for start in (0, 10):
        logits = 30.0 * image[start : start + 10] @ text[start : start + 10].T
        rows.append(float(cross_entropy(logits, torch.arange(10))))
        columns.append(float(cross_entropy(logits.T, torch.arange(10))))
    assert loss.image_to_text == pytest.approx(sum(rows) / 2, rel=1e-5)
    assert loss.text_to_image == pytest.approx(sum(columns) / 2, rel=1e-5)
    assert loss.symmetric == pytest.approx((sum(rows) + sum(columns)) / 4, rel=1e-5)
    assert abs(loss.image_to_text - loss.text_to_image) > 1e-3
    back = contrastive_loss(text, image, logit_scale=30.0, batch_size=10)
    assert back.image_to_text == pytest.approx(loss.text_to_image, rel=1e-6)


def test_pairs_after_the_last_whole_batch_do_not_count():
    image, text = random_pairs(n=20)
    part = contrastive_loss(image[:16], text[:16], batch_size=8)
    assert contrastive_loss(image, text, batch_size=8) == part


def test_recall_counts_first_places_and_shares_ties():
    image = torch.eye(4)
    assert recall_at_1(image, image).image_to_text == 1.0
    assert recall_at_1(image, image.roll(1, 0)).image_to_text == 0.0
    twins = torch.stack([image[0], image[0], image[2], image[3]])
    found = recall_at_1(twins, twins)  # rows 0 and 1 cannot be told apart
    assert found.image_to_text == found.text_to_image == pytest.approx(0.75)


def test_recall_equals_argmax_on_a_gallery_larger_than_a_block():
    rng = seeded(1)
    image = unit_norm(torch.randn(1500, 8, generator=rng))
    text = unit_norm(image + 0.5 * torch.randn(1500, 8, generator=rng))
    found, cosines = recall_at_1(image, text), image @ text.T
    truth = torch.arange(1500)
    assert found.image_to_text == pytest.approx(float((cosines.argmax(1) == truth).float().mean()))
    assert found.text_to_image == pytest.approx(float((cosines.argmax(0) == truth).float().mean()))


def test_a_sweep_reports_every_delta_over_the_stated_gallery():
    image, text = random_pairs(n=60)
    points = sweep_shift(image, text, [-1.0, 0.0, 1.0], batch_size=20, gallery=10)
    assert [point.delta for point in points] == [-1.0, 0.0, 1.0]
    assert points[0].distance > points[1].distance > points[2].distance
    middle = points[1]
    assert middle.pair_cosine_mean == pytest.approx(float((image * text).sum(1).mean()), abs=1e-6)
    assert middle.recall == recall_at_1(image[:10], text[:10])
    expected = contrastive_loss(image, text, batch_size=20).symmetric
    assert middle.loss.symmetric == pytest.approx(expected, rel=1e-4)


def test_no_gap_has_no_direction_and_batches_must_fit():
    image, text = random_pairs()
    with pytest.raises(ValueError, match="no direction to shift along"):
        shift_modalities(image, image, 1.0)
    for batch_size in (1, 41):
        with pytest.raises(ValueError, match="wanted 2 to 40"):
            contrastive_loss(image, text, batch_size=batch_size)
    with pytest.raises(ValueError, match="unit-norm"):
        recall_at_1(2 * image, text)
