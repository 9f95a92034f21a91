"""A plain folder of images, with or without a captions file, as records.

Linked folders are searched too (`file_tree`). Five shapes of captions file, told apart by what is
in them; a file whose name ends in `.jsonl` is always read as JSON lines:

- JSON `{"cat.jpg": ["a cat", "a cat asleep"]}`; one caption may stand without its list
- JSONL, one object per line, `{"file_name": "cat.jpg", "caption": "a cat"}`; several lines may
  name one file, and `captions` may contain a list; Open Images' narratives name it by `image_id`
- COCO annotations, `{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}`
- COCO results, `[{"image_id", "caption"}]`, as `vizer caption --json` writes them
- CC3M's list, `caption<TAB>address`, of a folder that img2dataset filled: rows whose image is gone
  from the web are counted and left out

File names are relative to the folder, written with `/`; they become the records' ids. A name that
is not there may be one of COCO's, or lack its folder: it means the file that `image_names` says.
Line breaks inside a caption become spaces.

How to get it: it is yours, and so are its licence and its size. A file that is no whole image is
listed all the same; whoever opens it says what is wrong with it (`images.CorruptImage`).
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from vizer_core.data.cc3m import (
    StreamCounts,
    img2dataset_name,
    is_web_list_file,
    stream_cc3m,
)
from vizer_core.data.coco import read_annotations, read_results
from vizer_core.data.file_tree import files_under
from vizer_core.data.image_names import meet_images
from vizer_core.data.images import IMAGE_SUFFIXES, OTHER_SUFFIXES
from vizer_core.data.karpathy import one_line
from vizer_core.data.lines import read_lines
from vizer_core.data.records import Record, name_in_other_letters
from vizer_core.files import read_json

logger = logging.getLogger(__name__)

Captions = dict[str, list[str]]
WANTED = (".jpg", ".png", ".webp", ".tif", ".gif")  # the usual ones
LONGEST_ROW = 2**16  # letters of a line of JSON lines
SHOWN = 6  # endings of files that are passed over


def read_folder(folder: Path, captions: Path | None = None) -> tuple[Record, ...]:
    """List the images under `folder`, sorted by name, with their captions if a file is given.

    Without a captions file every image becomes a record without captions. With one, exactly
    the images that it names do, and each has to be there; of CC3M's list, those that are there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    if captions is not None and Path(captions).is_file() and is_web_list_file(captions):
        return _of_web_list(folder, Path(captions))
    if captions is not None:
        return _captioned(folder, read_captions(captions), Path(captions))
    files = files_under(folder)
    names = _ending_in(files, IMAGE_SUFFIXES)
    passed_over = _passed_over(files)
    if not names:
        raise ValueError(
            f"no images under {folder}: wanted files ending in {', '.join(WANTED)}, or another of "
            f"Pillow's{passed_over and f'; got {passed_over}'}"
        )
    if passed_over:
        logger.warning("of %s are left out: %s", folder, passed_over)
    return tuple(Record(name, folder / name, ()) for name in names)


def _by_stem(names: Sequence[str], there: Collection[str]) -> dict[str, str]:
    """Say which file is meant by a name without an ending, as Open Images' narratives give it.

    >>> _by_stem(["000ab", "dog.jpg"], ["train_0/000ab.jpg", "cat.png", "dog.png"])
    {'000ab': 'train_0/000ab.jpg'}
    """
    stems: dict[str, list[str]] = {}
    for file in there:
        stems.setdefault(PurePosixPath(file).stem, []).append(file)
    return {name: stems[name][0] for name in names if len(stems.get(name, ())) == 1}


def _passed_over(files: Sequence[Path]) -> str:
    """Say how many files are no images by their endings, and what to do with images among them.

    >>> _passed_over([Path("a.jpg"), Path("b.txt"), Path("c.csv"), Path("d.txt")])
    '3 files (2 .txt, 1 .csv), first b.txt'
    """
    others = [file for file in files if file.suffix.lower() not in IMAGE_SUFFIXES]
    if not others:
        return ""
    endings = Counter(file.suffix.lower() or "without an ending" for file in others)
    shown = [f"{count} {ending}" for ending, count in endings.most_common(SHOWN)]
    rest = sum(endings.values()) - sum(count for _, count in endings.most_common(SHOWN))
    images = [file for file in others if file.suffix.lower() in {"", *OTHER_SUFFIXES}]
    first = (images or others)[0].as_posix()
    advice = ". Save images as JPEG, their names ending in .jpg" if images else ""
    return (
        f"{len(others)} files ({', '.join(shown)}{f', {rest} others' if rest else ''}), first "
        f"{first}{advice}"
    )


def image_names(folder: Path) -> list[str]:
    """Return the relative names of all image files under `folder`, sorted; hidden ones left out.

    A file counts by its suffix, whether it can be read or not.
    """
    return _ending_in(files_under(folder), IMAGE_SUFFIXES)


def read_captions(path: Path) -> Captions:
    """Read a captions file of any of the four shapes: file name (or COCO's number) -> captions.

    An object with a `caption` and a `file_name` is a line of JSON lines, not captions by name.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no captions file at {path}")
    if path.suffix.lower() == ".jsonl" or _begins_with_row(path):
        return _from_lines(path)
    content = read_json(path)
    if _is_row(content):  # one alone, over several lines
        return _of_rows([(str(path), content)])
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return {str(i): _texts(text, f"{path}, {i!r}") for i, text in read_results(path).items()}
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} contains a {type(content).__name__}, wanted an object: "
            '{"file name": ["caption", ...]}, COCO annotations or COCO results'
        )
    if "annotations" in content and "images" in content:
        return _from_coco(content, path)
    if isinstance(content.get("annotations"), list):  # COCO's without "images": numbers alone
        found = read_annotations(path)
        return {str(i): _texts(texts, f"{path}, image {i}") for i, texts in found.items()}
    return _from_mapping(path)


def _ending_in(names: Sequence[Path], suffixes: Collection[str]) -> list[str]:
    return sorted(name.as_posix() for name in names if name.suffix.lower() in suffixes)


def _of_web_list(folder: Path, captions: Path) -> tuple[Record, ...]:
    counts = StreamCounts()
    records = tuple(stream_cc3m(captions, folder, counts=counts))
    if not records:
        raise FileNotFoundError(
            f"none of the {counts.read} images of {captions} is in {folder}: wanted them as "
            f"img2dataset names them, {img2dataset_name(0)} for the first row"
        )
    logger.warning(
        "%d of %d images of %s are not in %s and are left out",
        *(counts.missing, counts.read, captions, folder),
    )
    return records


def _captioned(folder: Path, captions: Captions, source: Path) -> tuple[Record, ...]:
    if not captions:
        raise ValueError(f"{source} contains no captions: wanted at least one")
    outside = [name for name in captions if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise ValueError(f"{source} names files outside the folder: {', '.join(outside[:3])}")
    there = image_names(folder)
    captions = _by_files(folder, captions, there, source)
    unnamed = sorted(set(there) - set(captions))
    if unnamed:
        logger.warning(
            "%d images in %s have no captions and are left out, first %s",
            len(unnamed),
            folder,
            unnamed[0],
        )
    return tuple(Record(name, folder / name, tuple(captions[name])) for name in sorted(captions))


def _by_files(folder: Path, captions: Captions, there: Sequence[str], source: Path) -> Captions:
    """Return the captions under the names of the folder's files, which they may spell otherwise."""
    absent = [name for name in captions if not (folder / name).is_file()]
    if not absent:
        return captions
    taken = captions.keys() - set(absent)
    free = [name for name in there if name not in taken]
    met = meet_images(absent, {name: name for name in free})
    met |= _by_stem([name for name in absent if name not in met], set(free) - set(met.values()))
    left = [name for name in absent if name not in met]
    if left:
        example = f"; {there[0]} is there" if there else ""
        raise FileNotFoundError(
            f"{source} has captions for {len(left)} files that are not in {folder}: "
            f"{', '.join(left[:3])}{example}. Names are relative to the folder, or COCO's: 42 for "
            f"COCO_val2014_000000000042.jpg.{name_in_other_letters(folder / left[0])}"
        )
    first = absent[0]
    logger.warning(
        "%d names in %s are not those of the files: joined by COCO's number or without the folder, "
        "first %s to %s",
        len(met),
        source,
        first,
        met[first],
    )
    return {str(met.get(name, name)): texts for name, texts in captions.items()}


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


def _begins_with_row(path: Path) -> bool:
    """Say whether the first line that is not blank is a row; what cannot be read is none."""
    try:
        first = next((line for _, line in read_lines(path) if line.strip()), "")
        # a line of all of COCO is long, and parsed once is enough
        return len(first) <= LONGEST_ROW and _is_row(json.loads(first))
    except ValueError:
        return False


def _is_row(entry: Any) -> bool:
    """Say whether an object names an image and its caption by the words of JSON lines.

    >>> _is_row({"file_name": "a.jpg", "caption": "a cat"}), _is_row({"a.jpg": "a cat"})
    (True, False)
    """
    name, texts = _named(entry)
    return isinstance(name, str) and texts is not None


def _named(entry: Any) -> tuple[Any, Any]:
    keys = entry if isinstance(entry, dict) else {}
    name = keys.get("file_name", keys.get("file", keys.get("image_id")))
    return name, keys.get("captions", keys.get("caption", keys.get("text")))


def _from_lines(path: Path) -> Captions:
    return _of_rows(_parsed(path))


def _parsed(path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            yield where, json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where} is not JSON: {error}") from error


def _of_rows(rows: Iterable[tuple[str, Any]]) -> Captions:
    captions: Captions = {}
    for where, entry in rows:
        if not _is_row(entry):
            got = json.dumps(entry, ensure_ascii=False)[:80]
            raise ValueError(f'{where}: wanted {{"file_name": ..., "caption": ...}}, got {got}')
        name, texts = _named(entry)
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
