"""Socratic Models: CLIP names what it sees, a language model says it in words, CLIP picks the best.

Zeng et al. 2022 (Socratic Models), section 4.1:

    words = CLIP's best of every list;  texts = 10 completions of prompt(words), temperature .9;
    caption = the text with the greatest cosine to the image.

Three ways to hand the words to a language model, and none is the paper's own wording:

================  ========================================================================
NotesPrompt       notes and a request, for a model that follows instructions
CompletionPrompt  a text that a caption goes on from, for a base model, which only continues
TagPrefix         the bare words in front of BOS, which is how the drawn LM has read tags
================  ========================================================================

Where we differ: the paper asks GPT-3 over the network; here the language model is a local one, and
usually far smaller, so this row shows the recipe and not the paper's quality. Kinds of image and
numbers of people are lists like any other, if they are passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.captioners.protocol import Images, image_features_of, require_width
from vizer_core.clip import ImageTextEncoder
from vizer_core.decoding import Decoding, Sample
from vizer_core.language.prefix import no_prefix
from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.metrics.phrases import frequent_statements, head_of, is_place
from vizer_core.textonly.filtering import Candidates, clip_scores

SOCRATIC_COMPLETIONS = 10
STATEMENTS = 1000  # of a corpus, where it has to make the word lists
SOCRATIC_DECODING = Sample(temperature=0.9, max_tokens=20)


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
                f"keeps {self.top}: wanted a text per word, and 1 to {len(self.words)} kept"
            )

    @classmethod
    def from_template(
        cls, name: str, words: Sequence[str], template: str = "a photo of {}", *, top: int = 1
    ) -> WordList:
        """Put every word into a template, which must contain a `{}`."""
        if "{}" not in template:
            raise ValueError(f"template {template!r} has no {{}} for the word to stand in")
        return cls(name, tuple(words), tuple(template.format(word) for word in words), top)


def lists_of(
    captions: Sequence[str], *, count: int = STATEMENTS, things: int = 3
) -> tuple[WordList, ...]:
    """Return what some captions name most as word lists: things, of which some are kept, a place.

    Where nobody has lists of objects and of places, as the paper has, a corpus has them: its
    commonest statements (`metrics.phrases`), those that begin with a preposition as places.

    >>> objects, place = lists_of(["a red cat and two dogs in the snow", "a dog in the snow"])
    >>> objects.words, objects.texts, place.words
    (('cat', 'dog'), ('a red cat', 'two dogs'), ('in the snow',))
    """
    objects: dict[str, str] = {}
    places = []
    for statement in frequent_statements(captions, count=count):
        if is_place(statement):
            places.append(statement)
        else:
            objects.setdefault(head_of(statement), statement)
    found = []
    if objects:
        top = min(things, len(objects))
        found.append(WordList("objects", tuple(objects), tuple(objects.values()), top))
    if places:
        found.append(WordList("place", tuple(places), tuple(places)))
    return tuple(found)


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


@runtime_checkable
class Prompting(Protocol):
    """How findings reach the language model: as a prefix, as prompts, or both."""

    def prefix(
        self, findings: Sequence[tuple[Finding, ...]], lm: PrefixLanguageModel
    ) -> Float[Tensor, "b q h"]:
        """Return what stands in front of BOS."""

    def prompts(self, findings: Sequence[tuple[Finding, ...]]) -> list[str]:
        """Return what stands behind BOS."""


@dataclass(frozen=True)
class NotesPrompt:
    """Findings as short notes in English, then the request for a caption."""

    opening: str = "Notes on a picture."
    request: str = "A short caption:"

    def prefix(
        self, findings: Sequence[tuple[Finding, ...]], lm: PrefixLanguageModel
    ) -> Float[Tensor, "b q h"]:
        """Return prefixes of length 0."""
        return no_prefix(lm, len(findings))

    def prompts(self, findings: Sequence[tuple[Finding, ...]]) -> list[str]:
        """Write the notes of every image.

        >>> NotesPrompt().prompts([(Finding("place", ("beach",)), Finding("objects", ("a", "b")))])
        ['Notes on a picture. Place: beach. Objects: a, b. A short caption:']
        """
        return [f"{self.opening} {_notes(row)} {self.request}" for row in findings]


@dataclass(frozen=True)
class CompletionPrompt:
    """A text in which the findings stand and a quoted caption has begun.

    A base model has read no requests, but much text that goes on in the way it began. What it
    writes after the `opening` of the caption is taken up to the closing quotation mark.
    """

    before: str = "Here is a list of what a photo shows."
    request: str = "Caption of the photo:"
    opening: str = "A photo of"

    def prefix(
        self, findings: Sequence[tuple[Finding, ...]], lm: PrefixLanguageModel
    ) -> Float[Tensor, "b q h"]:
        """Return prefixes of length 0."""
        return no_prefix(lm, len(findings))

    def prompts(self, findings: Sequence[tuple[Finding, ...]]) -> list[str]:
        """Write the beginning of every image's text.

        >>> CompletionPrompt().prompts([(Finding("objects", ("a", "b")),)])
        ['Here is a list of what a photo shows. Objects: a, b. Caption of the photo: "A photo of']
        """
        return [f'{self.before} {_notes(row)} {self.request} "{self.opening}' for row in findings]


def _notes(findings: Sequence[Finding]) -> str:
    """Write findings as short notes."""
    return " ".join(f"{f.name.capitalize()}: {', '.join(f.words)}." for f in findings)


@dataclass(frozen=True)
class TagPrefix:
    """Findings as `length` bare tokens in front of BOS, over again where there are fewer."""

    length: int = 6

    def prefix(
        self, findings: Sequence[tuple[Finding, ...]], lm: PrefixLanguageModel
    ) -> Float[Tensor, "b q h"]:
        """Return the embeddings of each image's words, cut or repeated to one length."""
        texts = [" ".join(word for f in row for word in f.words) for row in findings]
        rows = []
        for ids in lm.word_ids(texts):
            words = torch.tensor(ids, device=lm.device)
            rows.append(words.repeat(-(-self.length // len(words)))[: self.length])
        return lm.embed(torch.stack(rows))

    def prompts(self, findings: Sequence[tuple[Finding, ...]]) -> list[str]:
        """Return empty prompts: the caption starts at BOS."""
        return [""] * len(findings)


@dataclass(frozen=True, eq=False)
class Socratic:
    """Names, generates and picks, with models that were never trained together."""

    encoder: ImageTextEncoder
    language_model: PrefixLanguageModel
    lists: tuple[WordList, ...]
    prompting: Prompting = NotesPrompt()
    completions: int = SOCRATIC_COMPLETIONS
    decoding: Decoding = SOCRATIC_DECODING
    batch_size: int = 16
    name: str = "socratic"
    reads_patches: ClassVar[bool] = False

    def candidates(self, images: Images, *, generator: torch.Generator) -> Candidates:
        """Return every image's completions with their cosines."""
        features = image_features_of(images)
        require_width(features, self.encoder.embed_dim, self.name)
        found = find_words(features, self.lists, self.encoder)
        generated: list[str] = []
        for first in range(0, len(found), self.batch_size):
            batch = found[first : first + self.batch_size]
            rows = [row for row in batch for _ in range(self.completions)]
            generated += self.language_model.generate(
                self.prompting.prefix(rows, self.language_model),
                prompts=self.prompting.prompts(rows),
                decoding=self.decoding,
                generator=generator,
            ).texts
        sentences = [first_sentence(text) for text in generated]
        starts = range(0, len(sentences), self.completions)
        texts = tuple(tuple(sentences[i : i + self.completions]) for i in starts)
        return Candidates(texts, clip_scores(texts, features, self.encoder))

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Return each image's completion with the greatest cosine."""
        return self.candidates(images, generator=generator).best


def first_sentence(text: str) -> str:
    """Cut a completion at its first line break or sentence end: a base model goes on.

    A quotation mark in front is passed over, and the next one ends the caption.

    >>> first_sentence("A dog on a beach. It is warm."), first_sentence('"A dog", said the owner')
    ('A dog on a beach.', 'A dog')
    """
    line = (text.strip().lstrip('"').split('"')[0].strip().splitlines() or [""])[0]
    end = line.find(". ")
    return line[: end + 1] if end >= 0 else line
