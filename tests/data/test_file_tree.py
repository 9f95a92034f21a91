"""Files under a folder: linked folders too, each once, and what cannot be listed is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from vizer_core.data import read_folder
from vizer_core.data.file_tree import files_under


def put(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path, "png")


def names(folder):
    return [path.as_posix() for path in files_under(folder)]


def test_linked_folders_and_files_are_listed_under_the_links_names(tmp_path):
    put(tmp_path / "disk" / "sub" / "a.png", tmp_path / "here" / "b.png")
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "here" / "one.png").symlink_to(tmp_path / "disk" / "sub" / "a.png")
    assert names(tmp_path / "here") == ["b.png", "linked/sub/a.png", "one.png"]
    (tmp_path / "root").symlink_to(tmp_path / "here")
    assert [r.id for r in read_folder(tmp_path / "root")] == names(tmp_path / "here")


@pytest.mark.parametrize("target", [".", "..", "sub"])
def test_circles_end_and_no_folder_is_listed_twice(target, tmp_path):
    root = tmp_path / "only" / "root"
    put(root / "sub" / "a.png")
    (root / "0-first").symlink_to(target)
    (root / "sub" / "up").symlink_to("..")
    assert names(root) == ["sub/a.png"]


def test_two_links_to_one_folder_give_it_once(tmp_path):
    put(tmp_path / "disk" / "a.png")
    (tmp_path / "root").mkdir()
    for link in ("y", "c", "a", "x", "b", "z"):
        (tmp_path / "root" / link).symlink_to(tmp_path / "disk")
    assert names(tmp_path / "root") == ["a/a.png"]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    put(tmp_path / ".a.png", tmp_path / ".git" / "b.png", tmp_path / "c.png")
    (tmp_path / ".link").symlink_to(tmp_path / ".git")
    assert names(tmp_path) == ["c.png"]


def test_links_to_nothing_are_counted(tmp_path, caplog):
    put(tmp_path / "a.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "unmounted" / "gone.png")
    assert names(tmp_path) == ["a.png"]
    assert "1 links lead to no file and are left out, first" in caplog.text
    assert "gone.png" in caplog.text


def test_a_folder_that_cannot_be_read_is_told(tmp_path, caplog, monkeypatch):
    put(tmp_path / "a.png", tmp_path / "closed" / "b.png")
    listed = os.scandir

    def closed(place):
        if Path(place).name == "closed":
            raise PermissionError(13, "Permission denied", str(place))
        return listed(place)

    with monkeypatch.context() as patch:  # before pytest clears the folder, by the same function
        patch.setattr(os, "scandir", closed)
        assert names(tmp_path) == ["a.png"]
    assert "1 folders cannot be read, first: [Errno 13] Permission denied" in caplog.text


def test_open_images_on_another_disk_are_found(tmp_path):
    name = "0123456789abcdef.jpg"
    put(tmp_path / "disk" / name)
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "data" / "train" / "train_0").symlink_to(tmp_path / "disk")
    (record,) = read_folder(tmp_path / "data" / "train")
    assert record.image == tmp_path / "data" / "train" / "train_0" / name
