"""Image features in one file and text features in another; and an index of who is whose."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from vizer_core.cli import app
from vizer_core.clip import PairedFeatures
from vizer_core.gap.feature_file import read_pairs, read_two_files
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.world.synthetic import plant_gap


def run(*arguments):
    return CliRunner().invoke(app, ["gap", *map(str, arguments)])


@pytest.fixture
def sides(tmp_path):
    """Save planted pairs as two files of each kind, and as one file of both."""
    pairs = plant_gap(60, 32, generator=seeded(0), gap_norm=0.7, noise_std=0.05)
    images, texts = pairs.image_features, pairs.text_features
    for name, side in (("images", images), ("texts", texts)):
        np.save(tmp_path / f"{name}.npy", side.numpy())
        save_file({name: side.contiguous()}, tmp_path / f"{name}.safetensors")
    np.save(tmp_path / "both.npy", torch.stack([images, texts]).numpy())
    named = {"image_features": images.contiguous(), "text_features": texts.contiguous()}
    save_file(named, tmp_path / "named.safetensors")
    return tmp_path, images, texts


@pytest.mark.parametrize("image_file", ["images.npy", "images.safetensors", "named.safetensors"])
@pytest.mark.parametrize("text_file", ["texts.npy", "texts.safetensors", "named.safetensors"])
def test_each_side_is_read_from_its_own_file(image_file, text_file, sides):
    folder, images, texts = sides
    pairs = read_two_files(folder / image_file, folder / text_file)
    assert torch.equal(pairs.image_features, images) and torch.equal(pairs.text_features, texts)


def test_two_files_report_what_one_file_of_both_does(sides):
    folder, *_ = sides
    one = run("--features", folder / "both.npy", "--resamples", 40)
    words = ["--images", folder / "images.npy", "--texts", folder / "texts.safetensors"]
    two = run(*words, "--resamples", 40, "--json", folder / "gap.json")
    assert one.exit_code == two.exit_code == 0, two.output
    assert one.stdout == two.stdout and "60 pairs, d = 32" in two.stdout
    assert json.loads((folder / "gap.json").read_text())["gap_norm"] == pytest.approx(0.7, abs=1e-6)


def test_a_side_that_cannot_be_used_is_named(sides):
    folder, images, _ = sides
    np.save(folder / "few.npy", images[:7].numpy())
    np.save(folder / "whole.npy", np.zeros((60, 32), dtype=np.int64))
    save_file({"a": images, "b": images.clone()}, folder / "keys.safetensors")
    np.savez(folder / "x.npz", images=images.numpy())
    (folder / "x.npz").rename(folder / "archive.npy")
    for name, said in {
        "both.npy": "both.npy has shape (2, 60, 32), wanted [n, d]: the features of one side",
        "few.npy": "image_features (7, 32) and text_features (60, 32) must have one shape",
        "whole.npy": "whole.npy contains int64, wanted floating-point features [n, d]",
        "keys.safetensors": "keys.safetensors contains a, b: wanted image_features, or one tensor",
        "archive.npy": ".npz archive (images), wanted one array [n, d]: numpy.save(path, array)",
        "none.npy": "no such file",
        "x.csv": "wanted a .npy or .safetensors file of features",
    }.items():
        done = run("--images", folder / name, "--texts", folder / "texts.npy")
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.output
        assert said in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--images a.npy", "--images wants --captions FILE, or --texts FILE"),
        ("--texts b.npy", "give one of these: --features FILE, or"),
        ("--features a.npy --texts b.npy", "give one of these"),
        ("--features a.npy --captions c.json", "give one of these"),
        ("--images a --texts b.npy --captions c.json", "give one of these"),
        ("--features a.npy --model ViT-B-32", "saved features need no model"),
        ("--images a.npy --texts b.npy --pretrained openai", "saved features need no model"),
        ("--images a.npy --texts b.npy --quick-gelu", "saved features need no model"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(arguments, said):
    done = run(*arguments.split())
    assert done.exit_code == 2 and said in " ".join(done.stderr.split())


def test_no_report_replaces_the_features_it_is_of(sides):
    folder, images, _ = sides
    for side in ("images", "texts"):
        words = ["--images", folder / "images.npy", "--texts", folder / "texts.npy"]
        done = run(*words, "--json", folder / f"{side}.npy")
        assert done.exit_code == 2 and f"{side}.npy" in done.stderr
    assert np.array_equal(np.load(folder / "images.npy"), images.numpy())


def test_an_index_pairs_each_image_with_its_first_text(tmp_path):
    images = unit_norm(torch.randn(3, 8, generator=seeded(0)))
    texts = unit_norm(torch.randn(4, 8, generator=seeded(1)))
    index = torch.tensor([2, 0, 0, 2])
    PairedFeatures(("a", "b", "c"), images, texts, index).save(tmp_path / "x.safetensors", {})
    pairs = read_pairs(tmp_path / "x.safetensors")
    assert torch.equal(pairs.image_features, images[[0, 2]])
    assert torch.equal(pairs.text_features, texts[[1, 0]])


def test_an_index_that_does_not_fit_is_named(tmp_path):
    both = {"image_features": torch.eye(3), "text_features": torch.eye(3)}
    save_file(both | {"image_index": torch.tensor([0, 1, 7])}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"x\.safetensors: image_index runs from 0 to 7"):
        read_pairs(tmp_path / "x.safetensors")
