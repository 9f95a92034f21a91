"""`vizer gap` as a person runs it: what it prints, writes, and says when something is wrong."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vizer_core.cli import app
from vizer_core.micro import MicroSplit
from vizer_core.micro.planted import plant_gap
from vizer_core.runtime import seeded


def run(*arguments):
    return CliRunner().invoke(app, ["gap", *map(str, arguments)])


@pytest.fixture
def planted():
    return plant_gap(60, 32, generator=seeded(0), gap_norm=0.7, outliers={4: 0.5}, noise_std=0.05)


@pytest.fixture
def features(tmp_path, planted):
    path = tmp_path / "features.npy"
    np.save(path, np.stack([planted.image_features.numpy(), planted.text_features.numpy()]))
    return path


@pytest.fixture
def folder(tmp_path):
    """Ten micro scenes with captions, and one file that is no picture."""
    data, names = MicroSplit("test", 10), {}
    place = tmp_path / "images"
    place.mkdir()
    for i, (pixels, captions) in enumerate(zip(data.images, data.captions)):
        Image.fromarray(pixels).save(place / f"{i}.png")
        names[f"{i}.png"] = list(captions)
    (place / "broken.png").write_bytes(b"")
    names["broken.png"] = ["a crown"]
    (tmp_path / "captions.json").write_text(json.dumps(names))
    return place, tmp_path / "captions.json"


def test_saved_features_give_the_planted_numbers_on_screen_and_in_json(features, planted, tmp_path):
    done = run("--features", features, "--json", tmp_path / "gap.json", "--resamples", 50)
    assert done.exit_code == 0, done.output
    assert "60 pairs, d = 32" in done.stdout
    assert "gap norm                          0.7000" in done.stdout
    written = json.loads((tmp_path / "gap.json").read_text())
    assert written["gap_norm"] == pytest.approx(0.7, abs=1e-6)
    assert written["pair_cosine_mean"] == pytest.approx(planted.pair_cosine, abs=1e-6)
    assert written["n"] == 60
    interval = written["intervals"]["gap_norm"]
    assert interval["low"] <= interval["estimate"] <= interval["high"]


def test_the_seed_decides_the_intervals(features, tmp_path):
    texts = []
    for seed in (1, 1, 2):
        run(
            "--features", features, "--json", tmp_path / "g.json", "--resamples", 50, "--seed", seed
        )
        texts.append((tmp_path / "g.json").read_text())
    assert texts[0] == texts[1] != texts[2]


def test_a_folder_goes_through_the_micro_model_and_bad_files_are_named(folder, caplog):
    done = run(
        "--images", folder[0], "--captions", folder[1], "--model", "micro", "--resamples", 50
    )
    assert done.exit_code == 0, done.output
    assert "10 pairs, d = 128" in done.stdout
    assert "broken.png" in caplog.text
    assert "left out 1 of 11 images" in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--features", "a.npy", "--images", "b"],
        ["--images", "b"],
        ["--images", "b", "--captions", "c.json", "--model", "ViT-B-32"],
        ["--features", "a.npy", "--resamples", "1"],
        ["--unknown"],
    ],
)
def test_wrong_use_exits_with_2(arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda both: 2 * both, "image_features must be unit-norm"),
        (lambda both: np.where(both == both[0, 3, 0], np.nan, both), "NaN"),
        (lambda both: both[:1], "wanted [2, n, d]"),
        (lambda both: both[:, :1], "at least 2"),
        (lambda both: (both * 100).astype(np.int64), "wanted floating-point"),
    ],
)
def test_bad_features_give_one_line_and_exit_1(features, spoil, message):
    np.save(features, spoil(np.load(features)))
    done = run("--features", features)
    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_missing_files_and_models_give_one_line_and_exit_1(folder, tmp_path):
    images, captions = folder
    model = ["--images", images, "--captions", captions, "--model"]
    for arguments, message in (
        (["--features", tmp_path / "none.npy"], "no such file"),
        (["--images", tmp_path / "none", "--captions", captions], "no folder"),
        (["--images", images, "--captions", tmp_path / "none.json"], "no captions file"),
        ([*model, "ViT-B-33", "--pretrained", "openai"], "open_clip has no model"),
        ([*model, "ViT-B-32", "--pretrained", "nobody"], "no pretrained tag"),
        ([*model, "ViT-B-32", "--pretrained", tmp_path / "none.safetensors"], "no checkpoint"),
        ([*model, "micro", "--pretrained", "large"], "no micro model"),
    ):
        done = run(*arguments)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
        assert message in done.stderr


def test_three_pairs_are_reported_without_intervals(planted, tmp_path):
    pairs = np.stack([planted.image_features[:3].numpy(), planted.text_features[:3].numpy()])
    np.save(tmp_path / "few.npy", pairs)
    done = run("--features", tmp_path / "few.npy", "--json", tmp_path / "gap.json")
    assert done.exit_code == 0, done.output
    assert "No intervals: too few pairs" in done.stdout and "nan" not in done.stdout
    assert json.loads((tmp_path / "gap.json").read_text())["intervals"] == {}
