"""Break the caption, watch the scores: captions, their changes, and what is true of each scene.

The page itself computes all scores but METEOR, which needs Java: of the captions here it is stored,
of a reader's own it is missing. Document frequencies of CIDEr come from the references of all
scenes that explorers have; the first of these scenes can be chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tools.explorer_data import SCENES

if TYPE_CHECKING:
    from vizer_core.metrics.caption_parser import Lexicon
    from vizer_core.metrics.grounding import SceneTruth

SPLIT, SHOWN = "second_test", 60
# what is known of an edit, as chapter 5 has it, and the edits with their names for people
KINDS: dict[str, dict[str, str]] = {
    "control": {"another_writer": "another writer", "another_image": "another image's caption"},
    "no fault": {
        "reworded": "other words",
        "reordered": "other order",
        "paraphrase": "both",
        "style_change": "other style",
    },
    "more": {"more_true_detail": "more true detail"},
    "less": {
        "object_dropped": "object dropped",
        "truncated": "cut short",
        "generic": "generic",
    },
    "wrong": {
        "object_swapped": "object swapped, alike",
        "object_swapped_far": "object swapped, unlike",
        "object_added": "object added",
        "wrong_count": "wrong number",
        "wrong_attribute": "wrong size or colour",
        "wrong_relation": "wrong relation",
        "wrong_background": "wrong place",
    },
    "form": {
        "shuffled_words": "shuffled words",
        "keyword_list": "keywords only",
        "repetition": "said twice",
    },
}


def lexicon_data(lexicon: Lexicon) -> dict[str, Any]:
    """Return a lexicon as plain lists and tables."""
    return {
        "noun": dict(lexicon.nouns),
        "plurals": sorted(lexicon.plurals),
        "category": {surface: sorted(names) for surface, names in lexicon.categories.items()},
        "background": dict(lexicon.backgrounds),
        "number": dict(lexicon.numbers),
        "colour": {word: word for word in sorted(lexicon.colours)},
        "size": dict(lexicon.sizes),
        "relation": dict(lexicon.relations),
    }


def truth_data(truth: SceneTruth) -> dict[str, Any]:
    """Return what is true of a scene; places to four digits, which no relation hangs on.

    >>> from vizer_core.metrics.grounding import ObjectTruth, SceneTruth
    >>> dog = ObjectTruth("dog", "animal", None, "small", 0.123456, 0.5, 0.1)
    >>> truth_data(SceneTruth((dog,), "snow"))
    {'objects': [['dog', None, 'small', 0.1235, 0.5]], 'background': 'snow'}
    """
    things = [[o.name, o.colour, o.size, round(o.x, 4), round(o.y, 4)] for o in truth.objects]
    return {"objects": things, "background": truth.background}


def metrics() -> dict[str, Any]:
    """Return the lexicon, the references of all scenes, and of the first each caption, changed."""
    from vizer_core.metrics.meteor import missing
    from vizer_lab.studies.metric_sensitivity import BEFORE, edit_captions, score_texts
    from vizer_lab.world import DrawnSplit
    from vizer_lab.world.captions import home_captions
    from vizer_lab.world.phrases import shared_lexicon

    if reason := missing():
        raise RuntimeError(f"the scores of METEOR are stored, and it cannot run here: {reason}")
    scenes = DrawnSplit(SPLIT, SCENES).scenes
    references = [home_captions(scene) for scene in scenes]
    edits = edit_captions(scenes)
    meteor = {
        name: found["meteor"].per_image
        for name, found in score_texts(edits, references, families=["meteor"]).items()
    }
    named = [BEFORE, *(name for kind in KINDS.values() for name in kind)]
    if missed := set(edits) ^ set(named):
        raise RuntimeError(f"edits {sorted(missed)} are not in both lists: mend KINDS")
    return {
        "kinds": [[kind, list(names.items())] for kind, names in KINDS.items()],
        "lexicon": lexicon_data(shared_lexicon()),
        "references": [list(captions) for captions in references],
        "scenes": [
            {
                **truth_data(scenes[i].truth),
                "said": {
                    name: [edits[name].captions[i], round(float(meteor[name][i]), 5)]
                    for name in named
                    if edits[name].here[i] or name == BEFORE
                },
            }
            for i in range(SHOWN)
        ],
    }
