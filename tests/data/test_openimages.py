"""Open Images as pictures only: what is listed, and that nothing else is ever opened."""

from __future__ import annotations

import io
import tarfile

import pytest
from PIL import Image

from vizer_core.data.images import decode_image
from vizer_core.data.openimages import read_openimages, stream_openimages
from vizer_core.data.tars import stream_tar

IDS = ("0000000000000abc", "00000000000000ff", "fedcba9876543210")


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (6, 4), (200, 0, 0)).save(stream, format="jpeg")
    return stream.getvalue()


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    for name in IDS:
        (folder / f"{name}.jpg").write_bytes(jpeg())
    (folder / "thumbnail.jpg").write_bytes(jpeg())
    # reading any of these would fail: they are folders
    for name in ("oidv7-class-descriptions.csv", f"{IDS[0]}.txt", f"{IDS[0]}.json"):
        (folder / name).mkdir()
    return tmp_path


def test_records_have_pictures_and_no_captions(root):
    records = read_openimages(root, "train")
    assert [record.id for record in records] == sorted(IDS)
    assert all(record.captions == () for record in records)
    assert records[0].image == root / "train" / "00000000000000ff.jpg"


def test_a_list_of_ids_chooses_and_has_to_be_there(root):
    assert [r.id for r in read_openimages(root, "train", ids=IDS[:2])] == sorted(IDS[:2])
    with pytest.raises(FileNotFoundError, match=r"1 of 2 images are not in .*, first 1111"):
        read_openimages(root, "train", ids=[IDS[0], "1" * 16])


def test_wrong_folders_are_named(root):
    with pytest.raises(ValueError, match="no split 'val' in Open Images"):
        read_openimages(root, "val")
    with pytest.raises(FileNotFoundError, match=r"no folder .*test: wanted"):
        read_openimages(root, "test")
    (root / "validation").mkdir()
    with pytest.raises(ValueError, match="no Open Images files in"):
        read_openimages(root, "validation")
    with pytest.raises(ValueError, match="ids is empty"):
        read_openimages(root, "train", ids=[])


def tar_of(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(("name", "mode"), [("train_0.tar", "w"), ("train_0.tar.gz", "w:gz")])
def test_tars_give_images_only(tmp_path, name, mode):
    members = [
        (f"train_0/{IDS[0]}.jpg", jpeg()),
        (f"train_0/{IDS[0]}.txt", b"a label"),
        ("train_0/labels.csv", b"a,b"),
        (f"train_0/{IDS[1]}.txt", b"no picture"),
        (f"train_0/{IDS[2]}.JPG", jpeg()),
    ]
    path = tar_of(tmp_path / name, members, mode)
    files = list(stream_openimages([path]))
    assert [file.id for file in files] == [IDS[0], IDS[2]]
    assert decode_image(files[1].image, files[1].id).size == (6, 4)


def test_members_that_were_not_asked_for_hold_no_bytes(tmp_path):
    path = tar_of(tmp_path / "a.tar", [("x/1.jpg", b"pixels"), ("x/1.txt", b"words")])
    (group,) = stream_tar(path, read={".jpg"})
    assert group.name == "x/1" and group.members == {".jpg": b"pixels", ".txt": b""}
    assert group.first({".jpg"}) == b"pixels" and group.first({".png"}) is None


def test_missing_and_broken_tars_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no tar file at .*none\.tar"):
        list(stream_openimages([tmp_path / "none.tar"]))
    (tmp_path / "page.tar").write_bytes(b"<html>404</html>")
    with pytest.raises(ValueError, match=r"page\.tar is not a whole tar file"):
        list(stream_tar(tmp_path / "page.tar", read=()))


def test_two_files_of_one_id_are_named(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    for suffix in ("jpg", "png"):
        (folder / f"0123456789abcdef.{suffix}").write_bytes(b"x")
    with pytest.raises(ValueError, match="2 files of 1 images: 0123456789abcdef"):
        read_openimages(tmp_path, "train")
