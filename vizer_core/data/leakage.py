"""Is any evaluation image in the training text? By id, and by what its captions say.

Two ways in which a corpus leaks. By id: COCO's train2017 has most of the images that Karpathy's
validation and test splits are made of, so a memory bank filled from it knows the answers. And by
text, where a corpus comes without ids: then *all* captions of an image stand in it.

A shared caption alone proves nothing. Of the 202,654 captions of COCO val2014, 9,471 stand word
for word among those of train2014, which describe other images; but only 2 of its 40,504 images
have all of theirs there. So captions are reported, and images with all captions there, counted
where an image has at least three, are what `require_no_leakage` judges.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from vizer_core.data.coco import read_annotations, read_file_names
from vizer_core.data.corpus import CaptionCorpus
from vizer_core.data.image_names import image_key
from vizer_core.data.karpathy import one_line
from vizer_core.data.records import Record

ENOUGH_CAPTIONS = 3  # an image with fewer may have all of them elsewhere by chance
TOLERATED_SHARE = 0.005  # a hundred times what two disjoint halves of COCO give by chance
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


@dataclass(frozen=True)
class LeakageReport:
    """What a corpus shares with an evaluation set.

    `known_images` and `known_plain` are the images, of those with enough captions, whose every
    caption is in the corpus: as written, and by its plain words.
    """

    corpus: str
    images: int
    captions: int
    ids_known: bool
    shared_images: tuple[str, ...]
    exact_captions: int
    plain_captions: int
    judged_images: int
    known_images: tuple[str, ...]
    known_plain: tuple[str, ...]

    @property
    def known_share(self) -> float:
        """Share of the judged images whose every caption is in the corpus, by plain words."""
        return len(self.known_plain) / self.judged_images if self.judged_images else 0.0

    @property
    def leaks(self) -> bool:
        """True if an image is shared, or more images are known by their text than by chance."""
        return bool(self.shared_images) or self.known_share > TOLERATED_SHARE

    def summary(self) -> str:
        """Say in a line what is shared, by image and by caption."""
        by_id = "it does not name its images"
        if self.ids_known:
            by_id = f"it names {len(self.shared_images)} of the {self.images} images"
        return (
            f"corpus {self.corpus!r}: {by_id}; it has every caption of {len(self.known_plain)} "
            f"of {self.judged_images} images (up to {TOLERATED_SHARE:.1%} is chance), and "
            f"{self.exact_captions} of {self.captions} captions word for word"
        )


def records_of_references(path: Path) -> tuple[Record, ...]:
    """Read a file of references, COCO annotations, as records without images.

    An image is called by its file's name where the file says it, else by its number.
    """
    names = read_file_names(path)
    return tuple(
        Record(names.get(image, str(image)), None, tuple(text for text in texts if text.strip()))
        for image, texts in read_annotations(path).items()
    )


def plain_words(caption: str) -> str:
    """Return a caption's lower-case words without marks, for telling near-copies.

    >>> plain_words("A man's T-shirt, (red).")
    "a man's t-shirt red"
    """
    return " ".join(_WORD.findall(caption.lower()))


def check_leakage(corpus: CaptionCorpus, evaluation: Sequence[Record]) -> LeakageReport:
    """Compare a corpus with the images that it will be judged on."""
    if not evaluation:
        raise ValueError("no evaluation records: got an empty list, wanted at least one")
    trained_on = {image_key(image) for image in corpus.image_ids}
    judged = [record for record in evaluation if len(record.captions) >= ENOUGH_CAPTIONS]
    exact, plain = set(corpus.captions), {plain_words(text) for text in corpus.captions}
    return LeakageReport(
        corpus=corpus.name,
        images=len(evaluation),
        captions=sum(len(record.captions) for record in evaluation),
        ids_known=bool(corpus.image_ids),
        shared_images=tuple(r.id for r in evaluation if image_key(r.id) in trained_on),
        exact_captions=_count(evaluation, exact, one_line),
        plain_captions=_count(evaluation, plain, plain_words),
        judged_images=len(judged),
        known_images=_known(judged, exact, one_line),
        known_plain=_known(judged, plain, plain_words),
    )


def require_no_leakage(corpus: CaptionCorpus, evaluation: Sequence[Record]) -> LeakageReport:
    """Return the report of a clean corpus; raise `ValueError` for one that leaks."""
    report = check_leakage(corpus, evaluation)
    if report.shared_images:
        raise ValueError(
            f"corpus {report.corpus!r} contains captions of {len(report.shared_images)} of the "
            f"{report.images} evaluation images, first {', '.join(report.shared_images[:3])}. "
            "Drop them; note that COCO's train2017 contains most of Karpathy's val and test images."
        )
    if report.leaks:
        raise ValueError(
            f"corpus {report.corpus!r} contains every caption of {len(report.known_plain)} of "
            f"{report.judged_images} evaluation images ({report.known_share:.1%}, up to "
            f"{TOLERATED_SHARE:.1%} is chance), first {', '.join(report.known_plain[:3])}: it was "
            "made from them. Use a corpus of other images."
        )
    return report


def _count(records: Sequence[Record], there: Collection[str], form: Callable[[str], str]) -> int:
    return sum(form(text) in there for record in records for text in record.captions)


def _known(
    records: Sequence[Record], there: Collection[str], form: Callable[[str], str]
) -> tuple[str, ...]:
    return tuple(r.id for r in records if all(form(text) in there for text in r.captions))
