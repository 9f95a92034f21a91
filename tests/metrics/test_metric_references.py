"""How captions meet their references, and what every misfit says."""

from __future__ import annotations

import logging

import pytest

from vizer_core.metrics.references import PTB, Tokenizer, make_references, match

REFERENCES = {1: ["a cat", "the cat"], 2: ["a dog"]}


def test_captions_come_in_the_references_order():
    matched = match({2: "dog", 1: "cat"}, make_references(REFERENCES))
    assert matched.ids == (1, 2)
    assert matched.hypotheses == ("cat", "dog")


def test_lists_are_numbered_from_zero():
    matched = match(["cat", "dog"], make_references([["a cat"], ["a dog"]]))
    assert matched.ids == (0, 1)


def test_references_are_tokenised_once_for_all_systems():
    calls = []

    def tokenize(captions):
        calls.append(len(captions))
        return PTB.tokenize(captions)

    references = make_references(REFERENCES, tokenizer=Tokenizer("counting", tokenize))
    for _ in range(3):
        assert match({1: "a", 2: "b"}, references).references.ngrams.images == 2
    assert calls == [3]


def test_six_references_are_fine():
    assert len(make_references({1: ["a cat"] * 6}).tokens[0]) == 6


@pytest.mark.parametrize(
    ("hypotheses", "message"),
    [
        ({1: "cat"}, "of 2 images with references, 1 have no caption and 0 an empty one, first 2"),
        ({1: "cat", 2: " "}, "0 have no caption and 1 an empty one, first 2"),
        ({1: "cat", 2: "dog", 9: "x"}, "1 of 3 captions are of images without references, first 9"),
        ({1: "cat", 2: None}, r"the caption of image 2 is None \(NoneType\): wanted text"),
        ({1: "cat", 2: ["dog"]}, r"the caption of image 2 is \['dog'\] \(list\)"),
        ({1: "cat", "1": "dog"}, "the hypotheses name 1 images both as a number and as text"),
        ({}, "2 have no caption"),
    ],
)
def test_misfits(hypotheses, message):
    with pytest.raises(ValueError, match=message):
        match(hypotheses, make_references(REFERENCES))


def test_missing_may_be_scored_as_empty_or_left_out():
    references = make_references(REFERENCES)
    assert match({1: "cat"}, references, missing="empty").hypotheses == ("cat", "")
    skipped = match({1: "cat"}, references, missing="skip")
    assert skipped.ids == (1,) and len(skipped.references) == 1
    with pytest.raises(ValueError, match="no image has a caption"):
        match({}, references, missing="skip")
    with pytest.raises(ValueError, match="missing='drop': wanted one of"):
        match({}, references, missing="drop")


def test_numbers_against_text_are_compared_as_text_and_said(caplog):
    with caplog.at_level(logging.WARNING):
        matched = match({"1": "cat", "2": "dog"}, make_references(REFERENCES))
    assert matched.ids == ("1", "2")
    assert "numbers on one side and text on the other" in caplog.text


def test_line_separators_are_said(caplog):
    with caplog.at_level(logging.WARNING):
        matched = match({1: "a\rcat", 2: "dog"}, make_references(REFERENCES))
    assert "1 captions contain a line separator" in caplog.text
    assert PTB.tokenize(list(matched.hypotheses)) == ["a cat", "dog"]


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ({}, "no references"),
        ({1: []}, "image 1 has no reference with a word"),
        ({1: None}, "image 1 has no reference with a word"),
        ({1: ["  "]}, "image 1 has no reference with a word"),
        ({1: ["a", ""]}, "image 1 has 1 empty references"),
        ({1: ["a", None]}, r"the reference of image 1 is None \(NoneType\)"),
        ({1: "a cat"}, r"references of image 1 are one text, wanted a list: \['a cat'\]"),
    ],
)
def test_wrong_references(references, message):
    with pytest.raises(ValueError, match=message):
        make_references(references)
