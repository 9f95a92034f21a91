"""Caption corpora: the text that text-only captioners train on and fill their memories with.

A corpus remembers what was done to it. Each filter leaves a `Step` that says how many captions
went, because papers state a filter and a count that do not fit each other: MacCap drops captions
of more than fifteen words, and reports 566,747, which is the number *before* that filter; on COCO
val2014 the filter takes 6,708 of 202,654.

Words are counted between spaces, as the captions are written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from vizer_core.data.coco import coco2014
from vizer_core.data.corpus_file import captions_in_file
from vizer_core.data.karpathy import one_line
from vizer_core.data.packed import hub_source, is_packed, packed_captions
from vizer_core.data.records import Record
from vizer_core.runtime import require, seeded
from vizer_core.shipped import shipped, shipped_names

COCO_CORPORA = {"coco2014-train": "train", "coco2014-val": "val"}  # name -> split


@dataclass(frozen=True)
class Step:
    """One thing done to a corpus: how many captions stayed, and how many went."""

    what: str
    kept: int
    removed: int


@dataclass(frozen=True)
class CaptionCorpus:
    """Captions with a name; `image_ids` says which image each describes, or is empty if unknown.

    >>> corpus = CaptionCorpus("cats", ("a cat", "a small black cat", "a cat"))
    >>> corpus.filter(max_words=3).steps[-1]
    Step(what='max_words=3', kept=2, removed=1)
    """

    name: str
    captions: tuple[str, ...]
    image_ids: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if not self.captions:
            raise ValueError(f"corpus {self.name!r} contains no captions: wanted at least one")
        if self.image_ids and len(self.image_ids) != len(self.captions):
            raise ValueError(
                f"corpus {self.name!r}: {len(self.image_ids)} image ids for {len(self.captions)} "
                "captions; wanted one each, or none at all"
            )
        odd = [text for text in self.captions if not text or text != one_line(text)]
        if odd:
            raise ValueError(
                f"corpus {self.name!r}: {len(odd)} captions are blank or not on one line, first "
                f"{odd[0]!r:.60}. Make it with corpus_of_captions, which tidies them."
            )

    def __len__(self) -> int:
        return len(self.captions)

    @cached_property
    def sha256(self) -> str:
        """Hash of the captions in their order, for manifests; name and ids do not enter."""
        return hashlib.sha256("\n".join(self.captions).encode()).hexdigest()

    def filter(self, *, max_words: int | None = None, min_words: int = 1) -> CaptionCorpus:
        """Keep captions of `min_words` to `max_words` words, and note how many went."""
        if min_words < 1 or (max_words is not None and max_words < min_words):
            raise ValueError(
                f"got min_words={min_words}, max_words={max_words}: wanted 1 <= min <= max"
            )
        most = float("inf") if max_words is None else max_words
        indices = [
            index
            for index, text in enumerate(self.captions)
            if min_words <= text.count(" ") + 1 <= most
        ]
        limits = {"min_words": min_words if min_words > 1 else None, "max_words": max_words}
        what = ", ".join(f"{name}={limit}" for name, limit in limits.items() if limit is not None)
        return self._keep(indices, what or "no word limit")

    def deduplicate(self) -> CaptionCorpus:
        """Keep the first of captions that are written alike."""
        first: dict[str, int] = {}
        for index, text in enumerate(self.captions):
            first.setdefault(text, index)
        return self._keep(list(first.values()), "duplicates")

    def sample(self, n: int, *, generator: torch.Generator) -> CaptionCorpus:
        """Draw `n` captions without replacement; they keep the corpus's order."""
        if not 1 <= n <= len(self):
            raise ValueError(f"cannot draw {n} of the {len(self)} captions in {self.name!r}")
        drawn = torch.randperm(len(self), generator=generator)[:n]
        return self._keep(sorted(drawn.tolist()), f"sample of {n}")

    def _keep(self, indices: Sequence[int], what: str) -> CaptionCorpus:
        if not indices:
            raise ValueError(f"corpus {self.name!r}: {what!r} would leave none of {len(self)}")
        step = Step(what, len(indices), len(self) - len(indices))
        ids = tuple(self.image_ids[index] for index in indices) if self.image_ids else ()
        captions = tuple(self.captions[index] for index in indices)
        return CaptionCorpus(self.name, captions, ids, (*self.steps, step))


def corpus_of_captions(name: str, captions: Iterable[str]) -> CaptionCorpus:
    r"""Gather captions from anywhere, a stream included; each is put on one line, blanks go.

    >>> corpus_of_captions("two", ["a cat\n", " ", "a  dog"]).captions
    ('a cat', 'a dog')
    """
    return _tidied(name, (("", text) for text in captions))


def _tidied(name: str, pairs: Iterable[tuple[str, str]]) -> CaptionCorpus:
    """Gather (image id or "", caption); ids are kept if every caption has one."""
    kept, images, blank = [], [], 0
    for image, text in pairs:
        line = one_line(text)
        blank += not line
        if line:
            kept.append(line)
            images.append(image)
    steps = (Step("blank captions", len(kept), blank),) if blank else ()
    return CaptionCorpus(name, tuple(kept), tuple(images) if all(images) else (), steps)


def corpus_of_records(name: str, records: Sequence[Record]) -> CaptionCorpus:
    """Gather all captions of the records, and remember which image each is of."""
    pairs = [(record.id, one_line(text)) for record in records for text in record.captions]
    return CaptionCorpus(name, tuple(text for _, text in pairs), tuple(image for image, _ in pairs))


def read_corpus(path: str | Path) -> CaptionCorpus:
    """Read captions, one per line or in a form that `corpus_file` knows; the file's name names it.

    `hf:OWNER/DATASET:SPLIT`, Parquet and tar files of images with captions are read too (`packed`).
    Raises `ValueError` for a file that contains something else than captions.
    """
    if is_packed(path):
        return _tidied(str(path), packed_captions(path))
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no corpus at {path}")
    return _tidied(path.stem, captions_in_file(path))


def coco2014_corpus(split: str) -> CaptionCorpus:
    """Return the real captions of COCO 2014, `train` or `val`, with no download; see `data.coco`.

    This is the official split, not Karpathy's: `val` contains his validation and test images.
    """
    return corpus_of_records(f"coco2014-{split}", coco2014(split))


def load_corpus(name: str, limit: int) -> CaptionCorpus:
    """Return a corpus of at most `limit` captions: a shipped one by name, COCO's, or a file.

    COCO's are `coco2014-train` and `coco2014-val`, with no download. Of a file each caption is
    taken once, and where there are more than `limit`, so many are drawn, always the same ones.
    Raises `FileNotFoundError` if there is neither.
    """
    require_corpus(name)
    if name in shipped_names("corpus"):
        return shipped("corpus", name)(limit)
    if name in COCO_CORPORA:
        corpus = coco2014_corpus(COCO_CORPORA[name]).deduplicate()
    else:
        corpus = read_corpus(Path(name)).deduplicate()
    return corpus if len(corpus) <= limit else corpus.sample(limit, generator=seeded(0))


def require_corpus(name: str) -> None:
    """Raise `FileNotFoundError` if there is no such corpus, before a model is loaded."""
    ours = (*shipped_names("corpus"), *COCO_CORPORA)
    if name.startswith("hf:"):
        hub_source(name)
        require("datasets", extra="hub", why="a data set of the hub")
    elif name not in ours and not Path(name).is_file():
        raise FileNotFoundError(
            f"no corpus at {name}: wanted {' or '.join(('a file of captions', *ours))}, or "
            "hf:OWNER/DATASET:SPLIT"
        )
