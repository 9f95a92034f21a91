"""Statements scored and captions written anew: votes, information, ranks, what a model knows."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.vizer.information import log_likelihood
from vizer_core.vizer.verify import (
    information_scores,
    known_statements,
    rank_scores,
    rewritten,
    vote_scores,
)

ROWS = [["a dog above a cat", "a dog", "two dogs in the snow"], ["a hat", "a cat", "a hat"]]


class Words:
    """An encoder of texts by their last word."""

    name, embed_dim, logit_scale, fingerprint = "words", 3, 1.0, "words"
    image_size = (8, 8)
    device = torch.device("cpu")

    def encode_image(self, images):
        raise AssertionError("no image is encoded")

    image_states = preprocess = encode_image

    def encode_text(self, texts):
        known = ["a", "b", "c"]
        return torch.stack([torch.eye(3)[known.index(text.split()[-1])] for text in texts])


def test_votes_count_captions_that_speak_of_all_of_it():
    one, two = vote_scores(ROWS)
    assert one["a dog"] == one["two dogs"] == 1.0 and one["a cat"] == pytest.approx(1 / 3)
    assert one["a dog above a cat"] == pytest.approx(1 / 3)
    assert one["in the snow"] == 1.0  # places are not put to the vote
    assert two["a hat"] == pytest.approx(2 / 3)
    assert vote_scores(ROWS, ROWS[::-1])[1]["a hat"] == 0.0


def test_captions_are_written_anew_by_what_scores_enough():
    scores = vote_scores(ROWS)
    seeds = [row[0] for row in ROWS]
    assert rewritten(seeds, scores, least=0.5) == ["a dog in the snow", "a hat"]
    assert rewritten(seeds, scores, least=0.5, add=False) == ["a dog", "a hat"]
    assert rewritten(seeds, scores, least=0.0, add=False) == seeds
    assert rewritten(seeds, scores, least=2.0) == seeds  # nothing accepted: as it was


def test_information_is_the_likelihood_less_that_under_other_images():
    vlm = tiny_smol()
    vision = vlm.encode_image(noise_images(2))
    found = information_scores(vlm, vision, [["dog"], ["cat"]], others=1)
    captions = vlm.tokenize(["dog", "cat"])
    captions.mask[:, -1] = False  # the end of the caption is not asked
    own = log_likelihood(vlm, vision, captions)
    other = log_likelihood(vlm, vision.select([1, 0]), captions)
    wanted = (own - other).tolist()
    assert [found[0]["dog"], found[1]["cat"]] == pytest.approx(wanted, abs=1e-4)


def test_one_image_for_all_adds_nothing():
    vlm = tiny_smol()
    vision = vlm.encode_image(noise_images(1) * 3)
    for row in information_scores(vlm, vision, [["a dog"], ["cat"], ["red ball"]], others=2):
        assert all(abs(score) < 1e-3 for score in row.values())


def test_ranks_are_shares_of_images_that_fit_worse():
    images = torch.eye(3)
    found = rank_scores(Words(), images, [["a"], ["a"], ["b c"]])
    assert found[0]["a"] == 1.0 and found[1]["a"] < 1.0 and found[2]["b c"] == 1.0


def test_what_the_model_never_says_is_dropped():
    human = ["a dog and a newt", "a newt"]
    assert known_statements(human, ROWS, least=0.5) == ["a dog", "a newt"]
    assert known_statements(human, ROWS, least=0.0) == human


def test_errors_by_message():
    with pytest.raises(ValueError, match="at least one caption per image"):
        vote_scores([["a"], []])
    with pytest.raises(ValueError, match="the same images on both sides"):
        vote_scores([["a"]], [["a"], ["b"]])
    with pytest.raises(ValueError, match="2 captions, scores of 1 images"):
        rewritten(["a", "b"], [{}], least=0.5)
    with pytest.raises(ValueError, match="a rank is one among others"):
        rank_scores(Words(), torch.eye(3)[:1], [["a"]])
    vlm = tiny_smol()
    with pytest.raises(ValueError, match="at least 2 images"):
        information_scores(vlm, vlm.encode_image(noise_images(1)), [["dog"]])
