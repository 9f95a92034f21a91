"""How a checkpoint is read: in tiles, at how many pixels, in four bits; compiled steps."""

from __future__ import annotations

import json

import pytest


def captions(vizer, disk, model, *words) -> list[str]:
    done = vizer("caption", disk.images, "--model", model, "--max-tokens", 8, *words)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def test_caption_reads_tiles_and_pixels_as_it_is_told(vizer, disk):
    whole = captions(vizer, disk, disk.smolvlm)
    assert captions(vizer, disk, disk.smolvlm, "--image-splitting") != whole
    assert captions(vizer, disk, disk.smolvlm, "--no-image-splitting") == whole
    assert captions(vizer, disk, disk.qwen) != captions(vizer, disk, disk.qwen, "--max-pixels", 256)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("--model {qwen} --image-splitting", 1, "is a qwen2_vl: it has no image splitting"),
        ("--model {smolvlm} --max-pixels 99", 1, "is a idefics3: it has no max pixels"),
        ("--model {smolvlm} --four-bit", 1, "a base model in four bits needs the package"),
        ("--model {smolvlm} --compile --beams 2", 2, "--beams 2 generates otherwise"),
        ("--model {smolvlm} --compile --decoder fused", 2, "--decoder fused generates otherwise"),
        ("--method clipre --image-splitting", 2, "--image-splitting is not used by --method"),
        ("--method clipre --compile", 2, "--compile is not used by --method clipre"),
        ("--model drawn-vlm-web --image-splitting", 1, "drawn-vlm-web is shipped as it is: leave"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(words, status, said, vizer, disk):
    words = words.format(smolvlm=disk.smolvlm, qwen=disk.qwen).split()
    done = vizer("caption", disk.images, *words)
    assert done.exit_code == status, done.output
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_an_adapter_remembers_how_its_model_was_read(vizer, disk, tmp_path):
    out = tmp_path / "adapter"
    done = vizer(
        *("enhance", "--images", disk.images, "--model", disk.smolvlm, "--out", out),
        *("--objective", "self_training", "--image-splitting", "--learning-rate", 0.01),
    )
    assert done.exit_code == 0, done.output
    assert json.loads((out / "vizer.json").read_text())["reading"] == {"image_splitting": True}
    tiles = captions(vizer, disk, disk.smolvlm, "--adapter", out)
    assert tiles == captions(vizer, disk, disk.smolvlm, "--adapter", out, "--image-splitting")
    assert tiles != captions(vizer, disk, disk.smolvlm, "--adapter", out, "--no-image-splitting")
    merged = tmp_path / "merged"
    done = vizer("merge", out, "--model", disk.smolvlm, "--out", merged)
    assert done.exit_code == 0 and "trained with --image-splitting: caption" in done.stderr
    assert "--model merged --image-splitting`" in (merged / "README.md").read_text()


def test_compiled_captions_are_the_same(vizer, disk, monkeypatch):
    """The step as the compiler gets it, which cannot read through tests' checks of types."""
    monkeypatch.setattr("torch.compile", lambda step, backend, dynamic: step)
    assert captions(vizer, disk, disk.qwen, "--compile") == captions(vizer, disk, disk.qwen)


def test_a_stopped_command_goes_on_with_its_own_reading_only(vizer, disk, tmp_path):
    out = tmp_path / "said.json"
    (tmp_path / "said.jsonl.job.json").write_text("{}")
    done = vizer("caption", disk.images, "--model", disk.smolvlm, "--json", out)
    assert done.exit_code == 1 and "is there already" in done.output
