"""Open any ordinary image as 8-bit RGB, honestly, or say why it cannot be.

What goes wrong in silence elsewhere: phone photos lie on their side until their EXIF
orientation is applied; 16-bit greyscale turns white when it is clipped instead of scaled;
transparent pixels show whatever colour lies beneath them; a truncated file gives grey rows.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar, overload

import numpy as np
from PIL import Image, ImageOps

Item = TypeVar("Item")
Result = TypeVar("Result")

# images that Pillow by itself does not read everywhere, or not as they look: phones, cameras and
# programs for drawing write them; .im is on its way out of Pillow
OTHER_SUFFIXES = frozenset(
    {
        *(".arw", ".avif", ".avifs", ".cr2", ".cr3", ".dcm", ".dng", ".emf", ".eps", ".exr"),
        *(
            ".hdr",
            ".heic",
            ".heics",
            ".heif",
            ".hif",
            ".im",
            ".jxl",
            ".jxr",
            ".nef",
            ".orf",
            ".pef",
        ),
        *(".psd", ".raf", ".raw", ".rw2", ".srw", ".svg", ".svgz", ".wmf", ".xcf"),
    }
)
# what Pillow knows the name of, and can open with another program's help or not as a photograph
_NO_PHOTOGRAPHS = frozenset(
    {
        *(".bufr", ".cur", ".fit", ".fits", ".flc", ".fli", ".grib", ".h5", ".hdf", ".iim"),
        *(".mpeg", ".mpg", ".pdf", ".ps"),
    }
)


def _readable() -> frozenset[str]:
    """Return the endings, in lower case, of all that Pillow by itself opens as it looks."""
    Image.init()
    known = Image.registered_extensions()
    # .mpo is opened by the reader of JPEG
    return frozenset(suffix for suffix, kind in known.items() if kind in {"MPO", *Image.OPEN})


IMAGE_SUFFIXES = _readable() - OTHER_SUFFIXES - _NO_PHOTOGRAPHS
MAX_PIXELS = 89_478_485  # Pillow's own line for a decompression bomb: 1 GiB / 4 / 3
WHITE = (255, 255, 255, 255)


class CorruptImage(ValueError):
    """A file that cannot be read as an image, with the reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot read {path} as an image: {reason}")
        self.path = Path(path)
        self.reason = reason


class DecompressionBomb(CorruptImage):
    """A file that would unpack to more than `MAX_PIXELS` pixels."""


def open_image(path: Path) -> Image.Image:
    """Read a file as upright 8-bit RGB.

    EXIF orientation is applied, 16-bit greyscale is scaled, transparency is laid on white, an
    animation gives its first frame. Raises `FileNotFoundError` if there is no file,
    `CorruptImage` if its bytes are no whole image, `DecompressionBomb` beyond `MAX_PIXELS`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no image file at {path}")
    # trouble with the disk is not a corrupt image: let it through
    return decode_image(path.read_bytes(), path)


def decode_image(content: bytes, name: str | Path) -> Image.Image:
    """Read a file's bytes as `open_image` does; `name` is what errors call them.

    >>> stream = io.BytesIO()
    >>> Image.new("L", (3, 2)).save(stream, format="png")
    >>> decode_image(stream.getvalue(), "grey").mode
    'RGB'
    """
    path = Path(name)
    if not content:
        raise CorruptImage(path, "the file is empty")
    try:
        with Image.open(io.BytesIO(content)) as image:
            _require_size(path, image.size)
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except CorruptImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DecompressionBomb(path, str(error)) from error
    except Exception as error:  # decoders raise whatever hostile bytes make them raise
        raise CorruptImage(path, _reason(error)) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow mode to 8-bit RGB: scale deep greyscale, lay transparency on white.

    >>> to_rgb(Image.new("I;16", (1, 1), 65535)).getpixel((0, 0))
    (255, 255, 255)
    >>> to_rgb(Image.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    """
    if image.mode.startswith("I"):
        image = _scale_deep_grey(image)
    elif image.mode == "F":
        raise ValueError("float pixels have no fixed white level: save it as 8 or 16 bit")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, WHITE), layer)
    return image.convert("RGB")


def prefetch(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int = 4,
    ahead: int | None = None,
) -> Iterator[Result]:
    """Apply `function` in threads, `ahead` items ahead, and yield the results in order.

    Four times as many as there are threads unless told otherwise.

    >>> list(prefetch(abs, [-3, -1, -2], threads=2))
    [3, 1, 2]
    """
    if threads < 1:
        raise ValueError(f"got {threads} threads, wanted at least 1")
    source, ahead = iter(items), ahead or 4 * threads
    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Future[Result]] = [
            pool.submit(function, item) for item in islice(source, ahead)
        ]
        try:
            while waiting:
                result = waiting.pop(0).result()
                waiting.extend(pool.submit(function, item) for item in islice(source, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()


def _scale_deep_grey(image: Image.Image) -> Image.Image:
    """Map 16-bit grey levels to 8 bits by 255 / 65535."""
    levels = np.asarray(image)
    if levels.size and (levels.min() < 0 or levels.max() > 65535):
        raise ValueError(
            f"32-bit grey levels from {levels.min()} to {levels.max()} have no fixed white level: "
            "save it as 8 or 16 bit"
        )
    return Image.fromarray(np.round(levels / 257).astype(np.uint8))


def _require_size(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise DecompressionBomb(
            path, f"decompression bomb: {width} x {height} pixels, the limit is {MAX_PIXELS}"
        )


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image in a format that Pillow reads"
    return f"{type(error).__name__}: {error}".strip(": ")


class ImageFiles(Sequence[Image.Image]):
    """Images on disk, opened when asked for: an index gives an image, a slice a list of them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image.Image]: ...
    def __getitem__(self, index: int | slice) -> Image.Image | list[Image.Image]:
        if isinstance(index, slice):
            return [open_image(path) for path in self.paths[index]]
        return open_image(self.paths[index])
