"""How good the captions of a drawn VLM are, measured exactly; `drawn_scores` puts it together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import add

from vizer_core.metrics.grounding import (
    ParsedCaption,
    SceneTruth,
    check_caption,
    ground_captions,
    grounding_rates,
    is_exact,
    parse_caption,
)
from vizer_lab.world.lexicon import drawn_lexicon
from vizer_lab.world.wording import SIDES
from vizer_lab.world.world import Scene, world_of


def caption_scores(captions: Sequence[str], scenes: Sequence[Scene]) -> dict[str, float]:
    """Score one caption per scene against the scene's truth.

    `object_f1` is the harmonic mean of the corpus' precision and recall. `vague` is the share that
    names no object, not even by a category word; `exact` the share that names every kind, nothing
    else, and the place; `background_said` the share that says a place.

    >>> from vizer_lab.world.world import make_scene
    >>> scores = caption_scores(["stock image"], [make_scene("second_test", 3)])
    >>> scores["vague"], scores["object_recall"]
    (1.0, 0.0)
    """
    lexicon = drawn_lexicon(world_of(scenes[0].split))
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
    >>> claim_scores(["two dogs above a cat"], [make_scene("second_test", 3)])["count_accuracy"]
    0.0
    """
    lexicon = drawn_lexicon(world_of(scenes[0].split))
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
