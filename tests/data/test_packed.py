"""Packed images, laid out as a folder: tar files, Parquet, a data set by its hub name."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time

import pytest
from PIL import Image

import vizer_core as vc
from vizer_core.data import packed
from vizer_core.data.corpus import load_corpus, read_corpus, require_corpus
from vizer_core.data.folder import read_folder
from vizer_core.data.packed import captions_of, hub_source, is_packed, laid_out

IDS = ("0000000000000abc", "00000000000000ff", "fedcba9876543210")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vizer-core" / "images"


def pixels(kind: str = "jpeg", colour: str = "red") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(stream, kind)
    return stream.getvalue()


def tar_of(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(("name", "mode"), [("train_0.tar", "w"), ("odd.bin", "w:gz")])
def test_open_images_tars_give_a_folder_of_images(tmp_path, name, mode):
    members = [
        (f"train_0/{IDS[0]}.jpg", pixels()),
        ("train_0/labels.csv", b"a,b"),
        (f"train_0/{IDS[1]}.jpg", pixels("png")),
        (f"train_0/{IDS[1]}.jpg", pixels("png")),
    ]
    path = tar_of(tmp_path / name, members, mode)
    assert is_packed(path)
    data = vc.read_images(path)
    assert data.names == (f"train_0/{IDS[1]}.png", f"train_0/{IDS[0]}.jpg") and not data.captions
    assert captions_of(laid_out(path)) is None


def test_webdataset_tars_bring_their_captions_and_are_read_once(tmp_path, monkeypatch):
    members = [
        *(("000.jpg", pixels()), ("000.txt", b"a dog\nruns")),
        *(("001.jpg", pixels("png")), ("001.txt", b"a cat")),
    ]
    path = tar_of(tmp_path / "0.tar", members)
    data = vc.read_images(path)
    assert data.names == ("000.jpg", "001.png") and data.captions == (("a dog runs",), ("a cat",))
    assert read_corpus(path).captions == ("a dog runs", "a cat")
    assert read_corpus(path).image_ids == ("0/000", "0/001")
    monkeypatch.setattr(packed, "stream_tars", None)
    assert vc.read_images(path).names == data.names  # from the cache
    monkeypatch.undo()


def test_another_file_of_the_same_name_is_another_folder(tmp_path):
    path = tar_of(tmp_path / "0.tar", [("a.jpg", pixels())])
    first = laid_out(path)
    tar_of(path, [("a.jpg", pixels()), ("b.jpg", pixels())])
    assert laid_out(path) != first and len(read_folder(laid_out(path))) == 2


def test_names_that_would_leave_the_folder_or_come_twice_are_replaced(tmp_path):
    members = [("../../out.jpg", pixels()), ("a.jpg", pixels()), ("b.x", b""), ("a.png", pixels())]
    folder = laid_out(tar_of(tmp_path / "0.tar", members))
    assert [r.id for r in read_folder(folder)] == ["000000000.jpg", "000000002.jpg", "a.jpg"]
    assert not (tmp_path / "cache" / "out.jpg").exists()


def test_what_is_no_whole_tar_leaves_no_folder(tmp_path, cache):
    path = tar_of(tmp_path / "0.tar", [("a.jpg", pixels() * 50)])
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match="is not a whole tar file"):
        laid_out(path)
    with pytest.raises(ValueError, match=r"contains no images: read 1 rows, 1 without one"):
        laid_out(tar_of(tmp_path / "1.tar", [("a.txt", b"words")]))
    assert not [file for file in cache.iterdir() if file.is_dir() and file.suffix != ".part"]


def test_several_at_once_write_one_folder(tmp_path, monkeypatch):
    path = tar_of(tmp_path / "0.tar", [(f"{i}.jpg", pixels()) for i in range(5)])
    calls, real = [], packed._lay_out

    def slowly(*given):
        calls.append(given)
        time.sleep(0.3)
        real(*given)

    monkeypatch.setattr(packed, "_lay_out", slowly)
    threads = [threading.Thread(target=laid_out, args=(path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and len(read_folder(laid_out(path))) == 5


def test_what_is_no_packed_source_stays_as_it_is(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.txt").write_text("a cat\n")
    for path in (tmp_path / "photos", tmp_path / "a.txt", tmp_path / "none"):
        assert not is_packed(path) and laid_out(path) == path and captions_of(path) is None
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("text", ["hf:", "hf:a/b:c:d", "hf:a/b[:0]", "hf:a/b[3:]"])
def test_a_name_that_is_none_of_the_hub_is_refused(text):
    with pytest.raises(ValueError, match="wanted hf:OWNER/DATASET, hf:OWNER/DATASET:SPLIT"):
        hub_source(text)


@pytest.fixture
def rows(monkeypatch, tmp_path):
    """A data set as it lies on a hub: a folder with a Parquet file."""
    datasets = pytest.importorskip("datasets")
    import pyarrow
    import pyarrow.parquet

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "caption": datasets.List(datasets.Value("string")),
            "image_id": datasets.Value("int64"),
        }
    )
    content = {
        "image": [{"bytes": pixels(colour=c), "path": None} for c in ("red", "blue", "green")],
        "caption": [["a red one", "red"], ["a blue one"], ["a green one"]],
        "image_id": [42, 43, 44],
    }
    folder = tmp_path / "photos"
    folder.mkdir()
    table = pyarrow.Table.from_pydict(content, schema=features.arrow_schema)
    pyarrow.parquet.write_table(table, folder / "second_train-00000.parquet")
    return folder


@pytest.mark.filterwarnings("ignore")
def test_a_data_set_of_the_hub_is_a_folder_with_captions(rows):
    data = vc.read_images(f"hf:{rows}")
    assert data.names == ("42.jpg", "43.jpg", "44.jpg")
    assert data.captions == (("a red one", "red"), ("a blue one",), ("a green one",))
    assert vc.read_images(f"hf:{rows}:train[:2]").names == ("42.jpg", "43.jpg")
    assert vc.read_images(rows / "second_train-00000.parquet").names == data.names
    kept = json.loads(captions_of(laid_out(f"hf:{rows}")).read_text())
    assert kept["43.jpg"] == ["a blue one"]
    with pytest.raises(FileNotFoundError, match="cannot stream"):
        laid_out(f"hf:{rows}:test")


@pytest.mark.filterwarnings("ignore")
def test_its_captions_are_a_corpus(rows):
    require_corpus(f"hf:{rows}")
    corpus = load_corpus(f"hf:{rows}", 100)
    assert corpus.captions == ("a red one", "red", "a blue one", "a green one")
    assert corpus.image_ids == ("42", "42", "43", "44")
    assert read_corpus(f"hf:{rows}[:2]").captions == ("a red one", "red")
    assert len(read_corpus(rows / "second_train-00000.parquet")) == 4
    with pytest.raises(ValueError, match="wanted hf:OWNER/DATASET"):
        require_corpus("hf:")
    with pytest.raises(FileNotFoundError, match=r"or coco2014-val, or hf:OWNER/DATASET:SPLIT"):
        require_corpus("none.txt")
