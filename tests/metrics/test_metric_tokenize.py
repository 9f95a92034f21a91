"""The Python tokenizer against CoreNLP's stored output, and on what breaks the Java tool."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from vizer_core.metrics.availability import MetricUnavailable, find_java
from vizer_core.metrics.tokenize import tokenize, tokenize_captions

GOLDEN = json.loads((Path(__file__).parent / "golden" / "tokens.json").read_text(encoding="utf-8"))
KNOWN_MISSES = {"(954) 501-0045", "dog.-cat", "two-1/2", "u.s.-made", "Ⅳ"}


def test_golden_strings_but_for_the_known_misses():
    wrong = {row["caption"] for row in GOLDEN if tokenize(row["caption"]) != row["tokens"]}
    assert wrong == KNOWN_MISSES
    assert len(GOLDEN) > 500


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A man's dog isn't here.", "a man 's dog is n't here"),
        ("I cannot, gonna lemme!", "i can not gon na lem me"),
        ("main st.", "main st."),
        ("a t.v.", "a t.v."),
        ("letter K.", "letter k"),
        ("(in red)", "-lrb- in red -rrb-"),
        ("4 1/2", "4\xa01/2"),
        ("a 😀 b", "a b"),
        ("“stop” it’s", "stop it 's"),
        ("", ""),
        ("...", ""),
    ],
)
def test_rules(caption, tokens):
    assert tokenize(caption) == tokens


@pytest.mark.parametrize(
    "separator", ["\r", "\r\n", "\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"]
)
def test_line_separators_are_spaces(separator):
    assert tokenize_captions([f"a cat{separator}on a mat", "a dog"]) == ["a cat on a mat", "a dog"]


def test_fast_path_equals_rules():
    """A caption with a no-break space goes the long way; the tokens must be the same."""
    plain = ["A cat on Main St.", "two dogs, a cat and we cannot see ill.", "a b c.", "In Ill."]
    for caption in plain:
        assert tokenize(caption) == tokenize("\u2028" + caption)


def test_case_and_doubled_spaces_change_nothing():
    captions = ["A Red car, parked.", "it's 10:30 on the clock", "a t-shirt and/or his/her hat"]
    for caption in captions:
        assert tokenize(re.sub(" ", "   ", caption)) == tokenize(caption)
        assert tokenize(caption.upper()) == tokenize(caption)


def test_a_captions_neighbours_do_not_change_its_tokens():
    """The Java tool reads the next line to decide on a last initial ("letter K.")."""
    captions = ["letter K.", "A dog", "letter K.", "on a mat"]
    assert tokenize_captions(captions)[0] == tokenize_captions(captions)[2] == "letter k"
    assert tokenize_captions(captions[::-1]) == tokenize_captions(captions)[::-1]


def test_lone_surrogate_is_dropped():
    assert tokenize("a \ud800 cat") == "a cat"


def test_long_captions_pass():
    assert len(tokenize("a dog's " * 2500).split()) == 7500
    assert tokenize("x" * 10_000) == "x" * 10_000


def has_java() -> bool:
    try:
        find_java()
    except MetricUnavailable:
        return False
    return importlib.util.find_spec("pycocoevalcap") is not None


@pytest.mark.slow
@pytest.mark.skipif(not has_java(), reason="needs Java and pycocoevalcap")
def test_real_captions_against_java():
    """At least 99.99% of COCO val2014; the next-line effect of the Java tool counts against us."""
    from vizer_core.data.coco import coco2014
    from vizer_core.metrics.ptb_java import tokenize_captions_java

    captions = [caption for record in coco2014("val") for caption in record.captions]
    pairs = zip(tokenize_captions(captions), tokenize_captions_java(captions))
    wrong = sum(ours != theirs for ours, theirs in pairs)
    assert wrong <= len(captions) / 10_000
