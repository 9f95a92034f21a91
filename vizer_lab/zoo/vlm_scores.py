"""How good a micro VLM's captions are, measured exactly: greedy, sampled, and with a word banned.

Greedy captions are decided by the first word: a model that knows the image well still generates
"itap of a gift" when "itap" leads by a little. So three readings stand side by side:

===========  ================================================================================
(no prefix)  greedy
sampled\\_    drawn at T = 1: the mass of the policy, not its peak
banned\\_     greedy with "itap" barred as first word; nothing is trained. What a method gains on
             the greedy reading without beating this one is a change of mode, not of sight
===========  ================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import add

from vizer_core.decoding import Decoding, Greedy, Sample
from vizer_core.metrics.grounding import (
    ParsedCaption,
    SceneTruth,
    check_caption,
    ground_captions,
    grounding_rates,
    is_exact,
    parse_caption,
)
from vizer_core.runtime import seeded
from vizer_core.vlm import SmolVlm
from vizer_core.vlm.first_words import first_word_mass
from vizer_lab.world.data import MicroSplit
from vizer_lab.world.lexicon import micro_lexicon
from vizer_lab.world.wording import SIDES
from vizer_lab.world.world import Scene, world_of
from vizer_lab.zoo.vlm_images import encode_images

GENERIC_FIRST = "itap"
SCORED_SCENES = 1000
MAX_TOKENS = 24


def caption_scores(captions: Sequence[str], scenes: Sequence[Scene]) -> dict[str, float]:
    """Score one caption a scene against the scene's truth.

    `object_f1` is the harmonic mean of the corpus' precision and recall. `vague` is the share that
    names no object, not even by a category word; `exact` the share that names every kind, nothing
    else, and the place; `background_said` the share that says a place.

    >>> from vizer_lab.world.world import make_scene
    >>> scores = caption_scores(["stock image"], [make_scene("test", 3)])
    >>> scores["vague"], scores["object_recall"]
    (1.0, 0.0)
    """
    lexicon = micro_lexicon(world_of(scenes[0].split))
    counts = ground_captions(captions, [s.truth for s in scenes], lexicon=lexicon)
    rates = grounding_rates(reduce(add, counts))
    precision, recall = rates.get("object_precision", 0.0), rates["object_recall"]
    return {
        "object_precision": precision,
        "object_recall": recall,
        "object_f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "relation_accuracy": rates.get("relation_accuracy", 0.0),
        "relation_said": _share(c.relation_said > 0 for c in counts),
        "background_accuracy": rates.get("background_accuracy", 0.0),
        "background_said": _share(c.background_said > 0 for c in counts),
        "exact": _share(is_exact(c) for c in counts),
        "vague": _share(c.object_said == 0 for c in counts),
        "length": sum(len(text.split()) for text in captions) / len(captions),
        "commonest": max(captions.count(text) for text in set(captions)) / len(captions),
    }


def claim_scores(captions: Sequence[str], scenes: Sequence[Scene]) -> dict[str, float]:
    """Score what captions claim beside objects and places: numbers, sizes and colours, relations.

    Each accuracy is over the claims made, and `said` is the share of captions that make one.
    `side_accuracy` is over claims of a side ("left of", "above"), where there are any, and
    `side_blind` what saying the luckiest of the four sides in every place would have: what can be
    had without looking.

    >>> from vizer_lab.world.world import make_scene
    >>> claim_scores(["two dogs above a cat"], [make_scene("test", 3)])["count_accuracy"]
    0.0
    """
    lexicon = micro_lexicon(world_of(scenes[0].split))
    truths = [scene.truth for scene in scenes]
    counts = ground_captions(captions, truths, lexicon=lexicon)
    rates, found = grounding_rates(reduce(add, counts)), {}
    for kind in ("relation", "count", "attribute"):
        found[f"{kind}_accuracy"] = rates.get(f"{kind}_accuracy", 0.0)
        found[f"{kind}_said"] = _share(getattr(c, f"{kind}_said") > 0 for c in counts)
    parsed = [parse_caption(text, lexicon) for text in captions]
    accuracy = partial(_side_accuracy, parsed, truths)
    if any(claim.relation in SIDES for p in parsed for claim in p.relations):
        found["side_accuracy"] = accuracy(None)
        found["side_blind"] = max(accuracy(side) for side in SIDES)
    return found


def _side_accuracy(
    parsed: Sequence[ParsedCaption], truths: Sequence[SceneTruth], said: str | None
) -> float:
    """Return the share of true ones among the claims of a side, each replaced by `said`."""
    counts = []
    for caption, truth in zip(parsed, truths):
        sides = (claim for claim in caption.relations if claim.relation in SIDES)
        claims = tuple(replace(claim, relation=said or claim.relation) for claim in sides)
        counts.append(check_caption(replace(caption, relations=claims), truth))
    total = reduce(add, counts)
    return total.relation_true / total.relation_said


def _share(hits) -> float:
    values = list(hits)
    return sum(values) / len(values)


def score_micro_vlm(
    vlm: SmolVlm, *, split: str = "test", n: int = SCORED_SCENES, seed: int = 0
) -> dict[str, float]:
    """Score greedy, sampled (T = 1) and banned-first-word captions of a split's first `n` scenes.

    `first_word_mass_itap` is the mean probability of "itap" as first word.
    """
    data = MicroSplit(split, n)
    vision = encode_images(vlm, data.images)
    readings: Mapping[str, tuple[Decoding, tuple[str, ...]]] = {
        "": (Greedy(MAX_TOKENS), ()),
        "sampled_": (Sample(max_tokens=MAX_TOKENS), ()),
        "banned_": (Greedy(MAX_TOKENS), (GENERIC_FIRST,)),
    }
    found: dict[str, float] = {}
    for prefix, (rule, banned) in readings.items():
        generator = seeded(seed) if isinstance(rule, Sample) else None
        generated = vlm.generate(vision, decoding=rule, banned=banned, generator=generator)
        scores = caption_scores(generated.texts, data.scenes)
        found |= {f"{prefix}{name}": round(value, 4) for name, value in scores.items()}
    mass = first_word_mass(vlm, [vision], top=len(vlm.processor.tokenizer))
    return found | {"first_word_mass_itap": round(mass[GENERIC_FIRST], 4)}
