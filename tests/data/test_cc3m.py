"""Conceptual Captions as a stream: rows, missing images, tar files, and memory."""

from __future__ import annotations

import io
import tarfile
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from vizer_core.data.cc3m import (
    StreamCounts,
    img2dataset_name,
    stream_cc3m,
    stream_cc3m_captions,
    stream_tars,
)
from vizer_core.data.folder import read_folder
from vizer_core.data.images import CorruptImage, decode_image
from vizer_core.data.tars import stream_tar

ROWS = (
    ("a dog runs .", "http://a.example/0.jpg"),
    ("a cat sleeps", "https://b.example/1.jpg"),
    ("  ", "http://c.example/2.jpg"),
    ("http cats", "http://d.example/3.jpg"),
)


def listed(tmp_path, rows, name="list.tsv"):
    (tmp_path / name).write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path / name


def pixels(suffix="jpeg", size=(6, 4)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (200, 0, 0)).save(stream, format=suffix)
    return stream.getvalue()


@pytest.mark.parametrize("swapped", [False, True])
def test_rows_are_read_in_either_order_of_columns(tmp_path, swapped):
    rows = [row[::-1] if swapped else row for row in ROWS]
    counts = StreamCounts()
    got = list(stream_cc3m_captions(listed(tmp_path, rows), counts=counts))
    assert [(item.row, item.caption) for item in got] == [
        (0, "a dog runs ."),
        (1, "a cat sleeps"),
        (3, "http cats"),
    ]
    assert got[1].url == "https://b.example/1.jpg"
    assert (counts.read, counts.blank, counts.missing, counts.kept) == (4, 1, 0, 3)


def test_lines_with_nothing_on_them_are_no_rows(tmp_path):
    path = listed(tmp_path, [*ROWS[:2], ("",), ROWS[3], ("  ",)])
    counts = StreamCounts()
    rows = [item.row for item in stream_cc3m_captions(path, counts=counts)]
    assert rows == [0, 1, 2] and counts == StreamCounts(read=3)
    with pytest.raises(ValueError, match=r"line 1: wanted address<TAB>caption|line 1: wanted cap"):
        list(stream_cc3m_captions(listed(tmp_path, [("", "")]), counts=counts))


def test_missing_images_are_counted_and_left_out(tmp_path):
    root = tmp_path / "images"
    (root / "00000").mkdir(parents=True)
    (root / img2dataset_name(1)).write_bytes(pixels())
    counts = StreamCounts()
    (record,) = stream_cc3m(listed(tmp_path, ROWS), root, counts=counts)
    assert record.id == "00000/000000001.jpg" and record.captions == ("a cat sleeps",)
    assert record.image == root / "00000" / "000000001.jpg"
    assert counts == StreamCounts(read=4, missing=2, blank=1)


def test_another_layout_is_a_function_of_the_row(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "3.png").write_bytes(pixels("png"))
    counts = StreamCounts()
    path = listed(tmp_path, ROWS)
    names = stream_cc3m(path, tmp_path / "images", counts=counts, name_of_row="{}.png".format)
    assert [record.id for record in names] == ["3.png"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a dog", "no address")], r"line 1: wanted caption<TAB>address, got 'a dog\\tno add"),
        ([("a dog",)], "line 1: wanted"),
        ([*ROWS, ("a", "b", "http://c.example")], "line 5: wanted caption<TAB>address"),
        ([ROWS[0][::-1], ROWS[1]], "line 2: wanted address<TAB>caption"),
    ],
)
def test_wrong_lines_are_named(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        list(stream_cc3m_captions(listed(tmp_path, rows), counts=StreamCounts()))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no list of captions at .*none\.tsv"):
        next(stream_cc3m_captions(tmp_path / "none.tsv", counts=StreamCounts()))
    with pytest.raises(FileNotFoundError, match="no image folder"):
        next(stream_cc3m(listed(tmp_path, ROWS), tmp_path / "none", counts=StreamCounts()))
    with pytest.raises(FileNotFoundError, match=r"no tar file at .*none\.tar"):
        next(stream_tars([tmp_path / "none.tar"], counts=StreamCounts()))


def test_a_long_list_is_never_held_in_memory(tmp_path):
    path = tmp_path / "long.tsv"
    with path.open("w", encoding="utf-8") as stream:
        for row in range(40_000):
            stream.write(f"a photo of thing number {row} on a table\thttp://x.example/{row}.jpg\n")
    assert path.stat().st_size > 2_400_000
    counts, words = StreamCounts(), 0
    tracemalloc.start()
    for item in stream_cc3m_captions(path, counts=counts):
        words += len(item.caption)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts.kept == 40_000 and words > 1_400_000
    assert peak < 500_000


def tar_of(tmp_path, members, name="00000.tar"):
    with tarfile.open(tmp_path / name, "w") as tar:
        for member, content in members:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return tmp_path / name


def test_tar_samples_pair_image_and_caption(tmp_path):
    members = [
        ("000.jpg", pixels()),
        ("000.json", b"{}"),
        ("000.txt", b"a dog\nruns"),
        ("001.txt", b"an image that is gone"),
        ("002.jpg", pixels()),
        ("002.txt", b" "),
        ("003.jpg", pixels()),
        ("more/003.PNG", pixels("png")),
        ("more/003.txt", "ein Hündchen".encode()),
    ]
    counts = StreamCounts()
    samples = list(stream_tars([tar_of(tmp_path, members)], counts=counts))
    assert [(s.id, s.caption) for s in samples] == [
        ("00000/000", "a dog runs"),
        ("00000/more/003", "ein Hündchen"),
    ]
    assert counts == StreamCounts(read=5, missing=1, blank=2)
    assert decode_image(samples[1].image, samples[1].id).size == (6, 4)


def test_hidden_members_of_a_tar_packed_on_a_mac_part_no_sample(tmp_path):
    members = [
        ("./._000.jpg", b"Mac OS X"),
        ("./000.jpg", pixels()),
        ("./._000.txt", b"Mac OS X"),
        ("./000.txt", b"a dog"),
        ("./.DS_Store", b""),
        ("__MACOSX/000.txt", b"Mac OS X"),
        ("./001.jpg", pixels()),
        ("./001.txt", b"a cat"),
    ]
    counts = StreamCounts()
    samples = list(stream_tars([tar_of(tmp_path, members)], counts=counts))
    assert [(s.id, s.caption) for s in samples] == [("00000/000", "a dog"), ("00000/001", "a cat")]
    assert counts == StreamCounts(read=2)


def test_a_tar_is_streamed_one_sample_at_a_time(tmp_path):
    blob = bytes(400_000)
    members = [pair for i in range(40) for pair in ((f"{i}.jpg", blob), (f"{i}.txt", b"x"))]
    path = tar_of(tmp_path, members)
    tracemalloc.start()
    total = sum(len(sample.image) for sample in stream_tars([path], counts=StreamCounts()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 16_000_000 and peak < 3_000_000


def test_a_cut_tar_is_refused(tmp_path):
    path = tar_of(tmp_path, [("0.jpg", bytes(50_000)), ("0.txt", b"x")])
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(ValueError, match=r"00000\.tar is not a whole tar file"):
        list(stream_tars([path], counts=StreamCounts()))
    path.write_bytes(b"no tar at all")
    with pytest.raises(ValueError, match=r"00000\.tar is not a whole tar file"):
        list(stream_tars([path], counts=StreamCounts()))


def test_broken_bytes_are_named_by_their_sample():
    with pytest.raises(CorruptImage, match="cannot read 00000/7 as an image: the file is empty"):
        decode_image(b"", "00000/7")
    with pytest.raises(CorruptImage, match="not an image in a format that Pillow reads"):
        decode_image(b"<html>", "00000/7")


def test_a_tar_that_was_written_twice_and_captions_in_other_encodings_are_counted(tmp_path):
    twice = [("0.jpg", pixels()), ("0.txt", b"a cat")] * 2
    members = [
        *twice,
        ("1.jpg", pixels()),
        ("1.txt", "ein Hündchen".encode("latin-1")),
        ("2.jpg", pixels()),
        ("2.txt", b"\xff\xfe"),
        ("3.jpg", b""),
        ("3.txt", b"an image of no bytes"),
    ]
    counts = StreamCounts()
    samples = list(stream_tars([tar_of(tmp_path, members)], counts=counts))
    assert [s.caption for s in samples] == ["a cat"]
    assert counts == StreamCounts(read=5, missing=1, blank=2, repeated=1) and counts.kept == 1


@pytest.mark.parametrize("mode", ["L", "CMYK", "turned", "cut"])
def test_odd_images_of_a_tar_are_opened_or_named(mode, tmp_path):
    stream, exif = io.BytesIO(), Image.Exif()
    if mode == "turned":
        exif[0x0112] = 6
    kind = mode if mode in ("L", "CMYK") else "RGB"
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(kind).save(stream, "jpeg", exif=exif)
    content = stream.getvalue()
    content = content[: len(content) // 2] if mode == "cut" else content
    path = tar_of(tmp_path, [("0.jpg", content), ("0.txt", b"noise")])
    (sample,) = stream_tars([path], counts=StreamCounts())
    if mode == "cut":
        with pytest.raises(CorruptImage, match="cannot read 00000/0 as an image"):
            decode_image(sample.image, sample.id)
        return
    found = decode_image(sample.image, sample.id)
    assert found.mode == "RGB" and found.size == ((40, 60) if mode == "turned" else (60, 40))


def test_members_that_were_not_asked_for_hold_no_bytes(tmp_path):
    path = tar_of(tmp_path, [("x/1.jpg", b"pixels"), ("x/1.txt", b"words")])
    (group,) = stream_tar(path, read={".jpg"})
    assert group.name == "x/1" and group.members == {".jpg": b"pixels", ".txt": b""}
    assert group.first({".jpg"}) == b"pixels" and group.first({".png"}) is None


def test_the_list_is_a_captions_file_of_what_was_fetched(tmp_path, caplog):
    root, path = tmp_path / "images", listed(tmp_path, ROWS, "list.txt")
    (root / "00000").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"none of the 4 images .*00000/000000000\.jpg"):
        read_folder(root, path)
    (root / img2dataset_name(1)).write_bytes(pixels())
    (record,) = read_folder(root, path)
    assert (record.id, record.captions) == ("00000/000000001.jpg", ("a cat sleeps",))
    assert record.image == root / record.id
    assert "2 of 4 images of" in caplog.text and "are not in" in caplog.text


def test_open_images_narratives_name_images_without_their_ending(tmp_path):
    (tmp_path / "train_0").mkdir()
    for name in ("0123456789abcdef", "fedcba9876543210"):
        (tmp_path / "train_0" / f"{name}.jpg").write_bytes(pixels())
    line = '{"dataset_id": "open_images", "image_id": "0123456789abcdef", "caption": "In this one"}'
    (tmp_path / "narratives.jsonl").write_text(line + "\n")
    (record,) = read_folder(tmp_path, tmp_path / "narratives.jsonl")
    assert (record.id, record.captions) == ("train_0/0123456789abcdef.jpg", ("In this one",))
