"""What the drawn LM reads: the same words as the drawn CLIP, documents of three kinds, rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vizer_lab.world.captions import captions_of
from vizer_lab.world.questions import Question, question_text, questions_of
from vizer_lab.world.settings import plain_marks
from vizer_lab.world.world import make_scene
from vizer_lab.zoo.lm_corpus import (
    KIND_SHARES,
    KINDS,
    caption_document,
    document,
    make_row,
    make_rows,
    question_document,
    tags_of,
)
from vizer_lab.zoo.lm_model import (
    DrawnLMConfig,
    build_drawn_lm,
    drawn_lm_tokenizer,
)
from vizer_lab.zoo.tokenizer import DrawnTokenizer, split_words

TOKENIZER = DrawnTokenizer()
START, END = TOKENIZER.start_token_id, TOKENIZER.eot_token_id


def texts_of_the_world() -> list[str]:
    scenes = [
        make_scene(split, i) for split in ("second_test", "second_away_test") for i in range(60)
    ]
    captions = [text for scene in scenes for text in captions_of(scene)]
    questions = [f"{q.text} {q.answer}" for scene in scenes for q in questions_of(scene)]
    return captions + questions


def test_both_tokenizers_read_the_world_alike():
    fast, texts = drawn_lm_tokenizer(), texts_of_the_world()
    assert fast(texts, add_special_tokens=False)["input_ids"] == [*map(TOKENIZER.encode, texts)]
    assert (fast.bos_token_id, fast.eos_token_id, fast.pad_token_id) == (START, END, 0)
    assert len(fast) == len(TOKENIZER.words)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("abcdogDOG -,.!?:<>end/3É\n\t'"), max_size=30))
def test_both_tokenizers_read_any_text_alike(text: str):
    fast = drawn_lm_tokenizer()
    assert fast(text, add_special_tokens=False)["input_ids"] == TOKENIZER.encode(text)


def test_marks_written_out_in_a_text_are_words_like_others():
    ids = drawn_lm_tokenizer()("a <end> <start> dog", add_special_tokens=False)["input_ids"]
    assert END not in ids and START not in ids


def words_of(ids: list[int]) -> list[str]:
    return [TOKENIZER.words[i] for i in ids]


def test_documents_say_nothing_but_what_the_scene_says():
    kinds: Counter[str] = Counter()
    for i in range(400):
        scene = make_scene("second_away_train" if i % 2 else "second_train", i)
        captions = captions_of(scene)
        words = words_of(document(scene, np.random.default_rng(i), TOKENIZER).ids)
        before, *texts = " ".join(words).split("<start>")
        bodies = [plain_marks(text.replace("<end>", "").strip()) for text in texts]
        if before:
            kinds["tags"] += 1
            assert bodies[0] in captions and len(bodies) == 1
            assert set(before.split()) <= {*split_words(bodies[0]), "things"}
        elif "question:" in bodies[0]:
            kinds["questions"] += 1
            (body,) = bodies
            first, *asked = body.split("question: ")
            assert first.removesuffix(". ") in {*captions, ""}
            wanted = {f"{q.text} answer: {q.answer}" for q in questions_of(scene)}
            assert {text.removesuffix(". ") for text in asked} == wanted
        else:
            kinds["captions"] += 1
            assert sorted(bodies) == sorted(captions)
    for kind, share in zip(KINDS, KIND_SHARES):
        assert kinds[kind] / 400 == pytest.approx(share, abs=0.08)


def test_a_question_reads_as_the_prompt_that_is_later_given():
    question = Question("where is this?", "beach", "place")
    for caption in ("two dogs", None):
        written = question_document([question], caption, TOKENIZER)
        asked = TOKENIZER.encode(question_text(question.text, caption))
        assert written.ids == [START, *asked, *TOKENIZER.encode("beach"), END]


def test_tags_questions_and_start_marks_are_given_and_never_predicted():
    question = Question("where is this?", "beach", "place")
    written = question_document([question, question], "two dogs", TOKENIZER)
    said = [TOKENIZER.words[i] for i, p in zip(written.ids, written.predicted) if p]
    assert said == ["two", "dogs", "beach", "beach", "<end>"]
    captions = caption_document(["a dog", "a cat"], TOKENIZER)
    assert [i == START for i in captions.ids] == [not p for p in captions.predicted]
    for i in range(60):
        scene = make_scene("second_train", i)
        found = document(scene, np.random.default_rng(i), TOKENIZER)
        opened = found.ids.index(START)
        assert not any(found.predicted[: opened + 1]) and found.predicted[-1]


def test_rows_are_numbered_and_start_in_either_style():
    rows = make_rows(10, 6, 48)
    assert rows.ids.shape == rows.predicted.shape == (6, 48)
    assert torch.equal(make_rows(13, 1, 48).ids[0], rows.ids[3])
    away = {"nice", "look", "here", "my", "our", "saw", "spotted", "what"}
    first = [
        " ".join(words_of(make_row(n, 96, TOKENIZER).ids)).split("<start>")[1] for n in range(200)
    ]
    share = sum(bool(away & set(text.split(" . ")[0].split())) for text in first) / 200
    assert 0.35 < share < 0.65


def test_no_training_text_comes_from_another_split(monkeypatch):
    splits = []

    def watched(split: str, index: int):
        splits.append(split)
        return make_scene(split, index)

    monkeypatch.setattr("vizer_lab.zoo.lm_corpus.make_scene", watched)
    make_rows(0, 20, 96)
    assert set(splits) == {"second_train", "second_away_train"}


def test_tags_go_round_where_there_are_too_few():
    rng = np.random.default_rng(0)
    assert tags_of("a dog", 3, rng) == ["dog"] * 3
    assert tags_of("what a day", 2, rng) == ["things"] * 2
    assert set(tags_of("two dogs on a lawn", 3, rng)) == {"two", "dogs", "lawn"}


def test_heads_have_to_divide_the_width():
    with pytest.raises(ValueError, match="width 30 is not a multiple of heads 4"):
        DrawnLMConfig(width=30)


def test_fresh_weights_come_from_the_seed_alone():
    config = DrawnLMConfig(width=16, layers=1, positions=16)
    torch.manual_seed(9)
    first = build_drawn_lm(config).state_dict()
    again, other = build_drawn_lm(config).state_dict(), build_drawn_lm(config, seed=1).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)
