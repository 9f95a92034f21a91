"""What a mapper is trained on: states of captions, one vector per caption, by the frozen base.

ViZer section 3 has two forms, and they differ in what the language model sees.

==============================  ==================================================================
ground_truth_states             ViZer_GT, M(E_phi(x)): a human caption, read without its image
ground_truth_states_in_context  the same caption read after image and prompt, as phase 2 reads it
generated_states                ViZer_G, M(f_psi(V(I) o E_phi(P))_{t+1:}): the model's own caption,
                                its image in context; no labels
read_back_states                the model's own caption, read as text alone; no labels (ours)
==============================  ==================================================================

The model is frozen in this phase, so states are computed once and a mapper trains on the cache.
An adapter, where there is one, is switched off: all of these are the base model's.

`states_in_shards` reads the states of a whole set into a folder that all processes share: to
caption every image is the expensive part of phase 1, and a killed job goes on where it stopped.
The numbers that a caption is drawn with depend on its image's index alone.

With the image in context a caption's states must carry the image to predict the next word, so F_I
can be read from them whatever the words are. Text alone has only the words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from vizer_core.data.shards import Shard, plan_shards, shards_of_process
from vizer_core.decoding import Decoding, Greedy, Sample
from vizer_core.distributed import process_rank, wait_for_everyone
from vizer_core.files import find_manifest, load_manifest, load_tensors, save_tensors
from vizer_core.runtime import seeded
from vizer_core.vizer.pooling import mean_read
from vizer_core.vizer.read_ahead import batches_of, read_ahead
from vizer_core.vizer.targets import Slice, VisionSource
from vizer_core.vlm.generation import skip_draws
from vizer_core.vlm.prepared import Prepared, encode_prepared, prepare
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel

Pool = Callable[[Tensor, Tensor], Tensor]
BATCH = 64
SHARD = 512  # images a file of `states_in_shards`: some minutes of SmolVLM on one GPU


@dataclass(frozen=True, eq=False)
class ImageSource:
    """Images that are encoded when asked for; the frozen vision side runs once an epoch."""

    vlm: VisionLanguageModel
    images: Sequence[Image.Image]
    targets: Float[Tensor, "n d"] | None = None  # what captions are compared with; else F_I

    def __post_init__(self) -> None:
        if self.targets is not None and len(self.targets) != len(self.images):
            raise ValueError(
                f"{len(self.targets)} targets for {len(self.images)} images: wanted one per image"
            )

    def __len__(self) -> int:
        return len(self.images)

    def select(self, indices: list[int]) -> VisionBatch:
        """Encode the images at `indices`, in that order."""
        return self.encode(Prepared([self.images[i] for i in indices], None), indices)

    def prepare(self, indices: list[int]) -> Prepared:
        """Open and preprocess the images at `indices` (`vizer.read_ahead`)."""
        return prepare(self.vlm, [self.images[i] for i in indices])

    def encode(self, prepared: Prepared, indices: list[int]) -> VisionBatch:
        """Return what `select` does, of what `prepare` made."""
        vision = encode_prepared(self.vlm, prepared).numbered(indices)
        return vision if self.targets is None else vision.with_targets(self.targets[list(indices)])


@dataclass(frozen=True, eq=False)
class CaptionStates:
    """Captions, their pooled states and the targets of their images: what a mapper trains on."""

    states: Float[Tensor, "n h"]
    image_features: Float[Tensor, "n d"]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, eq=False)
class TokenStates:
    """States of every token of n captions, for a mapper that maps tokens before it averages."""

    states: Float[Tensor, "n t1 h"]
    mask: Bool[Tensor, "n t"]

    def __len__(self) -> int:
        return len(self.mask)


def ground_truth_states(
    vlm: VisionLanguageModel,
    texts: Sequence[str],
    *,
    pool: Pool = mean_read,
    progress: bool = False,
) -> Float[Tensor, "n h"]:
    """Read captions as text alone and pool: f_psi(E_phi(x)), no image anywhere."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths, little padding
    rows: list[Tensor] = [torch.empty(0)] * len(texts)
    with torch.no_grad(), vlm.adapter_off():
        for indices in _batches(order, "reading captions", progress):
            captions = vlm.tokenize([texts[i] for i in indices])
            pooled = pool(vlm.text_states(captions).float(), captions.mask)
            for index, row in zip(indices, pooled, strict=True):
                rows[index] = row
    return torch.stack(rows)


def token_states(vlm: VisionLanguageModel, texts: Sequence[str]) -> TokenStates:
    """Read captions as text alone and keep the states of every token, padding as zeros."""
    captions = vlm.tokenize(list(texts))
    parts = []
    with torch.no_grad(), vlm.adapter_off():
        for indices in _batches(range(len(texts)), "reading captions", False):
            parts.append(vlm.text_states(captions.select(indices)).float())
    states = torch.cat(parts)
    states[:, 1:][~captions.mask] = 0.0
    return TokenStates(states, captions.mask)


def ground_truth_states_in_context(
    vlm: VisionLanguageModel,
    source: VisionSource,
    texts: Sequence[str],
    *,
    prompt: str | None = None,
    pool: Pool = mean_read,
    progress: bool = False,
) -> CaptionStates:
    """Read each caption after its image and the prompt, and pool.

    Give another image's captions to see whether the states follow the words or the image.
    """
    if len(texts) != len(source):
        raise ValueError(f"{len(texts)} captions for {len(source)} images: wanted one per image")

    def given(indices: list[int], vision: VisionBatch) -> CaptionBatch:
        return vlm.tokenize([texts[i] for i in indices])

    return _states_in_context(vlm, source, given, prompt=prompt, pool=pool, progress=progress)


def generated_states(
    vlm: VisionLanguageModel,
    source: VisionSource,
    *,
    decoding: Decoding | None = None,
    prompt: str | None = None,
    pool: Pool = mean_read,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> CaptionStates:
    """Let the model caption its images and pool the states that its own words had.

    How the paper decodes here is not known; greedy unless told otherwise.
    """
    rule = decoding or Greedy()

    def generated(indices: list[int], vision: VisionBatch) -> CaptionBatch:
        return vlm.generate(vision, decoding=rule, prompt=prompt, generator=generator)

    return _states_in_context(vlm, source, generated, prompt=prompt, pool=pool, progress=progress)


def read_back_states(
    vlm: VisionLanguageModel,
    source: VisionSource,
    *,
    decoding: Decoding | None = None,
    prompt: str | None = None,
    pool: Pool = mean_read,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> CaptionStates:
    """Let the model caption its images, then read each caption as text alone and pool.

    Sampled at T = 1 unless told otherwise: a reader trained on greedy captions has never seen the
    words that greedy decoding leaves out, and cannot reward them later.
    """
    rule = decoding or Sample()
    states, features, texts = [], [], []
    with torch.no_grad(), vlm.adapter_off():
        for _, vision in _encoded(source, "generating captions", progress):
            generated = vlm.generate(vision, decoding=rule, prompt=prompt, generator=generator)
            states.append(pool(vlm.text_states(generated).float(), generated.mask))
            features.append(vision.targets.float())
            texts += generated.texts
    return CaptionStates(torch.cat(states), torch.cat(features), tuple(texts))


ReadStates = Callable[[VisionSource, torch.Generator], CaptionStates]


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
            f"{folder} has states of another job: {', '.join(odd)} differ. Delete the folder to "
            "start again, or ask for the same job"
        )
    return True


def _states_in_context(
    vlm: VisionLanguageModel,
    source: VisionSource,
    captions_of: Callable[[list[int], VisionBatch], CaptionBatch],
    *,
    prompt: str | None,
    pool: Pool,
    progress: bool,
) -> CaptionStates:
    states, features, texts = [], [], []
    with torch.no_grad(), vlm.adapter_off():
        for indices, vision in _encoded(source, "reading captions", progress):
            captions = captions_of(indices, vision)
            read = vlm.caption_states(vision, captions, prompt=prompt).float()
            states.append(pool(read, captions.mask))
            features.append(vision.targets.float())
            texts += captions.texts
    return CaptionStates(torch.cat(states), torch.cat(features), tuple(texts))


def _encoded(
    source: VisionSource, label: str, progress: bool
) -> Iterator[tuple[list[int], VisionBatch]]:
    """Yield the images of a source in order, each batch with its indices."""
    with read_ahead(source, batches_of(len(source), BATCH)) as ahead:
        for indices in _batches(range(len(source)), label, progress):
            yield indices, ahead.select(indices)


def _batches(indices: Sequence[int], label: str, progress: bool) -> Iterator[list[int]]:
    if not len(indices):
        raise ValueError("nothing to read: got no captions and no images")
    starts = range(0, len(indices), BATCH)
    for start in tqdm(starts, desc=label, disable=not progress):
        yield list(indices[start : start + BATCH])
