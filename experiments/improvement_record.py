"""What a cell keeps of its captions: small counts per scene, packed; enough for every interval.

Captions themselves would fill hundreds of megabytes. What all metrics need is how many statements
of each kind a caption makes and how many are true, and what was in the scene is known without it.

>>> packed = pack({"said": [1, 2, 300], "true": [0, 1, 2]})
>>> unpack(packed)["said"].astype(int).tolist()
[1, 2, 255]
"""

from __future__ import annotations

import lzma
from base64 import b85decode, b85encode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vizer_core.metrics.grounding import check_caption, is_exact, parse_caption
from vizer_core.metrics.stats import Statistics, mean_statistics
from vizer_core.vizer.sampled import count_statistics
from vizer_lab.world import DrawnSplit, drawn_lexicon
from vizer_lab.world.world import world_of

OBJECTS = ("object_true", "object_said", "object_found")
CLAIMS = tuple(
    f"{kind}_{what}"
    for kind in ("attribute", "count", "relation", "background")
    for what in ("true", "said")
)
SAMPLES_KEPT = 4  # captions kept as text, to be read
_FORMAT = {"format": lzma.FORMAT_RAW, "filters": [{"id": lzma.FILTER_LZMA2, "preset": 9}]}


def pack(columns: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Pack columns of counts, each below 256, into one text."""
    table = np.stack([np.minimum(np.asarray(column), 255) for column in columns.values()])
    packed = lzma.compress(table.astype(np.uint8).tobytes(), **_FORMAT)
    return {"columns": list(columns), "n": table.shape[1], "packed": b85encode(packed).decode()}


def pack_captions(captions: Sequence[str]) -> str:
    """Pack captions into one text, for metrics that want the words.

    >>> unpack_captions(pack_captions(["a dog", "", "a cat"]))
    ['a dog', '', 'a cat']
    """
    packed = lzma.compress("\n".join(captions).encode(), **_FORMAT)
    return b85encode(packed).decode()


def unpack_captions(packed: str) -> list[str]:
    """Return the captions that `pack_captions` packed."""
    return lzma.decompress(b85decode(packed), **_FORMAT).decode().split("\n")


def unpack(record: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the columns that `pack` packed, as floats."""
    flat = lzma.decompress(b85decode(record["packed"]), **_FORMAT)
    table = np.frombuffer(flat, np.uint8).reshape(len(record["columns"]), record["n"])
    return dict(zip(record["columns"], table.astype(float), strict=True))


def record_of(
    captions: Sequence[str], split: DrawnSplit, *, before: Sequence[str] | None = None
) -> dict[str, Any]:
    """Count what captions state of the first scenes of a split; without `before`, objects only.

    `before` are the base's captions: what differs from them is `changed`.
    """
    lexicon, scenes = drawn_lexicon(world_of(split.name)), split.scenes[: len(captions)]
    parsed = {text: parse_caption(text, lexicon) for text in set(captions)}
    counts = [check_caption(parsed[t], s.truth) for t, s in zip(captions, scenes, strict=True)]
    names = OBJECTS if before is None else (*OBJECTS, *CLAIMS)
    columns = {name: [getattr(each, name) for each in counts] for name in names}
    columns["length"] = [len(text.split()) for text in captions]
    if before is not None:
        columns["exact"] = [is_exact(each) for each in counts]
        columns["changed"] = [a != b for a, b in zip(captions, before, strict=True)]
    return pack(columns)


def statistics_of(record: Mapping[str, Any], split: DrawnSplit) -> dict[str, Statistics]:
    """Return every metric's statistics of a record, over the scenes that it was made on."""
    columns = unpack(record)
    scenes = split.scenes[: record["n"]]
    there = np.array([len({o.name for o in scene.objects}) for scene in scenes], dtype=float)
    found = count_statistics(columns | {"object_there": there})
    found["vague"] = mean_statistics(columns["object_said"] == 0)
    for name in ("length", "exact", "changed"):
        if name in columns:
            found[name] = mean_statistics(columns[name])
    return found


def rates_in(record: Mapping[str, Any], split: DrawnSplit) -> dict[str, float]:
    """Return the score of every metric of a record, without intervals."""
    return {name: round(each.score, 4) for name, each in statistics_of(record, split).items()}
