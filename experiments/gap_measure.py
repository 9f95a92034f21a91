"""What the gap study measures on one model: every number with its own interval over scenes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vizer_core.clip import (
    MACCAP_REGIONS,
    ImageStates,
    OpenClipEncoder,
    regions_counterfactual,
    regions_paper,
    regions_release,
)
from vizer_core.gap import (
    Interval,
    bootstrap_gap,
    closer_subregion_fraction,
    cosine_table,
    measure_gap,
    sweep_shift,
)
from vizer_core.gap.interval import bootstrap_mean
from vizer_core.gap.shift import ShiftPoint
from vizer_core.metrics.grounding import parse_caption
from vizer_core.runtime import seeded
from vizer_lab.world import DrawnSplit, Scene, drawn_lexicon
from vizer_lab.zoo.clips import pixels_of, retrieval_hits

READINGS = {
    "paper": regions_paper,
    "release": regions_release,
    "counterfactual": regions_counterfactual,
}
DELTAS = tuple(np.arange(-0.5, 2.01, 0.1).round(2).tolist())


@dataclass(frozen=True)
class World:
    """The test scenes of the study, the caption used for each, and what that caption names."""

    split: DrawnSplit
    texts: tuple[str, ...]
    named: tuple[frozenset[str], ...]

    @classmethod
    def draw(cls, n: int) -> World:
        """Take the first caption of each of the first n test scenes: one pair a scene."""
        split, lexicon = DrawnSplit("second_test", n), drawn_lexicon("second")
        texts = tuple(captions[0] for captions in split.captions)
        parsed = (parse_caption(text, lexicon) for text in texts)
        named = tuple(
            frozenset(name for m in p.mentions if not m.is_category for name in m.names)
            for p in parsed
        )
        return cls(split, texts, named)


Numbers = dict[str, Interval]


def measure(encoder: OpenClipEncoder, world: World) -> Numbers:
    """Measure everything the study reports of one model, by metric name."""
    states = encoder.image_states(pixels_of(world.split.images))
    text = encoder.encode_text(world.texts)
    numbers = _gap_numbers(states.image_features, text)
    numbers |= _retrieval_numbers(states.image_features, text)
    numbers |= _region_numbers(states, text)
    numbers |= _closer_numbers(states, text, world)
    numbers |= _shift_numbers(states.image_features, text, encoder.logit_scale)
    return numbers


def _exact(value: float) -> Interval:
    return Interval(value, value, value)


def _gap_numbers(image: Tensor, text: Tensor) -> Numbers:
    report = measure_gap(image, text)
    numbers = bootstrap_gap(image, text, generator=seeded(0))
    for name in (
        "pair_cosine_max",
        "pair_cosine_min",
        "ks_raw",
        "ks_centred",
        "gap_norm_null",
        "separability_held_out",
        "separability_lda",
    ):
        numbers[name] = _exact(getattr(report, name))
    cosine = numbers["pair_cosine_mean"]
    sides = [(1 / c**2 - 1) / image.shape[1] for c in (cosine.low, cosine.high)]
    numbers["matched_noise_variance"] = Interval(
        (1 / cosine.estimate**2 - 1) / image.shape[1], min(sides), max(sides)
    )
    return numbers


def _retrieval_numbers(image: Tensor, text: Tensor) -> Numbers:
    hits = retrieval_hits(image[:1000], text[:1000])
    return {name: bootstrap_mean(hit.float(), generator=seeded(1)) for name, hit in hits.items()}


def _region_numbers(states: ImageStates, text: Tensor) -> Numbers:
    numbers: Numbers = {}
    for reading, regions_of in READINGS.items():
        if reading == "release" and states.pool != "cls":
            continue
        patches = (
            states.counterfactual_features if reading == "counterfactual" else states.patch_features
        )
        rows = cosine_table(
            states.image_features,
            regions_of(states, MACCAP_REGIONS),
            text,
            patch_features=patches,
            generator=seeded(2),
        )
        for row in rows:
            key = f"{reading}_{row.system.replace('mix, ', 'mix_').replace(' ', '_')}"
            numbers[f"{key}_gain"] = row.gain
            numbers[f"{key}_max"] = _exact(row.maximum)
            numbers[f"{key}_min"] = _exact(row.minimum)
            numbers[f"{key}_mean"] = row.mean
    return numbers


def _closer_numbers(states: ImageStates, text: Tensor, world: World) -> Numbers:
    numbers: Numbers = {}
    kinds = {"patch": states.patch_features, "counterfactual": states.counterfactual_features}
    for kind, patches in kinds.items():
        found = closer_subregion_fraction(patches, states.image_features, text, generator=seeded(3))
        numbers[f"{kind}_closer"] = found.fraction
        numbers[f"{kind}_closer_other_image"] = found.other_image
        best = torch.einsum("npd,nd->np", patches, text).max(dim=1)
        wins = best.values > (states.image_features * text).sum(dim=1)
        numbers |= {f"{kind}_{k}": v for k, v in _by_omission(wins, world).items()}
        numbers |= {
            f"{kind}_{k}": v for k, v in _localisation(best.indices, states.grid, world).items()
        }
    return numbers


def _by_omission(wins: Tensor, world: World) -> Numbers:
    """Split the closer fraction by how many of a scene's kinds the caption leaves out."""
    kinds = [{o.name for o in scene.objects} for scene in world.split.scenes]
    rows = [
        (int(win), len(there - named))
        for win, there, named in zip(wins, kinds, world.named)
        if len(there) == 3 and named
    ]
    table = torch.tensor(rows, dtype=torch.float32)
    return {
        f"closer_{int(left)}_of_3_left_out": bootstrap_mean(
            table[table[:, 1] == left, 0], generator=seeded(4)
        )
        for left in (0, 1, 2)
    }


def _localisation(best: Tensor, grid: tuple[int, int], world: World) -> Numbers:
    """Say how often the best patch lies on a named object, where the scene has others too."""
    hits, chances = [], []
    for patch, scene, named in zip(best.tolist(), world.split.scenes, world.named):
        there = {o.name for o in scene.objects}
        if len(there) > 1 and len(named) == 1 and named <= there:
            covered = _covered(scene, named, grid)
            hits.append(float(covered.flatten()[patch]))
            chances.append(float(covered.mean()))
    return {
        "localisation": bootstrap_mean(torch.tensor(hits), generator=seeded(5)),
        "localisation_chance": bootstrap_mean(torch.tensor(chances), generator=seeded(5)),
    }


def _covered(scene: Scene, named: frozenset[str], grid: tuple[int, int]) -> np.ndarray:
    """Mark the patches whose centre lies on a named object's box, [rows, columns]."""
    y, x = np.meshgrid(*((np.arange(k) + 0.5) / k for k in grid), indexing="ij")
    boxes = [
        (abs(x - o.x) <= o.w / 2) & (abs(y - o.y) <= o.w / 2)
        for o in scene.objects
        if o.name in named
    ]
    return np.logical_or.reduce(boxes).astype(float)


def _shift_numbers(image: Tensor, text: Tensor, scale: float) -> Numbers:
    """Move the clouds together (Liang et al. 2022): where is the gap least, and what is gained?"""
    points = sweep_shift(image, text, DELTAS, logit_scale=scale)
    still = next(p for p in points if p.delta == 0)
    closed = min(points, key=lambda p: abs(p.distance))
    cheapest = min(points, key=lambda p: p.loss.symmetric)
    return {
        "shift_closed_recall_change": _exact(_recall(closed) - _recall(still)),
        "shift_closed_loss_change": _exact(closed.loss.symmetric - still.loss.symmetric),
        "shift_cheapest_distance": _exact(cheapest.distance),
    }


def _recall(point: ShiftPoint) -> float:
    return (point.recall.image_to_text + point.recall.text_to_image) / 2
