"""Rows of a hub's data set: which column is what, what is missing, and the real `datasets`."""

from __future__ import annotations

import io
import tarfile

import pytest
from PIL import Image

from vizer_core.data import decode_image
from vizer_core.data.cc3m import StreamCounts
from vizer_core.data.hub_stream import (
    HubColumns,
    HubSource,
    columns_of,
    read_rows,
    stream_hub,
    stream_hub_captions,
)


def image(colour: str = "red", **options) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(stream, "jpeg", **options)
    return stream.getvalue()


def read(rows, **columns):
    counts = StreamCounts()
    return list(read_rows(rows, columns=HubColumns(**columns), counts=counts)), counts


def test_columns_have_the_names_that_one_gives_them(tmp_path):
    (tmp_path / "a.jpg").write_bytes(image())
    rows = [
        {"pic": {"bytes": image(), "path": None}, "texts": ["a\ncat", " "], "key": 7},
        {
            "pic": {"bytes": None, "path": str(tmp_path / "a.jpg")},
            "texts": [{"raw": "two"}],
            "key": 8,
        },
        {"pic": image(), "texts": b"three", "key": 9},
    ]
    found, counts = read(rows, image="pic", captions="texts", id="key")
    assert [(s.id, s.captions) for s in found] == [
        ("7", ("a cat",)),
        ("8", ("two",)),
        ("9", ("three",)),
    ]
    assert all(decode_image(s.image, s.id).size == (6, 4) for s in found)
    assert counts == StreamCounts(read=3)


def test_rows_that_lack_something_are_counted(tmp_path):
    rows = [
        {"image": None, "caption": "gone"},
        {"image": {"bytes": None, "path": str(tmp_path / "gone.jpg")}, "caption": "gone too"},
        {"image": {"bytes": b"", "path": None}, "caption": "empty"},
        {"image": image(), "caption": " \n"},
        {"image": image(), "caption": None},
        {"image": image(), "caption": "kept"},
    ]
    found, counts = read(rows)
    assert [(s.id, s.captions) for s in found] == [("000000005", ("kept",))]
    assert counts == StreamCounts(read=6, missing=3, blank=2)


def test_without_captions_no_text_is_read():
    found, counts = read([{"image": image(), "label": "secret"}], captions="")
    assert found[0].captions == () and counts.kept == 1


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match=r"no column 'caption': it has \['image', 'text'\]"):
        read([{"image": image(), "text": "a"}])
    with pytest.raises(ValueError, match="an image came as str: wanted its bytes"):
        read([{"image": "http://x.example/a.jpg", "caption": "a"}])


@pytest.fixture
def datasets(monkeypatch):
    found = pytest.importorskip("datasets")
    monkeypatch.setattr(found.config, "HF_HUB_OFFLINE", True)
    return found


@pytest.mark.filterwarnings("ignore")
def test_parquet_is_streamed(datasets, tmp_path):
    import pyarrow.parquet

    rows = {
        "image": [{"bytes": image(), "path": None} for _ in range(5)] + [None],
        "sentences": [[f"caption {i}", "second"] for i in range(6)],
    }
    features = datasets.Features(
        {"image": datasets.Image(), "sentences": datasets.List(datasets.Value("string"))}
    )
    path = tmp_path / "part.parquet"
    table = pyarrow.Table.from_pydict(rows, schema=features.arrow_schema)
    pyarrow.parquet.write_table(table, path)  # what a data set on the hub consists of
    source = HubSource("parquet", data_files=str(path))
    for columns in (HubColumns(captions="sentences"), None):  # None: found by their names
        counts = StreamCounts()
        found = list(stream_hub(source, counts=counts, columns=columns))
        assert [s.captions[0] for s in found] == [f"caption {i}" for i in range(5)]
        assert counts == StreamCounts(read=6, missing=1)
        assert decode_image(found[0].image, "0").size == (6, 4)
    texts = [text for _, text in stream_hub_captions(source)]
    assert texts == [text for row in rows["sentences"] for text in row]


@pytest.mark.filterwarnings("ignore")
def test_webdataset_tars_are_streamed(datasets, tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name, content in (("a.jpg", image()), ("a.txt", b"a cat"), ("b.jpg", image()),
                              ("b.txt", b"a dog")):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    source = HubSource("webdataset", data_files=str(tmp_path / "0.tar"))
    found = list(stream_hub(source, counts=StreamCounts()))
    assert [(s.id, s.captions) for s in found] == [("a", ("a cat",)), ("b", ("a dog",))]
    assert decode_image(found[0].image, "a").size == (6, 4)


def test_a_data_set_that_is_not_there_says_what_was_wanted(datasets):
    with pytest.raises(FileNotFoundError, match="cannot stream 'nobody/none', split 'train'"):
        next(stream_hub(HubSource("nobody/none"), counts=StreamCounts()))


@pytest.mark.filterwarnings("ignore")
def test_columns_that_are_not_found_are_named(datasets, tmp_path):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pydict({"label": [1, 2]})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    source = HubSource("parquet", data_files=str(tmp_path / "x.parquet"))
    with pytest.raises(ValueError, match=r"no column of images: it has \['label'\]"):
        next(stream_hub(source, counts=StreamCounts()))
    with pytest.raises(ValueError, match=r"no column of captions: it has \['label'\]"):
        next(stream_hub_captions(source))
    assert columns_of(["Image", "Text"]) == HubColumns("Image", "Text", "")
