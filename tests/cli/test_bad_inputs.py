"""What people get wrong: each is said in one line, before any model is loaded, with a status."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from PIL import Image

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
    (tmp_path / "there.safetensors").write_bytes(b"hours of work")
    (tmp_path / "there.json").write_text("{}")
    (tmp_path / "pickle.npy").write_bytes(b"\x80\x04junk")
    (tmp_path / "good.json").write_text(json.dumps([{"image_id": 1, "caption": "a cat"}]))
    return SimpleNamespace(root=tmp_path)


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
    ("caption few --method clipre --corpus list.json", 1, "holds no captions"),
    ("caption few --method clipre --device tpu", 1, "no device 'tpu': wanted auto, cpu"),
    ("caption few --method capdec --adaptor no.safetensors", 1, "no adaptor file no.safetensors"),
    ("caption few --model micro-vlm --adapter no", 1, "no adapter folder no: train one with"),
    (
        "caption few --model micro-vlm --adaptor there.safetensors",
        2,
        "--adaptor is not used by --model, it belongs to --method maccap",
    ),
    ("caption few --model micro-vlm --corpus good.json", 2, "--corpus is not used by --model"),
    ("caption few --model micro-vlm --clip ViT-B-32", 2, "--clip is not used by --model"),
    ("caption few --model micro-vlm --quick-gelu", 2, "--quick-gelu is not used by --model"),
    ("caption few --method clipre --adapter adapter", 2, "--adapter is not used by --method"),
    ("caption few --method magic --memory 7", 2, "it belongs to --method decap, clipre"),
    ("caption few --model micro-vlm --adapter adapter", 1, "a PEFT adapter without vizer's"),
    ("caption few --method clipre --json there.json", 2, "the manifest of there.safetensors"),
    ("caption few --method clipre --corpus good.json --json good.json", 2, "read by this command"),
    ("gap --features x.npy --json there.json", 2, "the manifest of there.safetensors"),
    ("evaluate --captions good.json --references dict.json --json dict.json", 2, "is read by"),
    (
        "compare --captions good.json --against null.json --references dict.json --json null.json",
        2,
        "null.json is read by this command",
    ),
    ("train-captioner --out a.json", 2, "a.json would be its own manifest"),
    ("train-captioner --out null.safetensors", 2, "null.json is there already"),
    ("gap --images nowhere --captions dict.json", 1, "no folder nowhere"),
    ("gap --images few --captions dict.json", 1, "dict.json holds no captions"),
    ("gap --images few --captions blank.json", 1, "blank.json is not valid UTF-8 JSON"),
    ("gap --features pickle.npy", 1, "wanted what numpy.save writes"),
    ("gap --features x.npy --json empty", 2, "empty is a folder"),
    ("evaluate --captions null.json --references dict.json", 1, "null.json holds a NoneType"),
    ("evaluate --captions good.json --references dict.json", 1, 'dict.json has no "annotations"'),
    ("evaluate --captions good.json --references nowhere", 1, "no such file: nowhere"),
    ("lab --only micro-clop", 1, "no micro model 'micro-clop': wanted one of"),
    ("train-captioner --out empty", 2, "empty is a folder: wanted the name of a file"),
    ("train-captioner --out there.safetensors", 2, "there.safetensors is there already: name"),
    ("train-captioner --out file/a.safetensors", 2, "is a file, no folder"),
    ("train-captioner --out a.safetensors --corpus nowhere.txt", 1, "no corpus at nowhere.txt"),
    ("fit-mapper --images nowhere --out m.safetensors", 1, "no folder of images at nowhere"),
    ("fit-mapper --images few --out there.safetensors", 2, "is there already"),
    ("enhance --images nowhere --out new", 1, "no image and no folder of images at nowhere"),
    (f"{ENHANCE} adapter", 2, "adapter holds an adapter already: name another folder"),
    (f"{ENHANCE} file", 2, "file is a file: wanted a folder"),
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
