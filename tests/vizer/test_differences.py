"""Differences: what only one image is said to hold, and what tells two sets apart."""

from __future__ import annotations

import pytest
import torch

from vizer_core.vizer.differences import (
    Difference,
    areas,
    rated_difference,
    set_difference,
    spoken_difference,
)


class Words:
    """An encoder of texts by their last word."""

    name, embed_dim, logit_scale, fingerprint = "words", 3, 1.0, "words"
    image_size = (8, 8)
    device = torch.device("cpu")

    def encode_image(self, images):
        raise AssertionError("no image is encoded")

    image_states = preprocess = encode_image

    def encode_text(self, texts):
        known = ["dog", "cat", "hat"]
        return torch.stack([torch.eye(3)[known.index(text.split()[-1])] for text in texts])


def test_only_what_the_other_never_mentions():
    first, second = ["a dog above a cat on a lawn", "two dogs"], ["a cat and a red hat on a lawn"]
    found = spoken_difference(first, second)
    assert found == Difference(("a dog",), ("a red hat",))
    assert spoken_difference(second, first) == Difference(found.second, found.first)
    assert spoken_difference(first, first).sentence() == "no difference"
    assert found.sentence() == "only the first has a dog; only the second has a red hat"


def test_rated_statements_keep_their_side():
    found = rated_difference(["x", "y", "z"], [0.0, -5.0, -1.0], [-4.0, -1.0, -1.5], least=1.0)
    assert found == Difference(("x",), ("y",))


def test_sets_are_told_apart_by_what_one_holds():
    cats = torch.nn.functional.normalize(torch.tensor([[0.1, 1.0, 0.5], [0.0, 1.0, 0.3]]), dim=-1)
    others = torch.nn.functional.normalize(torch.tensor([[1.0, 0.2, 0.4], [0.1, 0.1, 1.0]]), dim=-1)
    ranked = set_difference(Words(), cats, others, ["a cat and a hat", "a dog"], top=3)
    assert ranked[0] == ("a cat", 1.0) and {text for text, _ in ranked} == {
        "a cat",
        "a dog",
        "a hat",
    }
    assert areas(cats, cats).tolist() == [0.5] * 3


def test_errors_by_message():
    with pytest.raises(ValueError, match="at least 1 of each image"):
        spoken_difference([], ["a"])
    with pytest.raises(ValueError, match="least above 0"):
        rated_difference(["a"], [0.0], [0.0], least=0.0)
    with pytest.raises(ValueError, match="0 statements"):
        set_difference(Words(), torch.eye(3), torch.eye(3), [""])
    with pytest.raises(ValueError, match="sets of 0 and 3"):
        areas(torch.zeros(0, 3), torch.zeros(3, 3))
