"""The folder of an embedding job: who it belongs to, which shards it contains, how they join.

`encode_records` writes through this file and `load_features` reads through it, so the two
agree about what a finished shard is: safetensors and manifest both there, made for this job.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vizer_core.clip.features import PairedFeatures
from vizer_core.data.shards import Shard, plan_shards
from vizer_core.files import (
    find_manifest,
    load_manifest,
    load_tensors,
    read_json,
    sha256_file,
    write_json,
)
from vizer_core.shapes import RegionFeatures

logger = logging.getLogger(__name__)

Job = dict[str, Any]
JOB, SUMMARY = "job.json", "summary.json"


@dataclass(frozen=True)
class SkippedImage:
    """An image that could not be read."""

    id: str
    path: str
    reason: str


@dataclass(frozen=True)
class ExtractReport:
    """What lies in the folder now, and how many shards this process computed or found made."""

    out_dir: Path
    images: int
    texts: int
    skipped: tuple[SkippedImage, ...]
    computed_shards: int
    reused_shards: int


def load_features(out_dir: Path) -> PairedFeatures:
    """Join all shards of a finished job, in the order of its records."""
    ids: list[str] = []
    images, texts, indices = [], [], []
    for tensors, manifest in _shards_on_disk(Path(out_dir)):
        indices.append(tensors["image_index"] + len(ids))
        ids.extend(manifest["ids"])
        images.append(tensors["image_features"])
        texts.append(tensors["text_features"])
    if not ids:
        raise ValueError(f"{out_dir}: not one image could be read; {SUMMARY} names them all")
    return PairedFeatures(tuple(ids), torch.cat(images), torch.cat(texts), torch.cat(indices))


def load_regions(out_dir: Path) -> RegionFeatures:
    """Join the sub-region features of a finished job, row by row with `load_features`."""
    out_dir = Path(out_dir)
    if not _read_job(out_dir)["regions"]:
        raise ValueError(
            f"{out_dir} has no sub-regions: extract with ExtractConfig(regions=10) into another "
            "folder"
        )
    return torch.cat([tensors["region_features"] for tensors, _ in _shards_on_disk(out_dir)])


def claim_folder(out_dir: Path, job: Job) -> None:
    """Write the job into an unclaimed folder; leave a claimed one for `require_same_job`."""
    if (out_dir / JOB).is_file():
        return
    if out_dir.is_dir() and any(out_dir.glob("shard-*")):
        raise ValueError(
            f"{out_dir} contains shards but no {JOB}: nobody can tell what they are. Empty the "
            "folder or choose another."
        )
    write_json(out_dir / JOB, job)


def require_same_job(out_dir: Path, job: Job) -> None:
    """Raise `ValueError` unless the folder was claimed for exactly this job."""
    claimed = _read_job(out_dir)
    differs = [
        f"{key} was {claimed.get(key)!r}, now {value!r}"
        for key, value in job.items()
        if claimed.get(key) != value
    ]
    if differs:
        raise ValueError(
            f"{out_dir} belongs to another job: {'; '.join(differs)}. Choose another folder, or "
            "go back to that job's arguments."
        )


def shard_path(out_dir: Path, shard: Shard) -> Path:
    """Return where a shard's tensors lie."""
    return out_dir / f"{shard.name}.safetensors"


def is_finished(out_dir: Path, shard: Shard, job: Job) -> bool:
    """Say whether a shard is there, made for this job, and undamaged."""
    path = shard_path(out_dir, shard)
    if not _is_made(path, job):
        return False
    if sha256_file(path) != load_manifest(path).get("sha256"):
        logger.warning("%s does not fit its manifest's hash: it is made again", path)
        return False
    return True


def write_summary(out_dir: Path, shards: Sequence[Shard], job: Job) -> None:
    """Write counts and skipped images of a finished job, from its shards' manifests."""
    manifests = [load_manifest(shard_path(out_dir, shard)) for shard in shards]
    summary = {
        "shards": len(shards),
        "images": sum(len(manifest["ids"]) for manifest in manifests),
        "texts": sum(manifest["texts"] for manifest in manifests),
        "skipped": [skipped for manifest in manifests for skipped in manifest["skipped"]],
    }
    write_json(out_dir / SUMMARY, job | summary)


def read_report(out_dir: Path, *, computed: int, reused: int) -> ExtractReport:
    """Read the summary of a finished job as a report of this run."""
    summary = read_json(out_dir / SUMMARY)
    skipped = tuple(SkippedImage(**entry) for entry in summary["skipped"])
    return ExtractReport(out_dir, summary["images"], summary["texts"], skipped, computed, reused)


def _read_job(out_dir: Path) -> Job:
    if not (out_dir / JOB).is_file():
        raise FileNotFoundError(f"{out_dir} contains no {JOB}: it is no folder of encode_records")
    return read_json(out_dir / JOB)


def _is_made(path: Path, job: Job) -> bool:
    manifest_there = path.is_file() and find_manifest(path) is not None
    return manifest_there and load_manifest(path).get("job") == job


def _shards_on_disk(out_dir: Path) -> Iterator[tuple[dict[str, Tensor], dict[str, Any]]]:
    """Read a job's shards in order; raise `FileNotFoundError` if some are not made yet."""
    job = _read_job(out_dir)
    shards = plan_shards(job["records"], job["shard_size"])
    unmade = [shard.name for shard in shards if not _is_made(shard_path(out_dir, shard), job)]
    if unmade:
        raise FileNotFoundError(
            f"{out_dir} lacks {len(unmade)} of {len(shards)} shards, first {unmade[0]}: run "
            "encode_records again with the same arguments to finish the job"
        )
    for shard in shards:
        yield load_tensors(shard_path(out_dir, shard))
