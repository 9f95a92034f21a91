"""Each figure holds the numbers it was given, labels its axes, and keeps every text >= 9 pt."""

import numpy as np
import pytest
import torch
from matplotlib.text import Text

from vizer_core.gap import GapHistogram, closer_subregion_fraction, cosine_table, pair_cosines
from vizer_core.gap.projection import Projection, project_pca, project_svd
from vizer_core.gap.shift import sweep_shift
from vizer_core.plots import (
    draw_closer_fraction,
    draw_cosine_table,
    draw_dimension_means,
    draw_gap_histogram,
    draw_pair_cosines,
    draw_projections,
    draw_shift_sweep,
    png_bytes,
)
from vizer_core.runtime import seeded
from vizer_lab.world.synthetic import plant_gap, plant_regions


@pytest.fixture(scope="module")
def world():
    planted = plant_gap(60, 32, generator=seeded(0), outliers={4: 0.5}, noise_std=0.08)
    regions = plant_regions(planted, generator=seeded(1), patches=9, on_caption=2, share=0.5)
    return planted.image_features, regions.patch_features, planted.text_features


def readable(figure, *, panels):
    """Render; every panel has named axes, and no text that shows is smaller than 9 points."""
    assert png_bytes(figure)[:4] == b"\x89PNG"
    assert len(figure.axes) == panels
    for text in figure.findobj(Text):
        assert not text.get_text() or text.get_fontsize() >= 9, text
    assert all(axes.get_facecolor()[:3] == (1.0, 1.0, 1.0) for axes in figure.axes)
    return figure


def all_text(figure):
    return " | ".join(text.get_text() for text in figure.findobj(Text))


def test_pair_cosines_name_means_and_n(world):
    image, patches, text = world
    found = pair_cosines(image, patches[:, :3], text)
    figure = readable(
        draw_pair_cosines({"global": found.global_text, "mix, shuffled": found.mix_text}), panels=1
    )
    assert f"global: mean {float(found.global_text.mean()):.3f}" in all_text(figure)
    assert "n = 60" in figure.axes[0].get_ylabel()
    heights = figure.axes[0].patches[1].get_data().values
    assert heights.sum() == pytest.approx(1.0)
    assert figure.axes[0].get_xlabel() == "cosine of image side and caption"
    other = draw_pair_cosines({"two images": found.mix_text}, label="cosine of two images")
    assert other.axes[0].get_xlabel() == "cosine of two images"


def test_the_cosine_table_has_a_row_for_each_system_and_its_gain(world):
    image, patches, text = world
    rows = cosine_table(image, patches[:, :3], text, patch_features=patches, generator=seeded(0))
    figure = readable(draw_cosine_table(rows), panels=2)
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == [row.system for row in rows]
    drawn = {float(line.get_xdata()[0]) for line in right.lines if len(line.get_xdata()) == 1}
    assert {row.gain.estimate for row in rows} <= drawn
    assert "n = 60" in left.get_title(loc="left")


def test_the_closer_fraction_stands_beside_its_nulls(world):
    image, patches, text = world
    found = closer_subregion_fraction(patches, image, text, generator=seeded(0))
    figure = readable(draw_closer_fraction(found), panels=1)
    drawn = {float(line.get_xdata()[0]) for line in figure.axes[0].lines}
    wanted = {found.fraction.estimate, found.other_image.estimate, found.if_exchangeable}
    assert wanted <= drawn


def test_the_gap_histogram_draws_the_counts_and_what_the_normal_leaves(world):
    image, patches, text = world
    histograms = {"global": GapHistogram(32), "local": GapHistogram(32)}
    histograms["global"].update(image, text)
    histograms["local"].update(patches, text)
    figure = readable(draw_gap_histogram(histograms), panels=4)
    upper, lower = figure.axes[0], figure.axes[1]
    observed, edges, _ = upper.patches[0].get_data()
    moments = histograms["global"].moments
    assert (observed * np.diff(edges)).sum() / moments.std == pytest.approx(1.0)
    fitted = upper.lines[0].get_ydata()
    assert fitted.max() == pytest.approx(0.3989, abs=0.01)
    assert np.allclose(lower.patches[0].get_data().values, observed - fitted)
    assert f"{60 * 32:,} entries" in upper.get_title(loc="left")
    assert f"ex. kurtosis {moments.excess_kurtosis:+.2f}" in all_text(figure)


def test_dimension_means_are_sorted_and_outliers_named():
    means = torch.full((128,), 0.01).index_fill(0, torch.tensor([40]), -0.5)
    figure = readable(draw_dimension_means(means), panels=1)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == sorted(heights)
    assert len(heights) == 128
    assert "dim 40: 95% of the squared norm" in all_text(figure)
    assert all_text(figure).count("of the squared norm") == 1
    even = draw_dimension_means(torch.full((128,), 0.01))
    assert "of the squared norm" not in all_text(even)


def test_the_shift_sweep_marks_zero_and_the_least_loss(world):
    image, _, text = world
    points = sweep_shift(image, text, [-0.5, 0.0, 0.5, 1.0], batch_size=20)
    figure = readable(draw_shift_sweep(points, gallery=60, n=60), panels=3)
    losses = [point.loss.symmetric for point in points]
    best = points[int(np.argmin(losses))].delta
    stars = [line for line in figure.axes[1].lines if line.get_marker() == "*"]
    assert float(stars[0].get_xdata()[0]) == best
    assert all(any(list(line.get_xdata()) == [0, 0] for line in a.lines) for a in figure.axes)
    assert "gallery of 60" in figure.axes[2].get_ylabel()


def test_projections_show_every_group_and_umap_without_numbers(world):
    image, patches, text = world
    groups = {"image": image, "region": patches[:, 0], "text": text}
    linear = [project_pca(groups), project_svd(groups)]
    umap = Projection("UMAP", linear[0].points, linear[0].labels)
    figure = readable(draw_projections([umap, *linear]), panels=3)
    for axes in figure.axes:
        assert [len(dots.get_offsets()) for dots in axes.collections] == [60, 60, 60]
    assert list(figure.axes[0].get_xticks()) == []
    assert f"({linear[0].explained[0]:.0%})" in figure.axes[1].get_xlabel()
    assert "text (n = 60)" in all_text(figure)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_pair_cosines({}), "nothing to draw"),
        (lambda: draw_cosine_table([]), "no rows"),
        (lambda: draw_gap_histogram({}), "nothing to draw"),
        (lambda: draw_gap_histogram({"global": GapHistogram(4)}), "empty"),
        (lambda: draw_dimension_means(torch.ones(3), marked=4), "0 to 3"),
        (lambda: draw_shift_sweep([], gallery=1, n=1), "got 0 points"),
        (lambda: draw_projections([]), "no projections"),
    ],
)
def test_nothing_to_draw_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
