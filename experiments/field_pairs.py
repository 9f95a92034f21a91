"""Noisy pairs, cleaned in several ways, and what is trained on them: which way finds images again?

===========  =====================================================================================
noisy        half of the captions are another pair's
filtered     the half that a CLIP finds best aligned; `random_half` is as large
paired_anew  each caption with the image that fits it (SynC)
recaptioned  a base's own caption for every image; or for those that the filter drops
clean        nothing was swapped: the bound
===========  =====================================================================================

`pair_cell` trains a linear reader of frozen features, `tower_cell` both towers of the drawn CLIP
that the others descend from, a few steps on; recall at 1 is of clean pairs that nobody saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from experiments import field_world as world
from experiments.field_tasks import Values
from experiments.improvement_decoders import beam
from experiments.improvement_world import encode, load_once
from vizer_core.metrics.self_retrieval import self_retrieval_hits
from vizer_core.textonly.repairing import keep_aligned, pair_anew
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo.clip_recipe import Stage
from vizer_lab.zoo.clips import load_drawn_clip, pixels_of
from vizer_lab.zoo.drawn_captioners import telling_words, word_matrix
from vizer_lab.zoo.drawn_recipes import CLIP_RECIPES
from vizer_lab.zoo.tokenizer import DrawnTokenizer
from vizer_lab.zoo.train_clip import pair_batches, train_drawn_clip

PAIRS, NOISY = 4000, 0.5
PARENT = "drawn-clip"
STAGE = Stage("pairs", steps=40, batch=64, learning_rate=1e-3, scale=50.0, method="muon")
Sets = dict[str, tuple[list[int], list[str]]]  # rows of images, and their captions


def pair_sets(seed: int, pairs: int) -> tuple[DrawnSplit, Sets]:
    """Return a seed's scenes, and which image stands with which caption in every set."""
    clip, split = world.ranker(), DrawnSplit("second_train", pairs, first=70_000 + seed * pairs)
    rng = np.random.default_rng(seed)
    clean = [captions[0] for captions in split.captions]
    texts, wrong = list(clean), rng.permutation(pairs)[: round(NOISY * pairs)]
    for i, j in zip(wrong, np.roll(wrong, 1)):
        texts[i] = clean[j]
    images, said = clip.encode_image(pixels_of(split.images)), clip.encode_text(texts)
    vlm = load_once(world.BASES[0])
    own = beam(vlm, encode(vlm, split.images), world.WORD)
    kept = keep_aligned(images, said, share=1 - NOISY).tolist()
    some = sorted(rng.permutation(pairs)[: len(kept)].tolist())
    aligned, everything = set(kept), list(range(pairs))
    mixed = [texts[i] if i in aligned else own[i] for i in everything]
    return split, {
        "noisy": (everything, texts),
        "filtered": (kept, [texts[i] for i in kept]),
        "random_half": (some, [texts[i] for i in some]),
        "paired_anew": (pair_anew(images, said).tolist(), texts),
        "recaptioned": (everything, own),
        "filtered_and_recaptioned": (everything, mixed),
        "clean": (everything, clean),
    }


def pair_cell(seed: int, n: int, pairs: int = PAIRS) -> Values:
    """Train a linear reader on noisy pairs, cleaned in several ways; find clean captions."""
    torch.set_num_threads(1)
    split, sets = pair_sets(seed, pairs)
    test, vlm = world.split_of(n), load_once(world.BASES[0])
    seen, shown = (encode(vlm, some.images).image_features for some in (split, test))
    asked = [captions[0] for captions in test.captions]
    return {
        name: {"recall_at_1": recall_of_reader(seen[rows], texts, shown, asked)}
        for name, (rows, texts) in sets.items()
    }


def tower_cell(seed: int, n: int, pairs: int = PAIRS, steps: int = STAGE.steps) -> Values:
    """Train both towers of a drawn CLIP on the same sets; all start as the one named `before`."""
    torch.set_num_threads(1)
    split, sets = pair_sets(seed, pairs)
    images = torch.from_numpy(split.images).permute(0, 3, 1, 2).contiguous()
    tokenizer, parent = DrawnTokenizer(), load_drawn_clip(PARENT)
    recipe = replace(
        CLIP_RECIPES[PARENT], stages=(replace(STAGE, steps=steps),), parent=PARENT, seed=seed
    )
    test = world.split_of(n)
    asked = tokenizer([captions[0] for captions in test.captions])

    def recall(model: torch.nn.Module) -> dict[str, list[float]]:
        with torch.no_grad():
            shown = model.encode_image(pixels_of(test.images), normalize=True)
            said = model.encode_text(asked, normalize=True)
        return {"recall_at_1": self_retrieval_hits(shown, said).float().tolist()}

    found: Values = {"before": recall(parent.model)}
    for name, (rows, texts) in sets.items():
        feed = pair_batches(images[rows], tokenizer(texts), seed=seed)
        model, _ = train_drawn_clip(recipe, start=parent.model.state_dict(), feed=feed)
        found[name] = recall(model)
    return found


def recall_of_reader(
    images: Tensor, texts: Sequence[str], shown: Tensor, asked: Sequence[str]
) -> list[float]:
    """Fit words to frozen image features by ridge regression; find images by their words."""
    words = telling_words(texts)
    mean, spread = images.mean(dim=0), images.std(dim=0) + 1e-6
    inputs = ((images - mean) / spread).double()
    aims = word_matrix(texts, words).double()
    middle = aims.mean(dim=0)
    gram = inputs.T @ inputs + 0.01 * len(inputs) * torch.eye(inputs.shape[1], dtype=torch.double)
    weights = torch.linalg.solve(gram, inputs.T @ (aims - middle))
    scale = (middle * (1 - middle)).sqrt().clamp(min=1e-3)
    predicted = ((shown - mean) / spread).double() @ weights / scale
    wanted = (word_matrix(asked, words).double() - middle) / scale
    return self_retrieval_hits(predicted.float(), wanted.float()).float().tolist()
