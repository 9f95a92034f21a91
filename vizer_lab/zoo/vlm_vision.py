"""Train the drawn VLM's vision tower on labels at every patch, taken from the scenes' exact boxes.

Real VLMs start from a tower that hundreds of millions of captions have trained (SigLIP). At the
drawn size a contrastive loss from scratch stays near chance for minutes, while a label at each of
the 64 patches teaches the same tower quickly. Four heads read it, and are thrown away afterwards:

======  ====================================================================================
kind    at each patch: which object's box covers its centre, or none; art seldom fills the rim
        of its box, so patches there have no label
place   at each patch that no object covers: the place
centre  at each patch: whether an object has its centre here (how many there are, and where)
bag     on the mean of the patches: which kinds are there; so that the pooled feature, which
        ViZer calls F_I, tells the objects and not the place alone
======  ====================================================================================

After training the tower is frozen for good, as the paper's is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from vizer_lab.world.render import render_scenes
from vizer_lab.world.world import (
    Scene,
    make_scene,
    objects_of,
    places_of,
    split_in,
)
from vizer_lab.zoo.step_checkpoint import StepCheckpoint
from vizer_lab.zoo.vlm_images import pixel_values_of
from vizer_lab.zoo.vlm_recipe import VlmStage

CORE = 0.75  # of a box's side: outside it the art may or may not cover the patch
CENTRE_WEIGHT = 8.0  # a centre is rare: about one patch in 28
NOTHING_SHARE, CENTRE_SHARE = 0.25, 0.2  # of the loss, against 1 for kind, place and bag
IGNORED = -100


@cache
def _kind_ids(split: str) -> dict[str, int]:
    return {kind.name: i for i, kind in enumerate(objects_of(split))}


@cache
def _place_ids(split: str) -> dict[str, int]:
    return {place.name: i for i, place in enumerate(places_of(split))}


@dataclass(frozen=True, eq=False)
class DenseLabels:
    """What is true at each of the p patches of n scenes, row by row from the top left.

    Kinds are numbered as in the table of the scenes' world; the number after the last is a patch
    that no object covers.
    """

    kind: Int[Tensor, "n p"]
    place: Int[Tensor, "n p"]
    centre: Float[Tensor, "n p"]
    bag: Float[Tensor, "n c"]

    @property
    def nothing(self) -> int:
        """The label of a patch that no object covers."""
        return self.bag.shape[1]


def dense_labels(scenes: Sequence[Scene], grid: int) -> DenseLabels:
    """Read the labels of every patch off the scenes' boxes; objects in front hide those behind.

    >>> labels = dense_labels([make_scene("second_train", 0)], 8)
    >>> labels.kind.shape, int(labels.centre.sum()) == len(make_scene("second_train", 0).objects)
    (torch.Size([1, 64]), True)
    """
    middles = (np.arange(grid) + 0.5) / grid
    kind_ids, place_ids = _kind_ids(scenes[0].split), _place_ids(scenes[0].split)
    nothing = len(kind_ids)
    kind = np.full((len(scenes), grid, grid), nothing)
    centre = np.zeros((len(scenes), grid, grid), np.float32)
    bag = np.zeros((len(scenes), nothing), np.float32)
    for row, scene in enumerate(scenes):
        for item in scene.objects:
            for share, label in ((1.0, IGNORED), (CORE, kind_ids[item.name])):
                down = np.abs(middles - item.y) <= share * item.w / 2
                across = np.abs(middles - item.x) <= share * item.w / 2
                kind[row][np.ix_(down, across)] = label
            centre[row, int(item.y * grid), int(item.x * grid)] = 1.0
            bag[row, kind_ids[item.name]] = 1.0
    places = np.array([place_ids[scene.place] for scene in scenes])[:, None, None]
    place = np.where(kind == nothing, places, IGNORED)
    return DenseLabels(
        torch.from_numpy(kind.reshape(len(scenes), -1)),
        torch.from_numpy(place.reshape(len(scenes), -1)),
        torch.from_numpy(centre.reshape(len(scenes), -1)),
        torch.from_numpy(bag / bag.sum(1, keepdims=True)),
    )


class DenseHeads(nn.Module):
    """Four linear readings of the tower, used in training only."""

    def __init__(self, width: int, split: str = "second_train") -> None:
        super().__init__()
        kinds = len(objects_of(split))
        self.kind = nn.Linear(width, kinds + 1)
        self.place = nn.Linear(width, len(places_of(split)))
        self.centre = nn.Linear(width, 1)
        self.bag = nn.Linear(width, kinds)


def dense_loss(
    patches: Float[Tensor, "n p dv"], heads: DenseHeads, labels: DenseLabels
) -> Float[Tensor, ""]:
    """Return the sum of the four losses; each is a mean over its own labels."""
    logits, free = heads.kind(patches), labels.kind == labels.nothing
    kind = functional.cross_entropy(
        logits.flatten(0, 1), labels.kind.masked_fill(free, IGNORED).flatten(), ignore_index=IGNORED
    )
    nothing = -logits[free].log_softmax(-1)[:, labels.nothing].mean()
    place = functional.cross_entropy(
        heads.place(patches).flatten(0, 1), labels.place.flatten(), ignore_index=IGNORED
    )
    weight = torch.tensor(CENTRE_WEIGHT, device=patches.device)
    centre = functional.binary_cross_entropy_with_logits(
        heads.centre(patches)[..., 0], labels.centre, pos_weight=weight
    )
    bag = functional.cross_entropy(heads.bag(patches.mean(1)), labels.bag)
    return kind + place + bag + NOTHING_SHARE * nothing + CENTRE_SHARE * centre


def dense_accuracy(
    patches: Float[Tensor, "n p dv"], heads: DenseHeads, labels: DenseLabels
) -> dict[str, float]:
    """Return how often the heads are right, by label; `bag` looks at the likeliest kind only."""
    kind, place = heads.kind(patches).argmax(-1), heads.place(patches).argmax(-1)
    covered = (labels.kind != labels.nothing) & (labels.kind != IGNORED)
    best = heads.bag(patches.mean(1)).argmax(-1, keepdim=True)
    right = {
        "kind": (kind == labels.kind)[covered],
        "nothing": (kind == labels.kind)[labels.kind == labels.nothing],
        "place": (place == labels.place)[labels.kind == labels.nothing],
        "centre": (heads.centre(patches)[..., 0] > 0)[labels.centre > 0],
        "bag": labels.bag.gather(1, best) > 0,
    }
    return {name: round(float(hits.float().mean()), 4) for name, hits in right.items()}


def train_tower(
    tower: nn.Module,
    stage: VlmStage,
    *,
    seed: int,
    grid: int,
    progress: bool = False,
    world: str = "second",
    checkpoint: StepCheckpoint | None = None,
) -> list[float]:
    """Train a vision tower in place on `stage.steps` batches of fresh scenes; return the losses.

    The heads are thrown away; the tower is left frozen and in eval mode. With a `checkpoint` the
    stage saves itself as it goes and, called again, goes on to the same end.
    """
    split = split_in(world, "train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heads = DenseHeads(tower.config.hidden_size, split)
    optimizer = stage.optimizer(tower, heads=heads)
    tower.train()
    saved = {"tower": tower, "heads": heads}
    losses = checkpoint.restore(saved, optimizer) if checkpoint else []
    done = len(losses)
    size = grid * tower.config.patch_size
    batches = _scene_batches(stage, size, split, done)
    bar = tqdm(batches, initial=done, total=stage.steps, desc=stage.name, disable=not progress)
    for step, (scenes, pixels) in enumerate(bar, start=done):
        # 1 learning rate, 2 patches, 3 loss of the four heads, 4 step
        stage.set_rate(optimizer, step)
        patches = tower(pixel_values=pixels).last_hidden_state
        loss = dense_loss(patches, heads, dense_labels(scenes, grid))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if checkpoint:
            checkpoint.save(saved, optimizer, losses)
        if step % 20 == 0:
            bar.set_postfix(loss=f"{losses[-1]:.3f}")
    # a gradient left behind would count in the norm that the next stage clips, but not in a run
    # that goes on from a file
    tower.eval().requires_grad_(False).zero_grad(set_to_none=True)
    return losses


def _scene_batches(
    stage: VlmStage, size: int, split: str, done: int
) -> Iterator[tuple[list[Scene], Tensor]]:
    for step in range(done, stage.steps):
        first = stage.first_scene + step * stage.batch
        scenes = [make_scene(split, i) for i in range(first, first + stage.batch)]
        yield scenes, pixel_values_of(render_scenes(scenes, size))[:, 0]
