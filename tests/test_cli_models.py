"""The commands that train and caption, as a user types them, on the drawn models and a folder."""

from __future__ import annotations

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from vizer_core.cli import app
from vizer_core.files import load_manifest
from vizer_lab.world import unlabelled_stream

RUNNER = CliRunner()
IMAGES = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("images")
    for image in unlabelled_stream(IMAGES, start=60_000):
        Image.fromarray(image.pixels).save(path / f"{image.id}.png")
    (path / "broken.png").write_bytes(b"no image")
    return path


def run(*words):
    return RUNNER.invoke(app, [str(word) for word in words])


def test_a_captioner_is_trained_and_then_captions_a_folder(folder, tmp_path):
    prefix_network, out = tmp_path / "maccap.safetensors", tmp_path / "out.json"
    done = run("train-captioner", "--captions", 64, "--epochs", 1, "--out", prefix_network)
    assert done.exit_code == 0, done.output
    assert prefix_network.is_file() and not prefix_network.with_suffix(".run.safetensors").exists()
    done = run(
        "caption", folder, "--method", "maccap_pass", "--captioner", prefix_network, "--json", out
    )
    assert done.exit_code == 0, done.output
    assert "skipped 1 of 25 files" in done.output
    assert len(json.loads(out.read_text())) == IMAGES


@pytest.mark.parametrize(("variance", "kind"), [("0", "NoNoise"), ("0.02", "GaussianNoise")])
def test_the_noise_of_a_training_can_be_chosen(variance, kind, tmp_path):
    out = tmp_path / "x.safetensors"
    options = ["--captions", 32, "--epochs", 1, "--variance", variance]
    done = run("train-captioner", *options, "--out", out)
    assert done.exit_code == 0, done.output
    assert load_manifest(out)["config"]["noise"]["kind"] == kind


def test_one_image_without_training(folder):
    done = run("caption", folder / "second_stream-60000.png", "--method", "clipre", "--memory", 200)
    assert done.exit_code == 0 and done.output.startswith("second_stream-60000.png\t")


def test_mapper_then_adapter_then_captions(folder, tmp_path):
    mapper, adapter = tmp_path / "mapper.safetensors", tmp_path / "adapter"
    done = run("fit-mapper", "--images", folder, "--out", mapper)
    assert done.exit_code == 0 and "held-out cosine" in done.output
    assert "no better than a constant" in done.output  # 24 images are far too few
    done = run("enhance", "--images", folder, "--mapper", mapper, "--out", adapter)
    assert done.exit_code == 0 and "captions changed" in done.output, done.output
    assert "forecast: training" in done.output
    assert (adapter / "adapter_model.safetensors").is_file()
    assert not (adapter / "run.safetensors").exists()
    done = run("caption", folder, "--model", "drawn-vlm-web", "--adapter", adapter)
    assert done.exit_code == 0 and "second_stream-60001.png\t" in done.output
    wrong = run("caption", folder, "--model", "drawn-vlm-plain", "--adapter", adapter)
    assert wrong.exit_code == 1 and "load that base instead" in wrong.output


def test_a_shipped_adapter_is_known_by_name(folder):
    image = folder / "second_stream-60000.png"
    base = run("caption", image, "--model", "drawn-vlm-web")
    name = "drawn-vlm-web-information"
    done = run("caption", image, "--model", "drawn-vlm-web", "--adapter", name)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("second_stream-60000.png\t") and done.output != base.output
    wrong = run("caption", image, "--model", "drawn-vlm-web", "--adapter", "drawn-vlm-web-in")
    assert wrong.exit_code == 1
    said = " ".join(wrong.output.split())
    assert said.endswith("or name a shipped one: drawn-vlm-web-information")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["caption", "x", "--method", "capdec"], 1, "no folder of images at x"),
        (["caption", "x"], 2, "either --method NAME or --model NAME"),
        (["caption", "x", "--method", "poetry"], 2, "choose from maccap"),
        (["enhance", "--images", "x", "--out", "y", "--objective", "luck"], 2, "read_back"),
        (
            [
                "enhance",
                "--images",
                "x",
                "--out",
                "y",
                "--objective",
                "information",
                "--mapper",
                "m",
            ],
            2,
            "it uses no mapper; leave it out",
        ),
        (
            ["enhance", "--images", "x", "--out", "y", "--information-weight", "1"],
            2,
            "belongs to --objective information",
        ),
        (
            ["fit-mapper", "--images", "x", "--out", "y", "--objective", "information"],
            2,
            "choose from read_back",
        ),
        (["lab", "--only", "drawn-dog"], 1, "no shipped model 'drawn-dog'"),
    ],
)
def test_wrong_use_is_said(words, status, said):
    done = run(*words)
    assert done.exit_code == status and said in " ".join(done.output.split())


@pytest.mark.parametrize("method", ["maccap_pass", "capdec", "baseline"])
def test_the_drawn_models_need_no_training(method, folder):
    done = run("caption", folder / "second_stream-60000.png", "--method", method)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("second_stream-60000.png\t") and len(done.output.split()) > 2


@pytest.mark.parametrize("method", ["baseline", "capdec"])
def test_other_models_never_get_the_shipped_prefix_network(method, folder):
    done = run("caption", folder, "--method", method, "--pretrained", "drawn-clip-avg")
    said = " ".join(done.output.split())
    training = {"baseline": "decap"}.get(method, method)
    assert done.exit_code == 1 and "the shipped one is for drawn-clip-50 and drawn-lm." in said
    assert f"Train one with vizer train-captioner --method {training}" in said


def test_too_few_images_are_no_mapper(folder, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    (few / "a.png").write_bytes((folder / "second_stream-60000.png").read_bytes())
    done = run("fit-mapper", "--images", few, "--out", tmp_path / "m.safetensors")
    assert done.exit_code == 1 and "1 images are too few" in done.output
