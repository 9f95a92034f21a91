"""Caption a whole set, and what decoding alone can change: the baselines that train nothing.

A base model with a generic habit ("itap of ...") is one first word away from its good captions: in
`results/improvement.json`, on bases with such a habit, another first word alone brings most of what
the best training does. So compare the greedy scores of a trained model with these; alone they prove
nothing.

======================  =========================================================================
generate_captions       the model as it is; another `prompt` makes it the prompt-only baseline
share_captions          the same among processes, with the numbers that one process would draw
first_token_mass        how probable each first word is, averaged over images
suppressed_first_words  greedy, with the likeliest first words forbidden
======================  =========================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from vizer_core.decoding import Decoding, Greedy, Sample
from vizer_core.distributed import gather_items, my_share
from vizer_core.vizer.read_ahead import batches_of, read_ahead
from vizer_core.vizer.targets import Slice, VisionSource
from vizer_core.vlm.first_words import first_word_mass
from vizer_core.vlm.generation import skip_draws
from vizer_core.vlm.protocol import VisionBatch, VisionLanguageModel

BATCH = 64

Samples = tuple[tuple[str, ...], ...]  # one row per image


def vision_batches(
    source: VisionSource, *, batch: int = BATCH, label: str = "", progress: bool = False
) -> Iterator[VisionBatch]:
    """Yield the images of a source in order."""
    if not len(source):
        raise ValueError("the source contains no image: there is nothing to caption")
    batches = batches_of(len(source), batch)
    with read_ahead(source, batches) as ahead:
        for indices in tqdm(batches, desc=label, disable=not progress):
            yield ahead.select(indices)


@torch.no_grad()
def generate_captions(
    vlm: VisionLanguageModel,
    source: VisionSource,
    *,
    decoding: Decoding | None = None,
    prompt: str | None = None,
    banned: Sequence[str] = (),
    opening: Sequence[str] = (),
    generator: torch.Generator | None = None,
) -> tuple[str, ...]:
    """Generate one caption per image, greedy unless told otherwise."""
    texts: list[str] = []
    for vision in vision_batches(source):
        texts += vlm.generate(
            vision,
            decoding=decoding or Greedy(),
            prompt=prompt,
            banned=banned,
            opening=opening,
            generator=generator,
        ).texts
    return tuple(texts)


def share_captions(
    vlm: VisionLanguageModel,
    source: VisionSource,
    *,
    decoding: Decoding | None = None,
    prompt: str | None = None,
    opening: Sequence[str] = (),
    generator: torch.Generator | None = None,
) -> tuple[str, ...]:
    """Caption images as `generate_captions` does; each process generates its share.

    All processes get all captions, in the order of the images. Where one process fails, all do:
    nobody waits for what will not come.
    """
    rule, mine = decoding or Greedy(), my_share(len(source))
    texts: tuple[str, ...] = ()
    fault: Exception | None = None
    try:
        skip_draws(mine.start, rule, generator)
        if len(mine) or not len(source):
            texts = generate_captions(
                vlm,
                Slice(source, mine),
                decoding=rule,
                prompt=prompt,
                opening=opening,
                generator=generator,
            )
        skip_draws(len(source) - mine.stop, rule, generator)
    except Exception as error:
        fault = error
    faults = gather_items([] if fault is None else [str(fault)])
    if faults:
        raise fault or ValueError(faults[0])
    return tuple(gather_items(texts))


@torch.no_grad()
def sample_captions(
    vlm: VisionLanguageModel,
    source: VisionSource,
    *,
    samples: int,
    generator: torch.Generator,
    decoding: Sample | None = None,
    prompt: str | None = None,
    progress: bool = False,
) -> Samples:
    """Draw `samples` captions per image, at T = 1 unless told otherwise."""
    if samples < 1:
        raise ValueError(f"samples is {samples}: wanted at least 1 per image")
    rule, rows = decoding or Sample(), []
    batch = max(1, 4 * BATCH // samples)
    for vision in vision_batches(source, batch=batch, label="drawing captions", progress=progress):
        texts = vlm.generate(
            vision, decoding=rule, samples=samples, prompt=prompt, generator=generator
        ).texts
        rows += [texts[i : i + samples] for i in range(0, len(texts), samples)]
    return tuple(rows)


def first_token_mass(
    vlm: VisionLanguageModel, source: VisionSource, *, top: int = 10, prompt: str | None = None
) -> dict[str, float]:
    """Return the `top` first words with their mean probability, likeliest first.

    A high mass on one word that says nothing predicts that greedy captions will hide what the
    model can do.
    """
    return first_word_mass(vlm, vision_batches(source), top=top, prompt=prompt)


@dataclass(frozen=True)
class BannedStart:
    """Captions generated without their likeliest first words, and which words those were."""

    texts: tuple[str, ...]
    banned: tuple[str, ...]


def suppressed_first_words(
    vlm: VisionLanguageModel,
    source: VisionSource,
    *,
    words: int = 1,
    decoding: Decoding | None = None,
    prompt: str | None = None,
) -> BannedStart:
    """Forbid the `words` likeliest first words, then caption; no training."""
    banned = tuple(first_token_mass(vlm, source, top=words, prompt=prompt))
    texts = generate_captions(vlm, source, decoding=decoding, prompt=prompt, banned=banned)
    return BannedStart(texts, banned)
