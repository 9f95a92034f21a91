"""ZeroCap: its arithmetic, its limits, and one word by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_captioners import ZEROCAP, broken_lm, encoder, states, tiny_lm

from vizer_core.captioners import ZeroCap
from vizer_core.captioners.zerocap import ZEROCAP as PAPER
from vizer_core.captioners.zerocap import (
    ZEROCAP_ADAPTED,
    ZeroCapConfig,
    advance,
    bent_logits,
    clip_target,
    fuse,
    offset_step,
    open_search,
    stop_ids,
    zerocap_loss,
)
from vizer_core.decoding import Beam, Greedy
from vizer_core.language import no_prefix, step
from vizer_core.runtime import seeded

PLAIN = ZeroCapConfig(
    steps=0, fusion=0.0, candidates=6, beams=1, max_tokens=5, end_factor=1.0, first_end_factor=1.0
)
PROMPT = "w1 w2"


def generated(config: ZeroCapConfig, prompt: str = PROMPT) -> list[str]:
    system = ZeroCap(tiny_lm(), encoder(), config, prompt=prompt)
    return system.caption(states(), generator=seeded(0))


def by_the_model(decoding: Greedy | Beam, prompt: str = PROMPT) -> str:
    lm = tiny_lm()
    return lm.generate(no_prefix(lm, 1), prompts=[prompt], decoding=decoding).texts[0]


@pytest.mark.parametrize("prompt", [PROMPT, "w5"])
def test_without_steps_and_fusion_it_is_the_language_model(prompt):
    assert set(generated(PLAIN, prompt)) == {by_the_model(Greedy(5), prompt)}
    also_plain = replace(PLAIN, fusion=0.7)  # both distributions are the same without steps
    assert set(generated(also_plain, prompt)) == {by_the_model(Greedy(5), prompt)}


def test_a_fusion_of_nothing_undoes_the_steps():
    config = replace(PLAIN, steps=3)
    assert set(generated(config)) == {by_the_model(Greedy(5))}
    assert len(set(generated(replace(config, fusion=0.99, step_size=3.0)))) > 1


def test_an_empty_prompt_is_refused():
    with pytest.raises(ValueError, match="the prompt '' contains no words"):
        generated(PLAIN, "")


def test_steps_bring_the_captions_nearer_to_their_images():
    def cosine(config: ZeroCapConfig) -> float:
        texts = encoder().encode_text(generated(config))
        return float((texts * states().image_features).sum(-1).mean())

    bent = replace(PLAIN, steps=5, fusion=0.99, step_size=3.0, candidates=40)
    assert cosine(bent) > cosine(PLAIN) + 0.05


def test_bent_logits_are_the_steps_taken_one_by_one():
    lm, config = tiny_lm(), replace(PAPER, steps=2)
    search = open_search(lm, PROMPT, 2)
    with torch.no_grad():
        plain = step(lm, search.before, search.last)
    target = torch.zeros(2, 40).scatter(1, torch.tensor([[7], [9]]), 1.0)
    found = bent_logits(lm, search, plain.logits, target, config=config)
    for row in range(2):  # each image alone, one tensor after another
        cache = [t[row : row + 1].clone() for pair in search.before.cache for t in pair]
        plain_cache = [t.clone() for t in cache]
        alone = replace(
            search.before,
            mask=search.before.mask[:1],
            hidden=search.before.hidden[:1],
            logits=search.before.logits[:1],
        )
        for _ in range(3):
            leaves = [t.detach().requires_grad_() for t in cache]
            pairs = tuple(zip(leaves[::2], leaves[1::2]))
            logits = step(lm, replace(alone, cache=pairs), search.last[:1]).logits
            p, q = logits.softmax(-1), plain.logits[row : row + 1].softmax(-1)
            loss = -(target[row] * p.log()).sum() + 0.2 * (p * (p / q).log()).sum()
            gradients = torch.autograd.grad(loss, leaves)
            cache = [t - 0.3 * g / g.norm() ** 0.9 for t, g in zip(leaves, gradients)]
        torch.testing.assert_close(found[row], logits[0].detach(), atol=1e-4, rtol=1e-4)
    assert not any(torch.equal(a, b) for a, b in zip(cache, plain_cache))
    assert (found.log_softmax(-1) - plain.logits.log_softmax(-1))[0, 7] > 0


def test_the_language_model_is_left_as_it_was():
    before = tiny_lm().fingerprint
    generated(replace(ZEROCAP, steps=2))
    assert tiny_lm().fingerprint == before
    assert all(p.grad is None for p in tiny_lm().model.parameters())


def test_beams_without_steps_are_beam_search():
    lm = tiny_lm()
    search, config = open_search(lm, PROMPT, 1), replace(PLAIN, beams=3)
    for _ in range(config.max_tokens):
        with torch.no_grad():
            plain = step(lm, search.before, search.last)
        search = advance(search, plain, plain.logits.log_softmax(-1), beams=3, stops=(lm.eos_id,))
    texts = lm.decode(search.generated)
    means = search.scores / search.lengths
    assert texts[int(means.argmax())] == by_the_model(Beam(3, max_tokens=config.max_tokens))
    assert len(set(texts)) == 3 and means.argsort(descending=True).tolist() == [0, 1, 2]


def test_a_finished_beam_neither_grows_nor_pays():
    lm = tiny_lm()
    search = open_search(lm, PROMPT, 1)
    sure = torch.full((1, 40), -50.0)
    sure[0, lm.eos_id], sure[0, 5] = -0.1, -2.0
    search = advance(search, search.before, sure, beams=2, stops=(lm.eos_id,))
    assert search.done.tolist() == [True, False]
    again = advance(search, search.before, sure.expand(2, -1), beams=2, stops=(lm.eos_id,))
    assert again.generated[0].tolist() == [lm.eos_id, lm.eos_id]
    assert again.lengths[0] == 1 and float(again.scores[0]) == pytest.approx(-0.1)
    assert again.generated[1].tolist() == [5, lm.eos_id] and again.lengths[1] == 2


def test_clips_target_is_a_softmax_over_the_candidates_only():
    target = clip_target(
        torch.tensor([[0.30, 0.29]]), torch.tensor([[3, 1]]), vocabulary=5, temperature=0.01
    )
    assert target[0, 3] == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-5)
    assert float(target.sum()) == pytest.approx(1.0) and float(target[0, [0, 2, 4]].sum()) == 0


def test_the_loss_is_cross_entropy_and_drift():
    logits = torch.randn(3, 7, generator=seeded(0))
    plain = torch.randn(3, 7, generator=seeded(1))
    target = torch.randn(3, 7, generator=seeded(2)).softmax(-1)
    p, q = logits.softmax(-1), plain.softmax(-1)
    expected = -(target * p.log()).sum(-1) + 0.2 * (p * (p / q).log()).sum(-1)
    torch.testing.assert_close(zerocap_loss(logits, plain, target, fluency=0.2), expected)


def test_a_step_has_a_tenth_power_of_the_gradients_norm_and_none_without_gradient():
    gradient = torch.randn(2, 3, 4, 5, generator=seeded(0))
    taken = offset_step(gradient, size=0.3, norm_power=0.9)
    norms = gradient.flatten(1).norm(dim=1)
    torch.testing.assert_close(taken.flatten(1).norm(dim=1), 0.3 * norms**0.1)
    assert offset_step(torch.zeros(1, 2, 3, 4), size=0.3, norm_power=0.9).abs().sum() == 0
    assert offset_step(torch.zeros(1, 2, 0, 4), size=0.3, norm_power=0.9).shape == (1, 2, 0, 4)


def test_fusion_goes_from_one_distribution_to_the_other():
    a, b = torch.randn(2, 6, generator=seeded(0)), torch.randn(2, 6, generator=seeded(1))
    torch.testing.assert_close(fuse(a, b, fusion=1.0), a.log_softmax(-1))
    torch.testing.assert_close(fuse(a, b, fusion=0.0), b.log_softmax(-1))
    half = (a.softmax(-1) * b.softmax(-1)).sqrt()
    torch.testing.assert_close(fuse(a, b, fusion=0.5).exp(), half / half.sum(-1, keepdim=True))


def test_a_full_stop_ends_a_caption_where_the_model_has_one():
    assert stop_ids(tiny_lm()) == (tiny_lm().eos_id,)  # its words hold no full stop
    from vizer_core.language import CausalLM
    from vizer_lab.zoo.lm_model import (
        DrawnLMConfig,
        build_drawn_lm,
        drawn_lm_tokenizer,
    )

    small = build_drawn_lm(DrawnLMConfig(width=16, layers=1, heads=2))
    lm = CausalLM.from_model(small, drawn_lm_tokenizer(), "small")
    assert lm.decode(torch.tensor([[stop_ids(lm)[1]]])) == (".",) and len(stop_ids(lm)) == 2


def test_settings_are_the_releases_and_wrong_ones_are_refused():
    assert (PAPER.steps, PAPER.step_size, PAPER.fusion, PAPER.candidates) == (5, 0.3, 0.99, 512)
    assert (PAPER.beams, ZEROCAP_ADAPTED.beams, ZEROCAP_ADAPTED.max_tokens) == (5, 1, 16)
    with pytest.raises(ValueError, match="wanted 0 <= fusion <= 1"):
        ZeroCapConfig(fusion=1.5)
    with pytest.raises(ValueError, match="0 steps or more"):
        ZeroCapConfig(steps=-1)


def test_a_model_that_overflows_is_refused():
    system = ZeroCap(broken_lm(), encoder(), PLAIN, prompt=PROMPT)
    with pytest.raises(ValueError, match="gave logits that are no numbers while it generated"):
        system.caption(states(), generator=seeded(0))
