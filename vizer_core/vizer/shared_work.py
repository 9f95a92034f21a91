"""Reading a whole set of images once, among processes: captions, and the states of captions.

The expensive part of phase 1 is that the model captions every picture; the mapper is seconds. So
states are written shard by shard to a folder that all processes share: a killed job goes on where
it stopped, and the mapper is then fitted alike in every process. The numbers that a caption is
drawn with depend on its image's place alone, not on the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from vizer_core.data.shards import Shard, plan_shards, shards_of_process
from vizer_core.decoding import Decoding, Greedy
from vizer_core.processes import gather_items, my_share, process_rank, wait_for_everyone
from vizer_core.runtime import seeded
from vizer_core.store import find_manifest, load_manifest, load_tensors, save_tensors
from vizer_core.vizer.targets import VisionSource
from vizer_core.vizer.text_states import CaptionStates
from vizer_core.vizer.write_captions import write_captions
from vizer_core.vlm.protocol import VisionBatch, VisionLanguageModel
from vizer_core.vlm.writing import skip_draws

ReadStates = Callable[[VisionSource, torch.Generator], CaptionStates]
SHARD = 512  # images a file: some minutes of SmolVLM on one GPU


@dataclass(frozen=True, eq=False)
class Slice:
    """The images of a source at contiguous places."""

    source: VisionSource
    places: range

    def __len__(self) -> int:
        return len(self.places)

    def select(self, places: list[int]) -> VisionBatch:
        """Return the images at `places` of this slice."""
        return self.source.select([self.places[i] for i in places])


def share_captions(
    vlm: VisionLanguageModel,
    source: VisionSource,
    *,
    decoding: Decoding | None = None,
    prompt: str | None = None,
    generator: torch.Generator | None = None,
) -> tuple[str, ...]:
    """Write one caption an image as `write_captions` does; each process writes its share.

    All processes get all captions, in the order of the images.
    """
    rule, mine = decoding or Greedy(), my_share(len(source))
    texts: tuple[str, ...] = ()
    skip_draws(mine.start, rule, generator)
    if len(mine) or not len(source):
        texts = write_captions(
            vlm, Slice(source, mine), decoding=rule, prompt=prompt, generator=generator
        )
    skip_draws(len(source) - mine.stop, rule, generator)
    return tuple(gather_items(texts))


def states_in_shards(
    read: ReadStates,
    source: VisionSource,
    folder: Path,
    *,
    job: Mapping[str, Any],
    rule: Decoding,
    seed: int,
    size: int = SHARD,
) -> CaptionStates:
    """Read the states of every image's caption into shards under `folder`, and return them all.

    `read` is `generated_states`, `read_back_states` or their like, with all but the source and the
    generator filled in; `rule` is how it decodes. Called again after a kill it goes on; a folder
    of another `job`, seed or size is refused. In one piece or in many, the states are the same.
    """
    folder, (rank, world) = Path(folder), process_rank()
    whole = dict(job) | {"images": len(source), "seed": seed, "size": size}
    shards = plan_shards(len(source), size)
    missing = [s for s in shards_of_process(shards, rank, world) if not _is_there(folder, s, whole)]
    for shard in tqdm(missing, desc="shards of captions", **({"disable": True} if rank else {})):
        generator = seeded(seed)
        skip_draws(shard.start, rule, generator)
        found = read(Slice(source, range(shard.start, shard.stop)), generator)
        tensors = {"states": found.states, "image_features": found.image_features}
        record = {"kind": "caption-states", "job": whole, "texts": list(found.texts)}
        save_tensors(_path(folder, shard), tensors, record)
    wait_for_everyone()
    parts = [load_tensors(_path(folder, shard)) for shard in shards]
    return CaptionStates(
        torch.cat([tensors["states"] for tensors, _ in parts]),
        torch.cat([tensors["image_features"] for tensors, _ in parts]),
        tuple(text for _, manifest in parts for text in manifest["texts"]),
    )


def _path(folder: Path, shard: Shard) -> Path:
    return folder / f"{shard.name}.safetensors"


def _is_there(folder: Path, shard: Shard, job: Mapping[str, Any]) -> bool:
    """Say whether a shard is finished; refuse one of another job."""
    path = _path(folder, shard)
    if find_manifest(path) is None:
        return False
    kept = load_manifest(path).get("job", {})
    odd = sorted(key for key in kept.keys() | job.keys() if kept.get(key) != job.get(key))
    if odd:
        raise ValueError(
            f"{folder} holds states of another job: {', '.join(odd)} differ. Delete the folder to "
            "start again, or ask for the same job"
        )
    return True
