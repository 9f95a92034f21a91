"""BLEU, ROUGE-L and CIDEr-D: pycocoevalcap's numbers, and what must hold for any captions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizer_core.metrics.bleu import bleu, bleu_counts, bleu_from_counts
from vizer_core.metrics.cider import cider, cider_scores, document_frequency
from vizer_core.metrics.ngrams import (
    find_sorted,
    first_of_each,
    index_captions,
    index_hypotheses,
    index_references,
)
from vizer_core.metrics.rouge import _lcs, _positions, rouge_l
from vizer_core.metrics.tokenize import tokenize_captions

GOLDEN = json.loads((Path(__file__).parent / "golden" / "captions.json").read_text("utf-8"))
CORPUS, EACH = 1e-12, 1e-9
BLEUS = [f"BLEU-{n}" for n in (1, 2, 3, 4)]

WORDS = st.sampled_from("a the cat dog red on mat sits two runs".split())  # noqa: SIM905
CAPTION = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)
CORPORA = st.lists(
    st.tuples(CAPTION, st.lists(CAPTION, min_size=1, max_size=4)), min_size=2, max_size=6
)


@pytest.fixture(params=GOLDEN)
def case(request):
    return GOLDEN[request.param]


def test_golden_tokens(case):
    assert tokenize_captions(case["hypotheses"]) == case["tok_hyp"]
    assert [tokenize_captions(refs) for refs in case["references"]] == case["tok_refs"]


def test_golden_bleu(case):
    indexed = index_references(case["tok_refs"])
    counts = bleu_counts(index_hypotheses(case["tok_hyp"], indexed), indexed)
    corpus = [case["corpus"][name] for name in BLEUS]
    assert np.abs(bleu_from_counts(counts.sum(axis=0)) - corpus).max() <= CORPUS
    each = np.array([case["per_image"][name] for name in BLEUS]).T
    assert np.abs(bleu_from_counts(counts) - each).max() <= EACH


def test_golden_rouge(case):
    scores = rouge_l(case["tok_hyp"], case["tok_refs"])
    assert abs(scores.mean() - case["corpus"]["ROUGE_L"]) <= CORPUS
    assert np.abs(scores - case["per_image"]["ROUGE_L"]).max() <= EACH


def test_golden_cider(case):
    scores = cider(case["tok_hyp"], case["tok_refs"])
    assert abs(scores.mean() - case["corpus"]["CIDEr"]) <= CORPUS
    assert np.abs(scores - case["per_image"]["CIDEr"]).max() <= EACH


# --- properties ---------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(corpus=CORPORA, seed=st.integers(0, 99))
def test_order_of_images_and_references_does_not_matter(corpus, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(corpus))
    hypotheses = [h for h, _ in corpus]
    references = [refs for _, refs in corpus]
    moved = [hypotheses[i] for i in order]
    shuffled = [[references[i][j] for j in rng.permutation(len(references[i]))] for i in order]
    assert bleu(moved, shuffled) == pytest.approx(bleu(hypotheses, references), abs=1e-12)
    for metric in (rouge_l, cider):
        expected = metric(hypotheses, references)[order]
        assert metric(moved, shuffled) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(corpus=CORPORA)
def test_statistics_of_parts_add_up(corpus):
    hypotheses, references = [h for h, _ in corpus], [refs for _, refs in corpus]

    def counts(part: slice):
        indexed = index_references(references[part])
        return bleu_counts(index_hypotheses(hypotheses[part], indexed), indexed)

    halves = [counts(slice(None, 1)), counts(slice(1, None))]
    assert (np.concatenate(halves) == counts(slice(None))).all()
    df = document_frequency("all", references)
    parts = [cider(hypotheses[p], references[p], df=df) for p in (slice(None, 1), slice(1, None))]
    assert np.concatenate(parts) == pytest.approx(cider(hypotheses, references), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(corpus=CORPORA)
def test_a_perfect_copy_scores_highest(corpus):
    hypotheses, references = [h for h, _ in corpus], [[*refs, h] for h, refs in corpus]
    assert bleu(hypotheses, references)[0] == pytest.approx(1)
    assert rouge_l(hypotheses, references) == pytest.approx(1)
    alone = [[h] for h in hypotheses]
    assert (cider(hypotheses, alone) <= 10 + 1e-9).all()


@settings(max_examples=40, deadline=None)
@given(a=CAPTION, b=CAPTION)
def test_bit_parallel_lcs_equals_the_table(a, b):
    x, y = a.split(), b.split()
    table = np.zeros((len(x) + 1, len(y) + 1), dtype=int)
    for i, u in enumerate(x):
        for j, v in enumerate(y):
            best = max(table[i, j + 1], table[i + 1, j])
            table[i + 1, j + 1] = table[i, j] + 1 if u == v else best
    assert _lcs(_positions(x), len(x), y) == table[-1, -1]


@settings(max_examples=40, deadline=None)
@given(captions=st.lists(CAPTION, max_size=5))
def test_ngram_counts_equal_a_dictionary(captions):
    index = index_captions(captions)
    for k, counts in enumerate(index.counts):
        wanted: dict[tuple[int, tuple[str, ...]], int] = {}
        for i, caption in enumerate(captions):
            words = caption.split()
            for j in range(len(words) - k):
                key = (i, tuple(words[j : j + k + 1]))
                wanted[key] = wanted.get(key, 0) + 1
        assert sorted(counts.count.tolist()) == sorted(wanted.values())
        assert len(index.keys[k]) == len({gram for _, gram in wanted})


# --- what the common tools do, kept or reported -------------------------------------------------


def test_one_image_scores_zero_cider_even_when_perfect():
    assert cider(["a cat on a mat"], [["a cat on a mat"]]).tolist() == [0.0]


def test_a_fixed_corpus_makes_cider_independent_of_the_set():
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(60)]
    references = [[" ".join(rng.choice(words, 8)) for _ in range(4)] for _ in range(200)]
    hypotheses = [refs[0].rsplit(" ", 2)[0] for refs in references]
    df = document_frequency("all", references)
    few, whole = slice(0, 10), cider(hypotheses, references)
    assert cider(hypotheses[few], references[few], df=df) == pytest.approx(whole[few])
    assert cider(hypotheses[few], references[few]) != pytest.approx(whole[few], rel=1e-3)


def test_cider_of_a_small_set_of_real_captions_is_inflated():
    pytest.importorskip("pycocoevalcap", reason="COCO's captions come with pycocoevalcap")
    from vizer_core.data.coco import coco2014

    tokens = [tokenize_captions(record.captions[:5]) for record in coco2014("val")[:1000]]
    hypotheses, references = [t[0] for t in tokens], [t[1:] for t in tokens]
    whole = cider(hypotheses, references)
    tens = [slice(k, k + 10) for k in range(0, 300, 10)]
    ratios = [cider(hypotheses[t], references[t]).mean() / whole[t].mean() for t in tens]
    assert 1.1 < np.mean(ratios) < 1.7


def test_document_frequency_with_words_it_has_never_seen():
    df = document_frequency("other", [["a cat"], ["a dog on a mat"]])
    scores = cider(["a zebra runs fast"], [["a zebra runs fast"]], df=df)
    assert scores.tolist() == pytest.approx([10.0])


def test_empty_hypothesis_scores_nothing_and_does_not_crash():
    indexed = index_references([["a cat"], ["a dog"]])
    hypotheses = index_hypotheses(["", ""], indexed)
    assert bleu_from_counts(bleu_counts(hypotheses, indexed)).max() < 1e-3
    assert cider_scores(hypotheses, indexed).tolist() == [0.0, 0.0]
    assert rouge_l(["", ""], [["a cat"], ["a dog"]]).tolist() == [0.0, 0.0]


def test_two_empty_captions_count_as_equal_for_rouge_as_in_the_common_tool():
    assert rouge_l([""], [[""]]).tolist() == [1.0]


def test_no_break_space_splits_for_ngrams_and_not_for_rouge():
    assert index_captions(["4\xa01/2 inches"]).lengths.tolist() == [3]
    assert rouge_l(["4\xa01/2"], [["4"]]).tolist() == [0.0]


def test_errors_name_the_counts():
    with pytest.raises(ValueError, match="got 1 hypotheses for 2 images"):
        bleu(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="got 1 hypotheses for 2 images"):
        cider(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="got 1 hypotheses for 2 images"):
        rouge_l(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="1 images have no reference; the first is number 1"):
        index_references([["a"], []])


def test_sorted_array_tools_on_nothing():
    none = np.zeros(0, dtype=np.int64)
    assert first_of_each(none).tolist() == []
    assert find_sorted(none, np.array([3])).tolist() == [-1]
