"""--lm-start-token and --lm-sentences, and `vizer tune-lm`, on a saved OPT."""

from __future__ import annotations

import json

import pytest
import typer

from tests.cli.kills import finished, killed
from vizer_core.cli.captioner_options import SHIPPED
from vizer_core.cli.models import language_model_of
from vizer_core.language import TextForm, caption_tuning
from vizer_core.models import load_clip, load_lm, load_vlm


def test_the_options_make_the_form_and_leave_the_rest_of_it_alone(disk, tmp_path):
    of = lambda **given: language_model_of(str(disk.opt), "cpu", **given)  # noqa: E731
    plain = of()
    assert plain.form == TextForm()
    found = of(start_token="<pad>", sentences=True)
    assert found.form == TextForm("<pad>", sentences=True)
    assert found.bos_id == found.tokenizer.convert_tokens_to_ids("<pad>") != plain.bos_id
    assert of(sentences=False).form == TextForm() and of(sentences=True).bos_id == plain.bos_id


def test_the_form_is_seen_by_training_and_captioning(vizer, disk, tmp_path):
    out, image = tmp_path / "x.safetensors", disk.images / "photo 00.jpg"
    models = ["--clip", disk.clip, "--language-model", disk.opt]
    form = ["--lm-start-token", "<pad>", "--lm-sentences"]
    words = ["train-captioner", "--method", "capdec", "--epochs", 1, "--corpus", disk.corpus]
    done = vizer(*words, *models, *form, "--out", out)
    assert done.exit_code == 0, done.output
    asked = ["caption", image, "--method", "capdec", "--captioner", out, *models]
    assert vizer(*asked, *form).exit_code == 0
    for other in ([], form[:2], ["--lm-start-token", "<pad>", "--no-lm-sentences"]):
        done = vizer(*asked, *other)
        assert done.exit_code == 1 and "was trained with the language model" in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--lm-start-token", "<nope>"], 1, "has no token '<nope>' to start a text with: wanted"),
        (["--lm-start-token", ""], 1, "has no token '' to start a text with"),
        (
            ["--lm-sentences", "--method", "clipre", "--memory", 50],
            0,
            "--lm-sentences is not used by",
        ),
    ],
    ids=str,
)
def test_a_form_that_cannot_be_is_refused(words, status, said, vizer, disk):
    method = [] if "--method" in words else ["--method", "magic", "--language-model", disk.opt]
    done = vizer("caption", disk.images / "photo 00.jpg", "--clip", disk.clip, *method, *words)
    assert done.exit_code == status and said in " ".join(done.stderr.split())


def test_a_shipped_model_keeps_its_form_and_a_vlm_has_none(vizer, disk, tmp_path):
    with pytest.raises(typer.BadParameter, match=r"form of texts: leave --lm-start-token and --l"):
        language_model_of("drawn-lm", "cpu", start_token="a", sentences=True)
    assert SHIPPED[1] == "drawn-lm"
    words = ["--captions", 40, "--out", tmp_path / "x.safetensors"]
    done = vizer("train-captioner", "--method", "capdec", *words, "--lm-sentences")
    assert done.exit_code == 2 and "leave --lm-sentences out" in " ".join(done.stderr.split())
    done = vizer("caption", disk.images, "--model", "drawn-vlm-web", "--lm-start-token", "a")
    assert done.exit_code == 2 and "--lm-start-token is not used by --model" in done.stderr


def test_a_language_model_is_tuned_and_captions_with_its_form(vizer, disk, tmp_path):
    out = tmp_path / "tuned"
    words = ["tune-lm", "--language-model", disk.opt, "--corpus", disk.corpus, "--steps", 3]
    done = vizer(*words, "--lm-start-token", "<pad>", "--lm-sentences", "--out", out)
    assert done.exit_code == 0, done.output
    assert "nats per token of the first" in done.stdout and "->" in done.stdout
    lm = load_lm(str(out), device="cpu")
    assert lm.form == TextForm("<pad>", sentences=True)
    made = json.loads((out / "caption_tuning.json").read_text())
    assert made["settings"]["steps"] == 3 and made["corpus"] == str(disk.corpus)
    asked = ["--method", "magic", "--clip", disk.clip, "--language-model", out]
    image = disk.images / "photo 00.jpg"
    done = vizer("caption", image, *asked, "--prompt", "a", "--max-tokens", 3)
    assert done.exit_code == 0, done.output
    again = vizer(*words, "--out", out)
    assert again.exit_code == 2
    assert "contains a model (config.json)" in " ".join(again.stderr.split())
    bad = vizer(*words, "--learning-rate", 0, "--out", tmp_path / "other")
    assert bad.exit_code == 2 and "--learning-rate is 0.0: wanted more than 0" in bad.stderr


def test_a_killed_tuning_goes_on_and_another_job_is_refused(vizer, disk, tmp_path, kill_after):
    words = ["tune-lm", "--language-model", disk.opt, "--corpus", disk.corpus, "--steps", 4]
    finished(vizer, *words, "--out", tmp_path / "whole")
    kill_after(caption_tuning, "save_run", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caption_tuning, "SAVE_EVERY", 2)
        killed(vizer, *words, "--out", tmp_path / "cut")
    assert [path.name for path in (tmp_path / "cut").iterdir()] == [".vizer-run"]
    other = vizer(*words, "--out", tmp_path / "cut", "--seed", 1)
    assert other.exit_code == 1 and "another run (seed: 0 then, 1 now)" in other.output
    finished(vizer, *words, "--out", tmp_path / "cut")
    of = [load_lm(str(tmp_path / name), device="cpu") for name in ("whole", "cut")]
    assert of[0].fingerprint == of[1].fingerprint
    assert not (tmp_path / "cut" / ".vizer-run").exists()


@pytest.mark.parametrize(
    ("load", "name"), [(load_lm, "drawn-ml"), (load_vlm, "drawn-vlm-wob"), (load_clip, "drawn-cl")]
)
def test_a_slip_in_a_shipped_name_is_told_with_those_that_there_are(load, name):
    with pytest.raises(ValueError, match=rf"no shipped .* '{name}': wanted one of .*drawn-"):
        load(name, device="cpu")
