"""Caption corpora of the drawn world: what text-only captioners train on, near and far.

`home` is the training scenes' captions in the describing style of the test scenes; `away` comes
from other places and is written as personal posts, so that training on it is cross-domain.
"""

from __future__ import annotations

from vizer_core.data.corpus import CaptionCorpus
from vizer_lab.world.captions import captions_of
from vizer_lab.world.world import make_scene

STYLE_SPLITS = {
    "home": "second_train",
    "away": "second_away_train",
}


def drawn_corpus(style: str, n: int) -> CaptionCorpus:
    """Return the first `n` different captions of a style's training scenes, scene by scene.

    Each caption keeps the id of the first scene that it describes.

    >>> corpus = drawn_corpus("home", 3)
    >>> len(set(corpus.captions)), corpus.image_ids[0]
    (3, 'second_train-00000')
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
    return CaptionCorpus(f"drawn-{style}", captions, tuple(first[text] for text in captions))
