"""The "33% of cases" statistic: planted truths, and the nulls it is meaningless without."""

import pytest
import torch

from vizer_core.gap import closer
from vizer_core.gap.closer import closer_subregion_fraction
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.world.synthetic import plant_gap, plant_regions


def test_planted_patches_are_counted_exactly_and_the_nulls_are_not_fooled():
    planted = plant_gap(200, 64, generator=seeded(0))
    regions = plant_regions(planted, generator=seeded(1), patches=20, on_caption=2, share=0.33)
    found = closer_subregion_fraction(
        regions.patch_features, planted.image_features, planted.text_features, generator=seeded(2)
    )
    assert found.fraction.estimate == pytest.approx(regions.closer_fraction)
    assert found.patch_win_rate == pytest.approx(regions.patch_win_rate)
    assert found.mean_rank == pytest.approx(1 + 0.33 * 2)
    assert found.if_independent == pytest.approx(1 - (1 - 0.033) ** 20)
    assert found.if_exchangeable == pytest.approx(20 / 21)
    assert (found.n, found.patches) == (200, 20)


def test_random_vectors_reach_49_in_50_and_so_do_the_nulls():
    rng = seeded(0)
    image, text = (unit_norm(torch.randn(1000, 32, generator=rng)) for _ in range(2))
    patches = unit_norm(torch.randn(1000, 49, 32, generator=rng))
    found = closer_subregion_fraction(patches, image, text, generator=rng)
    for value in (found.fraction, found.other_image, found.other_caption):
        assert value.estimate == pytest.approx(49 / 50, abs=0.015)
    assert found.mean_rank == pytest.approx(25.5, abs=1.0)
    assert found.other_image.low <= found.other_image.estimate <= found.other_image.high


def test_each_null_equals_its_definition(monkeypatch):
    rng = seeded(5)
    image, text = (unit_norm(torch.randn(60, 8, generator=rng)) for _ in range(2))
    patches = unit_norm(torch.randn(60, 3, 8, generator=rng))
    shift = torch.arange(60).roll(-1)
    monkeypatch.setattr(closer, "another_image", lambda n, *, generator, image_index: shift)
    found = closer_subregion_fraction(patches, image, text, generator=rng, permutations=1)
    image_hits = caption_hits = 0
    for i, j in enumerate(shift.tolist()):
        best = max(float(patch @ text[j]) for patch in patches[i])
        image_hits += best > float(image[j] @ text[j])
        caption_hits += best > float(image[i] @ text[j])
    assert found.other_image.estimate == pytest.approx(image_hits / 60)
    assert found.other_caption.estimate == pytest.approx(caption_hits / 60)


def test_block_size_does_not_matter(monkeypatch):
    rng = seeded(1)
    image, text = (unit_norm(torch.randn(50, 8, generator=rng)) for _ in range(2))
    patches = unit_norm(torch.randn(50, 7, 8, generator=rng))
    whole = closer_subregion_fraction(patches, image, text, generator=seeded(3))
    monkeypatch.setattr(closer, "ENTRIES_AT_ONCE", 3 * 7 * 8)
    assert closer_subregion_fraction(patches, image, text, generator=seeded(3)) == whole


def test_captions_of_one_image_never_serve_as_its_null():
    """All captions of an image are equal here, so taking a sibling would look like the truth."""
    planted = plant_gap(8, 64, generator=seeded(0), noise_std=0.06)
    index = torch.arange(0, 8, 2).repeat_interleave(10)  # odd rows mirror even ones
    image, text = planted.image_features[index], planted.text_features[index]
    patches = text[:, None, :].clone()  # the one patch is the caption
    found = closer_subregion_fraction(patches, image, text, generator=seeded(1), image_index=index)
    assert found.fraction.estimate == 1.0
    assert found.other_image.high == 0.0


@pytest.mark.parametrize(
    ("patches", "message"),
    [
        (torch.eye(4)[:3, None], "does not fit"),
        (torch.eye(4)[:, None] * 2, "patch_features must be unit-norm"),
        (torch.eye(4)[:, None] * float("nan"), "NaN"),
    ],
)
def test_wrong_patches_are_named(patches, message):
    with pytest.raises(ValueError, match=message):
        closer_subregion_fraction(patches, torch.eye(4), torch.eye(4), generator=seeded(0))


def test_at_least_one_permutation():
    with pytest.raises(ValueError, match="at least 1"):
        closer_subregion_fraction(
            torch.eye(4)[:, None], torch.eye(4), torch.eye(4), generator=seeded(0), permutations=0
        )
