"""What CLIP can name in a picture, in Socratic Models' captioner: lists of words, best first.

Zeng et al. 2022 (Socratic Models), section 4.1: CLIP compares the image with a text for every word
of a list (kinds of image, places, people, objects); the best words of each list go into a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from vizer_core.clip import ImageTextEncoder


@dataclass(frozen=True)
class WordList:
    """Words that CLIP chooses among, the text it reads for each, and how many are kept."""

    name: str
    words: tuple[str, ...]
    texts: tuple[str, ...]
    top: int = 1

    def __post_init__(self) -> None:
        if len(self.words) != len(self.texts) or not 1 <= self.top <= len(self.words):
            raise ValueError(
                f"list {self.name!r} has {len(self.words)} words, {len(self.texts)} texts and "
                f"keeps {self.top}: wanted a text a word, and 1 to {len(self.words)} kept"
            )

    @classmethod
    def from_template(
        cls, name: str, words: Sequence[str], template: str = "a photo of {}", *, top: int = 1
    ) -> WordList:
        """Put every word into a template, which must hold a `{}`."""
        if "{}" not in template:
            raise ValueError(f"template {template!r} has no {{}} for the word to stand in")
        return cls(name, tuple(words), tuple(template.format(word) for word in words), top)


@dataclass(frozen=True)
class Finding:
    """The words that CLIP kept from one list for one image, best first."""

    name: str
    words: tuple[str, ...]


def find_words(
    image_features: Float[Tensor, "n d"], lists: Sequence[WordList], encoder: ImageTextEncoder
) -> list[tuple[Finding, ...]]:
    """Return each image's best words of every list."""
    if not lists:
        raise ValueError("no word lists: wanted at least one for CLIP to choose from")
    columns = []
    for words in lists:
        scores = image_features @ encoder.encode_text(words.texts).to(image_features.device).T
        best = scores.sort(dim=1, descending=True, stable=True).indices[:, : words.top].tolist()
        columns.append([Finding(words.name, tuple(words.words[i] for i in row)) for row in best])
    return list(zip(*columns))
