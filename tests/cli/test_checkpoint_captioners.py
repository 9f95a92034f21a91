"""Every captioner on a saved OPT and a saved CLIP: by command where there is one, else by hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from tests.cli.checkpoints import CAPTIONS
from vizer_core.captioners import (
    Baseline,
    Blind,
    CapDec,
    Captioner,
    ClipCap,
    MeanShift,
    OracleText,
    Socratic,
    WordList,
    caption_images,
)
from vizer_core.captioners.clipcap import supervised_pairs
from vizer_core.captioners.socratic import SOCRATIC_DECODING
from vizer_core.captioners.zerocap import ZEROCAP
from vizer_core.cli import app
from vizer_core.cli.caption import METHODS, TRAINING_OF
from vizer_core.clip import OpenClipEncoder
from vizer_core.clip.features import PairedFeatures
from vizer_core.data import open_image
from vizer_core.language import CausalLM
from vizer_core.runtime import seeded
from vizer_core.textonly import AdaptorConfig, AdaptorDecoder, PrefixWriter, fit_text_only
from vizer_core.textonly.presets import BASELINE

NAMES = ("photo 00.jpg", "photo 01.jpg", "photo 02.jpg")


def models_of(disk) -> list:
    return ["--clip", disk.clip, "--language-model", disk.opt]


@pytest.fixture(scope="module")
def adaptors(disk, tmp_path_factory):
    """Train each method's adaptor for an epoch by command: method -> file."""
    folder, made = tmp_path_factory.mktemp("adaptors"), {}
    for training in sorted(set(TRAINING_OF.values())):
        made[training] = folder / f"{training}.safetensors"
        words = ["train-captioner", "--method", training, "--epochs", 1, "--out", made[training],
                 "--corpus", disk.corpus, *models_of(disk)]  # fmt: skip
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, done.output
    return made


@pytest.fixture(scope="module")
def folder(disk, tmp_path_factory):
    """Lay out three of the pictures in a folder."""
    few = tmp_path_factory.mktemp("few")
    for name in NAMES:
        shutil.copy(disk.pictures / name, few)
    return few


@pytest.mark.parametrize("method", METHODS)
def test_every_method_captions_a_folder_the_same_way_twice(
    method, vizer, disk, adaptors, folder, tmp_path, monkeypatch
):
    few = replace(ZEROCAP, candidates=8, beams=2, max_tokens=4)  # the release's numbers are minutes
    monkeypatch.setattr("vizer_core.captioners.zerocap.ZEROCAP", few)
    words = ["caption", folder, "--method", method, "--corpus", disk.corpus, *models_of(disk)]
    if method in TRAINING_OF:
        words += ["--adaptor", adaptors[TRAINING_OF[method]]]
    outs = [tmp_path / f"{time}.json" for time in (1, 2)]
    for out in outs:
        done = vizer(*words, "--json", out)
        assert done.exit_code == 0, done.output
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == list(NAMES)
    first, second = (json.loads(out.read_text()) for out in outs)
    assert first == second and [row["image_id"] for row in first] == list(NAMES)
    assert all("\n" not in row["caption"] for row in first)
    if method == "clipre":
        assert all(row["caption"] in CAPTIONS for row in first)


@pytest.mark.parametrize("method", sorted(TRAINING_OF))
def test_models_of_ones_own_want_an_adaptor_and_the_error_says_how_to_make_one(
    method, vizer, disk, folder
):
    done = vizer("caption", folder, "--method", method, *models_of(disk))
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert "wants --adaptor FILE" in done.stderr
    assert f"train-captioner --method {TRAINING_OF[method]} --out FILE" in done.stderr


@pytest.mark.parametrize(
    ("method", "trained"),
    [("maccap_pass", "decap"), ("maccap", "capdec"), ("baseline", "capdec"), ("decap", "maccap")],
)
def test_an_adaptor_of_another_method_is_refused(method, trained, vizer, disk, adaptors, folder):
    words = ["caption", folder, "--method", method, "--corpus", disk.corpus]
    done = vizer(*words, "--adaptor", adaptors[trained], *models_of(disk))
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert f"train-captioner --method {trained}, and --method {method} wants" in done.stderr


def test_an_adaptor_that_is_not_there_is_named(vizer, disk, folder, tmp_path):
    words = ["caption", folder, "--method", "capdec", "--adaptor", tmp_path / "no.safetensors"]
    done = vizer(*words, *models_of(disk))
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert "no adaptor file" in done.stderr and "--method capdec --out FILE" in done.stderr


@pytest.fixture(scope="module")
def loaded(disk):
    """Load CLIP, OPT and the pictures from the disk, and train one adaptor on images."""
    encoder, lm = OpenClipEncoder.from_folder(disk.clip), CausalLM.from_pretrained(disk.opt)
    pictures = [open_image(disk.pictures / name) for name in NAMES]
    texts = list(CAPTIONS[: len(NAMES)])
    pairs = PairedFeatures(
        image_features=encoder.encode_image(pictures),
        text_features=encoder.encode_text(texts),
        ids=NAMES,
        image_index=torch.arange(len(NAMES)),
    )
    torch.manual_seed(0)
    adaptor = AdaptorDecoder(AdaptorConfig(encoder.embed_dim, lm.width))
    config = replace(BASELINE, epochs=1)
    fit_text_only(adaptor, lm, supervised_pairs(pairs, texts), config, generator=seeded(0))
    return encoder, lm, pictures, pairs, PrefixWriter(adaptor, lm)


def captioner_of(name: str, loaded) -> Captioner:
    encoder, lm, _, pairs, writer = loaded
    inner = CapDec(writer)
    if name == "clipcap":
        return ClipCap(writer)
    if name == "blind":
        return Blind.mean_of(Baseline(writer), pairs.text_features)
    if name == "mean_shift":
        return MeanShift.measured(inner, pairs.image_features, pairs.text_features)
    if name == "oracle_text":
        return OracleText(inner, pairs)
    words = WordList.from_template("objects", ("dog", "cat", "boat"), top=2)
    return Socratic(encoder, lm, (words,), decoding=replace(SOCRATIC_DECODING, max_tokens=6))


@pytest.mark.parametrize("name", ["clipcap", "blind", "mean_shift", "oracle_text", "socratic"])
def test_captioners_without_a_command_run_on_loaded_models(name, loaded):
    encoder, _, pictures, _, _ = loaded
    captioner = captioner_of(name, loaded)
    assert captioner.name == name and not captioner.reads_patches
    texts, again = (
        caption_images(captioner, encoder, pictures, generator=seeded(1)) for _ in range(2)
    )
    assert texts == again and len(texts) == len(NAMES)
    assert all(isinstance(text, str) for text in texts)
    if name == "blind":
        assert len(set(texts)) == 1
