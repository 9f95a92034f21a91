"""Several captions per image: the bound is never below a choice, and the best choice reaches it."""

from __future__ import annotations

import numpy as np
import pytest

from vizer_core.metrics.candidates import best_candidate, regret, score_candidates


def shared(captions, references):
    return [float(len(set(c.split()) & set(r[0].split()))) for c, r in zip(captions, references)]


def test_candidates_are_scored_place_by_place():
    rows = [["a cat", "a dog and a cat"], ["a mat", "x"]]
    scores = score_candidates(rows, [["a dog"], ["x"]], shared)
    assert scores.tolist() == [[1.0, 2.0], [0.0, 1.0]]
    assert best_candidate(scores).tolist() == [2.0, 1.0]


def test_regret_is_nothing_for_the_best_and_never_below():
    scores = np.random.default_rng(0).normal(size=(20, 5))
    assert not regret(scores, scores.argmax(axis=1)).any()
    assert (regret(scores, np.zeros(20, dtype=int)) >= 0).all()


def test_errors_by_message():
    with pytest.raises(ValueError, match="wanted the same number of candidates"):
        score_candidates([["a"], ["a", "b"]], [["a"], ["b"]], shared)
    with pytest.raises(ValueError, match="references of 1"):
        score_candidates([["a"], ["b"]], [["a"]], shared)
    with pytest.raises(ValueError, match=r"wanted \[images, candidates\]"):
        best_candidate(np.zeros((3, 0)))
    with pytest.raises(ValueError, match="wanted one per image"):
        regret(np.zeros((2, 2)), np.array([0, 2]))
