"""Every loader that reads images, on every kind of image file that people have."""

from __future__ import annotations

import io
import json
import tarfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from vizer_core.data import (
    CorruptImage,
    decode_image,
    open_image,
    read_flickr30k,
    read_folder,
    read_karpathy,
)
from vizer_core.data.cc3m import StreamCounts, img2dataset_name, stream_cc3m, stream_tars
from vizer_core.data.flickr30k import read_flickr30k_tokens
from vizer_core.data.hub_stream import HubColumns, read_rows
from vizer_core.data.packed import laid_out

HEX = "0123456789abcdef"
RED = (200, 30, 30)


def placed(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def karpathy_file(root: Path, name: str) -> Path:
    image = {"filename": name, "split": "test", "sentences": [{"raw": "a cat"}]}
    (root / "k.json").write_text(json.dumps({"images": [image]}), encoding="utf-8")
    return root / "k.json"


def from_coco(root, content, name):
    placed(root / "val2014" / name, content)
    image = {"filepath": "val2014", "filename": name, "cocoid": 7, "split": "test",
             "sentences": [{"raw": "a cat"}]}  # fmt: skip
    (root / "k.json").write_text(json.dumps({"images": [image]}), encoding="utf-8")
    (record,) = read_karpathy(root / "k.json", root, "test", restval=False)
    return open_image(record.image)


def from_flickr(root, content, name):
    placed(root / name, content)
    (record,) = read_flickr30k(karpathy_file(root, name), root, "test")
    return open_image(record.image)


def from_flickr_tokens(root, content, name):
    placed(root / name, content)
    (root / "r.token").write_text(f"{name}#0\ta cat\n", encoding="utf-8")
    (record,) = read_flickr30k_tokens(root / "r.token", root)
    return open_image(record.image)


def from_cc3m(root, content, name):
    placed(root / img2dataset_name(0), content)
    (root / "l.tsv").write_text("a cat\thttp://x.example/1\n")
    (record,) = stream_cc3m(root / "l.tsv", root, counts=StreamCounts())
    return open_image(record.image)


def from_cc3m_tar(root, content, name):
    members = {f"000{Path(name).suffix}": content, "000.txt": b"a cat"}
    counts = StreamCounts()
    samples = list(stream_tars([tar_of(root / "0.tar", members)], counts=counts))
    if not samples:
        raise CorruptImage(Path(name), f"counted as missing: {counts.missing}")
    return decode_image(samples[0].image, samples[0].id)


def from_laid_out_tar(root, content, name):
    path = tar_of(root / "train_0.tar", {f"train_0/{HEX}{Path(name).suffix}": content})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        try:
            (record,) = read_folder(laid_out(path))
        except ValueError as error:
            raise CorruptImage(
                Path(name), f"counted as missing: {'1 without' in str(error):d}"
            ) from error
    return open_image(record.image)


def from_folder(root, content, name):
    placed(root / "more" / name, content)
    (record,) = read_folder(root)
    return open_image(record.image)


def from_captioned_folder(root, content, name):
    placed(root / "more" / name, content)
    captions = root / "c.json"
    captions.write_text(json.dumps({f"more/{name}": "a cat"}), encoding="utf-8")
    (record,) = read_folder(root, captions)
    return open_image(record.image)


def from_hub(root, content, name):
    counts = StreamCounts()
    rows = [{"image": {"bytes": content, "path": name}, "caption": "a cat"}]
    samples = list(read_rows(rows, columns=HubColumns(), counts=counts))
    if not samples:
        raise CorruptImage(Path(name), f"counted as missing: {counts.missing}")
    return decode_image(samples[0].image, samples[0].id)


def from_hub_path(root, content, name):
    path = str(placed(root / name, content))
    rows = [{"image": {"bytes": None, "path": path}, "caption": "a cat"}]
    (sample,) = read_rows(rows, columns=HubColumns(), counts=StreamCounts())
    return decode_image(sample.image, sample.id)


LOADERS = (
    from_coco, from_flickr, from_flickr_tokens, from_cc3m, from_cc3m_tar, from_laid_out_tar,
    from_folder, from_captioned_folder, from_hub, from_hub_path,
)  # fmt: skip
NAMED_BY_THE_USER = (
    from_coco, from_flickr, from_flickr_tokens, from_folder, from_captioned_folder,
)  # fmt: skip
loaders = pytest.mark.parametrize("load", LOADERS, ids=lambda f: f.__name__[5:])


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def plain(mode: str = "RGB") -> Image.Image:
    """Draw an image of 24 x 16 pixels in one red."""
    return Image.new("RGB", (24, 16), RED).convert(mode)


def noisy() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise), "jpeg")


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(plain(), "jpeg", exif=exif)


def half_clear() -> bytes:
    layer = plain("RGBA")
    layer.putalpha(0)
    return encoded(layer, "png")


GREY = (plain("L").getpixel((0, 0)),) * 3
WHOLE = {
    "plain.jpg": (encoded(plain(), "jpeg"), (24, 16), RED),
    "grey.jpg": (encoded(plain("L"), "jpeg"), (24, 16), GREY),
    "inks.jpg": (encoded(plain("CMYK"), "jpeg"), (24, 16), RED),
    "turned.jpg": (turned(), (16, 24), RED),
    "palette.png": (encoded(plain("P"), "png"), (24, 16), None),
    "clear.png": (half_clear(), (24, 16), (255, 255, 255)),
    "png-called.jpg": (encoded(plain(), "png"), (24, 16), RED),
    "behind.jpg": (encoded(plain(), "jpeg") + bytes(100), (24, 16), RED),
}
BROKEN = {
    "cut.jpg": noisy()[: len(noisy()) // 2],
    "empty.jpg": b"",
    "page.jpg": b"<html><body>404 Not Found</body></html>",
}


@loaders
@pytest.mark.parametrize("name", WHOLE)
def test_whole_images_come_upright_and_in_their_colours(load, name, tmp_path):
    content, size, colour = WHOLE[name]
    got = load(tmp_path, content, name)
    assert (got.mode, got.size) == ("RGB", size)
    wanted = np.asarray(RED if colour is None else colour)
    away = 60 if colour is None else 12  # a palette has the nearest of its colours
    assert np.abs(np.asarray(got, int) - wanted).max() <= away


@loaders
@pytest.mark.parametrize("name", BROKEN)
def test_broken_images_are_refused_or_counted_never_given(load, name, tmp_path):
    with pytest.raises(CorruptImage, match="cannot read") as caught:
        load(tmp_path, BROKEN[name], name)
    if name == "empty.jpg":
        assert caught.value.reason in ("the file is empty", "counted as missing: 1")


@loaders
def test_a_suffix_in_capitals_is_a_image(load, tmp_path):
    if load is from_cc3m:
        pytest.skip("img2dataset names the files")
    assert load(tmp_path, encoded(plain(), "jpeg"), "IMG_1.JPG").size == (24, 16)


@pytest.mark.parametrize("load", NAMED_BY_THE_USER, ids=lambda f: f.__name__[5:])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_in_any_letters(load, form, tmp_path):
    name = unicodedata.normalize(form, "Märchen 猫 №1.jpg")
    assert load(tmp_path, encoded(plain(), "jpeg"), name).size == (24, 16)


@pytest.mark.parametrize("there", ["CAT.JPG", unicodedata.normalize("NFD", "café.jpg")])
def test_a_name_that_differs_in_case_or_coding_is_shown(there, tmp_path):
    asked = "cat.jpg" if there == "CAT.JPG" else "café.jpg"
    placed(tmp_path / "images" / there, encoded(plain(), "jpeg"))
    with pytest.raises(FileNotFoundError, match=r"1 of 1 .* missing.* letters that differ") as one:
        read_flickr30k(karpathy_file(tmp_path, asked), tmp_path / "images", "test")
    (tmp_path / "c.json").write_text(json.dumps({asked: "a cat"}))
    with pytest.raises(FileNotFoundError, match="letters that differ") as two:
        read_folder(tmp_path / "images", tmp_path / "c.json")
    assert all(ascii(there) in str(error.value) for error in (one, two))


def test_images_of_phones_that_pillow_does_not_read_are_told(tmp_path, caplog):
    placed(tmp_path / "new" / "IMG_1.HEIC", b"pixels")
    with pytest.raises(
        ValueError, match=r"no images under .*got 1 files \(1 \.heic\), first new/IM.*as JPEG"
    ):
        read_folder(tmp_path)
    placed(tmp_path / "saved.jfif", encoded(plain(), "jpeg"))
    (record,) = read_folder(tmp_path)
    assert record.id == "saved.jfif" and "new/IMG_1.HEIC" in caplog.text


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("photo.mpo", "mpo"),
        ("scan.jp2", "jpeg2000"),
        ("scan.j2k", "jpeg2000"),
        ("frame.ppm", "ppm"),
        ("frame.tga", "tga"),
        ("drawing.apng", "png"),
        ("old.dib", "dib"),
        ("old.pcx", "pcx"),
        ("icon.ico", "ico"),
        ("icon.icns", "icns"),
        ("frame.dds", "dds"),
        ("frame.sgi", "sgi"),
        ("frame.qoi", "qoi"),
    ],
)
def test_formats_that_pillow_reads_are_listed_and_opened(name, kind, tmp_path):
    if kind == "jpeg2000" and not features.check("jpg_2000"):
        pytest.skip("this Pillow has no JPEG 2000")
    image = plain().resize((16, 16)) if kind in ("ico", "icns") else plain()
    got = from_folder(tmp_path, encoded(image, kind), name)
    assert got.mode == "RGB" and (got.size == image.size or kind == "icns")
    assert np.abs(np.asarray(got, int) - np.asarray(RED)).max() <= 12


@pytest.mark.parametrize("suffix", [".CR3", ".svg", ".psd", ".avif", ".hif", ".exr", ".im"])
def test_other_images_are_counted_and_named(suffix, tmp_path, caplog):
    placed(tmp_path / f"b{suffix}", b"pixels")
    placed(tmp_path / "a.jpg", encoded(plain(), "jpeg"))
    assert [record.id for record in read_folder(tmp_path)] == ["a.jpg"]
    said = f"of {tmp_path} are left out: 1 files (1 {suffix.lower()}), first b{suffix}. Save image"
    assert said in caplog.text


def test_whatever_is_passed_over_is_told_in_one_line(tmp_path, caplog):
    for name in ("a.jpg", "b.txt", "c.txt", "scan", "film.mpg", "paper.pdf", "d.h5", "x.1", "y.2"):
        placed(tmp_path / name, encoded(plain(), "jpeg"))
    assert [record.id for record in read_folder(tmp_path)] == ["a.jpg"]
    (record,) = caplog.records
    assert (
        "8 files (2 .txt, 1 .h5, 1 .mpg, 1 .pdf, 1 without an ending, 1 .1, 1 others), first scan"
        in (record.message)
    )
    caplog.clear()
    placed(tmp_path / "pure" / "a.jpg", b"x")
    read_folder(tmp_path / "pure")
    assert not caplog.records


VAL = "COCO_val2014_000000000007.jpg"


@pytest.mark.parametrize(
    ("captions", "file"),
    [
        ({"annotations": [{"image_id": 7, "caption": "a cat"}]}, VAL),
        ({"images": [{"id": 1, "file_name": "000000000007.jpg"}],
          "annotations": [{"image_id": 1, "caption": "a cat"}]}, VAL),
        ({"images": [{"id": 1, "file_name": VAL}],
          "annotations": [{"image_id": 1, "caption": "a cat"}]}, f"val2014/{VAL}"),
        ([{"image_id": VAL, "caption": "a cat"}], VAL),
        ([{"image_id": 7, "caption": "a cat"}], f"val2014/{VAL}"),
        ({"cat.jpg": "a cat"}, "more/cat.jpg"),
    ],
)  # fmt: skip
def test_captions_meet_files_by_cocos_number_or_without_the_folder(captions, file, tmp_path):
    placed(tmp_path / "root" / file, encoded(plain(), "jpeg"))
    (tmp_path / "c.json").write_text(json.dumps(captions))
    (record,) = read_folder(tmp_path / "root", tmp_path / "c.json")
    assert (record.id, record.captions) == (file, ("a cat",))
    assert record.image == tmp_path / "root" / file


def test_captions_that_meet_no_file_are_named_with_what_is_there(tmp_path):
    placed(tmp_path / "root" / VAL, encoded(plain(), "jpeg"))
    captions = {"annotations": [{"image_id": i, "caption": "a cat"} for i in (7, 8)]}
    (tmp_path / "c.json").write_text(json.dumps(captions))
    with pytest.raises(FileNotFoundError, match=rf"1 files that are not in .*: 8; {VAL} is there"):
        read_folder(tmp_path / "root", tmp_path / "c.json")
    (tmp_path / "c.json").write_text(json.dumps({VAL: "a cat", "7": "a dog"}))
    with pytest.raises(FileNotFoundError, match="1 files that are not in"):
        read_folder(tmp_path / "root", tmp_path / "c.json")
