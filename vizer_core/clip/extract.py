"""The embedding job: records in, feature shards on disk out; stoppable, resumable, splittable.

    out/job.json              what is being made: model, data, settings; written first
    out/shard-00000.*         safetensors and a manifest: ids, skipped images, hash
    out/summary.json          written when every shard is there: counts, skipped images by name

A shard is either whole or absent (`vizer_core.files`), so a killed job goes on where it
stopped, and the folder refuses a job that differs in model, data or settings. Under `torchrun`
or `accelerate launch` each process takes every n-th shard; they must share the folder's disk.
Images that cannot be read are skipped and named; texts of a skipped image are skipped with it.

In one shard, with m images kept and n texts:

===============  ============  =================================================
image_features   [m, d]
text_features    [n, d]        absent texts: [0, d]
image_index      [n]           row within this shard's images
region_features  [m, r, d]     MacCap's sub-regions, when `regions` > 0
===============  ============  =================================================
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from vizer_core.clip.job_folder import (
    ExtractReport,
    Job,
    claim_folder,
    is_finished,
    read_report,
    require_same_job,
    shard_path,
    write_summary,
)
from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.clip.regions import regions_paper
from vizer_core.data.images import CorruptImage, open_image, prefetch
from vizer_core.data.records import Record, records_digest, require_images, require_unique_ids
from vizer_core.data.shards import plan_shards, shards_of_process
from vizer_core.files import save_tensors

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExtractConfig:
    """How to cut and run the job.

    `shard_size` and `regions` belong to the job's identity; batch size and threads do not.
    `regions` > 0 stores that many sub-region features per image as well.
    """

    shard_size: int = 1024
    batch_size: int = 64
    threads: int = 4
    regions: int = 0

    def __post_init__(self) -> None:
        sizes = (self.shard_size, self.batch_size, self.threads)
        if min(sizes) < 1 or self.regions < 0:
            raise ValueError(
                f"shard_size, batch_size and threads are {sizes}, wanted at least 1 of each; "
                f"regions is {self.regions}, wanted at least 0"
            )


def encode_records(
    records: Sequence[Record],
    encoder: ImageTextEncoder,
    *,
    out_dir: Path,
    config: ExtractConfig | None = None,
    progress: bool = False,
) -> ExtractReport:
    """Encode images and captions of all records into shards under `out_dir`.

    Start it again after a kill, with the same arguments, and it goes on. Start it with
    `torchrun --nproc_per_node N` and the shards are shared out; each process passes an encoder
    on its own device.
    """
    from accelerate import PartialState

    config = config or ExtractConfig()
    out_dir = Path(out_dir)
    _require_records(records)
    state = PartialState(cpu=encoder.device.type == "cpu")
    job = _describe_job(records, encoder, config)
    if state.is_main_process:
        claim_folder(out_dir, job)
    state.wait_for_everyone()
    require_same_job(out_dir, job)

    shards = plan_shards(len(records), config.shard_size)
    mine = shards_of_process(shards, state.process_index, state.num_processes)
    missing = [shard for shard in mine if not is_finished(out_dir, shard, job)]
    total = sum(len(shard) for shard in missing)
    with tqdm(total=total, disable=not progress, desc="images", unit="image") as bar:
        for shard in missing:
            chosen = records[shard.start : shard.stop]
            tensors, manifest = _encode_shard(chosen, encoder, config, bar)
            save_tensors(shard_path(out_dir, shard), tensors, manifest | {"job": job})
    state.wait_for_everyone()
    if state.is_main_process:
        write_summary(out_dir, shards, job)
    state.wait_for_everyone()
    return read_report(out_dir, computed=len(missing), reused=len(mine) - len(missing))


def _encode_shard(
    records: Sequence[Record], encoder: ImageTextEncoder, config: ExtractConfig, bar: tqdm
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Encode one shard: read ahead in threads, skip what cannot be read, batch the rest."""
    kept: list[Record] = []
    skipped: list[dict[str, str]] = []
    batches: list[dict[str, Tensor]] = []
    waiting: list[Tensor] = []
    pixels_of = prefetch(partial(_read_pixels, encoder), records, threads=config.threads)
    for record, pixels in zip(records, pixels_of, strict=True):
        bar.update()
        if isinstance(pixels, CorruptImage):
            logger.warning("skipped %s: %s", record.id, pixels.reason)
            path = str(record.image).encode("utf-8", "backslashreplace").decode()
            skipped.append({"id": record.id, "path": path, "reason": pixels.reason})
            continue
        kept.append(record)
        waiting.append(pixels)
        if len(waiting) == config.batch_size:
            batches.append(_encode_batch(torch.stack(waiting), encoder, config.regions))
            waiting = []
    if waiting:
        batches.append(_encode_batch(torch.stack(waiting), encoder, config.regions))
    tensors = _join_batches(batches, encoder.embed_dim, config.regions)
    tensors |= _encode_captions(kept, encoder)
    return tensors, {
        "ids": [record.id for record in kept],
        "skipped": skipped,
        "texts": len(tensors["text_features"]),
    }


def _read_pixels(encoder: ImageTextEncoder, record: Record) -> Tensor | CorruptImage:
    """Open and preprocess one image; hand the error back as a value, for the caller to name."""
    try:
        return encoder.preprocess(open_image(record.image))
    except CorruptImage as error:
        return error


def _encode_batch(pixels: Tensor, encoder: ImageTextEncoder, regions: int) -> dict[str, Tensor]:
    size = len(pixels)
    if not regions:
        return {"image_features": encoder.encode_image(pixels, batch_size=size).cpu()}
    states = encoder.image_states(pixels, batch_size=size)
    return {
        "image_features": states.image_features.cpu(),
        "region_features": regions_paper(states, regions).cpu(),
    }


def _join_batches(
    batches: Sequence[dict[str, Tensor]], width: int, regions: int
) -> dict[str, Tensor]:
    """Join the batches of a shard; a shard without one readable image gives empty tensors."""
    empty = {"image_features": torch.zeros(0, width)}
    if regions:
        empty["region_features"] = torch.zeros(0, regions, width)
    return {key: torch.cat([blank, *(b[key] for b in batches)]) for key, blank in empty.items()}


def _encode_captions(records: Sequence[Record], encoder: ImageTextEncoder) -> dict[str, Tensor]:
    texts = [text for record in records for text in record.captions]
    rows = [row for row, record in enumerate(records) for _ in record.captions]
    features = encoder.encode_text(texts).cpu() if texts else torch.zeros(0, encoder.embed_dim)
    return {"text_features": features, "image_index": torch.tensor(rows, dtype=torch.long)}


def _describe_job(
    records: Sequence[Record], encoder: ImageTextEncoder, config: ExtractConfig
) -> Job:
    """Return what makes this job this job; two that differ anywhere must not share a folder."""
    return {
        "model": encoder.name,
        "fingerprint": encoder.fingerprint,
        "data": records_digest(records),
        "records": len(records),
        "shard_size": config.shard_size,
        "regions": config.regions,
    }


def _require_records(records: Sequence[Record]) -> None:
    if not records:
        raise ValueError("no records: wanted at least one image")
    require_unique_ids(records)
    require_images(records)
