"""Records: one image with the captions that describe it, before any model has seen it.

A record's `id` names it in every file that is made from it: features, captions, scores.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vizer_core.files import files_digest


@dataclass(frozen=True)
class Record:
    """One image and its captions; `image` is None where only text is known.

    >>> Record("cat.jpg", Path("photos/cat.jpg"), ("a cat", "a cat asleep")).captions[1]
    'a cat asleep'
    """

    id: str
    image: Path | None
    captions: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError(f"a record without an id: image {self.image}, wanted a name")
        if isinstance(self.captions, str):
            raise ValueError(
                f"record {self.id!r}: captions is one string, wanted a tuple of strings"
            )
        blank = [index for index, text in enumerate(self.captions) if not text.strip()]
        if blank:
            raise ValueError(f"record {self.id!r}: captions {blank} are empty. Drop them first.")


def require_unique_ids(records: Sequence[Record]) -> None:
    """Raise `ValueError` if two records share an id.

    >>> require_unique_ids([Record("a", None, ()), Record("a", None, ())])
    Traceback (most recent call last):
    ...
    ValueError: 1 ids occur more than once among 2 records, first 'a': wanted one id a record
    """
    repeated = [key for key, count in Counter(record.id for record in records).items() if count > 1]
    if repeated:
        raise ValueError(
            f"{len(repeated)} ids occur more than once among {len(records)} records, first "
            f"{repeated[0]!r}: wanted one id a record"
        )


def require_images(records: Sequence[Record]) -> None:
    """Raise unless every record names an image file that exists."""
    nameless = [record.id for record in records if record.image is None]
    if nameless:
        raise ValueError(
            f"{len(nameless)} of {len(records)} records have no image, first {nameless[0]!r}: "
            "wanted records with an image file"
        )
    absent = [str(record.image) for record in records if not record.image.is_file()]
    if absent:
        listed = ", ".join(absent[:3])
        raise FileNotFoundError(
            f"{len(absent)} of {len(records)} image files are missing: {listed}"
            f"{name_in_other_letters(Path(absent[0]))}"
        )


def name_in_other_letters(path: Path) -> str:
    """Say what a missing file is called where only case or the coding of an accent differs.

    A Mac writes é as two characters (Unicode's NFD), most others as one (NFC); they look alike.

    >>> name_in_other_letters(Path("no/such/folder/cat.jpg"))
    ''
    """
    if not path.parent.is_dir():
        return ""
    alike = [file.name for file in path.parent.iterdir() if _letters(file) == _letters(path)]
    if not alike:
        return ""
    return (
        f". There is {alike[0]!r}, in letters that differ ({alike[0]!a}, wanted "
        f"{path.name!a}): use one form in both places"
    )


def _letters(path: Path) -> str:
    return unicodedata.normalize("NFC", path.name).casefold()


def records_digest(records: Sequence[Record]) -> str:
    """Hash ids, captions and the image files' content, in order: 16 hex digits.

    Images are read as `files_digest` reads them, whole; nothing is decoded.

    >>> records_digest([Record("a", None, ("x",))]) == records_digest([Record("a", None, ("y",))])
    False
    """
    digest = hashlib.sha256()
    for record in records:
        image = None if record.image is None else files_digest({"": record.image})
        digest.update(repr((record.id, image, record.captions)).encode())
    return digest.hexdigest()[:16]
