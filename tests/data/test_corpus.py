"""Caption corpora: filters that count, hashes, samples; and the real COCO captions."""

from __future__ import annotations

import importlib.util
import json

import pytest

from vizer_core.data.corpus import (
    CaptionCorpus,
    Step,
    coco2014_corpus,
    corpus_of_captions,
    corpus_of_records,
    read_corpus,
)
from vizer_core.data.records import Record
from vizer_core.runtime import seeded

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("pycocoevalcap") is None, reason="needs pycocoevalcap"
)
FEW = CaptionCorpus(
    "few", ("a", "a b", "a b c", "a b", "a b c d"), image_ids=("1", "1", "2", "2", "3")
)


def test_filters_keep_both_limits_and_say_how_many_went():
    short = FEW.filter(max_words=2)
    assert short.captions == ("a", "a b", "a b") and short.image_ids == ("1", "1", "2")
    assert short.steps == (Step("max_words=2", 3, 2),)
    middle = short.filter(min_words=2)
    assert middle.captions == ("a b", "a b")
    assert middle.steps == (Step("max_words=2", 3, 2), Step("min_words=2", 2, 1))
    assert FEW.filter(min_words=3, max_words=4).steps[-1].what == "min_words=3, max_words=4"
    assert FEW.filter().captions == FEW.captions
    assert FEW.steps == ()


def test_duplicates_go_and_the_first_stays():
    once = FEW.deduplicate()
    assert once.captions == ("a", "a b", "a b c", "a b c d")
    assert once.image_ids == ("1", "1", "2", "3")
    assert once.steps == (Step("duplicates", 4, 1),)


def test_samples_follow_the_generator_and_keep_the_order():
    corpus = corpus_of_captions("n", [str(i) for i in range(100)])
    drawn = corpus.sample(20, generator=seeded(1))
    assert len(set(drawn.captions)) == 20 and set(drawn.captions) <= set(corpus.captions)
    assert list(drawn.captions) == sorted(drawn.captions, key=int)
    assert drawn == corpus.sample(20, generator=seeded(1))
    assert drawn.captions != corpus.sample(20, generator=seeded(2)).captions
    assert corpus.sample(100, generator=seeded(0)).captions == corpus.captions


def test_the_hash_follows_the_captions_and_their_order_only():
    base = CaptionCorpus("x", ("a", "b"))
    assert base.sha256 == CaptionCorpus("y", ("a", "b"), image_ids=("1", "2")).sha256
    assert base.sha256 != CaptionCorpus("x", ("b", "a")).sha256
    assert base.sha256 != CaptionCorpus("x", ("a", "c")).sha256
    assert base.sha256 != CaptionCorpus("x", ("a b",)).sha256
    # printf 'a\nb' | sha256sum
    assert base.sha256.startswith("7e18f737")


def test_blank_and_broken_lines_are_tidied_and_counted():
    corpus = corpus_of_captions("s", iter(["a cat\r\n", "", " \n", "two\nlines"]))
    assert corpus.captions == ("a cat", "two lines")
    assert corpus.steps == (Step("blank captions", 2, 2),)


def test_records_give_captions_with_their_images():
    corpus = corpus_of_records("r", [Record("7", None, ("a\nb", "c")), Record("9", None, ("d",))])
    assert corpus.captions == ("a b", "c", "d") and corpus.image_ids == ("7", "7", "9")


def test_corpora_are_read_from_json_and_text(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(["a cat", "a\u2028dog"]), encoding="utf-8")
    (tmp_path / "c.txt").write_text("a cat\n\na\u2028dog\n", encoding="utf-8")
    assert read_corpus(tmp_path / "c.json").captions == ("a cat", "a dog")
    assert read_corpus(tmp_path / "c.txt").captions == ("a cat", "a dog")
    assert read_corpus(tmp_path / "c.txt").name == "c"


def test_wrong_corpora_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no corpus at .*none\.json"):
        read_corpus(tmp_path / "none.json")
    (tmp_path / "d.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match="is no list of captions"):
        read_corpus(tmp_path / "d.json")
    with pytest.raises(ValueError, match="'x' contains no captions"):
        CaptionCorpus("x", ())
    with pytest.raises(ValueError, match="1 image ids for 2 captions"):
        CaptionCorpus("x", ("a", "b"), image_ids=("1",))
    with pytest.raises(ValueError, match=r"1 captions are blank or not on one line, first 'a\\nb'"):
        CaptionCorpus("x", ("a\nb", "c"))
    with pytest.raises(ValueError, match="min_words=3, max_words=2: wanted 1 <= min <= max"):
        FEW.filter(min_words=3, max_words=2)
    with pytest.raises(ValueError, match="'min_words=9' would leave none of 5"):
        FEW.filter(min_words=9)
    with pytest.raises(ValueError, match="cannot draw 6 of the 5 captions in 'few'"):
        FEW.sample(6, generator=seeded(0))


@needs_package
def test_fifteen_words_on_the_real_captions():
    corpus = coco2014_corpus("val")
    short = corpus.filter(max_words=15)
    assert len(corpus) == 202_654
    assert short.steps == (Step("max_words=15", 195_946, 6_708),)
    assert len(corpus.deduplicate()) == 197_806
    assert len(set(corpus.image_ids)) == 40_504
