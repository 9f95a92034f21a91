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
from vizer_core.captioners.registry import METHODS
from vizer_core.captioners.socratic import SOCRATIC_DECODING
from vizer_core.captioners.zerocap import ZEROCAP
from vizer_core.cli import app
from vizer_core.cli.captioner_runs import show_captions
from vizer_core.cli.ignored import used_by
from vizer_core.clip import OpenClipEncoder
from vizer_core.clip.features import PairedFeatures
from vizer_core.data import open_image
from vizer_core.files import load_manifest
from vizer_core.language import CausalLM
from vizer_core.runtime import seeded
from vizer_core.textonly import (
    PrefixConfig,
    PrefixDecoder,
    PrefixGenerator,
    TrainingPairs,
    fit_text_only,
)
from vizer_core.textonly.presets import BASELINE

TRAINING_OF = {name: row.trainings[0] for name, row in METHODS.items() if row.trainings}

NAMES = ("photo 00.jpg", "photo 01.jpg", "photo 02.jpg")


def models_of(disk) -> list:
    return ["--clip", disk.clip, "--language-model", disk.opt]


def asked(method: str, disk) -> list:
    """Return the words of `vizer caption` for a method, with the models and corpus it uses."""
    words = {"clip": disk.clip, "language_model": disk.opt, "corpus": disk.corpus}
    used = [(f"--{n.replace('_', '-')}", file) for n, file in words.items() if n in used_by(method)]
    return ["--method", method, *(word for pair in used for word in pair)]


@pytest.fixture(scope="module")
def prefix_networks(disk, tmp_path_factory):
    """Train each method's prefix network for an epoch by command: method -> file."""
    folder, made = tmp_path_factory.mktemp("prefix networks"), {}
    for training in sorted(set(TRAINING_OF.values())):
        made[training] = folder / f"{training}.safetensors"
        words = ["train-captioner", "--method", training, "--epochs", 1, "--out", made[training],
                 "--corpus", disk.corpus, *models_of(disk)]  # fmt: skip
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, done.output
    return made


@pytest.fixture(scope="module")
def folder(disk, tmp_path_factory):
    """Lay out three of the images in a folder."""
    few = tmp_path_factory.mktemp("few")
    for name in NAMES:
        shutil.copy(disk.images / name, few)
    return few


@pytest.mark.parametrize("method", METHODS)
def test_every_method_captions_a_folder_the_same_way_twice(
    method, vizer, disk, prefix_networks, folder, tmp_path, monkeypatch
):
    few = replace(ZEROCAP, candidates=8, beams=2, max_tokens=4)  # the release's numbers are minutes
    monkeypatch.setattr("vizer_core.captioners.zerocap.ZEROCAP", few)
    words = ["caption", folder, *asked(method, disk)]
    if method in TRAINING_OF:
        words += ["--captioner", prefix_networks[TRAINING_OF[method]]]
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
def test_models_of_ones_own_want_an_prefix_network_and_the_error_says_how_to_make_one(
    method, vizer, disk, folder
):
    done = vizer("caption", folder, "--method", method, *models_of(disk))
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert "wants --captioner FILE" in done.stderr
    assert f"train-captioner --method {TRAINING_OF[method]} --out FILE" in done.stderr


@pytest.mark.parametrize(
    ("method", "trained"),
    [("maccap_pass", "decap"), ("maccap", "capdec"), ("baseline", "capdec"), ("decap", "maccap")],
)
def test_an_prefix_network_of_another_method_is_refused(
    method, trained, vizer, disk, prefix_networks, folder
):
    words = ["caption", folder, *asked(method, disk)]
    done = vizer(*words, "--captioner", prefix_networks[trained])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert f"train-captioner --method {trained}, and --method {method} wants" in done.stderr


def test_an_prefix_network_that_is_not_there_is_named(vizer, disk, folder, tmp_path):
    words = ["caption", folder, "--method", "capdec", "--captioner", tmp_path / "no.safetensors"]
    done = vizer(*words, *models_of(disk))
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert "no captioner file" in done.stderr and "--method capdec --out FILE" in done.stderr


@pytest.fixture(scope="module")
def loaded(disk):
    """Load CLIP, OPT and the images from the disk, and train one prefix network on images."""
    encoder, lm = OpenClipEncoder.from_folder(disk.clip), CausalLM.from_pretrained(disk.opt)
    images = [open_image(disk.images / name) for name in NAMES]
    texts = list(CAPTIONS[: len(NAMES)])
    pairs = PairedFeatures(
        image_features=encoder.encode_image(images),
        text_features=encoder.encode_text(texts),
        ids=NAMES,
        image_index=torch.arange(len(NAMES)),
    )
    torch.manual_seed(0)
    prefix_network = PrefixDecoder(PrefixConfig(encoder.embed_dim, lm.width))
    config = replace(BASELINE, epochs=1)
    supervised = TrainingPairs(pairs.pair_image_features, texts)
    fit_text_only(prefix_network, lm, supervised, config, generator=seeded(0))
    return encoder, lm, images, pairs, PrefixGenerator(prefix_network, lm)


def captioner_of(name: str, loaded) -> Captioner:
    encoder, lm, _, pairs, prefix_generator = loaded
    inner = CapDec(prefix_generator)
    if name == "clipcap":
        return ClipCap(prefix_generator)
    if name == "blind":
        return Blind.mean_of(Baseline(prefix_generator), pairs.text_features)
    if name == "mean_shift":
        return MeanShift.measured(inner, pairs.image_features, pairs.text_features)
    if name == "oracle_text":
        return OracleText(inner, pairs)
    words = WordList.from_template("objects", ("dog", "cat", "boat"), top=2)
    return Socratic(encoder, lm, (words,), decoding=replace(SOCRATIC_DECODING, max_tokens=6))


@pytest.mark.parametrize("name", ["clipcap", "blind", "mean_shift", "oracle_text", "socratic"])
def test_captioners_without_a_command_run_on_loaded_models(name, loaded):
    encoder, _, images, _, _ = loaded
    captioner = captioner_of(name, loaded)
    assert captioner.name == name and not captioner.reads_patches
    texts, again = (
        caption_images(captioner, encoder, images, generator=seeded(1)) for _ in range(2)
    )
    assert texts == again and len(texts) == len(NAMES)
    assert all(isinstance(text, str) for text in texts)
    if name == "blind":
        assert len(set(texts)) == 1


def test_the_file_that_is_trained_is_the_papers(prefix_networks):
    found = {name: json.loads(file.with_name(f"{file.name}.json").read_text())
             for name, file in prefix_networks.items()}  # fmt: skip
    assert {name: made["kind"] for name, made in found.items()} == {
        "maccap": "AdaptorDecoder", "capdec": "SingleTokenMLP", "decap": "SingleTokenMLP",
    }  # fmt: skip
    assert found["capdec"]["adaptor"] == {"clip_width": 32, "lm_width": 32, "mlp_layers": 3}


@pytest.mark.parametrize("method", ["capdec_same_decoder", "decap_same_decoder"])
def test_the_comparison_with_one_decoder_has_its_own_name(method, vizer, disk, folder, tmp_path):
    out, base = tmp_path / "x.safetensors", method.removesuffix("_same_decoder")
    words = ["train-captioner", "--method", method, "--epochs", 1, "--corpus", disk.corpus]
    done = vizer(*words, "--out", out, *models_of(disk))
    assert done.exit_code == 0 and "a prefix of 32;" in done.stderr, done.output
    made = load_manifest(out)
    assert (made["method"], made["kind"]) == (method, "AdaptorDecoder")
    words = ["caption", folder, "--captioner", out]
    assert vizer(*words, *asked(base, disk)).exit_code == 0
    wrong = vizer(*words, *asked("maccap_pass", disk))
    fits = "baseline, decap" if base == "decap" else base
    assert wrong.exit_code == 1 and f"or caption with {fits}" in wrong.stderr


def test_the_former_name_of_the_option_still_works_and_help_does_not_show_it(
    vizer, disk, prefix_networks, folder
):
    words = ["caption", folder, "--method", "capdec", *models_of(disk)]
    new, old = (
        vizer(*words, name, prefix_networks["capdec"]) for name in ("--captioner", "--adaptor")
    )
    assert new.exit_code == old.exit_code == 0 and new.stdout == old.stdout
    said = vizer("caption", "--help").stdout
    assert "--captioner" in said and "--adaptor" not in said


@pytest.mark.parametrize("method", ["maccap", "capdec"])
def test_any_language_model_goes_with_the_drawn_clip(method, vizer, disk, folder, tmp_path):
    out = tmp_path / "x.safetensors"
    words = ["--language-model", disk.opt]
    done = vizer(
        "train-captioner", "--method", method, *words, "--captions", 40, "--epochs", 1, "--out", out
    )
    assert done.exit_code == 0, done.output
    sizes = load_manifest(out)["adaptor"]
    assert (sizes["clip_width"], sizes["lm_width"]) == (128, 32)
    method = "maccap_pass" if method == "maccap" else method
    done = vizer("caption", folder, "--method", method, *words, "--captioner", out)
    assert done.exit_code == 0, done.output


def test_three_captions_are_shown_and_a_small_corpus_is_called_so(vizer, disk, tmp_path):
    words = ["train-captioner", "--method", "decap", "--epochs", 1, "--corpus", disk.corpus]
    done = vizer(*words, "--out", tmp_path / "x.safetensors", *models_of(disk))
    assert done.exit_code == 0, done.output
    shown = [line.split("  ->  ")[0].strip() for line in done.stdout.splitlines() if "->" in line]
    assert shown == [CAPTIONS[0], CAPTIONS[2], CAPTIONS[4]]
    assert "warning: 6 different captions are few" in done.stderr


def test_captions_that_are_written_alike_are_warned_of(loaded, monkeypatch, capsys):
    encoder, lm, _, _, prefix_generator = loaded
    texts = ["a cat", "a cat", "a dog"]
    pairs = TrainingPairs(encoder.encode_text(texts), texts)
    monkeypatch.setattr(
        PrefixGenerator, "generate", lambda self, tokens: ("a  bird",) * len(tokens)
    )
    show_captions(prefix_generator.prefix_network, lm, pairs, 1)
    said = capsys.readouterr()
    assert said.out.splitlines()[1:] == ["  a cat  ->  a bird", "  a dog  ->  a bird"]
    assert "warning: different captions come back alike" in said.err
