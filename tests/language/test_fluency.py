"""Surprisal a word: against a model's own loss, in one unit for all tokenizers, once a caption."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch

from vizer_core.language import nats_per_token, surprisal_statistics
from vizer_core.metrics.stats import bootstrap_seeds
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo.language_models import load_drawn_lm

TEXTS = ["a small dog on a lawn", "two dogs and a cat", "a cat"]


def test_it_is_transformers_own_loss_over_words(lm):
    tokens = lm.tokenize(TEXTS[:1])
    mean = float(lm.model(input_ids=tokens.ids, labels=tokens.ids).loss)
    nats = mean * (tokens.ids.shape[1] - 1)
    assert surprisal_statistics(TEXTS[:1], lm).score == pytest.approx(nats / 7, rel=1e-5)


def test_a_model_that_knows_nothing_pays_for_every_piece_and_divides_by_words(gpt2):
    torch.nn.init.zeros_(gpt2.model.transformer.wte.weight)  # tied to the output layer
    pieces = gpt2.tokenize(["two zebras"]).mask[:, 1:].sum()
    assert pieces > 3  # the words are cut
    found = surprisal_statistics(["two zebras"], gpt2).score
    assert found == pytest.approx(float(pieces) * log(gpt2.model.config.vocab_size) / 3, rel=1e-5)


def test_an_empty_caption_pays_for_its_end(lm):
    found = surprisal_statistics([""], lm)
    assert found.rows[0, 1] == 1 and found.score == pytest.approx(nats_per_token(lm, [""]))


def test_each_different_caption_is_read_once_and_in_its_place(lm, monkeypatch):
    alone = np.concatenate([surprisal_statistics([text], lm).rows for text in TEXTS])
    read, tokenize = [], lm.tokenize
    monkeypatch.setattr(lm, "tokenize", lambda texts, **how: read.extend(texts) or tokenize(texts))
    found = surprisal_statistics([*TEXTS, *TEXTS[::-1]], lm, batch_size=2).rows
    assert sorted(read) == sorted(TEXTS)
    assert np.allclose(found, np.concatenate([alone, alone[::-1]]), atol=1e-3)


def test_shuffled_words_of_held_out_captions_surprisal_by_more_in_every_interval():
    lm, captions = (
        load_drawn_lm(),
        [texts[0] for texts in DrawnSplit("second_validation", 100).captions],
    )
    rng = np.random.default_rng(0)
    mixed = [" ".join(rng.permutation(text.split())) for text in captions]
    right, wrong = surprisal_statistics(captions, lm), surprisal_statistics(mixed, lm)
    apart = bootstrap_seeds([wrong], against=[right])
    assert 0 < right.score < 3 and apart.low > 3


def test_a_text_beyond_the_models_length_is_refused(lm):
    with pytest.raises(ValueError, match="positions"):
        surprisal_statistics(["cat " * 600], lm)
    with pytest.raises(ValueError, match="batch_size is 0: wanted at least 1"):
        surprisal_statistics(TEXTS, lm, batch_size=0)
