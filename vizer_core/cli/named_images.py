"""Images of a command with their files' names, so that one which the model refuses is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vizer_core.cli.caption_lines import as_text, is_no_fault_of_an_image

NAMED = 5  # of the images that are refused, at most so many are looked for before training


@dataclass(frozen=True, eq=False)
class NamedImages:
    """An `ImageSource` that says which file an error is about."""

    vlm: Any
    images: Sequence[Any]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> NamedImages:
        """Return the source of the first `count` images."""
        return NamedImages(self.vlm, self.images[:count], self.names[:count])

    def select(self, indices: list[int]) -> Any:
        """Encode the images at `indices`; raise `ValueError` that names one which is refused."""
        from vizer_core.vlm.prepared import Prepared

        return self.encode(Prepared([self.images[i] for i in indices], None), indices)

    def prepare(self, indices: list[int]) -> Any:
        """Open and preprocess the images at `indices` (`vizer.read_ahead`)."""
        from vizer_core.vlm.prepared import prepare

        return prepare(self.vlm, [self.images[i] for i in indices])

    def encode(self, prepared: Any, indices: list[int]) -> Any:
        """Return what `select` does, of what `prepare` made."""
        from vizer_core.vlm.prepared import encode_prepared

        try:
            return encode_prepared(self.vlm, prepared).numbered(indices)
        except Exception as error:
            if is_no_fault_of_an_image(error):
                raise
            for index in indices:
                if (fault := self.fault_of(index)) is not None:
                    raise ValueError(_said([self.names[index]], fault)) from error
            raise

    def fault_of(self, index: int) -> Exception | None:
        """Return the error with which the model refuses an image alone, or None."""
        try:
            self.vlm.encode_image([self.images[index]])
        except Exception as error:
            if is_no_fault_of_an_image(error):
                raise
            return error
        return None


def require_readable(source: NamedImages, folder: Path) -> None:
    """Raise `ValueError` where the model refuses the images of the most unusual shapes.

    The longest, the smallest and the largest are encoded, from the most unusual on until one
    passes: some passes of a single image, before anything is trained.
    """
    from PIL import Image

    sizes = []
    for name in source.names:
        with Image.open(folder if folder.is_file() else folder / name) as image:
            sizes.append(image.size)
    refused: dict[int, Exception] = {}
    orders = (
        lambda i: -max(sizes[i]) / min(sizes[i]),
        lambda i: sizes[i][0] * sizes[i][1],
        lambda i: -sizes[i][0] * sizes[i][1],
    )
    for unusual in orders:
        for index in sorted(range(len(source)), key=unusual):
            fault = refused.get(index) or source.fault_of(index)
            if fault is None or len(refused) == NAMED:
                break
            refused[index] = fault
    if refused:
        names = [source.names[index] for index in refused]
        raise ValueError(_said(names, next(iter(refused.values()))))


def _said(names: Sequence[str], fault: Exception) -> str:
    shown = ", ".join(map(as_text, names))
    said = " ".join(str(fault).split()) or type(fault).__name__
    return f"the model refuses {shown}: {said}. Leave it out of the folder, or cut it"
