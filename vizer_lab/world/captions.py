"""Five captions per scene, each true, each leaving something out, as five people would write.

Every annotator names some of the objects (large ones first, mostly), says the place most of the
time, and now and then counts, compares sizes, names a colour, tells where things are, hides
the kinds behind a category word, or is vague. Two styles exist: `home` (COCO-like description)
and `away` (a personal web post), so that a corpus can come from another domain than the images.
"""

from __future__ import annotations

from vizer_lab.world.sentences import describing_sentence, posting_sentence
from vizer_lab.world.settings import part_of, plain_marks
from vizer_lab.world.wording import SURFACES, caption_stream
from vizer_lab.world.world import Scene

__all__ = ["SURFACES", "another_home_caption", "away_captions", "captions_of", "home_captions"]

CAPTIONS_PER_SCENE = 5


def _describe(scene: Scene, which: int) -> str:
    return plain_marks(describing_sentence(scene, caption_stream(scene, which).__next__))


def home_captions(scene: Scene) -> tuple[str, ...]:
    """Write the scene's five captions in the describing style.

    >>> from vizer_lab.world.world import make_scene
    >>> len(home_captions(make_scene("second_test", 0)))
    5
    """
    return tuple(_describe(scene, k) for k in range(CAPTIONS_PER_SCENE))


def another_home_caption(scene: Scene, which: int = 0) -> str:
    """Write what one more person would, in the same way as the five but on words of its own.

    >>> from vizer_lab.world.world import make_scene
    >>> another_home_caption(make_scene("second_test", 3))
    'there are some teddy bears'
    """
    if not 0 <= which < CAPTIONS_PER_SCENE:
        raise ValueError(f"which={which}: wanted 0 to {CAPTIONS_PER_SCENE - 1}")
    return _describe(scene, CAPTIONS_PER_SCENE + which)


def away_captions(scene: Scene) -> tuple[str, ...]:
    """Write the scene's five captions in the other domain's style."""
    return tuple(
        plain_marks(posting_sentence(scene, caption_stream(scene, 10 + k).__next__))
        for k in range(CAPTIONS_PER_SCENE)
    )


def captions_of(scene: Scene) -> tuple[str, ...]:
    """Write the five captions in the style of the scene's own split."""
    away = part_of(scene.split).startswith("away")
    return away_captions(scene) if away else home_captions(scene)
