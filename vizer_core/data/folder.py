"""A plain folder of images, with or without a captions file, as records.

Three shapes of captions file, told apart by what is in them:

- JSON `{"cat.jpg": ["a cat", "a cat asleep"]}`; one caption may stand without its list
- JSONL, one object a line, `{"file_name": "cat.jpg", "caption": "a cat"}`; several lines may
  name one file, and `captions` may hold a list
- COCO annotations, `{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}`

File names are relative to the folder, written with `/`; they become the records' ids. Line breaks
inside a caption become spaces.

How to get it: it is yours, and so are its licence and its size. A file that is no whole image is
listed all the same; whoever opens it says what is wrong with it (`images.CorruptImage`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vizer_core.data.images import IMAGE_SUFFIXES, OTHER_SUFFIXES
from vizer_core.data.karpathy import one_line
from vizer_core.data.lines import read_lines
from vizer_core.data.records import Record, name_in_other_letters
from vizer_core.store import read_json

logger = logging.getLogger(__name__)

Captions = dict[str, list[str]]


def read_folder(folder: Path, captions: Path | None = None) -> tuple[Record, ...]:
    """List the images under `folder`, sorted by name, with their captions if a file is given.

    Without a captions file every image becomes a record without captions. With one, exactly
    the images that it names do, and each of them has to be there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    if captions is not None:
        return _captioned(folder, read_captions(captions), Path(captions))
    files = _visible_files(folder)
    names, others = _ending_in(files, IMAGE_SUFFIXES), _ending_in(files, OTHER_SUFFIXES)
    passed_over = f"{len(others)} pictures such as {others[0]}" if others else ""
    if not names:
        raise ValueError(
            f"no images under {folder}: wanted files ending in {', '.join(sorted(IMAGE_SUFFIXES))}"
            + (f", got {passed_over}. Save them as JPEG first." if others else "")
        )
    if others:
        logger.warning("%s in %s are left out: save them as JPEG first", passed_over, folder)
    return tuple(Record(name, folder / name, ()) for name in names)


def image_names(folder: Path) -> list[str]:
    """Return the relative names of all image files under `folder`, sorted; hidden ones left out.

    A file counts by its suffix, whether it can be read or not.
    """
    return _ending_in(_visible_files(folder), IMAGE_SUFFIXES)


def read_captions(path: Path) -> Captions:
    """Read a captions file of any of the three shapes: file name -> captions."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no captions file at {path}")
    if path.suffix.lower() == ".jsonl":
        return _from_lines(path)
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} holds a {type(content).__name__}, wanted an object: "
            '{"file name": ["caption", ...]} or COCO annotations'
        )
    if "annotations" in content and "images" in content:
        return _from_coco(content, path)
    return _from_mapping(path)


def _visible_files(folder: Path) -> list[Path]:
    names = (path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file())
    return [name for name in names if not any(part.startswith(".") for part in name.parts)]


def _ending_in(names: Sequence[Path], suffixes: Collection[str]) -> list[str]:
    return sorted(name.as_posix() for name in names if name.suffix.lower() in suffixes)


def _captioned(folder: Path, captions: Captions, source: Path) -> tuple[Record, ...]:
    if not captions:
        raise ValueError(f"{source} holds no captions: wanted at least one")
    outside = [name for name in captions if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise ValueError(f"{source} names files outside the folder: {', '.join(outside[:3])}")
    absent = [name for name in captions if not (folder / name).is_file()]
    if absent:
        raise FileNotFoundError(
            f"{source} has captions for {len(absent)} files that are not in {folder}: "
            f"{', '.join(absent[:3])}. Names are relative to the folder."
            f"{name_in_other_letters(folder / absent[0])}"
        )
    unnamed = sorted(set(image_names(folder)) - set(captions))
    if unnamed:
        logger.warning(
            "%d images in %s have no captions and are left out, first %s",
            len(unnamed),
            folder,
            unnamed[0],
        )
    return tuple(Record(name, folder / name, tuple(captions[name])) for name in sorted(captions))


def _from_mapping(path: Path) -> Captions:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"{path} names {key!r} twice: join its captions in one list")
            found[key] = value
        return found

    content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=unique)
    return {name: _texts(value, f"{path}, {name!r}") for name, value in content.items()}


def _from_lines(path: Path) -> Captions:
    captions: Captions = {}
    for number, line in read_lines(path):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where} is not JSON: {error}") from error
        keys = entry if isinstance(entry, dict) else {}
        name = keys.get("file_name", keys.get("file"))
        texts = keys.get("captions", keys.get("caption", keys.get("text")))
        if not isinstance(name, str) or texts is None:
            raise ValueError(
                f'{where}: wanted {{"file_name": ..., "caption": ...}}, got {line.strip()[:80]}'
            )
        captions.setdefault(name, []).extend(_texts(texts, where))
    return captions


def _from_coco(content: Mapping[str, Any], path: Path) -> Captions:
    try:
        names = {image["id"]: image["file_name"] for image in content["images"]}
        pairs = [(entry["image_id"], entry["caption"]) for entry in content["annotations"]]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not COCO captions: an entry lacks {error}; wanted images with id and "
            "file_name, annotations with image_id and caption"
        ) from error
    _require_one_to_one(names, content["images"], path)
    orphans = [image_id for image_id, _ in pairs if image_id not in names]
    if orphans:
        raise ValueError(
            f"{path} has {len(orphans)} captions for image ids that it does not list, first "
            f"{orphans[0]!r}"
        )
    captions: Captions = {}
    for image_id, text in pairs:
        captions.setdefault(names[image_id], []).extend(_texts(text, f"{path}, image {image_id}"))
    return captions


def _require_one_to_one(names: Mapping[Any, str], images: Sequence[Any], path: Path) -> None:
    if len(names) != len(images) or len(set(names.values())) != len(names):
        raise ValueError(
            f"{path} lists {len(images)} images with {len(names)} different ids and "
            f"{len(set(names.values()))} different file names: wanted each once"
        )


def _texts(value: Any, where: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{where}: captions are {value!r:.80}, wanted a string or a list of them")
    if not texts or not all(text.strip() for text in texts):
        raise ValueError(f"{where}: an empty caption. Write one, or drop the entry.")
    return [one_line(text) for text in texts]
