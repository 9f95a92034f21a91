"""Flickr30k: 31,783 photographs of people and animals, five captions each (Young et al. 2014).

Two files contain its captions. Karpathy's `dataset_flickr30k.json` has the splits that papers use
(29,000 / 1,014 / 1,000; read by `read_flickr30k`). The original `results_20130124.token` has one
caption a line, `1000092795.jpg#0<TAB>Two young guys ...`, for all images and without splits.

How to get it: a form at https://shannon.cs.illinois.edu/DenotationGraph/ gives the captions (13 MB)
and the images (about 4.4 GB). For non-commercial research and education; the images belong to their
Flickr owners.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from vizer_core.data.karpathy import one_line, read_karpathy
from vizer_core.data.lines import read_lines
from vizer_core.data.records import Record, require_images

_LINE = re.compile(r"(?P<name>[^\t#/\\]+)#(?P<place>\d+)\t(?P<caption>.*)")


def read_flickr30k(json_path: Path, image_root: Path | None, split: str) -> tuple[Record, ...]:
    """Read a split from Karpathy's JSON form; ids are file names, `1000092795.jpg`."""
    return read_karpathy(json_path, image_root, split, restval=False)


def read_flickr30k_tokens(
    token_path: Path, image_root: Path | None, *, names: Collection[str] | None = None
) -> tuple[Record, ...]:
    """Read the original token file: every image, or those in `names`, each of which must be there.

    Captions keep the order of their numbers. The file has no splits; take `names` from the ids of
    `read_flickr30k`.
    """
    path = Path(token_path)
    if not path.is_file():
        raise FileNotFoundError(f"no token file at {path}")
    captions = _numbered_captions(path)
    if not captions:
        raise ValueError(f"{path} contains no captions: wanted lines of name.jpg#0<TAB>caption")
    wanted = captions.keys() if names is None else names
    absent = sorted(set(wanted) - captions.keys())
    if absent:
        raise ValueError(
            f"{path} has no captions of {len(absent)} of {len(wanted)} images: "
            f"{', '.join(absent[:3])}"
        )
    root = None if image_root is None else Path(image_root)
    records = tuple(
        Record(
            name,
            None if root is None else root / name,
            tuple(text for _, text in sorted(captions[name].items())),
        )
        for name in sorted(wanted)
    )
    if root is not None:
        require_images(records)
    return records


def _numbered_captions(path: Path) -> dict[str, dict[int, str]]:
    captions: dict[str, dict[int, str]] = {}
    for number, line in read_lines(path):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None or not one_line(found["caption"]):
            raise ValueError(
                f"{path}, line {number}: wanted name.jpg#0<TAB>caption, got {line[:60]!r}"
            )
        texts = captions.setdefault(found["name"], {})
        if int(found["place"]) in texts:
            raise ValueError(
                f"{path}, line {number}: caption {found['place']} of {found['name']} stands "
                "there twice"
            )
        texts[int(found["place"])] = one_line(found["caption"])
    return captions
