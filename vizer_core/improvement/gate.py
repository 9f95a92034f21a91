"""When `improve` refuses, and whether training is expected to add anything.

- Too few images: nothing could be held out, or tried on.
- A model with random weights: its captions are drawn from nearly all words alike, repeat
  themselves, or fit other images as well as their own. Nothing of the image can be learned there.
- A teacher whose captions are worse than the base's own by its own judgement: what happens where a
  reward pays for a habit (`forecast`). Learning them is collapse.
- In training: one caption for many images, repetition, much longer or shorter captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

import numpy as np

from vizer_core.decoding import Sample
from vizer_core.improvement.bench import Bench, Rung
from vizer_core.metrics.tokenize import tokenize_captions
from vizer_core.runtime import seeded
from vizer_core.vizer.drift import measure_drift
from vizer_core.vizer.information import log_likelihood
from vizer_core.vizer.rewards import repeated_share
from vizer_core.vizer.view_agreement import Beside

LOOK, HELD_OUT = 64, 64  # images that are tried on, and that are held out to the end, at most
LEAST_HELD_OUT, LEAST = 8, 24  # with fewer images than the second nothing is done
TRAINED_ON = 64  # fewer images are not trained on unless asked
FLAT = 0.6  # share of ln(vocabulary) in nats per token; trained drawn models have .2, real ones .1
LOOPS = 0.5  # mean share of repeated word pairs of greedy captions
BLIND = 0.4  # share of captions that their own image makes no likelier: 1/2 is chance
MORE_VAGUE, MORE_REPETITION = 0.05, 0.1  # than the base, from where a rung is not sound
LENGTHS = (0.5, 2.0)  # of the base's mean length, between which a rung is sound


def require_enough(count: int, skipped: int = 0) -> None:
    """Raise `ValueError` where images are too few to look at some and hold others out.

    >>> require_enough(23)
    Traceback (most recent call last):
    ValueError: 23 images are too few: wanted at least 24, of which 8 are held out to ...
    """
    if count < LEAST:
        left_out = f" ({skipped} files were no whole image)" if skipped else ""
        raise ValueError(
            f"{count} images are too few{left_out}: wanted at least {LEAST}, of which "
            f"{LEAST_HELD_OUT} are held out to the end and {LEAST - LEAST_HELD_OUT} are tried on; "
            "better some hundreds"
        )


def split_images(count: int) -> tuple[int, int]:
    """Return how many images are held out, and how many of the others are tried on.

    >>> split_images(24), split_images(100), split_images(1000)
    ((8, 16), (25, 64), (64, 64))
    """
    held_out = max(LEAST_HELD_OUT, min(HELD_OUT, count // 4))
    return held_out, min(LOOK, count - held_out)


def nats_a_token(bench: Bench, *, seed: int) -> float:
    """Return -log p a token of captions that the base draws: near ln(vocabulary) if untrained."""
    vlm = bench.vlm
    with vlm.adapter_off():
        drawn = vlm.generate(bench.plain, decoding=Sample(), generator=seeded(seed))
    return float(-log_likelihood(vlm, bench.plain, drawn).sum() / drawn.mask.sum())


def require_trained(bench: Bench, *, seed: int) -> None:
    """Raise `ValueError` where the model captions as random weights do, and name the signs."""
    base, most = bench.base, log(len(bench.vlm.embedding_table))
    nats, signs = nats_a_token(bench, seed=seed), []
    if nats > FLAT * most:
        signs.append(
            f"drawn captions cost {nats:.1f} nats per token, and words drawn at random {most:.1f}"
        )
    if base.repetition > LOOPS:
        signs.append(f"{base.repetition:.0%} of a greedy caption's word pairs repeat one before")
    if base.vague > BLIND:
        signs.append(
            f"{base.vague:.0%} of captions are no likelier under their image than under others "
            "(50% is chance)"
        )
    if signs:
        raise ValueError(
            f"{bench.vlm.name} captions as a model with random weights does: {'; '.join(signs)}. "
            f"Its first caption is {base.texts[0][:60]!r}. Nothing can be learned from these: load "
            "a trained checkpoint, or one with another default prompt"
        )


def is_clear(beside: Beside) -> bool:
    """Say whether captions are clearly better than the reference: in nats and in share of images.

    Nats alone would favour beam search, which looks for likely captions.
    """
    return beside.per_image.low > 0 and beside.preferred.low > 0.5


def unsound(rung: Rung, base: Rung) -> tuple[str, ...]:
    """Say in words what makes a rung worse than the base, whatever its agreement."""
    found = []
    if rung.vague > base.vague + MORE_VAGUE:
        found.append(f"vague captions {base.vague:.0%} to {rung.vague:.0%}")
    if rung.repetition > base.repetition + MORE_REPETITION:
        found.append(f"repetition {base.repetition:.0%} to {rung.repetition:.0%}")
    ratio = rung.length / max(base.length, 1e-9)
    if not LENGTHS[0] <= ratio <= LENGTHS[1]:
        found.append(f"length {base.length:.1f} to {rung.length:.1f} words")
    if rung.commonest > max(0.25, base.commonest + 0.1):
        found.append(f"one caption serves {rung.commonest:.0%} of the images")
    return tuple(found)


def collapse_of(now: Sequence[str], teacher: Sequence[str]) -> tuple[str, ...]:
    """Say what has collapsed in captions beside the teacher's of the same images, if anything.

    >>> collapse_of(["a b"] * 4, ["a cat", "a dog", "two birds", "a boat"])
    ('one caption serves 100% of the images (25% before)',)
    """
    found, drift = [], measure_drift(teacher, now)
    if drift.top1 > max(0.5, drift.old.commonest_share + 0.25):  # few images: one more is no sign
        found.append(
            f"one caption serves {drift.top1:.0%} of the images "
            f"({drift.old.commonest_share:.0%} before)"
        )
    if not LENGTHS[0] <= drift.longer <= LENGTHS[1]:
        found.append(
            f"length went from {drift.old.mean_length:.1f} to {drift.new.mean_length:.1f} words"
        )
    before, after = (
        float(np.mean([repeated_share(text, n=2) for text in tokenize_captions(texts)]))
        for texts in (teacher, now)
    )
    if after > before + 3 * MORE_REPETITION:
        found.append(f"repeated word pairs rose from {before:.0%} to {after:.0%}")
    return tuple(found)


def teacher_faults(bench: Bench, teacher: Rung) -> tuple[str, ...]:
    """Say why a teacher's captions must not be learned; nothing where they may be."""
    found = list(unsound(teacher, bench.base))
    worse = bench.beside(teacher, bench.base)
    if worse.preferred.high < 0.5 and worse.per_image.high < 0:
        found.append(
            f"its captions are preferred to the model's own on only {worse.preferred.mean:.0%} of "
            "images"
        )
    return tuple(found)


def decide(train: str, bench: Bench, teacher: Rung, *, images: int) -> tuple[bool, str]:
    """Return whether to train, and why or why not, in one sentence.

    `train` is auto, always or never. Raises `ValueError` where training is asked for and its
    captions would be worse than the model's own.
    """
    if train == "never":
        return False, "nothing is trained: --train never"
    faults = teacher_faults(bench, teacher)
    if faults:
        said = f"the captions to learn from ({teacher.way.name}) would be a collapse: "
        if train == "always":
            raise ValueError(f"{said}{'; '.join(faults)}. Nothing is trained")
        return False, f"nothing is trained: {said}{'; '.join(faults)}"
    if train == "always":
        return True, "trained: --train always"
    if images < TRAINED_ON:
        return False, (
            f"nothing is trained: {images} images to learn from, wanted at least {TRAINED_ON} "
            "(--train always trains all the same)"
        )
    if not is_clear(bench.beside(teacher, bench.base)):
        return False, "nothing is trained: the captions to learn from are not clearly better"
    return True, "trained: its captions to learn from are clearly better than the model's own"


def settings() -> dict[str, Any]:
    """The limits above as plain values, for a report."""
    names = ("LEAST", "FLAT", "LOOPS", "BLIND", "MORE_VAGUE", "MORE_REPETITION")
    return {name.lower(): globals()[name] for name in names} | {"lengths": list(LENGTHS)}
