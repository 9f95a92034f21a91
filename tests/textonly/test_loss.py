"""Losses: what counts as a target, in the paper's reading and in the release's (pitfall 11)."""

from __future__ import annotations

import pytest
import torch

from tests.textonly.tiny_models import EOS, PAD, tiny_language_model
from vizer_core.language import CausalLM, TokenBatch, prefixed
from vizer_core.runtime import seeded
from vizer_core.textonly.loss import caption_loss, release_loss

QUERIES = 3


def padded(batch: TokenBatch, extra: int) -> TokenBatch:
    ids = torch.nn.functional.pad(batch.ids, (0, extra), value=PAD)
    return TokenBatch(ids, torch.nn.functional.pad(batch.mask, (0, extra), value=False))


def logits_of(model: CausalLM, batch: TokenBatch) -> torch.Tensor:
    prefix = torch.randn(len(batch.ids), QUERIES, model.width, generator=seeded(0))
    seen = torch.ones(len(batch.ids), QUERIES, dtype=torch.bool)
    embeddings = torch.cat([prefix, model.embed(batch.ids)], 1)
    return model.logits(embeddings, torch.cat([seen, batch.mask], 1))


def test_padding_changes_the_releases_loss_and_not_the_papers():
    model = tiny_language_model()
    batch = model.tokenize(["a dog runs", "the big red dog sits"])
    plain, wide = (logits_of(model, b) for b in (batch, padded(batch, 4)))
    assert torch.allclose(plain, wide[:, : plain.shape[1]], atol=1e-5)
    paper = caption_loss(plain, batch)
    assert torch.allclose(caption_loss(wide, padded(batch, 4)), paper, atol=1e-6)
    assert not torch.allclose(release_loss(wide, padded(batch, 4)), release_loss(plain, batch))


def test_the_releases_loss_is_that_of_opts_own_positions():
    """The release gives OPT embeddings and a mask, and lets it number the positions: -1 at padding.

    With padding at the caption's last position the loss is 4.09 in the place of 4.45, and the
    gradients' cosine 0.10.
    """
    model = tiny_language_model()
    batch = model.tokenize(["a dog runs", "the big red dog sits"])
    batch = padded(batch, 25 - batch.ids.shape[1])
    numbered, losses, gradients = [], [], []
    model.model.model.decoder.embed_positions.register_forward_hook(
        lambda module, given, positions: numbered.append(positions)
    )
    for own in (False, True):
        prefix = torch.randn(2, QUERIES, model.width, generator=seeded(0)).requires_grad_()
        sequence = prefixed(model, prefix, batch)
        if own:
            logits = model.model(
                inputs_embeds=sequence.embeddings, attention_mask=sequence.mask.long()
            ).logits
        else:
            logits = model.logits(sequence.embeddings, sequence.mask)
        losses.append(release_loss(logits, batch))
        gradients.append(torch.autograd.grad(losses[-1], prefix)[0])
    assert torch.equal(*numbered)
    torch.testing.assert_close(losses[0], losses[1], atol=1e-6, rtol=0)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=0)


def test_the_targets_are_words_and_end_or_every_position():
    model = tiny_language_model()
    batch = model.tokenize(["a dog", "the red cat"])  # 3 + 4 targets; 4 + 5 positions, 1 of padding
    logits = torch.zeros(2, QUERIES + 5, 14)
    targets = torch.zeros(2, QUERIES + 5, 14)
    for row, ids in enumerate(batch.ids.tolist()):
        for position, token in enumerate(ids):
            targets[row, QUERIES + position - 1, token] = 1.0
    flat = torch.log(torch.tensor(14.0))
    assert caption_loss(logits, batch) == pytest.approx(float(flat))
    one = torch.log(torch.exp(torch.tensor(1.0)) + 13) - 1  # -log p of a target that got logit 1
    assert caption_loss(targets, batch) == pytest.approx(float(one), abs=1e-6)
    assert release_loss(targets, batch) == pytest.approx(float(one), abs=1e-6)
    targets[:, QUERIES - 1] = 0  # BOS is no target of the paper's
    assert caption_loss(targets, batch) == pytest.approx(float(one), abs=1e-6)
    assert release_loss(targets, batch) == pytest.approx(float((8 * one + 2 * flat) / 10), abs=1e-6)
    targets[0, QUERIES + 3] = 0  # nor is padding
    assert caption_loss(targets, batch) == pytest.approx(float(one), abs=1e-6)
    assert release_loss(targets, batch) == pytest.approx(float((7 * one + 3 * flat) / 10), abs=1e-6)


def test_the_end_is_a_target():
    model = tiny_language_model()
    batch = model.tokenize(["a dog"])
    logits = torch.zeros(1, QUERIES + 4, 14)
    before = caption_loss(logits, batch)
    logits[0, QUERIES + 2, EOS] = 5.0
    assert caption_loss(logits, batch) < before


@pytest.mark.parametrize("loss", [caption_loss, release_loss])
def test_logits_without_a_prefix_are_refused(loss):
    batch = tiny_language_model().tokenize(["a dog"])
    with pytest.raises(ValueError, match="at least one prefix position before the tokens"):
        loss(torch.zeros(1, 4, 14), batch)
