"""Log-probabilities of given texts: transformers' own loss, a uniform model, padding."""

from __future__ import annotations

from math import log

import pytest
import torch

from vizer_core.language import (
    nats_per_token,
    no_prefix,
    sequence_log_probs,
    token_log_probs,
)
from vizer_core.runtime import seeded

TEXTS = ["a small dog on a lawn", "two dogs and a cat", "a cat"]


def test_it_is_transformers_own_loss(lm):
    tokens = lm.tokenize(TEXTS[:1])
    mean = lm.model(input_ids=tokens.ids, labels=tokens.ids).loss
    found = sequence_log_probs(lm, no_prefix(lm, 1), TEXTS[:1])
    assert float(found) == pytest.approx(-float(mean) * (tokens.ids.shape[1] - 1), rel=1e-5)


def test_a_model_that_knows_nothing_gives_one_in_v_a_token(gpt2):
    torch.nn.init.zeros_(gpt2.model.transformer.wte.weight)  # tied to the output layer
    v = gpt2.model.config.vocab_size
    found = token_log_probs(gpt2, no_prefix(gpt2, 3), gpt2.tokenize(TEXTS))
    counted = gpt2.tokenize(TEXTS).mask[:, 1:]
    assert torch.allclose(found, -log(v) * counted.float(), atol=1e-5)
    assert nats_per_token(gpt2, TEXTS) == pytest.approx(log(v), rel=1e-5)


def test_other_rows_of_the_batch_change_no_score(lm):
    prefix = torch.randn(3, 4, lm.width, generator=seeded(1))
    together = sequence_log_probs(lm, prefix, TEXTS)
    alone = [sequence_log_probs(lm, prefix[k : k + 1], TEXTS[k : k + 1]) for k in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-3)
    assert nats_per_token(lm, TEXTS, batch_size=2) == pytest.approx(nats_per_token(lm, TEXTS))


def test_the_prefix_counts(lm):
    one, two = torch.randn(2, 1, 4, lm.width, generator=seeded(1))
    texts = TEXTS[:1]
    assert float(sequence_log_probs(lm, one, texts)) != pytest.approx(
        float(sequence_log_probs(lm, two, texts)), abs=1e-3
    )


def test_as_many_prefixes_as_texts_are_wanted(opt):
    with pytest.raises(ValueError, match="2 prefixes and 3 texts: wanted one prefix per text"):
        sequence_log_probs(opt, no_prefix(opt, 2), TEXTS)
