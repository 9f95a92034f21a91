"""Train the drawn CLIP: an `open_clip.CLIP`, the contrastive loss, and a curriculum.

CLIP's loss (Radford et al. 2021, figure 3) is a symmetric cross-entropy over a batch's
image-text similarities times `logit_scale`. From scratch on full scenes it learns the places and
stops there: the place alone tells most of a batch apart. So training starts with one object a
scene and captions that only name it. A last stage may hold `logit_scale` at a fixed value:
real CLIP ends at 100, and the temperature decides how wide the modality gap is.

Steps are counted, never timed, so that a run repeats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import cos, log, pi
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from open_clip import CLIP
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from vizer_lab.world.captions import captions_of
from vizer_lab.world.render import render_scenes
from vizer_lab.world.world import Scene, make_scene, split_in
from vizer_lab.zoo.clip_checkpoint import load_checkpoint, save_checkpoint
from vizer_lab.zoo.clip_model import build_drawn_clip, normalise_pixels
from vizer_lab.zoo.clip_recipe import Batch, ClipRecipe, Feed, History, Stage
from vizer_lab.zoo.muon import muon_and_adamw
from vizer_lab.zoo.tokenizer import DrawnTokenizer
from vizer_lab.zoo.view_alignment import view_alignment


def contrastive_loss(image_features: Tensor, text_features: Tensor, scale: Tensor) -> Tensor:
    """Return CLIP's symmetric cross-entropy over unit-norm features [b, d].

    >>> eye = torch.eye(4)
    >>> bool(contrastive_loss(eye, eye, torch.tensor(100.0)) < 1e-6)
    True
    """
    logits = scale * image_features @ text_features.T
    labels = torch.arange(len(logits), device=logits.device)
    return (
        functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)
    ) / 2


def encode_captions(model: CLIP, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b d"]:
    """Return the unit-norm features that `model.encode_text` gives, at about half its cost.

    A caption fills a third of the context, mostly. So the shorter half of the batch and the longer
    are encoded apart, each without the padding behind its longest; a causal tower never reads it.
    """
    lengths = tokens.argmax(dim=1) + 1  # the end mark has the highest id
    order = lengths.argsort(stable=True)
    parts = []
    for rows in order.tensor_split(2):
        longest = int(lengths[rows].max())
        some = tokens[rows, :longest]
        states = model.token_embedding(some) + model.positional_embedding[:longest]
        states = model.transformer(states, attn_mask=model.attn_mask[:longest, :longest])
        ends = model.ln_final(states)[torch.arange(len(some)), some.argmax(dim=1)]
        parts.append(ends @ model.text_projection)
    return functional.normalize(torch.cat(parts)[order.argsort()], dim=-1)


def easy_view(scene: Scene) -> tuple[Scene, str]:
    """Keep a scene's first object only, and a caption that names it and nothing else."""
    first = scene.objects[0]
    article = "an" if first.name[0] in "aeiou" else "a"
    return replace(scene, objects=(first,)), f"{article} {first.name}"


def make_batch(
    start: int, stage: Stage, tokenizer: DrawnTokenizer, size: int, world: str = "second"
) -> Batch:
    """Make the batch of training scenes `start` to `start + stage.batch`.

    The texts are the first caption of every scene, then the second of every scene, and so on up to
    `stage.captions_each`; which caption is a scene's first goes round by its number.
    """
    split = split_in(world, "train")
    scenes = [make_scene(split, i) for i in range(start, start + stage.batch)]
    if stage.easy:
        pairs = [easy_view(scene) for scene in scenes]
        scenes, texts = [p[0] for p in pairs], [p[1] for p in pairs]
    else:
        written = [captions_of(scene) for scene in scenes]
        turns = range(stage.captions_each)
        texts = [said[(s.index + k) % 5] for k in turns for s, said in zip(scenes, written)]
    images = torch.from_numpy(
        np.ascontiguousarray(render_scenes(scenes, size).transpose(0, 3, 1, 2))
    )
    return images, tokenizer(texts)


def scene_batches(
    stage: Stage, first_scene: int, size: int, skip: int = 0, world: str = "second"
) -> Iterator[Batch]:
    """Yield the stage's batches from number `skip` on, each made while the last is trained on."""
    tokenizer = DrawnTokenizer(world=world)
    starts = [first_scene + k * stage.batch for k in range(skip, stage.steps)]
    if not starts:
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(make_batch, starts[0], stage, tokenizer, size, world)
        for following in [*starts[1:], None]:
            batch = ahead.result()
            if following is not None:
                ahead = pool.submit(make_batch, following, stage, tokenizer, size, world)
            yield batch


def pair_batches(images: Tensor, tokens: Tensor, *, seed: int = 0) -> Feed:
    """Return a feed of given pairs, over which every stage goes in an order of its own.

    `images` are uint8 [n, 3, s, s], `tokens` [n, t]. An order is gone through to its end before the
    next one begins, so that a batch may contain a pair twice.

    >>> feed = pair_batches(torch.arange(4), torch.arange(4))
    >>> [sorted(some.tolist()) for some, _ in feed(Stage("pairs", 2, 4, 1e-3), 0)]
    [[0, 1, 2, 3], [0, 1, 2, 3]]
    """
    if len(images) != len(tokens) or not len(images):
        raise ValueError(f"{len(images)} images and {len(tokens)} texts: wanted pairs, at least 1")

    def feed(stage: Stage, done: int) -> Iterator[Batch]:
        rng, wanted = np.random.default_rng(seed), stage.steps * stage.batch
        rounds = -(-wanted // len(images))
        order = np.concatenate([rng.permutation(len(images)) for _ in range(rounds)])
        for step in range(done, stage.steps):
            rows = torch.from_numpy(order[step * stage.batch : (step + 1) * stage.batch])
            yield images[rows], tokens[rows]

    return feed


def learning_rate(step: int, stage: Stage, warmup: int) -> float:
    """Return the rate at a step: linear warm-up, then half a cosine to zero."""
    if step < warmup:
        return stage.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, stage.steps - warmup)
    return stage.learning_rate * 0.5 * (1 + cos(pi * share))


def make_optimizer(model: CLIP, stage: Stage, weight_decay: float) -> torch.optim.Optimizer:
    """Return AdamW with weight decay on matrices only and CLIP's second beta of .98, or Muon.

    Each group keeps in `pace` the multiple of the stage's rate that it runs at.
    """
    if stage.method == "muon":
        return muon_and_adamw(model, rate=stage.learning_rate, weight_decay=weight_decay)
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay, "pace": 1.0},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0, "pace": 1.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))


def train_drawn_clip(
    recipe: ClipRecipe,
    *,
    start: Mapping[str, Tensor] | None = None,
    feed: Feed | None = None,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    save_every: int = 200,
    progress: bool = False,
) -> tuple[CLIP, History]:
    """Train a drawn CLIP by `recipe`; return it in eval mode with its losses.

    `start` gives the parent's weights, `feed` other batches than the recipe's scenes. With a
    `checkpoint` path the run saves itself every `save_every` steps and, called again, goes on from
    there to the same end.
    """
    if (start is None) != (recipe.parent is None):
        raise ValueError(f"recipe.parent is {recipe.parent!r}: give `start` exactly when it is set")
    torch.manual_seed(recipe.seed)  # open_clip draws its initial weights from the global stream
    model = build_drawn_clip(recipe.model)
    if start is not None:
        model.load_state_dict({key: value.float() for key, value in start.items()})
    model = model.to(device).train()
    history, scene = History(), recipe.first_scene
    resumed = load_checkpoint(checkpoint, recipe) if checkpoint else None
    for number, stage in enumerate(recipe.stages):
        if resumed and resumed.stage > number:
            scene += stage.steps * stage.batch
            continue
        if stage.scale is not None:
            model.logit_scale.requires_grad_(False).fill_(log(stage.scale))
        optimizer, done = make_optimizer(model, stage, recipe.weight_decay), 0
        if resumed and resumed.stage == number:
            history, done = resumed.restore(model, optimizer), resumed.step
        history.stage_starts.setdefault(stage.name, len(history.loss))
        warmup = min(recipe.warmup_steps, max(1, stage.steps // 4))
        batches = (
            scene_batches(stage, scene, recipe.model.image_size, done, recipe.model.world)
            if feed is None
            else feed(stage, done)
        )
        bar = tqdm(batches, initial=done, total=stage.steps, desc=stage.name, disable=not progress)
        for step, (images, tokens) in enumerate(bar, start=done):
            # 1 learning rate, 2 both towers, 3 loss, 4 step, 5 keep the scale at most 100
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, stage, warmup) * group["pace"]
            features = model.encode_image(normalise_pixels(images.to(device)), normalize=True)
            image_features, *views = features.split(stage.batch)
            text_features = encode_captions(model, tokens.to(device))
            scale = model.logit_scale.exp()
            turns = text_features.split(len(image_features))
            loss = sum(contrastive_loss(image_features, some, scale) for some in turns) / len(turns)
            if stage.views:
                loss = loss + stage.views * view_alignment(torch.stack(views), image_features)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            model.logit_scale.data.clamp_(0, log(100))
            history.loss.append(float(loss.detach()))
            if step % 20 == 0:
                bar.set_postfix(loss=f"{history.loss[-1]:.3f}")
            if checkpoint and (step + 1) % save_every == 0:
                save_checkpoint(checkpoint, recipe, (number, step + 1), model, optimizer, history)
        scene += stage.steps * stage.batch
    return model.eval(), history
