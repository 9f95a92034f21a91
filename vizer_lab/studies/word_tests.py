"""Captions that a score should notice: with one word wrong, or with their words in another order.

Where nothing can be changed a caption stays as it is; it then ties with itself, and a tie counts
half wherever shares are taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vizer_lab.world import Scene
from vizer_lab.world.perturbations import object_swapped
from vizer_lab.world.text_perturbations import FUNCTION_WORDS, shuffled_words


def with_a_wrong_word(
    captions: Sequence[str], scenes: Sequence[Scene] = (), *, seed: int = 0
) -> list[str]:
    """Name in each caption one thing that is not in its image.

    With `scenes` it is another kind of the same category, absent from the scene. Without, the last
    word of content is exchanged for that of the next caption, which is absent more often than not.

    >>> with_a_wrong_word(["a dog on the road", "a cat in the snow"])
    ['a dog on the snow', 'a cat in the road']
    """
    if scenes and len(scenes) != len(captions):
        raise ValueError(f"got {len(captions)} captions and {len(scenes)} scenes: wanted one each")
    rng = np.random.default_rng(seed)
    if scenes:
        found = [object_swapped(text, scene, rng) for text, scene in zip(captions, scenes)]
        return [changed or text for changed, text in zip(found, captions)]
    after = [*captions[1:], *captions[:1]]
    return [_with_last_of(text, other) for text, other in zip(captions, after)]


def _with_last_of(text: str, other: str) -> str:
    words = text.split()
    places = [i for i, word in enumerate(words) if word.lower() not in FUNCTION_WORDS]
    new = [word for word in other.split() if word.lower() not in FUNCTION_WORDS]
    new = [word for word in new if word not in words]
    if places and new:
        words[places[-1]] = new[-1]
    return " ".join(words)


def with_words_shuffled(captions: Sequence[str], *, seed: int = 0) -> list[str]:
    """Put each caption's words into another order.

    >>> with_words_shuffled(["cat dog", "cat"])
    ['dog cat', 'cat']
    """
    rng = np.random.default_rng(seed)
    return [shuffled_words(text, rng) or text for text in captions]
