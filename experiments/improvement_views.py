"""What views do, and why: how many, how far, averaged where, and what cannot be had in one view.

==========  ======================================================================================
count       the mean of 2, 3, 5 and 9 views
distance    five views at several distances, in pixels; half a patch is the farthest
control     five views moved by whole patches: the same renumbering, no new phase
log_p       the mean of log-probabilities over five views instead of features: a decode a view
layer       five views averaged at the patch embedding, after each layer, at the tower's end
one_shift   one moved view alone: the share of greedy captions that changes
distil      tower and connector trained to give the mean of five views when they see one
game        RLOO on view agreement itself: the score rises; do the captions?
==========  ======================================================================================

A patch transformer samples an image on a grid, and what it reads depends on where the grid falls.
If averaging helps because it averages that phase, then moves by whole patches must not help, and
averaging before the phase has been read, at the patch embedding, must not either.

Every row is compared with greedy captions of one view, the first word forced, on the same scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments import improvement_world as world
from experiments.improvement_cells import agreement_of
from experiments.improvement_decoders import greedy, mean_over_views
from experiments.improvement_record import record_of, statistics_of
from experiments.improvement_training import train_on_reward
from vizer_core.metrics.stats import Statistics, paired_bootstraps
from vizer_core.runtime import seeded
from vizer_core.vizer.information import image_prior_log_likelihood, log_likelihood
from vizer_core.vizer.view_agreement import OFF
from vizer_core.vlm import SmolVlm, VisionBatch
from vizer_core.vlm.views import held_out_offsets, mean_of_views, view_offsets
from vizer_lab.zoo.view_images import encode_array_views, vlm_pixels

COUNTS, DISTANCES = (2, 3, 5, 9), (1, 2, 4, 6, 7)
METRICS = ("object_precision", "object_recall", "object_f1", "exact")
DISTIL_STEPS, DISTIL_BATCH, DISTIL_RATE = 120, 32, 3e-4
DISTIL_IMAGES = 1280
GAME_IMAGES, GAME_RATE = 640, 5e-4
BATCH = 128
Row = dict[str, Any]


class Bench:
    """A base with its test scenes, its first word, and the one view that rows are compared with."""

    def __init__(self, base: str, word: str, n: int) -> None:
        self.base, self.word, self.n = base, word, n
        self.vlm, self.split = world.load_once(base), world.scenes_of(base, "test", n)
        self.one = greedy(self.vlm, world.seen(base, "test", n)[0], word)
        self.rival = self.statistics(self.one)

    def statistics(self, captions: Sequence[str]) -> dict[str, Statistics]:
        """Return every metric of captions of the test scenes."""
        return statistics_of(record_of(captions, self.split, before=self.one), self.split)

    def row(self, setting: Any, captions: Sequence[str]) -> Row:
        """Return scores of captions, and what they gain over the one view."""
        found = self.statistics(captions)
        both = [m for m in METRICS if m in found and m in self.rival]
        gains = paired_bootstraps({m: found[m] for m in both}, {m: self.rival[m] for m in both})
        return {
            "setting": setting,
            "changed": round(found["changed"].score, 4),
            **{m: round(found[m].score, 4) for m in both},
            **{
                f"{m}_gain": [round(v, 4) for v in (d.mean, d.low, d.high)]
                for m, d in gains.items()
            },
        }

    def at(self, offsets: Sequence[tuple[int, int]]) -> tuple[VisionBatch, ...]:
        """Return the scenes at offsets, whole patches allowed."""
        return world.at_offsets(self.base, "test", self.n, offsets)

    def say(self, vision: VisionBatch) -> list[str]:
        """Caption greedily after the first word."""
        return greedy(self.vlm, vision, self.word)


def count_rows(bench: Bench) -> list[Row]:
    """Average more and more views."""
    views = bench.at(view_offsets(bench.vlm.patch_size, views=max(COUNTS)))
    return [bench.row(k, bench.say(mean_of_views(views[:k]))) for k in COUNTS]


def diagonal(shift: int) -> list[tuple[int, int]]:
    """Return the image and its four diagonal neighbours.

    >>> diagonal(2)
    [(0, 0), (2, 2), (-2, -2), (2, -2), (-2, 2)]
    """
    return [(0, 0), *((shift * x, shift * y) for x, y in ((1, 1), (-1, -1), (1, -1), (-1, 1)))]


def distance_rows(bench: Bench) -> list[Row]:
    """Average five views at several distances."""
    return [bench.row(d, bench.say(mean_of_views(bench.at(diagonal(d))))) for d in DISTANCES]


def control_rows(bench: Bench) -> list[Row]:
    """Average five views moved by a whole patch."""
    patch = bench.vlm.patch_size
    return [bench.row(patch, bench.say(mean_of_views(bench.at(diagonal(patch)))))]


def log_p_rows(bench: Bench) -> list[Row]:
    """Average log-probabilities over five views."""
    views = bench.at(view_offsets(bench.vlm.patch_size, views=world.VIEWS))
    return [bench.row(world.VIEWS, mean_over_views(bench.vlm, views, bench.word))]


def one_shift_rows(bench: Bench) -> list[Row]:
    """Caption one moved view: half the share that changes is luck of the grid."""
    shift, patch = world.shift_of(bench.base), bench.vlm.patch_size
    moves = {"sub-patch": (shift, shift), "whole patch": (patch, patch)}
    return [bench.row(name, bench.say(bench.at([move])[0])) for name, move in moves.items()]


@contextmanager
def averaged_after(part: nn.Module, views: int) -> Iterator[None]:
    """Replace what a part says of stacked views by its mean over them, inside the block."""

    def mean(module: nn.Module, given: Any, said: Any) -> Any:
        states = said[0] if isinstance(said, tuple) else said
        same = states.unflatten(0, (views, -1)).mean(dim=0).repeat(views, *[1] * (states.ndim - 1))
        return (same, *said[1:]) if isinstance(said, tuple) else same

    hook = part.register_forward_hook(mean)
    try:
        yield
    finally:
        hook.remove()


def layer_rows(bench: Bench) -> list[Row]:
    """Average five views inside the tower, at its embedding and after each layer."""
    vlm = bench.vlm
    if not isinstance(vlm, SmolVlm):
        return []  # a Qwen2-VL's tower packs patches: the views of an image do not stack
    tower = vlm.base.model.vision_model
    places = {"embedding": tower.embeddings}
    places |= {f"layer {k}": layer for k, layer in enumerate(tower.encoder.layers, start=1)}
    places |= {"tower": tower.post_layernorm}
    rows, offsets = [], view_offsets(vlm.patch_size, views=world.VIEWS)
    for name, part in places.items():
        parts = []
        for start in range(0, bench.n, BATCH):
            pixels, grid = vlm_pixels(vlm, bench.split.images[start : start + BATCH])
            moved = [vlm.shift_pixels(pixels, grid, offset) for offset in offsets]
            with averaged_after(part, len(offsets)):
                whole = vlm.encode_pixels(torch.cat(moved), grid.repeat(len(offsets), 1))
            parts.append(whole.select(range(len(pixels))))
        rows.append(bench.row(name, bench.say(VisionBatch.concatenate(parts))))
    return rows


def distil_rows(bench: Bench) -> list[Row]:
    """Train tower and connector to say of one view what they say of five, on the stream."""
    rows = []
    for name in ("connector", "tower and connector"):
        vlm = world.load_fresh(bench.base)
        if not isinstance(vlm, SmolVlm):
            return []
        images = world.stream(world.world_named(bench.base), 0, DISTIL_IMAGES)
        aims = torch.stack([*world.training_views(bench.base, 0, DISTIL_IMAGES).image_embeddings])
        errors = _distil(vlm, vlm_pixels(vlm, images)[0], aims, tower=name != "connector")
        pixels = (
            vlm_pixels(vlm, bench.split.images[s : s + BATCH]) for s in range(0, bench.n, BATCH)
        )
        seen = VisionBatch.concatenate([vlm.encode_pixels(*each) for each in pixels])
        rows.append(bench.row(name, greedy(vlm, seen, bench.word)) | {"errors": errors})
    return rows


def _distil(vlm: SmolVlm, pixels: Tensor, aims: Tensor, *, tower: bool) -> list[float]:
    """Regress the mean embeddings; return the squared error over the start's, first and last."""
    parts = [vlm.base.model.connector] + [vlm.base.model.vision_model] * tower
    weights = [weight for part in parts for weight in part.parameters()]
    for weight in weights:
        weight.requires_grad_(True)
    optimizer = torch.optim.AdamW(weights, lr=DISTIL_RATE)
    generator, curve = seeded(0), []
    for _ in range(DISTIL_STEPS):
        rows = torch.randint(len(pixels), (DISTIL_BATCH,), generator=generator)
        seen = vlm.base.model.get_image_features(
            pixel_values=pixels[rows].unsqueeze(1), return_dict=True
        )
        said = torch.stack(list(seen.pooler_output))
        loss = functional.mse_loss(said, aims[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        curve.append(float(loss.detach()))
    for weight in weights:
        weight.requires_grad_(False)
    last = sum(curve[-10:]) / 10
    return [1.0, round(last / curve[0], 4)]


@dataclass(frozen=True, eq=False)
class ViewReward:
    """View agreement as a reward, of images whose held-out views are at hand: never train on it."""

    vlm: Any
    views: tuple[VisionBatch, ...]

    def __call__(self, vision: VisionBatch, captions: Any) -> Tensor:
        """Score captions by their own views less half of those of the next image."""
        rows = vision.index.tolist()
        own = torch.stack(
            [log_likelihood(self.vlm, view.select(rows), captions) for view in self.views]
        ).mean(dim=0)
        others = image_prior_log_likelihood(self.vlm, self.views[0], captions, rows=rows, others=4)
        return own - OFF * others


def game_rows(bench: Bench) -> list[Row]:
    """Train on view agreement: does what it says go up, and do captions get truer?"""
    vlm, seed = world.load_fresh(bench.base), 0
    images = world.stream(world.world_named(bench.base), seed, GAME_IMAGES)
    views = encode_array_views(vlm, images, views=held_out_offsets(vlm.patch_size))
    source = world.training(bench.base, seed, GAME_IMAGES)
    kl = train_on_reward(vlm, source, ViewReward(vlm, views), rate=GAME_RATE)["kl"]
    one = world.seen(bench.base, "test", bench.n)[0]
    rows = []
    for name, captions in (
        ("untrained", greedy(bench.vlm, one, "")),
        ("untrained, first word forced", bench.one),
        ("trained on view agreement", greedy(vlm, one, "")),
    ):
        judged = agreement_of(captions, bench.base, "test", bench.n)
        rows.append(bench.row(name, captions) | {"view_agreement": judged["mean"], "kl": kl})
    return rows


VIEW_CELLS: dict[str, Callable[[Bench], list[Row]]] = {
    "count": count_rows,
    "distance": distance_rows,
    "control": control_rows,
    "log_p": log_p_rows,
    "one_shift": one_shift_rows,
    "layer": layer_rows,
    "distil": distil_rows,
    "game": game_rows,
}


def view_cell(base: str, word: str, n: int, what: str) -> dict[str, Any]:
    """Return the rows of one question about views."""
    torch.set_num_threads(1)
    return {"what": what, "rows": VIEW_CELLS[what](Bench(base, word, n))}
