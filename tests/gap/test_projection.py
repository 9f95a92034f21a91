"""Projections: linear ones against numpy, the measures against sklearn and scipy, UMAP seeded."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.spatial
import torch

from vizer_core.gap import projection
from vizer_core.gap.projection import (
    procrustes,
    project_pca,
    project_svd,
    project_umap,
    sample_groups,
    shared_neighbours,
    trustworthiness,
    umap_stability,
)
from vizer_core.runtime import seeded
from vizer_lab.world.synthetic import plant_gap, plant_regions


@pytest.fixture(scope="module")
def groups():
    planted = plant_gap(40, 16, generator=seeded(0))
    regions = plant_regions(planted, generator=seeded(1), patches=3, on_caption=1)
    return {
        "image": planted.image_features,
        "region": regions.patch_features[:, 0],
        "text": planted.text_features,
    }


@pytest.mark.parametrize(("project", "centre"), [(project_pca, True), (project_svd, False)])
def test_linear_projections_equal_numpy_up_to_the_fixed_sign(groups, project, centre):
    features = np.concatenate([group.double().numpy() for group in groups.values()])
    features = features - features.mean(axis=0) if centre else features
    _, singular, axes = np.linalg.svd(features, full_matrices=False)
    found = project(groups)
    for axis in (0, 1):
        wanted = features @ axes[axis] * np.sign(axes[axis][np.abs(axes[axis]).argmax()])
        assert np.allclose(found.points[:, axis], wanted, atol=1e-5)
    shares = singular**2 / (singular**2).sum()
    assert found.explained == pytest.approx(tuple(shares[:2]), rel=1e-6)


def test_a_large_gap_is_the_first_axis_of_pca():
    planted = plant_gap(100, 32, generator=seeded(0), gap_norm=1.6)
    found = project_pca({"image": planted.image_features, "text": planted.text_features})
    image, text = found.of("image")[:, 0], found.of("text")[:, 0]
    assert image.max() < text.min() or text.max() < image.min()
    assert abs(float(image.mean() - text.mean())) == pytest.approx(1.6, abs=0.02)


def test_labels_follow_the_groups(groups):
    found = project_pca(groups)
    assert found.labels == ("image",) * 40 + ("region",) * 40 + ("text",) * 40
    assert torch.equal(found.of("region"), found.points[40:80])
    with pytest.raises(ValueError, match="no group 'patch', there are image, region, text"):
        found.of("patch")


def test_measures_equal_scipy_and_sklearn():
    from sklearn.manifold import trustworthiness as reference

    rng = seeded(3)
    space = torch.randn(60, 8, generator=rng)
    points = space[:, :2] + 0.3 * torch.randn(60, 2, generator=rng)
    wanted = reference(space.double().numpy(), points.double().numpy(), n_neighbors=7)
    assert trustworthiness(space, points, k=7) == pytest.approx(wanted, abs=1e-9)
    *_, disparity = scipy.spatial.procrustes(points.numpy(), space[:, 2:4].numpy())
    assert procrustes(points, space[:, 2:4]) == pytest.approx(disparity, abs=1e-9)


def test_measures_tell_the_same_projection_from_a_shuffled_one():
    points = torch.randn(200, 2, generator=seeded(0))
    angle = torch.tensor(0.7)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).reshape(2, 2)
    turned, shuffled = 5 * points @ turn + 3, points[torch.randperm(200, generator=seeded(1))]
    assert procrustes(points, turned) == pytest.approx(0, abs=1e-9)
    assert shared_neighbours(points, turned, k=10) == 1.0
    assert procrustes(points, shuffled) > 0.9
    assert shared_neighbours(points, shuffled, k=10) == pytest.approx(10 / 199, abs=0.02)
    assert trustworthiness(points, shuffled, k=10) == pytest.approx(0.5, abs=0.05)


class NoNumba:
    """Stands for numba where it is imported already."""

    class config:
        CACHE_DIR = ""


def homeless():
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize(
    ("installed", "home", "own"),
    [(True, True, True), (True, False, True), (False, True, True), (False, False, False)],
)
def test_numba_gets_a_folder_where_it_would_find_none(installed, home, own, monkeypatch, tmp_path):
    """Without one the import of umap stops: cannot cache function: no locator available."""
    places = {tmp_path / "umap": installed, tmp_path / "home": home}
    for place in places:
        place.mkdir()
    spec = SimpleNamespace(origin=str(tmp_path / "umap" / "__init__.py"))
    monkeypatch.setattr(projection.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(projection.os, "access", lambda place, mode: places[Path(place)])
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setitem(sys.modules, "numba", NoNumba)
    monkeypatch.setattr(NoNumba.config, "CACHE_DIR", "")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    folder = projection._let_numba_cache.__wrapped__()
    assert (folder is None) == own
    if own:
        assert os.environ["NUMBA_CACHE_DIR"] == NoNumba.config.CACHE_DIR == ""
        return
    with folder as name:
        assert os.environ["NUMBA_CACHE_DIR"] == NoNumba.config.CACHE_DIR == name
        assert Path(name).is_dir()
    assert not Path(name).exists()


def test_a_folder_that_was_named_is_left_alone_and_a_user_may_have_no_home(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(projection, "_can_be_written", lambda folder: False)
    assert projection._let_numba_cache.__wrapped__() is None
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path)
    monkeypatch.undo()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert not projection._can_be_written(projection._user_cache())
    assert projection._can_be_written(tmp_path / "still" / "to" / "make")


def test_umap_repeats_with_its_seed_and_stability_says_what_a_seed_changes(groups):
    first, again = (project_umap(groups, seed=0, neighbours=10) for _ in range(2))
    assert torch.equal(first.points, again.points)
    assert first.points.shape == (120, 2)
    assert first.explained == ()
    runs = umap_stability(groups, seeds=(0, 1), neighbours=(5, 15), k=10)
    assert [(run.seed, run.neighbours) for run in runs] == [(0, 15), (1, 15), (0, 5)]
    assert runs[0].procrustes == pytest.approx(0, abs=1e-9)
    assert runs[0].shared_neighbours == 1.0
    assert runs[1].procrustes > 1e-4
    assert all(0.5 < run.trustworthiness <= 1 for run in runs)


def test_the_same_rows_are_drawn_from_every_group(groups):
    drawn = sample_groups(groups, 10, seed=4)
    cosines = drawn["image"] @ groups["image"].T
    rows = cosines.argmax(dim=1)
    assert len(set(rows.tolist())) == 10
    assert rows.max() >= 10  # from all over, not the first ten
    assert not torch.equal(drawn["image"], sample_groups(groups, 10, seed=5)["image"])
    assert torch.equal(drawn["text"], groups["text"][rows])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: project_pca({}), "no groups"),
        (lambda g: project_pca({"a": torch.eye(4), "b": torch.eye(5)}), "one width d"),
        (lambda g: project_pca({"a": 2 * torch.eye(4)}), "a must be unit-norm"),
        (lambda g: project_svd({"a": torch.eye(2)}), "at least 3"),
        (lambda g: project_umap(g, neighbours=120), "wanted 2 to 119"),
        (lambda g: shared_neighbours(torch.eye(5), torch.eye(5), k=3), "wanted 1 to 2"),
        (lambda g: procrustes(torch.ones(3, 2), torch.eye(3)[:, :2]), "no shape"),
        (lambda g: sample_groups(g, 41), "at least 41"),
    ],
)
def test_wrong_input_is_named(groups, call, message):
    with pytest.raises(ValueError, match=message):
        call(groups)
