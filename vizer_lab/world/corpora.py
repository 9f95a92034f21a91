"""Caption corpora of the micro world: what text-only captioners train on, near and far.

`home` is the training scenes' captions in the describing style of the test scenes; `away` comes
from other places and is written as personal posts, so that training on it is cross-domain. The
second edition has both.
"""

from __future__ import annotations

from vizer_core.data.corpus import CaptionCorpus
from vizer_lab.world.captions import captions_of
from vizer_lab.world.world import make_scene

STYLE_SPLITS = {
    "home": "train",
    "away": "away_train",
    "second-home": "second_train",
    "second-away": "second_away_train",
}


def micro_corpus(style: str, n: int) -> CaptionCorpus:
    """Return the first `n` different captions of a style's training scenes, scene by scene.

    Each caption keeps the id of the first scene that it describes.

    >>> corpus = micro_corpus("home", 3)
    >>> len(set(corpus.captions)), corpus.image_ids[0]
    (3, 'train-00000')
    """
    if style not in STYLE_SPLITS:
        raise ValueError(f"no style {style!r}: wanted one of {sorted(STYLE_SPLITS)}")
    if n < 1:
        raise ValueError(f"wanted at least one caption, got n={n}")
    first: dict[str, str] = {}
    index = 0
    while len(first) < n:
        scene = make_scene(STYLE_SPLITS[style], index)
        for text in captions_of(scene):
            first.setdefault(text, scene.id)
        index += 1
    captions = tuple(first)[:n]
    name = style.replace("second", "drawn") if style.startswith("second") else f"micro-{style}"
    return CaptionCorpus(name, captions, tuple(first[text] for text in captions))
