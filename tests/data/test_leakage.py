"""Leakage: by image id in COCO's several spellings, by text where ids are not known."""

from __future__ import annotations

import importlib.util

import pytest

from vizer_core.data.coco import coco2014
from vizer_core.data.corpus import CaptionCorpus, corpus_of_captions, corpus_of_records
from vizer_core.data.leakage import (
    TOLERATED_SHARE,
    check_leakage,
    image_key,
    plain_words,
    require_no_leakage,
)
from vizer_core.data.records import Record

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("pycocoevalcap") is None, reason="needs pycocoevalcap"
)


def record(number: int, *captions: str) -> Record:
    return Record(str(number), None, captions or tuple(f"thing {number} from {k}" for k in "abc"))


EVALUATION = [record(number) for number in range(100, 110)]


def test_a_clean_corpus_passes():
    corpus = corpus_of_records("train", [record(number) for number in range(50)])
    report = require_no_leakage(corpus, EVALUATION)
    assert not report.leaks and report.shared_images == () and report.known_share == 0
    assert (report.images, report.captions, report.judged_images) == (10, 30, 10)


def test_a_corpus_like_train2017_is_caught_by_its_ids():
    """Its file names are zero-padded numbers, and its captions may be rewritten."""
    rows = [Record(f"train2017/{n:012d}.jpg", None, ("other words",)) for n in (5, 103, 107)]
    corpus = corpus_of_records("captions_train2017", rows)
    assert check_leakage(corpus, EVALUATION).shared_images == ("103", "107")
    with pytest.raises(ValueError, match=r"captions of 2 of the 10 evaluation images, first 103"):
        require_no_leakage(corpus, EVALUATION)


@pytest.mark.parametrize(
    ("image_id", "key"),
    [
        ("103", "103"),
        ("COCO_val2014_000000000103.jpg", "103"),
        ("COCO_train2014_000000000103", "103"),
        ("000000000103.jpg", "103"),
        ("train2017/000000000103.jpg", "103"),
        ("103.jpg", "103.jpg"),  # Flickr30k's names are numbers too
        ("cc3m-000000103", "cc3m-000000103"),
        ("second_test-00103", "second_test-00103"),
    ],
)
def test_names_of_one_image_meet_and_others_do_not(image_id, key):
    assert image_key(image_id) == key


def test_numbers_of_two_data_sets_are_not_mixed_up():
    flickr = corpus_of_records("flickr30k", [Record("103.jpg", None, ("a dog",))])
    assert check_leakage(flickr, EVALUATION).shared_images == ()


def test_a_corpus_without_ids_is_caught_by_its_text():
    texts = [text for item in EVALUATION[:1] for text in item.captions]
    corpus = corpus_of_captions("memory", [*texts, "something else"])
    report = check_leakage(corpus, EVALUATION)
    assert not report.ids_known and report.known_images == ("100",)
    assert report.exact_captions == 3 and report.known_share == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"every caption of 1 of 10 evaluation images \(10.0%"):
        require_no_leakage(corpus, EVALUATION)


def test_near_copies_are_told_by_their_words():
    corpus = corpus_of_captions("memory", [t.upper() + " !" for t in EVALUATION[0].captions])
    report = check_leakage(corpus, EVALUATION)
    assert report.exact_captions == 0 and report.known_images == ()
    assert report.plain_captions == 3 and report.known_plain == ("100",) and report.leaks
    assert plain_words("A  man's  dog. ") == "a man's dog"


def test_shared_captions_alone_are_no_leak():
    """Every second caption of every image stands in the corpus, but no image has all there."""
    corpus = corpus_of_captions("generic", [item.captions[0] for item in EVALUATION])
    report = require_no_leakage(corpus, EVALUATION)
    assert report.exact_captions == 10 and not report.leaks
    single = [Record("1", None, ("a cat",))]
    report = require_no_leakage(CaptionCorpus("generic", ("a cat",)), single)
    assert report.exact_captions == 1 and report.judged_images == 0


def test_nothing_to_compare_with_is_refused():
    with pytest.raises(ValueError, match="no evaluation records"):
        check_leakage(CaptionCorpus("x", ("a",)), [])


@needs_package
def test_slices_of_the_real_halves_are_apart_until_they_are_mixed():
    train, val = coco2014("train")[:3000], coco2014("val")[:1000]
    report = require_no_leakage(corpus_of_records("coco2014-train", train), val)
    assert 0 < report.exact_captions < 60 and report.known_images == ()
    mixed = corpus_of_records("train2017-like", [*train, *val[:200]])
    with pytest.raises(ValueError, match="contains captions of 200 of the 1000 evaluation images"):
        require_no_leakage(mixed, val)
    with pytest.raises(ValueError, match=r"every caption of 200 of 1000 evaluation images"):
        require_no_leakage(corpus_of_captions("no ids", mixed.captions), val)


@needs_package
@pytest.mark.slow
def test_the_base_rates_that_the_tolerance_stands_on():
    corpus = corpus_of_records("coco2014-train", coco2014("train"))
    report = require_no_leakage(corpus, coco2014("val"))
    assert report.exact_captions == 9_471 and len(report.known_images) == 2
    assert report.known_share < TOLERATED_SHARE / 50
