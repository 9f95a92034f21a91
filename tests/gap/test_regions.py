"""Table 1's cosines against a plain loop, closed forms, and planted regions."""

import math

import pytest
import torch

from vizer_core.gap.regions import (
    another_image,
    averaging_threshold,
    cosine_table,
    mean_token,
    pair_cosines,
    random_patches,
    summarise_cosines,
)
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.world.synthetic import plant_gap, plant_regions


def some_features(n=12, r=4, d=16, seed=0):
    rng = seeded(seed)
    g = unit_norm(torch.randn(n, d, generator=rng))
    regions = unit_norm(g[:, None] + torch.randn(n, r, d, generator=rng))
    return g, regions, unit_norm(g + 2 * torch.randn(n, d, generator=rng))


def test_cosines_equal_a_loop_over_explicit_vectors():
    g, regions, t = some_features()
    found = pair_cosines(g, regions, t)
    for i in range(12):
        mixes = [unit_norm(g[i] + region) for region in regions[i]]
        cosines = [float(mix @ t[i]) for mix in mixes]
        assert float(found.mix_text[i]) == pytest.approx(sum(cosines) / 4, abs=1e-6)
        assert float(found.best_mix_text[i]) == pytest.approx(max(cosines), abs=1e-6)
        region_text = [float(region @ t[i]) for region in regions[i]]
        assert float(found.region_text[i]) == pytest.approx(sum(region_text) / 4, abs=1e-6)
        assert float(found.best_region_text[i]) == pytest.approx(max(region_text), abs=1e-6)
        whole = unit_norm(g[i] + unit_norm(regions[i].mean(dim=0)))
        assert float(found.mix_of_mean_text[i]) == pytest.approx(float(whole @ t[i]), abs=1e-6)
        assert float(found.global_text[i]) == pytest.approx(float(g[i] @ t[i]), abs=1e-6)


def test_mixing_wins_exactly_above_the_averaging_threshold():
    g, regions, t = some_features(n=4000, r=1)
    found = pair_cosines(g, regions, t)
    wins = found.mix_text > found.global_text
    assert torch.equal(wins, found.region_text > found.threshold)
    worse_region_better_mix = wins & (found.region_text < found.global_text)
    assert worse_region_better_mix.any()  # a rise can be averaging alone
    assert float(averaging_threshold(torch.tensor(0.6), torch.tensor(1.0))) == pytest.approx(
        math.sqrt(3.2) - 1
    )


def test_regions_on_the_caption_lift_the_mix_and_the_controls_do_not():
    planted = plant_gap(200, 64, generator=seeded(0))
    planted_regions = plant_regions(planted, generator=seeded(1), on_caption=3, share=1.0)
    on_caption = planted.text_features[:, None].repeat(1, 3, 1)
    rows = {
        row.system: row
        for row in cosine_table(
            planted.image_features,
            on_caption,
            planted.text_features,
            patch_features=planted_regions.patch_features,
            generator=seeded(2),
        )
    }
    cosine = planted.pair_cosine
    best = (1 + cosine) / math.sqrt(2 + 2 * cosine)
    assert rows["mix"].mean.estimate == pytest.approx(best, abs=1e-5)
    assert rows["mix"].gain.low > 0.1
    assert rows["mix"].beats_global == 1.0
    assert rows["global"].mean.estimate == pytest.approx(cosine, abs=1e-5)
    assert rows["global"].beats_global == 0.0
    for control in ("mix, random patches", "mix, another image"):
        assert rows[control].mean.estimate < rows["mix"].mean.estimate - 0.05, control


def test_summary_counts_and_extremes():
    g, regions, t = some_features(n=50)
    cosines = pair_cosines(g, regions, t)
    row = summarise_cosines("mix", cosines, generator=seeded(0), resamples=100)
    assert (row.n, row.system) == (50, "mix")
    assert row.maximum == float(cosines.mix_text.max())
    assert row.minimum == float(cosines.mix_text.min())
    wins = int((cosines.mix_text > cosines.global_text).sum())
    assert row.beats_global == pytest.approx(wins / 50)
    gain = float((cosines.mix_text - cosines.global_text).mean())
    assert row.gain.estimate == pytest.approx(gain, abs=1e-7)


def test_random_patches_are_different_patches_of_the_same_image():
    patches = unit_norm(torch.randn(6, 10, 8, generator=seeded(0)))
    drawn = random_patches(patches, 10, generator=seeded(1))
    for i in range(6):
        cosines = drawn[i] @ patches[i].T
        assert (cosines.amax(dim=1) > 0.9999).all()
        assert len(set(cosines.argmax(dim=1).tolist())) == 10
    assert not torch.equal(drawn, patches)


def test_the_mean_token_is_normalised_after_the_mean():
    patches = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]])
    assert mean_token(patches)[0].tolist() == pytest.approx([1 / 5**0.5, 2 / 5**0.5, 0], abs=1e-6)


def test_another_image_is_never_ones_own_and_uses_each_image_once():
    index = torch.tensor([7, 7, 7, 2, 2, 9, 4, 4, 4, 4])
    for seed in range(50):
        other = another_image(10, generator=seeded(seed), image_index=index)
        assert (index[other] != index).all()
        taken = {int(index[i]): set() for i in range(10)}
        for i in range(10):
            taken[int(index[i])].add(int(index[other[i]]))
        assert all(len(images) == 1 for images in taken.values())
        assert len({next(iter(images)) for images in taken.values()}) == 4
    pairs = another_image(6, generator=seeded(0), image_index=torch.tensor([0, 0, 0, 1, 1, 1]))
    assert sorted(pairs.tolist()) == list(range(6))  # siblings spread over siblings
    for seed in range(20):
        plain = another_image(31, generator=seeded(seed))
        assert sorted(plain.tolist()) == list(range(31))
        assert (plain != torch.arange(31)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g, r, t: pair_cosines(g, r[:-1], t), r"wanted \[n, r, d\] with n = 12"),
        (lambda g, r, t: pair_cosines(g, 2 * r, t), "region_features must be unit-norm"),
        (lambda g, r, t: pair_cosines(g, r, t[:-1]), "one shape"),
        (lambda g, r, t: pair_cosines(g, -g[:, None], t), "straight away"),
        (lambda g, r, t: random_patches(r, 5, generator=seeded(0)), "wanted 1 to 4"),
        (lambda g, r, t: another_image(3, generator=seeded(0), image_index=torch.zeros(3).long()),
         "at least two images"),
        (lambda g, r, t: another_image(3, generator=seeded(0), image_index=torch.arange(4)),
         "wanted 3"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(*some_features())
