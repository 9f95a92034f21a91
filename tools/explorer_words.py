"""What words owe to the image: captions read with their image, with another one, and with none.

The first scenes of the test split, and for each of them captions of seven kinds: what the model
says, greedy and sampled, what a person says of this image and of the next, and one that fits any
image. For each token there is its surprisal in nats, read in three ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tools.explorer_data import contact_sheet, webp

if TYPE_CHECKING:
    from torch import Tensor

    from vizer_lab.studies.vlm_study import VlmStudy

MODEL = "drawn-vlm-web"
IMAGES, SAMPLES = 16, 3
GENERIC = "a photo of some things"
WAYS = ("right", "another", "none")


def said_of(study: VlmStudy) -> dict[str, list[str]]:
    """Return the captions by kind, one per image each."""
    from vizer_core.decoding import Greedy, Sample
    from vizer_core.runtime import seeded

    vision, generator = study.test_vision, seeded(0)
    sampled = [
        study.vlm.generate(
            vision, decoding=Sample(max_tokens=study.max_tokens), generator=generator
        )
        for _ in range(SAMPLES)
    ]
    people = list(study.test.texts)
    return {
        "the model, greedy": list(
            study.vlm.generate(vision, decoding=Greedy(study.max_tokens)).texts
        ),
        **{f"the model, sample {k}": list(some.texts) for k, some in enumerate(sampled, 1)},
        "a person": people,
        "a person, of the next image": [*people[1:], people[0]],
        "fits any image": [GENERIC] * len(people),
    }


def three_ways(study: VlmStudy, texts: list[str]) -> list[dict[str, Any]]:
    """Read one caption per image in three ways: its words, and nats per token each way."""
    from vizer_core.vlm import surprisal

    vlm, vision = study.vlm, study.test_vision
    captions = vlm.tokenize(texts)
    next_one = vision.select([(i + 1) % len(texts) for i in range(len(texts))])
    nats: dict[str, Tensor] = {
        "right": surprisal.surprisal_with_image(vlm, vision, captions),
        "another": surprisal.surprisal_with_image(vlm, next_one, captions),
        "none": surprisal.surprisal_without_image(vlm, captions),
    }
    rows = []
    for row, words in enumerate(surprisal.words_of(vlm, captions)):
        found = {way: [round(float(v), 2) for v in nats[way][row, : len(words)]] for way in WAYS}
        rows.append({"words": list(words), **found})
    return rows


def words() -> dict[str, Any]:
    """Return images, and of each its captions with their nats and their true and false words."""
    from vizer_lab.figures.marked import named_parts
    from vizer_lab.studies import open_vlm_study

    study = open_vlm_study(MODEL, test=IMAGES)
    lexicon = study.lexicon
    if lexicon is None:
        raise RuntimeError("the micro profile is wanted here: unset VIZER_PROFILE")
    by_kind = {kind: (texts, three_ways(study, texts)) for kind, texts in said_of(study).items()}
    images = [image.convert("RGB") for image in study.test.images]
    return {
        "model": MODEL,
        "sheet": webp(contact_sheet(images, IMAGES)),
        "images": [
            [
                {
                    "kind": kind,
                    "parts": [
                        [part, {True: 1, False: -1, None: 0}[verdict]]
                        for part, verdict in named_parts(texts[i], study.truths[i], lexicon)
                    ],
                    **read[i],
                }
                for kind, (texts, read) in by_kind.items()
            ]
            for i in range(IMAGES)
        ],
    }
