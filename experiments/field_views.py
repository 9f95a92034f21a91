"""A CLIP trained to see a moved image as the image itself: do its captions stay as they are?

=================  ===============================================================================
before             the CLIP as it is
pairs              some steps on pairs, by the contrastive loss
augmented          the same, each batch moved: the rival, which sees as many views of other moves
omniview           the contrastive loss on the image as it is, and its farthest of two views drawn
                   towards it (`vizer_lab.zoo.view_alignment`)
omniview_shuffled  the same, the views are another image's
=================  ===============================================================================

A caption is the one of a memory that the CLIP finds nearest. `kept` is the share of four moves,
none of them trained on, that leave a caption as it was; `f1` is of named things, of the scene as
it is, and `moved_f1` of the moved ones; `recall_at_1` finds scenes by a caption of theirs. The
weight of the second loss is chosen on validation scenes, by `moved_f1`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from experiments import field_world as world
from experiments.field_tasks import Values
from experiments.field_training import CHOOSING_SEED
from vizer_core.captioners import MemoryBank
from vizer_core.clip import OpenClipEncoder
from vizer_core.metrics.grounding import ground_captions
from vizer_core.metrics.self_retrieval import self_retrieval_hits
from vizer_core.vlm.views import held_out_offsets, shift_edges
from vizer_lab.world import DrawnSplit, drawn_lexicon
from vizer_lab.zoo.clip_recipe import Batch, ClipRecipe, Feed, Stage
from vizer_lab.zoo.clips import encoder_from_state, load_drawn_clip, pixels_of
from vizer_lab.zoo.drawn_recipes import CLIP_RECIPES
from vizer_lab.zoo.tokenizer import DrawnTokenizer
from vizer_lab.zoo.train_clip import pair_batches, train_drawn_clip
from vizer_lab.zoo.view_alignment import trained_offsets, with_views

CLIPS = ("drawn-clip-50", "drawn-clip-avg")  # reads the class token; reads the mean of patches
WEIGHTS = (1.0, 4.0, 16.0)
PAIRS, MEMORY_SCENES, VIEWS = 1000, 1500, 2
STAGE = Stage("views", steps=16, batch=32, learning_rate=1e-3, method="muon")
SYSTEMS = ("before", "pairs", "augmented", "omniview", "omniview_shuffled")


def feed_of(system: str, split: DrawnSplit, patch: int, seed: int) -> Feed:
    """Return a system's batches of a split's pairs."""
    images = torch.from_numpy(split.images).permute(0, 3, 1, 2).contiguous()
    tokens = DrawnTokenizer()([captions[0] for captions in split.captions])
    feed, offsets = pair_batches(images, tokens, seed=seed), trained_offsets(patch)
    if system == "pairs":
        return feed
    if system == "augmented":
        moved = with_views(feed, offsets, count=1, seed=seed)

        def views_alone(stage: Stage, done: int) -> Iterator[Batch]:
            for seen, words in moved(stage, done):
                yield seen[stage.batch :], words

        return views_alone
    control = system == "omniview_shuffled"
    return with_views(feed, offsets, count=VIEWS, seed=seed, shuffled=control)


def trained(
    base: str, system: str, *, weight: float, seed: int, pairs: int, steps: int
) -> OpenClipEncoder:
    """Train a CLIP on, or return it as it is."""
    parent = load_drawn_clip(base)
    if system == "before":
        return parent
    config = CLIP_RECIPES[base].model
    views = weight if system.startswith("omniview") else 0.0
    stage = replace(STAGE, steps=steps, scale=parent.logit_scale, views=views)
    recipe = ClipRecipe(config, (stage,), parent=base, seed=seed)
    split = DrawnSplit("second_train", pairs, first=world.VIEWS_FROM + seed * pairs)
    feed = feed_of(system, split, config.patch_size, seed)
    model, _ = train_drawn_clip(recipe, start=parent.model.state_dict(), feed=feed)
    return encoder_from_state(f"{base}, {system}", config, model.state_dict())


def measured(encoder: OpenClipEncoder, split: DrawnSplit, patch: int) -> dict[str, list[float]]:
    """Caption scenes and moved scenes by a memory; return each scene's numbers."""
    said = [text for own in DrawnSplit("second_train", MEMORY_SCENES).captions for text in own]
    texts = tuple(dict.fromkeys(said))
    memory = MemoryBank(texts, encoder.encode_text(texts), encoder.fingerprint)
    pixels = pixels_of(split.images)

    def captions(images: Tensor) -> list[str]:
        return [texts[i] for i in memory.nearest(encoder.encode_image(images)).tolist()]

    own = captions(pixels)
    moved = [captions(shift_edges(pixels, offset)) for offset in held_out_offsets(patch)]
    kept = torch.tensor([[a == b for a, b in zip(own, view, strict=True)] for view in moved])
    asked = encoder.encode_text([captions[0] for captions in split.captions])
    hits = self_retrieval_hits(encoder.encode_image(pixels), asked)
    return {
        "kept": kept.float().mean(dim=0).tolist(),
        "f1": f1_of(own, split),
        "moved_f1": torch.tensor([f1_of(view, split) for view in moved]).mean(dim=0).tolist(),
        "recall_at_1": hits.float().tolist(),
    }


def f1_of(captions: list[str], split: DrawnSplit) -> list[float]:
    """Return each caption's F1 of named things."""
    truths = [scene.truth for scene in split.scenes]
    counts = ground_captions(captions, truths, lexicon=drawn_lexicon())
    return [2 * c.object_found / max(1, c.object_said + c.object_there) for c in counts]


def view_cell(
    base: str,
    weight: float,
    n: int,
    seed: int = 0,
    pairs: int = PAIRS,
    steps: int = STAGE.steps,
) -> Values:
    """Train a CLIP in every way; return what test scenes and moved test scenes say of each."""
    torch.set_num_threads(1)
    split, patch = world.split_of(n), CLIP_RECIPES[base].model.patch_size
    about = {"weight": weight, "seed": seed, "pairs": pairs, "steps": steps}
    wanted = SYSTEMS if seed == 0 else SYSTEMS[1:]  # what is not trained has no seeds
    return {name: measured(trained(base, name, **about), split, patch) for name in wanted}


def weight_cell(
    base: str, weight: float, n: int, pairs: int = PAIRS, steps: int = STAGE.steps
) -> dict[str, float]:
    """Train at a weight on pairs of its own; return the means over validation scenes."""
    torch.set_num_threads(1)
    split, patch = world.split_of(n, "validation"), CLIP_RECIPES[base].model.patch_size
    about = {"weight": weight, "seed": CHOOSING_SEED, "pairs": pairs, "steps": steps}
    found = measured(trained(base, "omniview", **about), split, patch)
    return {name: round(sum(values) / len(values), 5) for name, values in found.items()}
