"""Ordinary and hostile image files: the pixels that come out, or the reason why none do."""

from __future__ import annotations

import io
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from vizer_core.data.images import (
    CorruptImage,
    DecompressionBomb,
    decode_image,
    open_image,
    prefetch,
    to_rgb,
)

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def test_plain_png_keeps_its_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (np.asarray(open_image(tmp_path / "a.png")) == pixels).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    """Store an image whose upright top left quarter is red, as a camera would."""
    upright = Image.new("RGB", (32, 48), BLUE)
    upright.paste(RED, (0, 0, 16, 24))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # shown by turning a quarter right, so stored turned left
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    got = open_image(tmp_path / "photo.jpg")
    assert got.size == (32, 48)
    assert np.abs(np.asarray(got, int) - np.asarray(upright, int)).mean() < 8


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    ramp = np.array([[0, 257, 128 * 257, 65535]], dtype=np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    got = np.asarray(open_image(tmp_path / "deep.png"))
    assert got[0, :, 0].tolist() == [0, 1, 128, 255]
    assert (got == got[..., :1]).all()
    Image.fromarray(ramp).save(tmp_path / "deep.tif")
    assert np.asarray(open_image(tmp_path / "deep.tif"))[0, :, 1].tolist() == [0, 1, 128, 255]


def test_cmyk_jpeg_becomes_the_colour_it_shows(tmp_path):
    Image.new("RGB", (16, 16), RED).convert("CMYK").save(tmp_path / "ink.jpg", quality=95)
    got = np.asarray(open_image(tmp_path / "ink.jpg"), int)
    assert np.abs(got - RED).max() < 12


def test_transparent_pixels_lie_on_white(tmp_path):
    layer = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    layer.putpixel((1, 0), (0, 0, 0, 128))
    layer.save(tmp_path / "layer.png")
    got = open_image(tmp_path / "layer.png")
    assert got.getpixel((0, 0)) == WHITE
    assert got.getpixel((1, 0)) == (127, 127, 127)


def test_palettes_keep_colours_and_transparency(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, *GREEN])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=1)
    got = open_image(tmp_path / "p.png")
    assert [got.getpixel((x, 0)) for x in (0, 1)] == [RED, WHITE]


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN, BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    assert open_image(tmp_path / "a.gif").getpixel((0, 0)) == RED


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16B"])
def test_each_mode_gives_rgb(mode):
    assert to_rgb(Image.new(mode, (3, 2))).mode == "RGB"


def test_values_without_a_white_level_are_refused(tmp_path):
    Image.fromarray(np.array([[0.5, 2.0]], dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(CorruptImage, match="float pixels have no fixed white level"):
        open_image(tmp_path / "float.tif")
    Image.fromarray(np.array([[0, 70000]], dtype=np.int32)).save(tmp_path / "int.tif")
    with pytest.raises(CorruptImage, match="from 0 to 70000 have no fixed white level"):
        open_image(tmp_path / "int.tif")


def test_broken_files_are_named_with_the_reason(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for suffix in ("jpg", "png", "gif", "webp"):
        Image.fromarray(noise).save(tmp_path / f"whole.{suffix}")
        content = (tmp_path / f"whole.{suffix}").read_bytes()
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(content[: len(content) // 2])
        with pytest.raises(CorruptImage, match=f"cut.{suffix} as an image") as caught:
            open_image(cut)
        assert caught.value.path == cut and caught.value.reason
    (tmp_path / "none.jpg").write_bytes(b"")
    with pytest.raises(CorruptImage, match="the file is empty"):
        open_image(tmp_path / "none.jpg")
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    with pytest.raises(CorruptImage, match="not an image in a format that Pillow reads"):
        open_image(tmp_path / "page.jpg")
    with pytest.raises(FileNotFoundError, match="no image file at"):
        open_image(tmp_path / "absent.jpg")


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_orientation_is_applied_in_every_format(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (32, 16), RED).save(tmp_path / f"a.{suffix}", exif=exif)
    assert open_image(tmp_path / f"a.{suffix}").size == (16, 32)


def test_an_orientation_that_is_none_of_the_eight_changes_nothing(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 99
    Image.new("RGB", (32, 16), RED).save(tmp_path / "a.jpg", exif=exif)
    assert open_image(tmp_path / "a.jpg").size == (32, 16)


@pytest.mark.filterwarnings("default")
def test_whole_pixels_with_damaged_exif_are_opened_as_they_lie(tmp_path):
    damaged = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff"
    Image.new("RGB", (32, 16), RED).save(tmp_path / "a.jpg", exif=damaged)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        assert open_image(tmp_path / "a.jpg").size == (32, 16)


def test_grey_files_keep_their_levels(tmp_path):
    Image.new("L", (8, 8), 77).save(tmp_path / "grey.jpg")
    assert open_image(tmp_path / "grey.jpg").getpixel((3, 3)) == (77, 77, 77)
    Image.new("1", (8, 8), 1).save(tmp_path / "bit.png")
    assert open_image(tmp_path / "bit.png").getpixel((3, 3)) == WHITE


@pytest.mark.parametrize("kind", ["CMYK", "progressive", "one byte", "checksum"])
def test_damage_is_found_in_every_kind_of_file(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    image, stream = Image.fromarray(pixels), io.BytesIO()
    if kind == "CMYK":
        image.convert("CMYK").save(stream, "jpeg")
    else:
        image.save(stream, "png" if kind == "checksum" else "jpeg", progressive=kind[0] == "p")
    content = bytearray(stream.getvalue())
    if kind == "checksum":
        content[60] ^= 255
    cut = -1 if kind == "one byte" else len(content) if kind == "checksum" else len(content) // 2
    with pytest.raises(CorruptImage, match="cannot read damaged as an image: "):
        decode_image(bytes(content[:cut]), "damaged")


def test_bytes_behind_the_image_do_no_harm():
    stream = io.BytesIO()
    Image.new("RGB", (6, 4), RED).save(stream, "jpeg")
    assert decode_image(stream.getvalue() + b"more", "a").size == (6, 4)


def png_header(width: int, height: int) -> bytes:
    """Write a PNG that claims a size and holds one compressed run of zeros."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_decompression_bombs_are_refused_by_name(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png_header(side, side))
    with pytest.raises(DecompressionBomb, match=r"bomb\.png.*decompression bomb"):
        open_image(tmp_path / "bomb.png")


@pytest.mark.filterwarnings("default")
def test_bombs_are_refused_when_warnings_are_only_warnings(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_header(10_000, 10_000))
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(DecompressionBomb, match="10000 x 10000 pixels"),
    ):
        open_image(tmp_path / "bomb.png")


def test_prefetch_keeps_the_order_and_draws_only_a_little_ahead():
    drawn = []

    def source():
        for item in range(100):
            drawn.append(item)
            yield item

    results = prefetch(lambda item: item * item, source(), threads=2)
    assert next(results) == 0
    assert len(drawn) <= 9
    assert list(results) == [item * item for item in range(1, 100)]


def test_prefetch_works_in_several_threads():
    meeting = threading.Barrier(2, timeout=10)  # two have to be inside at once

    assert list(prefetch(lambda item: meeting.wait() >= 0, range(4), threads=2)) == [True] * 4


def test_prefetch_passes_errors_on():
    def work(item: int) -> float:
        return 1 / item

    with pytest.raises(ZeroDivisionError):
        list(prefetch(work, [1, 0, 2], threads=2))
    with pytest.raises(ValueError, match="got 0 threads"):
        list(prefetch(work, [1], threads=0))
