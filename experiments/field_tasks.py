"""Tasks beside captioning one image: questions, regions, differences, texts alone.

Each cell returns, by system and metric, one number an item (or two whose sums are divided), so that
intervals and paired differences come from the same rows.

===========  =====================================================================================
questions    a reader answers from captions: the beam's, the one of nine that a question chooses
             (PromptCap), another image's, none
regions      is the thing in a box named? by a crop of the box, by the whole image, by another box
differences  what changed between two scenes? by two captions, by rated statements, by chance
sets         what do 40 scenes hold that 40 others do not? rank of the truth among statements
texts        captioners that saw texts alone: concepts (MultiCapCLIP), noise measured on pairs
             (CLOSE), with shipped ones beside them
===========  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments import field_world as world
from experiments.field_captions import candidates
from experiments.improvement_decoders import beam
from experiments.improvement_record import pack_captions
from experiments.improvement_world import encode, load_once
from vizer_core.captioners import Baseline, CapDec, Captioner, Concepts, DeCap, MemoryBank
from vizer_core.metrics.grounding import parse_caption
from vizer_core.metrics.phrases import head_of, heads_of, parts_of, statements_of
from vizer_core.runtime import seeded
from vizer_core.textonly import (
    PrefixGenerator,
    StructuredNoise,
    TrainingPairs,
    fit_text_only,
    load_prefix_network,
)
from vizer_core.vizer.differences import rated_difference, set_difference, spoken_difference
from vizer_core.vizer.information import log_likelihood
from vizer_core.vlm.crops import box_around
from vizer_lab.world import DrawnSplit, questions_of, render_scene
from vizer_lab.world.changes import CHANGES, can_change, changed_pair
from vizer_lab.world.lexicon import drawn_lexicon
from vizer_lab.zoo.captioners import drawn_prefix_network_path
from vizer_lab.zoo.clips import pixels_of
from vizer_lab.zoo.drawn_captioners import (
    DRAWN_CAPDEC,
    DRAWN_DECODING,
    word_reader,
)
from vizer_lab.zoo.language_models import load_drawn_lm

Values = dict[str, dict[str, list[float]]]  # system -> metric -> one number an item
CORPUS_SCENES = 8000
CLOSE_PAIRS = 500  # pairs that the noise is measured on


def _names(captions: Sequence[str]) -> list[set[str]]:
    """Return the kinds of thing that captions name."""
    lexicon = drawn_lexicon("second")
    return [
        {n for m in parse_caption(text, lexicon).mentions if not m.is_category for n in m.names}
        for text in captions
    ]


def question_cell(base: str, n: int) -> Values:
    """Answer every question of the scenes from captions alone."""
    torch.set_num_threads(1)
    seeds, rows = candidates(base, n, 0)
    asked = [(i, q) for i, s in enumerate(world.split_of(n).scenes) for q in questions_of(s)]
    pools = [[first, *row] for first, row in zip(seeds, rows, strict=True)]
    shown = {
        "beam": [seeds[i] for i, _ in asked],
        "prompted": [_asked_for(pools[i], q.text) for i, q in asked],
        "prompted_shuffled": [_asked_for(pools[(i + n // 2) % n], q.text) for i, q in asked],
        "no_caption": [""] * len(asked),
    }
    found: Values = {}
    for system, captions in shown.items():
        answers = world.reader()(captions, [q.text for _, q in asked])
        right = [float(a == q.answer) for a, (_, q) in zip(answers, asked, strict=True)]
        per = [[r for r, (j, _) in zip(right, asked) if j == i] for i in range(n)]
        found[system] = {"answers": [float(np.mean(row)) for row in per]}
    return found


def _asked_for(pool: Sequence[str], question: str) -> str:
    """Return the first caption that shares most words with a question: PromptCap, untrained."""
    words = {head_of(word) for word in question.rstrip("?").split()}
    return max(pool, key=lambda text: len(words & {head_of(word) for word in text.split()}))


def region_cell(base: str, n: int) -> Values:
    """Name the thing in one box per scene."""
    torch.set_num_threads(1)
    vlm, split = load_once(base), world.split_of(n)
    things = [scene.objects[scene.index % len(scene.objects)] for scene in split.scenes]
    boxes = [box_around(o.x, o.y, o.w) for o in things]
    away = [box_around(1 - o.x, 1 - o.y, o.w) for o in things]
    shown = {
        "crop": world.boxed(split.images, boxes),
        "whole": split.images,
        "crop_shuffled": world.boxed(split.images, away),
    }
    found: Values = {}
    for system, images in shown.items():
        named = _names(beam(vlm, encode(vlm, images), world.WORD))
        found[system] = {
            "named": [float(o.name in row) for o, row in zip(things, named, strict=True)],
            "only": [float({o.name} == row) for o, row in zip(things, named, strict=True)],
        }
    return found


def difference_cell(base: str, n: int) -> Values:
    """Say what vanished and what appeared between two scenes, or that nothing did."""
    torch.set_num_threads(1)
    vlm = load_once(base)
    scenes = [scene for scene in world.split_of(2 * n).scenes if can_change(scene)][:n]
    pairs = [changed_pair(scene, CHANGES[i % 3]) for i, scene in enumerate(scenes)]
    sides = [
        encode(vlm, np.stack([render_scene(scene) for scene in some]))
        for some in ([p.before for p in pairs], [p.after for p in pairs])
    ]
    first, second = (beam(vlm, side, world.WORD) for side in sides)
    rated = [
        _rated(vlm, sides, i, (a, b)) for i, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    half = len(pairs) // 2
    said = {
        "spoken": [spoken_difference([a], [b]) for a, b in zip(first, second, strict=True)],
        "rated": rated,
        "spoken_shuffled": [
            spoken_difference([a], [second[(i + half) % len(pairs)]]) for i, a in enumerate(first)
        ],
    }
    truths = [{("-", p.vanished), ("+", p.appeared)} - {("-", None), ("+", None)} for p in pairs]
    found: Values = {}
    for system, answers in said.items():
        told = [
            {("-", name) for name in set().union(*_names(d.first), set())}
            | {("+", name) for name in set().union(*_names(d.second), set())}
            for d in answers
        ]
        found[system] = {
            "exact": [float(a == b) for a, b in zip(told, truths, strict=True)],
            "right": [float(len(a & b)) for a, b in zip(told, truths, strict=True)],
            "told": [float(len(a)) for a in told],
            "there": [float(len(b)) for b in truths],
        }
    return found


def _rated(vlm: Any, sides: Sequence[Any], i: int, captions: tuple[str, str]) -> Any:
    """Compare statements of both captions by their likelihood under both images."""
    said = [s for s in statements_of(captions) if parts_of(s) == (s,)]
    batch = vlm.tokenize(said)
    one, two = (log_likelihood(vlm, side.select([i] * len(said)), batch) for side in sides)
    return rated_difference(said, one.tolist(), two.tolist(), least=2.0)


def set_cell(n: int, trials: int, seed: int = 0, scenes: int = 6 * world.N) -> Values:
    """Rank what one set of scenes holds and another does not: all with a kind against none."""
    torch.set_num_threads(1)
    clip, rng = world.ranker(), np.random.default_rng(seed)
    split = DrawnSplit("second_test", scenes, first=30_000)
    features = clip.encode_image(pixels_of(split.images))
    holds = [{o.name for o in scene.objects} for scene in split.scenes]
    kinds = sorted({name for own in holds for name in own})
    found: Values = {"ranked": {"top1": [], "top5": []}, "frequent": {"top1": [], "top5": []}}
    for kind in rng.permutation(kinds)[:trials]:
        own = [i for i, names in enumerate(holds) if kind in names][:n]
        other = [i for i, names in enumerate(holds) if kind not in names]
        other = [int(i) for i in rng.permutation(other)[:n]]
        texts = [split.captions[i][0] for i in own]
        ranked = [s for s, _ in set_difference(clip, features[own], features[other], texts, top=5)]
        counts: dict[str, int] = {}
        for text in texts:
            for head in heads_of(text):
                counts[head] = counts.get(head, 0) + 1
        often = sorted(counts, key=lambda head: -counts[head])[:5]
        for system, answers in (("ranked", ranked), ("frequent", [f"a {h}" for h in often])):
            right = [kind in names for names in _names(answers)]
            found[system]["top1"].append(float(right[0]))
            found[system]["top5"].append(float(any(right)))
    return found


@cache
def _corpus() -> tuple[list[str], Tensor]:
    split = DrawnSplit("second_train", CORPUS_SCENES)
    texts = list(dict.fromkeys(text for said in split.captions for text in said))
    return texts, world.ranker().encode_text(texts)


def text_cell(system: str, n: int, seed: int = 0, shuffled: bool = False) -> dict[str, Any]:
    """Caption the test scenes with a captioner that was trained on texts; or each other's."""
    torch.set_num_threads(1)
    features = world.clip_features(n)
    if shuffled:
        features = features.roll(n // 2, dims=0)
    captioner = TEXT_SYSTEMS[system](seed)
    captions = captioner.caption(features, generator=seeded(seed))
    return {"captions": pack_captions(captions), "samples": captions[:3]}


def _generator(name: str) -> PrefixGenerator:
    lm = load_drawn_lm(name=world.READER)
    network = load_prefix_network(
        drawn_prefix_network_path(name), encoder=world.ranker(), language_model=lm
    )
    return PrefixGenerator(network, lm, DRAWN_DECODING)


@lru_cache(maxsize=1)  # the control is the same network
def _close(seed: int) -> Captioner:
    """Train CapDec's network with noise measured on pairs of the validation scenes."""
    lm, (texts, features) = load_drawn_lm(name=world.READER), _corpus()
    known = DrawnSplit("second_validation", CLOSE_PAIRS)
    images = world.ranker().encode_image(pixels_of(known.images))
    said = world.ranker().encode_text([captions[0] for captions in known.captions])
    config = replace(DRAWN_CAPDEC, noise=StructuredNoise.of_pairs(images, said))
    pairs = TrainingPairs(features, texts)
    torch.manual_seed(seed)  # the network's first weights
    network = word_reader(pairs, config, lm, generator=seeded(seed))
    fit_text_only(network, lm, pairs, config, generator=seeded(seed))
    return CapDec(PrefixGenerator(network, lm, DRAWN_DECODING), name="close")


def _concepts(seed: int) -> Captioner:
    return Concepts(_generator("drawn-decap"), Concepts.bank(world.ranker(), _corpus()[0]))


def _decap(seed: int) -> Captioner:
    texts, features = _corpus()
    return DeCap(
        _generator("drawn-decap"),
        MemoryBank(tuple(texts), features, world.ranker().fingerprint),
    )


TEXT_SYSTEMS: dict[str, Callable[[int], Captioner]] = {
    "baseline": lambda seed: Baseline(_generator("drawn-decap")),
    "capdec": lambda seed: CapDec(_generator("drawn-capdec")),
    "decap": _decap,
    "concepts": _concepts,
    "close": _close,
}
