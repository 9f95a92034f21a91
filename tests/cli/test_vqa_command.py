"""`vizer vqa`: the table of the package from files, whose names for images may differ."""

from __future__ import annotations

import errno
import json
import os
import re
from types import SimpleNamespace

import pytest

from vizer_core.data.vqav2 import VqaItem
from vizer_core.vqa import VqaProtocol, evaluate_vqa
from vizer_core.vqa.scoring import frequent_answers
from vizer_lab.world import DrawnSplit
from vizer_lab.world.vqa_items import (
    drawn_answer_list,
    drawn_prompt,
    drawn_vqa_items,
)
from vizer_lab.zoo import load_drawn_clip
from vizer_lab.zoo.language_models import load_drawn_lm

SCENES = 6


def write_vqav2(folder, split, items):
    """Write questions and annotations in VQAv2's form; return the paths."""
    asked = [
        {"question_id": item.id, "image_id": item.image_id, "question": item.question}
        for item in items
    ]
    told = [
        {"question_id": item.id, "image_id": item.image_id, "question_type": item.question_type,
         "answer_type": item.answer_type, "multiple_choice_answer": item.answer,
         "answers": [{"answer": one} for one in item.answers]}
        for item in items
    ]  # fmt: skip
    paths = folder / f"{split}_questions.json", folder / f"{split}_annotations.json"
    for path, rows in zip(paths, ({"questions": asked}, {"annotations": told})):
        path.write_text(json.dumps(rows))
    return paths


def write_results(path, captions):
    rows = [{"image_id": image, "caption": text} for image, text in captions.items()]
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture
def quiz(tmp_path):
    """Lay out the drawn world's questions, and people's captions of its scenes, as files."""
    split = DrawnSplit("second_test", SCENES)
    items, training = drawn_vqa_items("second_test", SCENES), drawn_vqa_items("second_train", 60)
    questions, annotations = write_vqav2(tmp_path, "val", items)
    train_questions, train_annotations = write_vqav2(tmp_path, "train", training)
    people = dict(zip(split.ids, (texts[0] for texts in split.captions)))
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(drawn_answer_list().answers))
    return SimpleNamespace(
        root=tmp_path, items=items, training=training, people=people, answers=answers,
        human=write_results(tmp_path / "human.json", people),
        files=["--questions", questions, "--annotations", annotations,
               "--train-questions", train_questions, "--train-annotations", train_annotations],
    )  # fmt: skip


def test_the_table_and_the_file_hold_what_the_package_finds(vizer, quiz):
    nonsense = dict.fromkeys(quiz.people, "a caption")
    other = write_results(quiz.root / "nonsense.json", nonsense)
    out = quiz.root / "vqa.json"
    done = vizer("vqa", *quiz.files, "--captions", quiz.human, "--captions", other, "--answers",
                 quiz.answers, "--json", out)  # fmt: skip
    assert done.exit_code == 0, done.output
    protocol = VqaProtocol(load_drawn_lm(), load_drawn_clip("drawn-clip-50"),
                           drawn_answer_list(), drawn_prompt)  # fmt: skip
    wanted = evaluate_vqa(quiz.items, {"human": quiz.people, "nonsense": nonsense}, protocol,
                          training=quiz.training)  # fmt: skip
    written = json.loads(out.read_text())
    assert written["scores"] == wanted.rows() and written["candidates"] == len(drawn_answer_list())
    assert [row["written"] for row in written["answers"]["human"]] == [*wanted.generated["human"]]
    assert [row["question_id"] for row in written["answers"]["nonsense"]] == [
        item.id for item in quiz.items
    ]
    lines = done.stdout.splitlines()
    labels = [re.split(r"  +", line)[0] for line in lines[1:7]]
    assert labels == ["human", "nonsense", "question only", "most frequent answer",
                      "the same, by type", "chance"]  # fmt: skip
    top1 = wanted.scores["human"]["top1"]
    assert f"{100 * top1.mean:.2f} [{100 * top1.low:.2f}, {100 * top1.high:.2f}]" in lines[1]
    assert lines[6].rstrip().endswith("-"), "chance writes no text"
    assert f"{len(quiz.items)} questions; {len(drawn_answer_list())} candidates" in lines[7]


def test_a_full_disk_costs_no_result(vizer, quiz, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("vizer_core.files.write_json", full)
    done = vizer("vqa", *quiz.files, "--captions", quiz.human, "--sample", 5, "--json",
                 quiz.root / "vqa.json")  # fmt: skip
    assert done.exit_code == 1 and "question only" in done.stdout
    assert "vqa.json cannot be written: No space left on device. Make room and" in done.stderr


def test_without_a_list_the_training_answers_are_the_candidates(vizer, quiz):
    out = quiz.root / "vqa.json"
    done = vizer("vqa", *quiz.files, "--captions", quiz.human, "--json", out, "--sample", 5)
    assert done.exit_code == 0, done.output
    written = json.loads(out.read_text())
    assert written["candidates_sha256"] == frequent_answers(quiz.training, 3_128).sha256
    assert written["questions"] == 5 and "5 questions" in done.stdout


def test_the_seed_draws_the_questions(vizer, quiz):
    drawn = []
    for seed in (0, 0, 1):
        out = quiz.root / f"{len(drawn)}.json"
        vizer("vqa", *quiz.files, "--captions", quiz.human, "--json", out, "--sample", 4,
              "--seed", seed)  # fmt: skip
        rows = json.loads(out.read_text())["answers"]["human"]
        drawn.append([row["question_id"] for row in rows])
    assert drawn[0] == drawn[1] != drawn[2]


def coco(quiz, kind):
    """Ask about COCO's images 7 and 9; captions name the files, as `vizer caption` writes them."""

    def ask(number, image):
        return VqaItem(str(number), image, "what is there ?", "dog", ("dog",) * 10, "what", kind)

    files = [*write_vqav2(quiz.root, "coco", [ask(1, "7"), ask(2, "9")]), *quiz.files[5::2]]
    options = ("--questions", "--annotations", "--train-questions", "--train-annotations")
    return [word for pair in zip(options, files) for word in pair]


def test_file_names_meet_cocos_numbers_and_missing_ones_can_be_skipped(vizer, quiz):
    files = coco(quiz, "other")
    name = "COCO_val2014_000000000007.jpg"
    said = write_results(quiz.root / "said.json", {name: "a dog", "unasked.jpg": "a cat"})
    done = vizer("vqa", *files, "--captions", said)
    assert done.exit_code == 1 and done.stdout == ""
    assert "1 images that are asked about have no caption, first '9' in said" in done.stderr
    done = vizer("vqa", *files, "--captions", said, "--missing", "skip")
    assert done.exit_code == 0 and "1 questions" in done.stdout


def test_the_prompt_of_the_release_is_another_one(vizer, quiz, monkeypatch):
    seen = []

    def eval_points(items, captions, protocol, **_):
        seen.append(protocol)
        raise ValueError("seen enough")

    monkeypatch.setattr("vizer_core.vqa.evaluate_vqa", eval_points)
    for prompt in ("auto", "paper", "release"):
        vizer("vqa", *quiz.files, "--captions", quiz.human, "--prompt", prompt, "--batch-size", 3)
    assert [one.prompt("a dog", "what?") for one in seen] == [
        "a dog. question: what? answer:",
        "a dog Question: what? Answer:",
        "a dog Question: what? Short answer:",
    ]
    assert [type(one.decoding).__name__ for one in seen] == ["Greedy", "Greedy", "Beam"]
    assert {one.batch_size for one in seen} == {3}


def test_what_is_wrong_is_said_before_a_model_is_loaded(vizer, quiz, monkeypatch):
    monkeypatch.setattr("vizer_core.cli.vqa.clip_encoder", lambda *_: pytest.fail("loaded"))
    root = quiz.root
    (root / "twin").mkdir()
    twin = write_results(root / "twin" / "human.json", quiz.people)
    floor = write_results(root / "prior.json", quiz.people)
    strange = write_results(root / "strange.json", {"x.jpg": "a cat"})
    (root / "one.json").write_text('{"yes": 1}')
    both = ["--captions", quiz.human]
    for words, status, message in (
        ([], 2, "Missing option '--captions'"),
        ([*both, "--captions", twin], 2, "--captions human: two files have this name"),
        (["--captions", floor], 2, "--captions prior: this is a row of every table"),
        (
            ["--captions", strange],
            1,
            "for none of the images that are asked about: it names 'x.jpg",
        ),
        ([*both, "--answers", root / "one.json"], 1, "is no list of answers"),
        ([*both, "--answers", root / "none.json"], 1, "no such file"),
        ([*both, "--sample", 10_000], 1, "cannot draw 10000 of"),
        ([*both, "--prompt", "papers"], 2, "choose from auto, paper, release"),
        ([*both, "--missing", "empty"], 2, "choose from error, skip"),
        ([*both, "--json", quiz.human], 2, "human.json"),
    ):
        done = vizer("vqa", *quiz.files, *words)
        assert done.exit_code == status, (words, done.output)
        assert message in done.stderr and done.stdout == ""


def test_frequent_answers_want_some_questions():
    with pytest.raises(ValueError, match="got 0 training questions and n = 3"):
        frequent_answers([], 3)
