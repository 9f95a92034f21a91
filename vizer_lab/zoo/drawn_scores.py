"""Scores of the drawn world's models: what a CLIP finds, what a VLM says, with intervals.

Beside retrieval and objects there are two questions. Does a CLIP know objects, or places only
(`objects_against_places`)? Is what a VLM claims true: numbers, sides, sizes and colours
(`score_drawn_vlm`)?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite

import numpy as np
import torch

from vizer_core.clip.encoder import OpenClipEncoder
from vizer_core.decoding import Decoding, Greedy, Sample
from vizer_core.metrics.grounding import RATES, check_caption, ground_captions, parse_caption
from vizer_core.metrics.stats import bootstrap_many, rate_statistics
from vizer_core.runtime import seeded
from vizer_core.vlm import Qwen2Vl, SmolVlm
from vizer_core.vlm.first_words import first_word_mass
from vizer_lab.world.backgrounds import VARIANTS
from vizer_lab.world.data import DrawnSplit
from vizer_lab.world.lexicon import HOME_PLACES, OBJECTS, drawn_lexicon
from vizer_lab.world.render import render_scenes
from vizer_lab.world.settings import NUMBERS_SAID
from vizer_lab.world.wording import with_article
from vizer_lab.world.world import Scene, SceneObject, scene_rng, world_of
from vizer_lab.zoo.clip_model import normalise_pixels
from vizer_lab.zoo.qwen_model import encode_qwen_images
from vizer_lab.zoo.vlm_images import encode_images
from vizer_lab.zoo.vlm_scores import caption_scores, claim_scores

EMPTY_PLACES = 5
ASKED = 300
MOST_WORDS = 40
SCORED_SCENES = 1000
OBJECT_WIDTH = 40 / 112  # of the one object in a question of objects against places


def objects_against_places(
    encoder: OpenClipEncoder, asked: int = ASKED, *, part: str = "test"
) -> dict[str, float]:
    """Ask for "a robot in the sea": does the robot come before five empty seas?

    `object_before_empty_there` is the share of questions in which the image of the object at the
    place is nearer to the words than all five images of the empty place (chance 1/6);
    `..._elsewhere` the same with the object at another place, so that object and place pull apart.
    """
    rng = scene_rng(f"second_{part}", 0, purpose=40)
    texts, scenes = [], []
    for _ in range(asked):
        kind = OBJECTS[int(rng.integers(len(OBJECTS)))]
        place, other = (HOME_PLACES[k] for k in rng.choice(len(HOME_PLACES), 2, replace=False))
        variants = rng.choice(VARIANTS, EMPTY_PLACES + 1, replace=False).tolist()
        x, y = rng.uniform(0.25, 0.75, 2).tolist()
        thing = (SceneObject(kind.name, x, y, OBJECT_WIDTH, flip=False),)
        texts.append(f"{with_article(kind.name)} {place.phrases[int(rng.integers(3))]}")
        scene = partial(Scene, f"second_{part}", 0)
        scenes.append(scene(thing, place.name, variants[0]))
        scenes.append(scene(thing, other.name, variants[0]))
        scenes += [scene((), place.name, variant) for variant in variants[1:]]
    images = torch.from_numpy(render_scenes(scenes).transpose(0, 3, 1, 2).copy())
    seen = encoder.encode_image(normalise_pixels(images).to(encoder.device))
    near = seen.view(asked, EMPTY_PLACES + 2, -1) @ encoder.encode_text(texts)[:, :, None]
    best_empty = near[:, 2:, 0].max(dim=1).values
    return {
        "object_before_empty_there": round(float((near[:, 0, 0] > best_empty).float().mean()), 4),
        "object_before_empty_elsewhere": round(
            float((near[:, 1, 0] > best_empty).float().mean()), 4
        ),
    }


def oracle_retrieval(captions: Sequence[str], scenes: Sequence[Scene]) -> float:
    """Return text-to-image R@1 of one who knows every scene and guesses among those that fit.

    A caption, true of its own scene, leaves things out, so it may be true of several; an exact
    reader is right in one of that many. Who has learned which things people name first can do
    better.

    >>> from vizer_lab.world.world import make_scene
    >>> scene = make_scene("second_test", 3)
    >>> oracle_retrieval(["a bunch of things"] * 2, [scene, scene])
    0.5
    """
    lexicon = drawn_lexicon(world_of(scenes[0].split))
    truths, shares = [scene.truth for scene in scenes], []
    for caption in captions:
        parsed = parse_caption(caption, lexicon)
        counts = (check_caption(parsed, truth) for truth in truths)
        fits = sum(all(getattr(c, t) == getattr(c, s) for t, s in _CLAIMS) for c in counts)
        shares.append(1 / fits)
    return round(float(np.mean(shares)), 4)


_CLAIMS = [names for rate, names in RATES.items() if rate != "object_recall"]


def score_intervals(
    captions: Sequence[str], scenes: Sequence[Scene]
) -> dict[str, tuple[float, float]]:
    """Return 95% intervals of a VLM's rates over scenes: objects, numbers, sides, looks, places.

    A rate of claims that no caption makes is left out.
    """
    lexicon = drawn_lexicon(world_of(scenes[0].split))
    counts = ground_captions(captions, [s.truth for s in scenes], lexicon=lexicon)
    statistics = {
        rate: rate_statistics(
            [getattr(c, true) for c in counts], [getattr(c, said) for c in counts]
        )
        for rate, (true, said) in RATES.items()
    }
    found = bootstrap_many(statistics)
    known = {rate: i for rate, i in found.items() if isfinite(i.low)}
    return {rate: (round(i.low, 4), round(i.high, 4)) for rate, i in known.items()}


def encode_drawn(vlm: SmolVlm | Qwen2Vl, images: np.ndarray):
    """Run a drawn base's frozen vision side on images as the world draws them."""
    see = encode_qwen_images if isinstance(vlm, Qwen2Vl) else encode_images
    return see(vlm, images)


def greedy_captions(vlm: SmolVlm | Qwen2Vl, data: DrawnSplit) -> list[str]:
    """Write one greedy caption of every scene."""
    vision = encode_drawn(vlm, data.images)
    return list(vlm.generate(vision, decoding=Greedy(MOST_WORDS)).texts)


def score_drawn_vlm(
    vlm: SmolVlm | Qwen2Vl, *, split: str, n: int = SCORED_SCENES, seed: int = 0
) -> dict[str, float]:
    """Score greedy and sampled (T = 1) captions of a split's first `n` scenes.

    Greedy scores have no prefix, sampled ones `sampled_`. `first_word` is the mean probability of
    the word that most captions begin with, articles and numbers aside: a habit that leads.
    """
    data = DrawnSplit(split, n)
    vision = encode_drawn(vlm, data.images)
    rules: Mapping[str, Decoding] = {
        "": Greedy(MOST_WORDS),
        "sampled_": Sample(max_tokens=MOST_WORDS),
    }
    found: dict[str, float] = {}
    for prefix, rule in rules.items():
        generator = seeded(seed) if isinstance(rule, Sample) else None
        generated = vlm.generate(vision, decoding=rule, generator=generator).texts
        scores = caption_scores(generated, data.scenes) | claim_scores(generated, data.scenes)
        found |= {f"{prefix}{name}": round(value, 4) for name, value in scores.items()}
    mass = first_word_mass(vlm, [vision], top=20)
    habits = [share for word, share in mass.items() if word not in ("a", "an", *NUMBERS_SAID)]
    return found | {"first_word": round(max(habits, default=0.0), 4)}
