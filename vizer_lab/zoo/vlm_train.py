"""Train the drawn VLM's connector and language model on captions, the tower frozen.

Stage A teaches what is on the image (exact captions), stage B what the web writes about it
(`noisy_captions`). One stage of noisy captions alone does not ground within minutes. Every sixth
batch is captions without an image, so that the same language model can read text alone: the
mapper of ViZer needs that.

The tower's patches are computed once for all scenes and kept in half precision.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from vizer_lab.world.general_text import general_sentence
from vizer_lab.world.render import render_scenes
from vizer_lab.world.world import Scene, make_scene, split_in
from vizer_lab.zoo.noisy_captions import Draw, caption_draw
from vizer_lab.zoo.step_checkpoint import UNWATCHED, Watch
from vizer_lab.zoo.tokenizer import END, PAD, START, UNKNOWN
from vizer_lab.zoo.vlm_images import pixel_values_of
from vizer_lab.zoo.vlm_processor import FAKE, GLOBAL, WORD_PATTERN, vlm_vocabulary
from vizer_lab.zoo.vlm_recipe import VlmStage

TEXT_EVERY = 6  # every sixth batch is read without its images
Writer = Callable[[Scene, Draw], str]


def patches_of_scenes(
    tower: nn.Module, first: int, n: int, *, size: int, batch: int = 256, world: str = "second"
) -> Float[Tensor, "n p dv"]:
    """Encode training scenes `first` to `first + n` with the frozen tower, in half precision."""
    split = split_in(world, "train")
    parts = []
    with torch.no_grad():
        for start in range(first, first + n, batch):
            scenes = [make_scene(split, i) for i in range(start, min(start + batch, first + n))]
            pixels = pixel_values_of(render_scenes(scenes, size))[:, 0]
            parts.append(tower(pixel_values=pixels).last_hidden_state.half())
    return torch.cat(parts)


def caption_ids(texts: list[str], *, world: str = "second") -> Int[Tensor, "b t"]:
    """Encode training captions, end mark included, padding on the right."""
    ids = _word_ids(world)
    split = [re.findall(WORD_PATTERN, text) for text in texts]
    rows = [[*(ids.get(w, ids[UNKNOWN]) for w in words), ids[END]] for words in split]
    longest = max(map(len, rows))
    return torch.tensor([row + [ids[PAD]] * (longest - len(row)) for row in rows])


def caption_loss(
    model: nn.Module,
    patches: Float[Tensor, "b p dv"],
    ids: Int[Tensor, "b t"],
    *,
    world: str = "second",
) -> Float[Tensor, ""]:
    """Return the cross-entropy of captions after the image's tokens, a mean over tokens."""
    words = _word_ids(world)
    embed = model.get_input_embeddings()
    image = model.model.connector(patches)
    before, after = [words[START], words[FAKE], words[GLOBAL]], [words[FAKE]]
    marks = embed(torch.tensor(before + after, device=ids.device)).expand(len(ids), -1, -1)
    prompt = torch.cat([marks[:, :3], image, marks[:, 3:]], dim=1)
    return _next_word_loss(model, prompt, ids)


def text_loss(model: nn.Module, ids: Int[Tensor, "b t"]) -> Float[Tensor, ""]:
    """Return the cross-entropy of captions that follow the start mark alone."""
    start = torch.full((len(ids), 1), _word_ids("second")[START], device=ids.device)
    return _next_word_loss(model, model.get_input_embeddings()(start), ids)


@dataclass(frozen=True)
class CaptionLosses:
    """How a family of models reads a training caption: after its image, and as text alone.

    `caption(model, patches, ids)` and `text(model, ids)` return a mean over tokens; `world` says
    whose scenes and words they are about.
    """

    caption: Callable[[nn.Module, Tensor, Tensor], Tensor]
    text: Callable[[nn.Module, Tensor], Tensor]
    world: str = "second"


IDEFICS3_LOSSES = CaptionLosses(caption_loss, text_loss)


def idefics3_losses(world: str) -> CaptionLosses:
    """Return the losses of a model that has words for a world."""
    return CaptionLosses(partial(caption_loss, world=world), text_loss, world)


def _next_word_loss(model: nn.Module, prompt: Tensor, ids: Tensor) -> Tensor:
    """Feed prompt and caption; right padding needs no mask, for attention looks back only."""
    inputs = torch.cat([prompt, model.get_input_embeddings()(ids[:, :-1])], dim=1)
    states = model.model.text_model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    logits = model.lm_head(states[:, prompt.shape[1] - 1 :])
    return functional.cross_entropy(
        logits.flatten(0, 1), ids.flatten(), ignore_index=_word_ids("second")[PAD]
    )


def train_captions(
    model: nn.Module,
    patches: Float[Tensor, "n p dv"],
    stage: VlmStage,
    *,
    write: Writer,
    seed: int,
    losses: CaptionLosses = IDEFICS3_LOSSES,
    watch: Watch = UNWATCHED,
) -> list[float]:
    """Train connector and language model in place on the scenes of `patches`; return the losses.

    Each visit of a scene gets a caption of its own; batches of text alone are captions too, or what
    `stage.text` says. The tower must be frozen already. With a
    checkpoint to `watch` it saves itself as it goes and, called again, goes on to the same end.
    """
    split = split_in(losses.world, "train")
    model.train()
    optimizer = stage.optimizer(model)
    saved, checkpoint = {"model": model}, watch.checkpoint
    curve = checkpoint.restore(saved, optimizer) if checkpoint else []
    done = len(curve)
    batches = islice(visits_of(len(patches), stage, seed), done, None)
    shown = {"total": stage.steps, "desc": stage.name, "disable": not watch.progress}
    bar = tqdm(batches, initial=done, **shown)
    for step, visits in enumerate(bar, start=done):
        # 1 learning rate, 2 captions, 3 loss with or without the images, 4 step
        stage.set_rate(optimizer, step)
        alone = step % TEXT_EVERY == TEXT_EVERY - 1
        written_by = general_sentence if alone and stage.text == "general" else write
        texts = [
            written_by(make_scene(split, stage.first_scene + i), caption_draw(split, i, visit))
            for i, visit in visits
        ]
        ids = caption_ids(texts, world=losses.world)
        if alone:
            loss = losses.text(model, ids)
        else:
            loss = losses.caption(model, patches[[i for i, _ in visits]].float(), ids)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        curve.append(float(loss.detach()))
        if checkpoint:
            checkpoint.save(saved, optimizer, curve)
        if step % 20 == 0:
            bar.set_postfix(loss=f"{curve[-1]:.3f}")
    model.eval()
    return curve


def visits_of(n: int, stage: VlmStage, seed: int) -> Iterator[list[tuple[int, int]]]:
    """Yield batches of (scene, number of its visit): whole passes over the scenes, shuffled."""
    rng, line, epoch = np.random.default_rng(seed), [], 0
    for _ in range(stage.steps):
        if len(line) < stage.batch:
            line += [(int(i), epoch) for i in rng.permutation(n)]
            epoch += 1
        yield line[: stage.batch]
        del line[: stage.batch]


@cache
def _word_ids(world: str) -> dict[str, int]:
    """Return the ids of a world's words; PAD and START have the same in every world."""
    return {word: i for i, word in enumerate(vlm_vocabulary(world))}
