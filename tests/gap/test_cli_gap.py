"""`vizer gap` as a person runs it: what it prints, writes, and says when something is wrong."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vizer_core.cli import app
from vizer_core.runtime import seeded
from vizer_lab.world import DrawnSplit
from vizer_lab.world.synthetic import plant_gap


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
    """Ten drawn scenes with captions, and one file that is no image."""
    data, names = DrawnSplit("second_test", 10), {}
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


def test_no_number_is_printed_outside_of_its_own_brackets(tmp_path):
    """With many dimensions the plain percentiles of the two largest lie above the estimate."""
    pairs = plant_gap(300, 256, generator=seeded(0), gap_norm=0.5, noise_std=0.05)
    path = tmp_path / "features.npy"
    np.save(path, np.stack([pairs.image_features.numpy(), pairs.text_features.numpy()]))
    done = run("--features", path, "--json", tmp_path / "gap.json", "--resamples", 100)
    assert done.exit_code == 0, done.output
    rows = re.findall(r"(-?\d\.\d{4})  \[(-?\d\.\d{4}), (-?\d\.\d{4})\]", done.stdout)
    assert len(rows) == 11
    assert all(float(low) <= float(value) <= float(high) for value, low, high in rows)
    assert re.search(r"share of two dimensions \(0\.\d+\): resampling adds \+0\.00", done.stdout)
    share = json.loads((tmp_path / "gap.json").read_text())["intervals"]["top2_share"]
    assert share["low"] < share["estimate"] < share["high"] and share["bias"] > 0.001


def test_the_seed_decides_the_intervals(features, tmp_path):
    texts = []
    for run_number, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{run_number}.json"
        run("--features", features, "--json", out, "--resamples", 50, "--seed", seed)
        texts.append(out.read_text())
    assert texts[0] == texts[1] != texts[2]


def test_a_folder_goes_through_the_drawn_model_and_bad_files_are_named(folder, caplog):
    done = run(
        "--images", folder[0], "--captions", folder[1], "--model", "drawn", "--resamples", 50
    )
    assert done.exit_code == 0, done.output
    assert "10 pairs, d = 128" in done.stdout
    assert "broken.png" in caplog.text
    assert "left out 1 of 11 images" in caplog.text


def test_a_shipped_clip_is_found_by_its_name(folder):
    asked = ("--images", folder[0], "--captions", folder[1], "--model", "drawn-clip-50")
    done = run(*asked, "--resamples", 50)
    assert done.exit_code == 0 and "10 pairs, d = 128" in done.stdout, done.output
    done = run(*asked, "--pretrained", "openai")
    assert done.exit_code == 2 and "leave --pretrained openai out" in done.stderr


def test_cocos_annotations_and_own_results_meet_cocos_files(folder, tmp_path):
    images, captions = folder
    rows = []
    for name, texts in json.loads(captions.read_text()).items():
        number = 1 + (10 if name == "broken.png" else int(name.removesuffix(".png")))
        coco = f"COCO_val2014_{number:012d}.png"
        (images / name).rename(images / coco)
        rows.append((number, coco, texts[0]))
    annotations = {"annotations": [{"image_id": i, "caption": text} for i, _, text in rows]}
    results = [{"image_id": coco, "caption": text} for _, coco, text in rows]
    for name, content in (("coco.json", annotations), ("results.json", results)):
        (tmp_path / name).write_text(json.dumps(content))
        done = run("--images", images, "--captions", tmp_path / name, "--resamples", 50)
        assert done.exit_code == 0, done.output
        assert "10 pairs, d = 128" in done.stdout
    rows_of_others = [{"image_id": 900 + i, "caption": text} for i, _, text in rows]
    (tmp_path / "coco.json").write_text(json.dumps({"annotations": rows_of_others}))
    done = run("--images", images, "--captions", tmp_path / "coco.json")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "captions for 11 files that are not in" in done.stderr
    assert "COCO_val2014_000000000001.png is there" in done.stderr


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
        (
            [*model, "drawn", "--pretrained", "large"],
            "no shipped clip 'large': wanted one of drawn-clip",
        ),
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
