"""Two readers of the same captions: what is shown first, what is compared, what is scored."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from experiments import questions_real_lm as study
from vizer_core.metrics.stats import bootstrap
from vizer_lab.world.vqa_items import drawn_prompt, drawn_vqa_items

ROOT = Path(__file__).resolve().parents[2]


def test_the_examples_cover_every_kind_and_their_captions_tell_the_answer():
    shown = study.examples_of(study.SHOWN)
    kinds = [item.question_type for _, item in shown]
    assert kinds == ["presence", "presence", "colour", "count", "place", "relation"]
    assert all(study.can_be_told(text, item) for text, item in shown)
    assert {item.image_id.split("-")[0] for _, item in shown} == {"second_train"}


def test_a_caption_that_leaves_the_answer_out_is_no_example():
    items = {i.question_type: i for i in drawn_vqa_items("second_train", 30)}
    for kind in ("count", "place", "relation"):
        assert not study.can_be_told("a thing", items[kind])


def test_the_question_stands_last_and_a_caption_before_it_only_where_there_is_one():
    with_one, without = (study.real_prompt(c, "where is this?") for c in ("a dog", ""))
    assert with_one.splitlines()[-1] == "a dog. Question: where is this? Answer:"
    assert without.splitlines()[-1] == "Question: where is this? Answer:"
    assert with_one.splitlines()[:-1] == without.splitlines()[:-1]
    assert study.PROMPTS["drawn"] is drawn_prompt


def test_right_answers_are_right_in_each_kind():
    items = drawn_vqa_items("second_test", 6)
    found = study.scored([item.answer for item in items], items)
    assert found["top1"].score == 1.0 and {"top1_place", "top1_presence"} <= set(found)
    wrong = study.scored(["" for _ in items], items)
    assert bootstrap(wrong["top1"]).mean == 0.0


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """A study of three images whose captions and answers are made up."""
    images = sorted({item.image_id for item in drawn_vqa_items("second_test", 3)})

    def captioned(n: int) -> dict[str, dict[str, str]]:
        names = ("human", "people", "maccap")
        return {name: {image: f"{name} of {image}" for image in images} for name in names}

    def answered(reader: str, texts: dict[str, str], n: int) -> list[str]:
        items = drawn_vqa_items("second_test", n)
        know = reader == "real" and texts[items[0].image_id] == f"human of {items[0].image_id}"
        return [item.answer if know else "" for item in items]

    monkeypatch.setattr(study, "captions_cell", captioned)
    monkeypatch.setattr(study, "answers_cell", answered)
    systems = list(study.SYSTEMS)
    return argparse.Namespace(n=3, readers=["drawn", "real"], systems=systems, runs=tmp_path)


def test_every_reader_reads_every_caption_and_its_controls(options):
    record = study.study(options)
    rows = {(row["system"], row["metric"]): row["mean"] for row in record["scores"]}
    systems = {f"{reader}:{name}" for reader in ("drawn", "real") for name in study.SYSTEMS}
    assert {name for name, _ in rows} == systems
    assert rows["real:human", "top1"] == 1.0 and rows["real:human|another", "top1"] == 0.0
    compared = {(row["system"], row["against"]) for row in record["differences"]}
    assert ("real:human", "real:human|another") in compared
    assert ("real:human", "drawn:human") in compared and len(record["shown_first"]) == 6


def test_what_chapter_8_says_of_the_two_readers_is_in_the_file():
    record = json.loads((ROOT / "results" / "questions_real_lm.json").read_text(encoding="utf-8"))
    top1 = {
        (row["system"], row["against"]): row
        for row in record["differences"]
        if row["metric"] == "top1"
    }
    any_caption = {r: top1[f"{r}:human|another", f"{r}:question_only"] for r in ("drawn", "real")}
    assert any_caption["drawn"]["low"] > 0.05  # a borrowed caption helps one reader
    assert any_caption["real"]["low"] < 0.01 and any_caption["real"]["mean"] < 0.05  # not the other
    for reader in ("drawn", "real"):
        assert top1[f"{reader}:human", f"{reader}:human|another"]["low"] > 0
    assert top1["real:human", "drawn:human"]["high"] < 0
    said = {name: share for name, share in record["says_yes"].items() if name.startswith("real:")}
    assert all(min(share, 1 - share) < 0.1 for share in said.values())
    assert record["command"].startswith(f"python -m experiments.{record['experiment']}")
