"""Objects covered by k drawn captions: counted by hand, against all choices of k, and refused."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from vizer_core.metrics.grounding import ObjectTruth, SceneTruth
from vizer_core.vizer.coverage import chance_counts, coverage, named_counts
from vizer_lab.world import drawn_lexicon

LEXICON = drawn_lexicon()


def scene(*names):
    things = [ObjectTruth(name, "animal", None, "small", 0.5, 0.5, 0.1) for name in names]
    return SceneTruth(tuple(things), "forest")


SAMPLES = [
    ["a dog and a cat", "a dog", "an animal"],
    ["a dog and a bicycle", "a bicycle", "stock image"],
]
TRUTHS = [scene("cat", "dog", "dog"), scene("bicycle", "cat")]


def test_each_kind_is_counted_once_a_caption_and_a_category_names_none():
    assert named_counts(SAMPLES, TRUTHS, lexicon=LEXICON).tolist() == [1, 2, 2, 0]


def test_chance_counts_what_only_the_next_image_holds():
    # of scene 1: bicycle, not cat, which is its own too; of scene 0's two: dog, not cat
    assert chance_counts(SAMPLES, TRUTHS, lexicon=LEXICON).tolist() == [0, 1]


def test_coverage_is_the_share_of_all_choices_of_k():
    named = [0, 1, 3, 6]
    for k in range(1, 7):
        chosen = list(combinations(range(6), k))
        by_hand = [np.mean([min(c) < count for c in chosen]) for count in named]
        np.testing.assert_allclose(coverage(np.array(named), drawn=6, k=k), by_hand)


def test_coverage_grows_with_k_and_starts_at_the_rate_of_one_caption():
    counts = np.array([1, 2, 5])
    np.testing.assert_allclose(coverage(counts, drawn=5, k=1), counts / 5)
    assert (np.diff([coverage(counts, drawn=5, k=k).mean() for k in range(1, 6)]) >= 0).all()


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="k is 4 of 3 drawn captions"):
        coverage(np.array([1]), drawn=3, k=4)
    with pytest.raises(ValueError, match="named in 5: wanted"):
        coverage(np.array([5]), drawn=3, k=1)
    with pytest.raises(ValueError, match="captions of 1 scenes for 2 truths"):
        named_counts(SAMPLES[:1], TRUTHS, lexicon=LEXICON)
