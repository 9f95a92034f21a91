"""Images of files and folders, opened, with their names and their captions.

Up to `IN_MEMORY` bytes images are kept decoded; beyond that each is opened again when it is needed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vizer_core.data.folder import read_folder
from vizer_core.data.images import CorruptImage, ImageFiles, open_image
from vizer_core.data.packed import captions_of, is_packed, laid_out
from vizer_core.files import files_digest

logger = logging.getLogger(__name__)
IN_MEMORY = 256 * 2**20  # bytes of decoded images


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Whole images in order: `names[i]` and `captions[i]` belong to `images[i]`.

    `captions` are () where no captions file was given. `skipped` says, by file, why a file that
    should be an image is none.
    """

    names: tuple[str, ...]
    images: Sequence[Image.Image]
    captions: tuple[tuple[str, ...], ...] = ()
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = len(self.names), len(self.images), len(self.captions)
        if counts[0] != counts[1] or counts[2] not in (0, counts[0]):
            raise ValueError(
                f"got {counts[0]} names for {counts[1]} images and {counts[2]} rows of captions: "
                "wanted a name, and captions or none at all, for each image"
            )

    def __len__(self) -> int:
        return len(self.names)

    def digest(self) -> str:
        """Return a digest of names and content in 16 hex digits, so that a run knows its images.

        Of images in memory it reads the pixels, of others the files' bytes, each whole.

        >>> one, two = (ImageSet(("a",), [Image.new("L", (1, 1), grey)]) for grey in (7, 8))
        >>> one.digest() == two.digest(), len(one.digest())
        (False, 16)
        """
        if isinstance(self.images, ImageFiles):
            return files_digest(dict(zip(self.names, self.images.paths)))
        digest = hashlib.blake2b(digest_size=8)
        for name, image in zip(self.names, self.images):
            pixels = hashlib.blake2b(image.tobytes()).hexdigest()
            said = f"{name}\0{image.mode}{image.size}{pixels}\0"
            digest.update(said.encode(errors="surrogateescape"))
        return digest.hexdigest()

    def skipped_lines(self) -> list[str]:
        """Return what to tell of files that were left out, a line each and a line with the count.

        >>> ImageSet(("a",), [Image.new("RGB", (1, 1))], skipped=("b.png: x",)).skipped_lines()
        ['skipped b.png: x', 'skipped 1 of 2 files']
        """
        if not self.skipped:
            return []
        count = f"skipped {len(self.skipped)} of {len(self.skipped) + len(self)} files"
        return [*(f"skipped {line}" for line in self.skipped), count]


def read_images(*paths: str | Path, captions: str | Path | None = None) -> ImageSet:
    """Read images and folders of images, and of one folder the captions if a file is given.

    A path may also name a data set of the hub, `hf:OWNER/DATASET:SPLIT`, or be a Parquet or tar
    file (`data.packed`): its images are written to the user's cache first, and the captions that
    come with one are read with it. The captions file has any of the forms of `data.folder`; then
    only images that it names are read. A file that is no whole image is left out and told to the
    log. Each file is opened once.

    Raises `FileNotFoundError` where nothing is there or an image of the captions file is not, and
    `ValueError` where no file is a whole image.
    """
    whose = ", ".join(map(str, paths))
    if not paths:
        raise ValueError("no images: wanted at least one file or folder")
    paths = tuple(map(laid_out, paths))
    if captions is None and len(paths) == 1:
        captions = captions_of(paths[0])
    if captions is None:
        found = open_images(image_files(paths), whose=whose)
    else:
        if len(paths) != 1 or not Path(paths[0]).is_dir():
            raise ValueError(f"captions go with one folder of images, got {whose}")
        records = read_folder(Path(paths[0]), Path(captions))
        of = {record.id: record.captions for record in records}
        found = open_images({record.id: Path(record.image or "") for record in records}, whose)
        rows = tuple(of[name] for name in found.names)
        found = ImageSet(found.names, found.images, rows, found.skipped)
    for line in found.skipped_lines():
        logger.warning("%s", line)
    return found


def require_there(path: str | Path) -> None:
    """Raise `FileNotFoundError` if there is nothing at a path, before a model is loaded."""
    if not Path(path).exists() and not is_packed(path):
        raise FileNotFoundError(f"no image and no folder of images at {path}")


def image_files(paths: Sequence[str | Path]) -> dict[str, Path]:
    """Return the images at `paths` by name: a file's own, or its place in the folder that is given.

    A packed path (`data.packed`) stands for the folder that it is laid out as.

    A file that is met twice counts once. Raises `ValueError` where two would have one name, and
    `FileNotFoundError` where nothing is there.
    """
    found: dict[str, Path] = {}
    for path in map(laid_out, paths):
        require_there(path)
        files = [path] if path.is_file() else [record.image for record in read_folder(path)]
        before = {file.resolve() for file in found.values()}
        for file in files:
            name = file.name if path.is_file() else file.relative_to(path).as_posix()
            if file.resolve() in before:
                continue
            if name in found:
                raise ValueError(
                    f"{found[name]} and {file} would both be called {name}: caption them in two "
                    "calls, or give the folder above both"
                )
            found[name] = file
    return found


def open_images(files: Mapping[str, Path], whose: str) -> ImageSet:
    """Open each file once to see that it is whole; beyond `IN_MEMORY` bytes none is kept.

    Raises `ValueError` if none is; `whose` is what the message calls the place.
    """
    images: list[Image.Image] = []
    whole: dict[str, Path] = {}
    broken: list[str] = []
    held = 0
    for name, file in files.items():
        try:
            image = open_image(file)
        except CorruptImage as error:
            broken.append(f"{file}: {error.reason}")
            continue
        whole[name] = file
        held += image.width * image.height * 4  # Pillow keeps four bytes a pixel
        if held <= IN_MEMORY:
            images.append(image)
        else:
            images.clear()
    if not whole:
        for line in broken:
            logger.warning("skipped %s", line)
        raise ValueError(f"none of the {len(files)} files under {whose} is a whole image")
    kept = images or ImageFiles(list(whole.values()))
    return ImageSet(tuple(whole), kept, skipped=tuple(broken))
