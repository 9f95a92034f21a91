"""What people get wrong: each is said in one line, before any model is loaded, with a status."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest
from PIL import Image

from vizer_core.cli.answers import answer_to
from vizer_core.runtime import pick_device


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Lay out a folder with the things that go wrong, and stand in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "corrupt", "few", "adapter"):
        (tmp_path / name).mkdir()
    (tmp_path / "corrupt" / "a.jpg").write_bytes(b"<html>404</html>")
    (tmp_path / "corrupt" / "b.PNG").write_bytes(b"")
    Image.new("RGB", (8, 8)).save(tmp_path / "few" / "a.png")
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    for name, content in {"null": "null", "list": "[]", "dict": "{}", "blank": ""}.items():
        (tmp_path / f"{name}.json").write_text(content)
    (tmp_path / "file").write_text("x")
    (tmp_path / "one.txt").write_text("a cat sits\na cat sits\n")
    (tmp_path / "m.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    (tmp_path / "there.safetensors").write_bytes(b"hours of work")
    (tmp_path / "there.json").write_text('{"format": 1, "sha256": ""}')
    (tmp_path / "own.safetensors.json").write_text("{}")
    for name in ("whole.safetensors", "whole.safetensors.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm" / "config.json").write_text("{}")
    os.mkfifo(tmp_path / "pipe")
    for name, to in {"gone.json": "away/a.json", "away": "nowhere", "ring": "ring"}.items():
        (tmp_path / name).symlink_to(tmp_path / to)
    (tmp_path / "pickle.npy").write_bytes(b"\x80\x04junk")
    (tmp_path / "good.json").write_text(json.dumps([{"image_id": 1, "caption": "a cat"}]))
    return SimpleNamespace(root=tmp_path)


OVER = "--overwrite"
ENHANCE = "enhance --images few --out"
BAD = (
    ("caption nowhere --method clipre", 1, "no image and no folder of images at nowhere"),
    ("caption few/b.png --method clipre", 1, "no image and no folder of images at few/b.png"),
    ("caption empty --method clipre", 1, "no images under empty: wanted files ending in"),
    ("caption corrupt --method clipre", 1, "none of the 2 files under corrupt is a whole image"),
    ("caption few --method clipcup", 2, "choose from maccap, maccap_pass"),
    ("caption few", 2, "give either --method NAME or --model NAME"),
    ("caption few --method clipre --json empty", 2, "empty is a folder: wanted the name"),
    ("caption few --method clipre --json file/a.json", 2, "is a file, no folder"),
    ("caption few --method clipre --corpus nowhere.txt", 1, "no corpus at nowhere.txt"),
    ("caption few --method clipre --corpus list.json", 1, "contains no captions"),
    ("caption few --method clipre --device tpu", 1, "no device 'tpu': wanted auto, cpu"),
    ("caption few --method capdec --captioner no.safetensors", 1, "no captioner file no.safet"),
    ("caption few --method capdec --adaptor no.safetensors", 1, "no captioner file no.safet"),
    ("caption few --method capdec --adaptor a --captioner b", 2, "another name of --captioner"),
    ("train-captioner --out a.safetensors --corpus one.txt", 1, "one.txt has one caption, 'a"),
    ("train-captioner --out a.safetensors --language-model m.gguf", 1, "m.gguf"),
    ("train-captioner --out a.safetensors --language-model file", 1, "file is a file, and none of"),
    ("caption few --model drawn-vlm-web --adapter no", 1, "no adapter folder no: train one with"),
    (
        "caption few --model drawn-vlm-web --adaptor there.safetensors",
        2,
        "--captioner is not used by --model, it belongs to --method maccap",
    ),
    ("caption few --model drawn-vlm-web --corpus good.json", 2, "--corpus is not used by --model"),
    ("caption few --model drawn-vlm-web --clip ViT-B-32", 2, "--clip is not used by --model"),
    ("caption few --model drawn-vlm-web --quick-gelu", 2, "--quick-gelu is not used by --model"),
    ("caption few --method clipre --adapter adapter", 2, "--adapter is not used by --method"),
    ("caption few --method magic --memory 7", 2, "it belongs to --method decap, concepts"),
    ("caption few --model drawn-vlm-web --adapter adapter", 1, "a PEFT adapter without vizer's"),
    ("caption few --method clipre --json there.json", 2, "the manifest of there.safetensors"),
    ("caption few --method clipre --json good.json", 2, "good.json is there already: name another"),
    ("gap --features x.npy --json good.json", 2, "or give --overwrite"),
    ("evaluate --captions x --references y --json good.json", 2, "or give --overwrite"),
    ("compare --captions x --against z --references y --json good.json", 2, "or give --overwrite"),
    ("train-captioner --out file", 2, "file is there already: name another file, or delete it"),
    (f"caption few --method clipre --corpus good.json --json good.json {OVER}", 2, "read by this"),
    (f"caption few --method clipre --json few/a.png {OVER}", 2, "few/a.png is read by this comma"),
    (f"caption few --method magic --language-model lm --json lm/config.json {OVER}", 2, "is read"),
    (f"caption few --method clipre --json there.json {OVER}", 2, "the manifest of there.safetens"),
    (f"gap --features x.npy --json whole.safetensors.json {OVER}", 2, "manifest of whole.safeten"),
    (f"train-captioner --out one.txt --corpus one.txt {OVER}", 2, "--out one.txt is read by this"),
    (f"fit-mapper --images few --out few/a.png {OVER}", 2, "--out few/a.png is read by this comma"),
    (f"caption few --method clipre --json pipe {OVER}", 2, "pipe is a device or a pipe: wanted th"),
    ("gap --features x.npy --json there.json", 2, "the manifest of there.safetensors"),
    (f"evaluate --captions good.json --references dict.json --json dict.json {OVER}", 2, "is read"),
    (
        "compare --captions good.json --against null.json --references dict.json --json null.json "
        "--overwrite",
        2,
        "null.json is read by this command",
    ),
    ("train-captioner --out a.json", 2, "a.json is to contain tensors, not JSON: end it in .sa"),
    ("train-captioner --out own.safetensors", 2, "own.safetensors.json is there already: name"),
    ("gap --images nowhere --captions dict.json", 1, "no folder nowhere"),
    ("gap --images few --captions dict.json", 1, "dict.json contains no captions"),
    ("gap --images few --captions blank.json", 1, "blank.json is not valid UTF-8 JSON"),
    ("gap --features pickle.npy", 1, "wanted what numpy.save writes"),
    ("gap --features x.npy --json empty", 2, "empty is a folder"),
    ("evaluate --captions null.json --references dict.json", 1, "null.json contains a NoneType"),
    ("evaluate --captions good.json --references dict.json", 1, 'dict.json has no "annotations"'),
    ("evaluate --captions good.json --references nowhere", 1, "no such file: nowhere"),
    ("lab --only drawn-clop", 1, "no shipped model 'drawn-clop': wanted one of"),
    ("train-captioner --out empty", 2, "empty is a folder: wanted the name of a file"),
    ("train-captioner --out there.safetensors", 2, "there.safetensors is there already: name"),
    ("train-captioner --out file/a.safetensors", 2, "is a file, no folder"),
    ("train-captioner --out a.safetensors --corpus nowhere.txt", 1, "no corpus at nowhere.txt"),
    ("fit-mapper --images nowhere --out m.safetensors", 1, "no folder of images at nowhere"),
    ("fit-mapper --images few --out there.safetensors", 2, "is there already"),
    ("enhance --images nowhere --out new", 1, "no image and no folder of images at nowhere"),
    (f"{ENHANCE} adapter", 2, "adapter contains an adapter already: name another folder"),
    (f"{ENHANCE} file", 2, "file is a file: wanted a folder"),
    (f"{ENHANCE} away", 2, "away is a link to nothing: wanted a folder"),
    (f"{ENHANCE} away/new", 2, "away is a link to "),
    (f"{ENHANCE} lm", 2, "lm contains a model (config.json): name another folder"),
    (f"{ENHANCE} lm/new --model lm", 2, "--out lm/new lies in lm, which this command reads"),
    (f"{ENHANCE} few/new", 2, "--out few/new lies in few, which this command reads"),
    (f"{ENHANCE} .", 2, "--images few lies in ., where this command writes: name another --out"),
    (f"{ENHANCE} one", 1, "few has 1 image, and an adapter learns from differences between"),
    ("caption few --method clipre --json gone.json", 2, "gone.json is a link to "),
    ("caption few --method clipre --json away/b.json", 2, "away is a link to "),
    ("caption few --method clipre --json ring", 2, "ring is a link to itself"),
    (f"{ENHANCE} file/new", 2, "is a file, no folder"),
)  # fmt: skip


@pytest.mark.parametrize(("words", "status", "said"), BAD, ids=[words for words, _, _ in BAD])
def test_what_is_wrong_is_said_and_nothing_is_written(words, status, said, vizer, desk):
    before = sorted(path.as_posix() for path in desk.root.rglob("*"))
    done = vizer(*words.split())
    assert done.exit_code == status and isinstance(done.exception, SystemExit), done.output
    assert said in done.stderr and done.stdout == ""
    assert done.stderr.splitlines()[-1].lower().startswith("error: ")
    assert sorted(path.as_posix() for path in desk.root.rglob("*")) == before


def test_a_device_that_torch_does_not_know_is_named():
    with pytest.raises(ValueError, match="no device 'gpu': wanted auto, cpu, cuda"):
        pick_device("gpu")


def test_whoever_may_not_write_is_told_first(vizer, desk, monkeypatch):
    monkeypatch.setattr("os.access", lambda place, mode: False)  # root may write anywhere
    done = vizer("caption", "few", "--method", "clipre", "--json", "new/a.json")
    assert done.exit_code == 2 and "no right to write in" in done.stderr
    assert not (desk.root / "new").exists()


def test_a_caption_of_several_lines_is_printed_on_one(vizer, desk, monkeypatch):
    monkeypatch.setattr(
        "vizer_core.captioners.caption_images", lambda *a, **k: ["a cat\n\nsits\there "]
    )
    done = vizer("caption", "few", "--method", "clipre", "--memory", 20, "--json", "a.json")
    assert done.exit_code == 0, done.output
    assert done.stdout == "a.png\ta cat sits here\n"
    (row,) = json.loads((desk.root / "a.json").read_text())
    assert row == {"image_id": "a.png", "caption": "a cat sits here"}


def test_a_corpus_of_another_form_is_refused_before_it_is_trained_on(vizer, desk):
    (desk.root / "behind.txt").write_text("a cat,1.jpg\na dog,2.jpg\n")
    done = vizer("train-captioner", "--out", "a.safetensors", "--corpus", "behind.txt")
    assert done.exit_code == 1 and done.stdout == ""
    assert "error: behind.txt has a file's name in 2 of 2 lines: write a" in done.stderr


def test_files_that_are_passed_over_are_told(vizer, desk, caplog):
    (desk.root / "few" / "scan").write_bytes(b"pixels")
    (desk.root / "few" / "notes.txt").write_text("a cat")
    done = vizer("caption", "few", "--method", "clipre", "--memory", 20)
    assert done.exit_code == 0, done.output
    assert "of few are left out: 2 files (1 .txt, 1 without an ending), first scan." in caplog.text


def test_a_full_disk_is_told_with_what_was_saved_and_only_then():
    error = OSError(28, "No space left on device", "a.json")
    assert "What was saved before is kept: make room" in answer_to(error)
    assert answer_to(error, goes_on=False) == (
        "a.json cannot be written: No space left on device. Make room and call the same command "
        "again"
    )
