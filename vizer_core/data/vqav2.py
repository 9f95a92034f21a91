"""VQAv2: questions about COCO's images, ten people's answers each (Goyal et al. 2017).

Two files a split: `v2_OpenEnded_mscoco_val2014_questions.json` with `image_id`, `question_id` and
`question`, and `v2_mscoco_val2014_annotations.json` with the answers: `multiple_choice_answer` is
the one that most people gave, `answers` are all ten, `answer_type` is yes/no, number or other, and
`question_type` is the question's opening ("how many").

The candidate list of MacCap's section 4.4 has 3,128 answers. It is the list that came with ALBEF
and BLIP: the usual 3,129 most frequent answers less an empty one. It cannot be remade from the
data by counting, so it is read from a file and held to a hash that its first user writes down.

How to get it: https://visualqa.org/download.html (tens of MB; the images are COCO's, val2014 6 GB);
CC BY 4.0. The answer list is `answer_list.json` in ALBEF's data archive, see
https://github.com/salesforce/ALBEF.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from vizer_core.data.karpathy import one_line
from vizer_core.files import read_json

VQAV2_CANDIDATES = 3_128
MACCAP_SAMPLE = 20_000
HOW_TO_GET = (
    "The list is answer_list.json of ALBEF's data archive (https://github.com/salesforce/ALBEF); "
    "BLIP ships the same one"
)


@dataclass(frozen=True)
class VqaItem:
    """A question about an image: `answer` is the agreed one, `answers` is what each person said."""

    id: str
    image_id: str
    question: str
    answer: str
    answers: tuple[str, ...]
    question_type: str = ""
    answer_type: str = ""

    def __post_init__(self) -> None:
        if not self.question.strip() or not self.answer.strip() or not self.answers:
            raise ValueError(
                f"question {self.id!r}: wanted words, an answer and everyone's answers, got "
                f"{self.question!r}, {self.answer!r} and {len(self.answers)} answers"
            )


@dataclass(frozen=True)
class AnswerList:
    """The candidates that an answer is looked up in: in a fixed order, each once, none empty."""

    answers: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.answers:
            raise ValueError("no candidate answers: got an empty list, wanted at least one")
        empty = [index for index, answer in enumerate(self.answers) if not answer.strip()]
        if empty:
            raise ValueError(
                f"candidate answers {empty[:3]} are empty: the list of 3,129 has one such; drop it"
            )
        repeated = [answer for answer, count in Counter(self.answers).items() if count > 1]
        if repeated:
            raise ValueError(f"{len(repeated)} candidates stand twice, first {repeated[0]!r}")

    def __len__(self) -> int:
        return len(self.answers)

    @cached_property
    def indices(self) -> dict[str, int]:
        """The index of each answer."""
        return {answer: index for index, answer in enumerate(self.answers)}

    @cached_property
    def sha256(self) -> str:
        r"""Hash of the answers in their order, however the file wraps them.

        >>> AnswerList(("a", "b")).sha256 == hashlib.sha256(b"a\nb").hexdigest()
        True
        """
        return hashlib.sha256("\n".join(self.answers).encode()).hexdigest()


def read_answer_list(
    path: Path, *, sha256: str | None, count: int = VQAV2_CANDIDATES
) -> AnswerList:
    """Read a JSON list of candidates, and refuse one that is not the list that was agreed on.

    `sha256` is `AnswerList.sha256` of that list, in full or its first 8 digits or more. None reads
    a list for the first time: write its hash into what you publish.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no answer list at {path}. {HOW_TO_GET}.")
    content = read_json(path)
    if not isinstance(content, list) or not all(isinstance(answer, str) for answer in content):
        raise ValueError(f'{path} is no list of answers: wanted ["yes", "no", "2", ...]')
    if len(content) != count:
        raise ValueError(
            f"{path} contains {len(content)} answers, wanted {count}. {HOW_TO_GET}; for a list of "
            "your own pass count=."
        )
    found = AnswerList(tuple(content))
    if sha256 is not None and (len(sha256) < 8 or not found.sha256.startswith(sha256)):
        raise ValueError(
            f"{path} is another list: its hash is {found.sha256[:12]}…, wanted {sha256[:12]}… "
            f"(8 digits at least). {HOW_TO_GET}."
        )
    return found


def read_vqav2(questions: Path, annotations: Path) -> tuple[VqaItem, ...]:
    """Join a split's questions with their answers, by question number; questions on one line."""
    listed = list(_rows(questions, "questions", _QUESTION))
    asked = {row["question_id"]: row for row in listed}
    if len(asked) < len(listed):
        raise ValueError(
            f"{questions} has {len(listed)} questions of {len(asked)} different numbers: wanted "
            "each once"
        )
    rows = list(_rows(annotations, "annotations", _ANNOTATION))
    answered = {row["question_id"] for row in rows}
    if len(rows) != len(answered) or asked.keys() != answered:
        raise ValueError(
            f"{questions} and {annotations} do not fit: {len(asked)} questions, {len(rows)} "
            f"annotations of {len(answered)}, {len(asked.keys() & answered)} in both. Take both "
            "files of one split."
        )
    return tuple(_item(asked[row["question_id"]], row) for row in rows)


@dataclass(frozen=True)
class VqaQuestions:
    """Questions to ask, and training questions about other images, whose answers make floors."""

    items: tuple[VqaItem, ...]
    training: tuple[VqaItem, ...]

    def __len__(self) -> int:
        return len(self.items)


def read_vqav2_folder(folder: Path) -> VqaQuestions:
    """Read a folder with two splits: files ending in `questions.json` and `annotations.json`.

    The training split's have `train` in their names, the other split's have not. Raises
    `FileNotFoundError` unless there is one file of each kind for both.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder} of VQAv2's questions")
    splits = []
    for train in (False, True):
        files = []
        for kind in ("questions", "annotations"):
            there = sorted(folder.glob(f"*{kind}.json"))
            found = [file for file in there if ("train" in file.name) == train]
            if len(found) != 1:
                raise FileNotFoundError(
                    f"{folder} has {len(found)} files *{kind}.json with{'' if train else 'out'} "
                    f"'train' in the name: wanted one, of the {'training' if train else 'other'} "
                    "split; for other names use vizer_core.data.vqav2.read_vqav2"
                )
            files += found
        splits.append(read_vqav2(*files))
    return VqaQuestions(*splits)


def sample_items(
    items: Sequence[VqaItem], n: int, *, generator: torch.Generator
) -> tuple[VqaItem, ...]:
    """Draw `n` questions without replacement, in order of their number.

    The draw depends on the generator's seed and on the questions, not on their order in the file.
    MacCap draws 20,000 of 214,354 and names no seed.
    """
    if not 1 <= n <= len(items):
        raise ValueError(f"cannot draw {n} of {len(items)} questions")
    ordered = sorted(items, key=lambda item: (len(item.id), item.id))
    drawn = torch.randperm(len(ordered), generator=generator)[:n]
    return tuple(ordered[index] for index in sorted(drawn.tolist()))


_QUESTION = ("question_id", "image_id", "question")
_ANNOTATION = (
    "question_id",
    "image_id",
    "question_type",
    "answer_type",
    "multiple_choice_answer",
    "answers",
)


def _rows(path: Path, name: str, fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    content = read_json(path)
    rows = content.get(name) if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows:
        raise ValueError(f'{path} has no "{name}": wanted VQAv2\'s {{"{name}": [...]}}')
    for number, row in enumerate(rows):
        absent = [field for field in fields if not isinstance(row, dict) or field not in row]
        if absent:
            raise ValueError(f"{path}, row {number} has no {', '.join(absent)}")
        yield row


def _item(asked: dict[str, Any], row: dict[str, Any]) -> VqaItem:
    if asked["image_id"] != row["image_id"]:
        raise ValueError(
            f"question {row['question_id']} is about image {asked['image_id']} in one file and "
            f"{row['image_id']} in the other: take both files of one split"
        )
    try:
        return VqaItem(
            id=str(row["question_id"]),
            image_id=str(row["image_id"]),
            question=one_line(asked["question"]),
            answer=one_line(row["multiple_choice_answer"]),
            answers=tuple(one_line(entry["answer"]) for entry in row["answers"]),
            question_type=row["question_type"],
            answer_type=row["answer_type"],
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"question {row['question_id']} is not as in VQAv2: {error}. Wanted question and "
            'multiple_choice_answer as text, answers as [{"answer": text}, ...]'
        ) from error
