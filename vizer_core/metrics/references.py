"""Reference captions, checked, tokenised and indexed once, to score many systems against.

Hypotheses meet their references by image id, and every way in which two files fail to fit is an
error that names the first image concerned. Nothing is dropped or filled in unless asked.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from vizer_core.metrics.ngrams import ReferenceNgrams, index_references
from vizer_core.metrics.ptb_java import JAVA_TOKENIZER, tokenize_captions_java
from vizer_core.metrics.tokenize import TOKENIZER, tokenize_captions

logger = logging.getLogger(__name__)

ImageId = int | str
MISSING = ("error", "empty", "skip")
_LINE_SEPARATORS = re.compile("[\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer with the name that goes into signatures."""

    name: str
    tokenize: Callable[[Sequence[str]], list[str]]


PTB = Tokenizer(TOKENIZER, tokenize_captions)
PTB_JAVA = Tokenizer(JAVA_TOKENIZER, tokenize_captions_java)


@dataclass(frozen=True)
class References:
    """The references of every image, in a fixed order of image ids."""

    ids: tuple[ImageId, ...]
    captions: tuple[tuple[str, ...], ...]
    tokenizer: Tokenizer = field(default=PTB)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def tokens(self) -> tuple[tuple[str, ...], ...]:
        """The tokenised references."""
        flat = self.tokenizer.tokenize([c for captions in self.captions for c in captions])
        words = iter(flat)
        return tuple(tuple(next(words) for _ in captions) for captions in self.captions)

    @cached_property
    def ngrams(self) -> ReferenceNgrams:
        """The n-gram index of the tokenised references."""
        return index_references(self.tokens)

    def subset(self, keep: Sequence[int]) -> References:
        """Keep some of the images, by index."""
        return References(
            tuple(self.ids[i] for i in keep),
            tuple(self.captions[i] for i in keep),
            self.tokenizer,
        )


@dataclass(frozen=True)
class Matched:
    """Hypotheses and references of the same images, in the same order."""

    ids: tuple[ImageId, ...]
    hypotheses: tuple[str, ...]
    references: References


def by_id(captions: Mapping[ImageId, object] | Sequence[object]) -> dict[ImageId, object]:
    """Give captions without ids the ids 0, 1, 2, ..."""
    return dict(captions) if isinstance(captions, Mapping) else dict(enumerate(captions))


def _require_text(caption: object, image: ImageId, role: str) -> str:
    if not isinstance(caption, str):
        raise ValueError(
            f"the {role} of image {image!r} is {caption!r} ({type(caption).__name__}): wanted text"
        )
    return caption


def make_references(
    references: Mapping[ImageId, Any] | Sequence[Any],
    *,
    tokenizer: Tokenizer = PTB,
) -> References:
    """Check each image's list of reference captions, and fix the images' order.

    >>> make_references({7: ["a cat", "the cat"]}).tokens
    (('a cat', 'the cat'),)
    """
    found = by_id(references)
    if not found:
        raise ValueError("no references: wanted at least one image with one caption")
    captions = []
    for image, entry in found.items():
        if isinstance(entry, str):
            raise ValueError(
                f"the references of image {image!r} are one text, wanted a list: [{entry[:40]!r}]"
            )
        texts = tuple(_require_text(caption, image, "reference") for caption in entry or ())
        if not any(text.strip() for text in texts):
            raise ValueError(f"image {image!r} has no reference with a word in it")
        if blank := sum(not text.strip() for text in texts):
            raise ValueError(f"image {image!r} has {blank} empty references: remove them")
        captions.append(texts)
    _warn_of_separators([text for texts in captions for text in texts], "references")
    return References(tuple(found), tuple(captions), tokenizer)


def _warn_of_separators(captions: Sequence[str], role: str) -> None:
    count = sum(bool(_LINE_SEPARATORS.search(caption)) for caption in captions)
    if count:
        logger.warning("%d %s contain a line separator: it is read as a space", count, role)


def _same_kind_of_id(
    hypotheses: dict[ImageId, str], references: References
) -> tuple[dict[ImageId, str], tuple[ImageId, ...]]:
    """Make ids text on both sides when one side has numbers and the other has text."""
    kinds_a, kinds_b = {type(i) for i in hypotheses}, {type(i) for i in references.ids}
    if kinds_a == kinds_b and len(kinds_a) == 1:
        return hypotheses, references.ids
    texts = {str(image): caption for image, caption in hypotheses.items()}
    ids = tuple(str(image) for image in references.ids)
    for role, before, after in (
        ("hypotheses", len(hypotheses), len(texts)),
        ("references", len(ids), len(set(ids))),
    ):
        if before != after:
            raise ValueError(
                f"the {role} name {before - after} images both as a number and as text: "
                "use one kind of id"
            )
    logger.warning("image ids are numbers on one side and text on the other: compared as text")
    return texts, ids


def _first(images: Sequence[ImageId]) -> str:
    return ", ".join(repr(image) for image in list(images)[:3])


def match(
    hypotheses: Mapping[ImageId, Any] | Sequence[Any],
    references: References,
    *,
    missing: str = "error",
) -> Matched:
    """Bring one caption per image into the references' order, or say what does not fit.

    `missing` is for images with references but without a caption, or with a blank one: `error`,
    `empty` (score the empty caption) or `skip` (leave the image out).

    >>> match({7: "a cat"}, make_references({7: ["the cat"]})).hypotheses
    ('a cat',)
    """
    if missing not in MISSING:
        raise ValueError(f"missing={missing!r}: wanted one of {list(MISSING)}")
    found = {i: _require_text(c, i, "caption") for i, c in by_id(hypotheses).items()}
    found, ids = _same_kind_of_id(found, references)
    known = set(ids)
    if unknown := [image for image in found if image not in known]:
        raise ValueError(
            f"{len(unknown)} of {len(found)} captions are of images without references, first "
            f"{_first(unknown)}: are the two files of the same split?"
        )
    absent = [image for image in ids if not found.get(image, "").strip()]
    if absent and missing == "error":
        never = [image for image in absent if image not in found]
        what = f"{len(never)} have no caption and {len(absent) - len(never)} an empty one"
        raise ValueError(
            f"of {len(ids)} images with references, {what}, first {_first(absent)}: add them, or "
            "choose missing='empty' (score them as empty) or missing='skip' (leave them out)"
        )
    if absent:
        logger.warning("%d of %d images have no caption: %s", len(absent), len(ids), missing)
    left_out = set(absent) if missing == "skip" else set()
    keep = [index for index, image in enumerate(ids) if image not in left_out]
    if not keep:
        raise ValueError("no image has a caption: nothing to score")
    captions = tuple(found.get(ids[index], "") for index in keep)
    _warn_of_separators(captions, "captions")
    kept = references if len(keep) == len(ids) else references.subset(keep)
    return Matched(tuple(ids[index] for index in keep), captions, kept)
