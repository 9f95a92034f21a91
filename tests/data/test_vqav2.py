"""VQAv2's two files, samples by seed, and the candidate list that may not change."""

from __future__ import annotations

import copy
import json

import pytest

from vizer_core.data.vqav2 import (
    VQAV2_CANDIDATES,
    AnswerList,
    VqaItem,
    read_answer_list,
    read_vqav2,
    sample_items,
)
from vizer_core.runtime import seeded

QUESTIONS = {
    "data_subtype": "val2014",
    "questions": [
        {"image_id": 42, "question": "How many cats?", "question_id": 42001},
        {"image_id": 7, "question": "Is it raining?", "question_id": 7000},
    ],
}
ANNOTATIONS = {
    "annotations": [
        {
            "question_type": kind,
            "multiple_choice_answer": answer,
            "answers": [
                {"answer": answer, "answer_confidence": "yes", "answer_id": i} for i in range(10)
            ],
            "image_id": image,
            "answer_type": answers,
            "question_id": number,
        }
        for number, image, kind, answers, answer in (
            (7000, 7, "is it", "yes/no", "no"),
            (42001, 42, "how many", "number", "2"),
        )
    ]
}


def saved(tmp_path, content, name):
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    return tmp_path / name


def test_questions_and_answers_are_joined_by_number(tmp_path):
    items = read_vqav2(saved(tmp_path, QUESTIONS, "q.json"), saved(tmp_path, ANNOTATIONS, "a.json"))
    assert items[0] == VqaItem("7000", "7", "Is it raining?", "no", ("no",) * 10, "is it", "yes/no")
    assert (items[1].question, items[1].answer, items[1].image_id) == ("How many cats?", "2", "42")


def changed(content: dict, name: str, **fields) -> dict:
    content = copy.deepcopy(content)
    content[name][0].update(fields)
    return content


@pytest.mark.parametrize(
    ("questions", "annotations", "message"),
    [
        ([], ANNOTATIONS, 'has no "questions"'),
        (QUESTIONS, {"annotations": []}, 'has no "annotations"'),
        ({"questions": [{"question_id": 1}]}, ANNOTATIONS, "row 0 has no image_id, question"),
        (changed(QUESTIONS, "questions", question_id=1), ANNOTATIONS, "2 annotations of 2, 1 in"),
        (QUESTIONS, changed(ANNOTATIONS, "annotations", question_id=42001), "of 1, 1 in both"),
        (QUESTIONS, changed(ANNOTATIONS, "annotations", image_id=8), "is about image 7 in one"),
        (QUESTIONS, changed(ANNOTATIONS, "annotations", answers=[]), "question '7000': wanted"),
    ],
)
def test_wrong_files(tmp_path, questions, annotations, message):
    with pytest.raises(ValueError, match=message):
        read_vqav2(saved(tmp_path, questions, "q.json"), saved(tmp_path, annotations, "a.json"))


def item(number: int) -> VqaItem:
    return VqaItem(str(number), "1", "what ?", "yes", ("yes",) * 10)


def test_samples_follow_the_seed_not_the_files_order():
    items = [item(number) for number in range(50)]
    drawn = sample_items(items, 10, generator=seeded(0))
    assert drawn == sample_items(items[::-1], 10, generator=seeded(0))
    assert len({entry.id for entry in drawn}) == 10
    assert [int(entry.id) for entry in drawn] == sorted(int(entry.id) for entry in drawn)
    assert drawn != sample_items(items, 10, generator=seeded(1))
    with pytest.raises(ValueError, match="cannot draw 51 of 50 questions"):
        sample_items(items, 51, generator=seeded(0))


def test_the_candidate_list_is_held_to_its_length_and_hash(tmp_path):
    answers = [f"answer {i}" for i in range(VQAV2_CANDIDATES)]
    path = saved(tmp_path, answers, "answer_list.json")
    first = read_answer_list(path, sha256=None)
    assert len(first) == 3_128 and first.indices["answer 7"] == 7
    assert read_answer_list(path, sha256=first.sha256) == first
    assert read_answer_list(path, sha256=first.sha256[:8]) == first
    (tmp_path / "wrapped.json").write_text(json.dumps(answers, indent=1))
    assert read_answer_list(tmp_path / "wrapped.json", sha256=first.sha256) == first
    swapped = saved(tmp_path, [answers[1], answers[0], *answers[2:]], "swapped.json")
    with pytest.raises(ValueError, match=r"is another list: its hash is .* wanted .*ALBEF"):
        read_answer_list(swapped, sha256=first.sha256)
    with pytest.raises(ValueError, match="8 digits at least"):
        read_answer_list(path, sha256=first.sha256[:4])
    with pytest.raises(ValueError, match=r"contains 3127 answers, wanted 3128.*ALBEF"):
        read_answer_list(saved(tmp_path, answers[1:], "short.json"), sha256=None)


def test_lists_that_are_no_lists_of_answers(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no answer list at .*none\.json\. .*ALBEF"):
        read_answer_list(tmp_path / "none.json", sha256=None)
    with pytest.raises(ValueError, match="is no list of answers"):
        read_answer_list(saved(tmp_path, {"yes": 1}, "d.json"), sha256=None)
    with pytest.raises(ValueError, match=r"candidate answers \[1\] are empty: the list of 3,129"):
        AnswerList(("yes", ""))
    with pytest.raises(ValueError, match="1 candidates stand twice, first 'no'"):
        AnswerList(("no", "yes", "no"))
    with pytest.raises(ValueError, match="no candidate answers"):
        AnswerList(())
