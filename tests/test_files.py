"""Files that survive: whole or not there, each with a manifest of its own."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vizer_core import files as store
from vizer_core.files import (
    atomic_path,
    find_manifest,
    load_manifest,
    load_tensors,
    manifest_path,
    read_record,
    remove_parts,
    remove_tensors,
    save_tensors,
    sha256_file,
    write_json,
)

ROOT = Path(__file__).resolve().parents[1]
ONE, TWO = {"a": torch.ones(2)}, {"a": torch.zeros(3)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def save_as_before(path: Path, tensors: dict, manifest: dict) -> None:
    """Write a tensor file with its manifest under the former name, as the shipped weights lie."""
    save_tensors(path, tensors, manifest)
    manifest_path(path).rename(path.with_suffix(".json"))


def test_tensors_come_back_with_their_manifest(tmp_path):
    save_tensors(tmp_path / "a.safetensors", ONE, {"seed": 3})
    tensors, manifest = load_tensors(tmp_path / "a.safetensors")
    assert tensors["a"].equal(ONE["a"]) and manifest["seed"] == 3
    assert names(tmp_path) == ["a.safetensors", "a.safetensors.json"]


def test_no_two_files_share_a_manifest(tmp_path):
    files = [tmp_path / name for name in ("a.v1", "a.v2", "a", "a.safetensors")]
    for number, file in enumerate(files):
        save_tensors(file, {"a": torch.full((2,), float(number))}, {"number": number})
    write_json(tmp_path / "a.json", [{"image_id": 1, "caption": "a cat"}])
    # `a.json` is the manifest of `a` by its full name; no other file's
    for number, file in enumerate(files):
        if file.name != "a":
            assert load_tensors(file)[1]["number"] == number


def test_a_manifest_under_its_former_name_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    save_as_before(path, ONE, {"seed": 3})
    assert find_manifest(path) == tmp_path / "a.json"
    assert load_tensors(path)[1]["seed"] == 3


def test_a_former_manifest_goes_with_the_file_that_it_described(tmp_path):
    path = tmp_path / "a.safetensors"
    save_as_before(path, ONE, {"seed": 3})
    save_tensors(path, TWO, {"seed": 4})
    assert load_tensors(path)[1]["seed"] == 4
    assert names(tmp_path) == ["a.safetensors", "a.safetensors.json"]


def test_other_json_beside_a_tensor_file_is_left_alone_and_is_no_manifest(tmp_path):
    path = tmp_path / "a.safetensors"
    write_json(tmp_path / "a.json", [{"image_id": 1, "caption": "a cat"}])
    save_tensors(path, ONE, {})
    load_tensors(path)
    manifest_path(path).unlink()
    with pytest.raises(FileNotFoundError, match=r"has no manifest a\.safetensors\.json beside it"):
        load_manifest(path)
    remove_tensors(path)
    assert names(tmp_path) == ["a.json"]


def test_captions_that_lie_where_the_manifest_was_are_named(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, ONE, {})
    write_json(manifest_path(path), [])
    with pytest.raises(ValueError, match=r"a\.safetensors\.json is a list, no manifest of a\.saf"):
        load_tensors(path)


def test_a_file_that_does_not_fit_its_manifest_is_refused(tmp_path):
    save_tensors(tmp_path / "a", ONE, {})
    save_tensors(tmp_path / "b", TWO, {})
    (tmp_path / "b").replace(tmp_path / "a")
    with pytest.raises(ValueError, match="does not fit its manifest"):
        load_tensors(tmp_path / "a")


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    for name in ("there.json", "new.json"):
        (tmp_path / name).symlink_to(tmp_path / "disk" / name)
    (tmp_path / "disk" / "there.json").write_text("old")
    for name in ("there.json", "new.json"):
        write_json(tmp_path / name, 1)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "disk" / name).read_text() == "1\n"


def test_tensors_behind_a_link_are_read_by_the_link(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "a.safetensors"
    link.symlink_to(tmp_path / "disk" / "b.safetensors")
    save_tensors(link, ONE, {"seed": 3})
    assert link.is_symlink() and load_tensors(link)[1]["seed"] == 3


@pytest.mark.parametrize(
    ("target", "said"),
    [("gone/a.json", "no folder .*gone is there"), ("a.json", "leads back to itself")],
)
def test_a_link_that_leads_nowhere_is_said(target, said, tmp_path):
    (tmp_path / "a.json").symlink_to(tmp_path / target)
    with pytest.raises(OSError, match=said):
        write_json(tmp_path / "a.json", 1)
    assert names(tmp_path) == ["a.json"]


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe is a device or a pipe: wanted the name of a file"):
        write_json(tmp_path / "pipe", 1)
    with pytest.raises(OSError, match="is a folder: wanted the name of a file"):
        write_json(tmp_path, 1)
    assert names(tmp_path) == ["pipe"]


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("at", ["manifest", "tensors"])
def test_a_full_disk_leaves_both_files_as_they_were(at, tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    save_tensors(path, ONE, {"steps": 1})
    if at == "manifest":
        monkeypatch.setattr(Path, "write_text", full_disk)
    else:
        monkeypatch.setattr(store, "save_file", full_disk)
    with pytest.raises(OSError, match="No space left on device") as said:
        save_tensors(path, TWO, {"steps": 2})
    assert "state.safetensors" in str(said.value) and ".part" not in str(said.value)
    monkeypatch.undo()
    assert load_tensors(path)[1]["steps"] == 1
    assert names(tmp_path) == ["state.safetensors", "state.safetensors.json"]


def test_what_safetensors_says_of_a_full_disk_names_the_file(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    def full(*arguments, **options):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(store, "save_file", full)
    with pytest.raises(OSError, match=r"No space left on device.*a\.safetensors") as said:
        save_tensors(tmp_path / "a.safetensors", ONE, {})
    assert said.value.errno == errno.ENOSPC and names(tmp_path) == []


def test_an_error_of_the_caller_stays_what_it_was(tmp_path):
    with pytest.raises(ConnectionError, match="no answer"), atomic_path(tmp_path / "a"):
        raise ConnectionError("no answer")
    assert names(tmp_path) == []


KILLED = """
import os, sys
from pathlib import Path
from vizer_core.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of")
    os._exit(9)
"""


def test_what_a_killed_write_left_is_deleted_by_the_next_one(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "a.json"], cwd=ROOT, check=False)
    (tmp_path / ".a.json.note").write_text("somebody's")
    assert [name for name in names(tmp_path) if name.endswith(".part")]
    write_json(tmp_path / "a.json", 1)
    assert names(tmp_path) == [".a.json.note", "a.json"]


def test_a_file_that_is_being_written_is_not_deleted(tmp_path):
    with atomic_path(tmp_path / "a.json") as temporary:
        temporary.write_text("1")
        remove_parts(tmp_path / "a.json")
        assert temporary.exists()
    assert (tmp_path / "a.json").read_text() == "1"


def test_without_locks_only_old_leftovers_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "lock", lambda handle: None)
    for name, age in (("old", 7200), ("new", 60)):
        part = tmp_path / f".a.json.{name}.part"
        part.write_text("")
        os.utime(part, (part.stat().st_mtime - age,) * 2)
    remove_parts(tmp_path / "a.json")
    assert names(tmp_path) == [".a.json.new.part"]


def test_every_shipped_file_has_its_manifest():
    found = (ROOT / "vizer_lab" / "zoo" / "weights").rglob("*.safetensors")
    shipped = [path for path in found if path.name != "adapter_model.safetensors"]  # PEFT's own
    assert len(shipped) >= 12
    for path in shipped:
        assert load_manifest(path)["sha256"] == sha256_file(path), path.name


def test_json_is_whole_or_not_written(tmp_path):
    write_json(tmp_path / "a.json", {"é": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", float("nan"))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"é": 1}


@pytest.mark.parametrize(("text", "kind"), [("[]", "list"), ('"a"', "str"), ("null", "NoneType")])
def test_a_record_is_an_object(tmp_path, text, kind):
    (tmp_path / "vizer.json").write_text(text)
    with pytest.raises(ValueError, match=rf"vizer\.json contains a {kind}, wanted an object"):
        read_record(tmp_path / "vizer.json")
