"""One contract for every causal LM: tiny OPT, GPT-2 and Llama models, and the drawn LM."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers

from vizer_core.decoding import Beam, Greedy, Sample
from vizer_core.language import (
    CausalLM,
    PrefixLanguageModel,
    TokenBatch,
    no_prefix,
    prefixed,
    sequence_log_probs,
)
from vizer_core.runtime import seeded

TEXTS = ["a small dog on a lawn", "two dogs and a cat", "a cat"]


def random_prefix(lm: CausalLM, b: int = 3, q: int = 4) -> torch.Tensor:
    scale = lm.embed(torch.arange(4, 20)[None]).std()
    return torch.randn(b, q, lm.width, generator=seeded(5)) * scale


def test_it_is_what_captioners_ask_for(lm):
    assert isinstance(lm, PrefixLanguageModel)


def test_texts_come_back_and_have_one_bos_and_one_eos(lm):
    tokens = lm.tokenize(TEXTS)
    for row, seen in zip(tokens.ids, tokens.mask):
        words = row[seen].tolist()
        assert words[0] == lm.bos_id and words[-1] == lm.eos_id
        assert not {lm.bos_id, lm.eos_id, lm.pad_id} & set(words[1:-1])
        assert (row[~seen] == lm.pad_id).all() and not seen[len(words) :].any()
    assert lm.decode(tokens.ids) == tuple(TEXTS)
    assert lm.decode(tokens.ids[:, 1:]) == tuple(TEXTS)


def test_opts_tokenizer_adds_a_bos_by_itself_and_still_there_is_one(opt):
    assert opt.tokenizer("a")["input_ids"][0] == 2
    assert opt.tokenize(["a"]).ids[0].tolist().count(2) == 2  # BOS and EOS are the same mark
    assert opt.opening(no_prefix(opt, 1), ["a"]).mask.shape == (1, 2)


def test_gpt2_takes_its_end_mark_for_bos_and_padding(gpt2):
    assert gpt2.tokenizer.bos_token_id is None
    assert gpt2.bos_id == gpt2.eos_id == gpt2.pad_id == 0


def test_a_long_text_loses_words_and_keeps_its_end(lm):
    tokens = lm.tokenize(["a dog " * 30, "a"], max_tokens=10)
    assert tokens.ids.shape == (2, 10) and tokens.ids[0, -1] == lm.eos_id
    whole = lm.tokenize(["a dog " * 30])
    assert torch.equal(whole.ids[0, :9], tokens.ids[0, :9])


def test_padding_on_the_right_alters_no_earlier_logits(lm):
    alone = prefixed(lm, random_prefix(lm, 1), lm.tokenize(["a cat"]))
    t = alone.mask.shape[1]
    tail = lm.embed(torch.full((1, 5), lm.pad_id))
    padded = lm.logits(
        torch.cat([alone.embeddings, tail], dim=1),
        torch.cat([alone.mask, torch.zeros(1, 5, dtype=torch.bool)], dim=1),
    )
    assert torch.allclose(padded[:, :t], lm.logits(alone.embeddings, alone.mask), atol=1e-5)


def test_padding_on_the_left_alters_no_later_logits(lm):
    alone = prefixed(lm, random_prefix(lm, 1), lm.tokenize(["a cat"]))
    head = torch.randn(1, 5, lm.width, generator=seeded(2))
    padded = lm.logits(
        torch.cat([head, alone.embeddings], dim=1),
        torch.cat([torch.zeros(1, 5, dtype=torch.bool), alone.mask], dim=1),
    )
    assert torch.allclose(padded[:, 5:], lm.logits(alone.embeddings, alone.mask), atol=1e-4)


def test_logits_are_the_models_own_at_padding_too(lm):
    tokens = lm.tokenize(TEXTS)
    wanted = lm.model(input_ids=tokens.ids, attention_mask=tokens.mask.long()).logits
    found = lm.logits(lm.embed(tokens.ids), tokens.mask)
    assert not tokens.mask.all() and torch.allclose(found, wanted.float(), atol=1e-5)


def test_the_output_layer_on_the_hidden_states_gives_the_logits(lm):
    batch = prefixed(lm, random_prefix(lm), lm.tokenize(TEXTS))
    hidden = lm.hidden_states(batch.embeddings, batch.mask)
    again = lm.model.get_output_embeddings()(hidden)
    assert torch.allclose(again, lm.logits(batch.embeddings, batch.mask), atol=1e-5)


def test_greedy_takes_the_likeliest_token_each_time(lm):
    prefix = random_prefix(lm)
    generated = lm.generate(prefix, decoding=Greedy(6)).ids
    assert generated.shape[1] <= 6
    batch = lm.opening(prefix)
    embeddings, going = batch.embeddings, torch.ones(3, dtype=torch.bool)
    for column in generated.T:  # without a cache, whole sequence each time
        mask = torch.ones(embeddings.shape[:2], dtype=torch.bool)
        wanted = lm.logits(embeddings, mask)[:, -1].argmax(-1)
        assert torch.equal(column[going], wanted[going])
        going &= column != lm.eos_id
        embeddings = torch.cat([embeddings, lm.embed(column[:, None])], dim=1)
    assert (column[~going] == lm.eos_id).logical_or(column[~going] == lm.pad_id).all()


def test_the_prefix_and_bos_open_what_is_written_on(lm):
    prefix = random_prefix(lm, b=2, q=3)
    opening = lm.opening(prefix, ["a", "a small dog"])
    length = opening.mask.sum(dim=1)
    assert length.tolist() == [3 + 1 + len(w) for w in lm.word_ids(["a", "a small dog"])]
    bos = lm.embed(torch.tensor([[lm.bos_id]]))[0, 0]
    for row, seen, given in zip(opening.embeddings, opening.mask, prefix):
        assert torch.equal(row[seen][:3], given) and torch.equal(row[seen][3], bos)
        assert bool(seen[-1]), "padding stands on the left"


@pytest.mark.parametrize("q", [0, 4])
def test_prompts_of_several_lengths_write_as_each_does_alone(lm, q):
    prompts, prefix = ["a", "a small dog on a", "the cat"], random_prefix(lm, q=q)
    together = lm.generate(prefix, decoding=Greedy(6), prompts=prompts).texts
    for k, prompt in enumerate(prompts):
        alone = lm.generate(prefix[k : k + 1], decoding=Greedy(6), prompts=[prompt]).texts
        assert alone[0] == together[k]


def test_no_mask_is_a_mask_of_ones(opt):
    opening = opt.opening(random_prefix(opt))
    bare = opt.model.generate(inputs_embeds=opening.embeddings, max_new_tokens=6, do_sample=False)
    assert torch.equal(bare, opt.generate(random_prefix(opt), decoding=Greedy(6)).ids)


def test_beams_find_nothing_less_likely_than_greedy(lm):
    prefix = random_prefix(lm)
    found = {}
    for rule in (Greedy(5), Beam(4, max_tokens=5)):
        ids = lm.generate(prefix, decoding=rule).ids
        bos = torch.full((3, 1), lm.bos_id)
        words = torch.cat([bos, ids], dim=1)
        batch = prefixed(lm, prefix, TokenBatch(words, torch.ones_like(words, dtype=torch.bool)))
        logits = lm.logits(batch.embeddings, batch.mask)[:, prefix.shape[1] : -1]
        each = logits.log_softmax(-1).gather(-1, ids[..., None]).squeeze(-1)
        first_end = (ids == lm.eos_id).long().cumsum(1)
        counted = (first_end - (ids == lm.eos_id).long()) == 0
        found[type(rule)] = (each * counted).sum(1) / counted.sum(1)
    assert (found[Beam] >= found[Greedy] - 1e-5).all()


def test_a_generator_decides_the_sample_and_the_global_stream_stays(lm):
    prefix = random_prefix(lm)
    state = torch.random.get_rng_state()
    first = lm.generate(prefix, decoding=Sample(max_tokens=8), generator=seeded(1)).ids
    assert torch.equal(torch.random.get_rng_state(), state)
    again = lm.generate(prefix, decoding=Sample(max_tokens=8), generator=seeded(1)).ids
    other = lm.generate(prefix, decoding=Sample(max_tokens=8), generator=seeded(2)).ids
    assert torch.equal(first, again) and not (
        first.shape == other.shape and torch.equal(first, other)
    )
    generator = seeded(1)
    lm.generate(prefix, decoding=Sample(max_tokens=8), generator=generator)
    second = lm.generate(prefix, decoding=Sample(max_tokens=8), generator=generator).ids
    assert second.shape != first.shape or not torch.equal(second, first)


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_samples_come_as_often_as_the_model_says(opt, temperature):
    prefix = random_prefix(opt, 1).expand(4000, -1, -1)
    rule = Sample(temperature=temperature, max_tokens=1)
    drawn = opt.generate(prefix, decoding=rule, generator=seeded(3)).ids[:, 0]
    opening = opt.opening(prefix[:1])
    wanted = (opt.logits(opening.embeddings, opening.mask)[0, -1] / temperature).softmax(-1)
    if temperature < 1:  # otherwise this tiny model's words are all about as likely
        assert float(wanted.max()) > 0.1
    shares = torch.bincount(drawn, minlength=len(wanted)) / 4000
    assert float((shares - wanted).abs().max()) < 0.03


def test_a_models_own_generation_defaults_do_not_count(opt):
    prefix = random_prefix(opt)
    plain = opt.generate(prefix, decoding=Greedy(8)).ids
    opt.model.generation_config = transformers.GenerationConfig(repetition_penalty=5.0)
    altered = CausalLM.from_model(opt.model, opt.tokenizer, "again")
    assert torch.equal(altered.generate(prefix, decoding=Greedy(8)).ids, plain)


def test_frozen_weights_get_no_gradient_and_the_prefix_does(lm):
    prefix = random_prefix(lm).requires_grad_()
    sequence_log_probs(lm, prefix, TEXTS).sum().backward()
    assert all(not p.requires_grad and p.grad is None for p in lm.model.parameters())
    assert bool((prefix.grad.abs().sum(dim=-1) > 0).all())


def test_a_frozen_model_stays_in_eval_mode(opt):
    batch = prefixed(opt, random_prefix(opt), opt.tokenize(TEXTS))
    before = opt.logits(batch.embeddings, batch.mask)
    opt.model.train()  # what a loop around it may do; this OPT has dropout .1
    assert torch.equal(opt.logits(batch.embeddings, batch.mask), before)
    assert not opt.model.training


def test_unfrozen_weights_learn_and_the_fingerprint_says_so(opt):
    before = opt.fingerprint
    sequence_log_probs(opt, no_prefix(opt, 3), TEXTS)
    assert opt.fingerprint == before
    opt.unfreeze()
    optimizer = torch.optim.SGD(opt.model.parameters(), lr=0.1)
    (-sequence_log_probs(opt, no_prefix(opt, 3), TEXTS).mean()).backward()
    assert all(p.grad is not None for p in opt.model.parameters())
    optimizer.step()
    assert opt.fingerprint != before


def test_the_fingerprint_tells_architectures_apart(opt):
    before = opt.fingerprint
    opt.model.config.activation_function = "gelu"
    assert opt.fingerprint != before


def test_half_precision_is_followed_and_logits_are_float32(llama):
    llama.model.to(torch.bfloat16)
    batch = prefixed(llama, random_prefix(llama).float(), llama.tokenize(TEXTS))
    assert batch.embeddings.dtype == torch.bfloat16
    assert llama.logits(batch.embeddings, batch.mask).dtype == torch.float32
    assert len(llama.generate(random_prefix(llama), decoding=Greedy(4)).texts) == 3


@pytest.mark.parametrize("rule", [Greedy(3), Sample(max_tokens=3), Beam(2, 3)], ids=repr)
def test_overflow_is_an_error_that_names_its_cause(rule, llama):
    """Drawing from NaN would stop torch with an error of its own, and a GPU for good."""
    for dtype in (torch.float32, torch.float16):
        model = copy.deepcopy(llama.model)
        with torch.no_grad():
            model.model.layers[-1].mlp.down_proj.weight.mul_(1e6).clamp_(-6e4, 6e4)
            model.model.layers[-1].mlp.up_proj.weight.mul_(1e3)
        lm = CausalLM.from_model(model.to(dtype), llama.tokenizer, "tiny")
        if dtype == torch.float32:
            assert lm.generate(no_prefix(lm, 1), decoding=rule, generator=seeded(0)).texts
            continue
        with pytest.raises(ValueError, match=r"generated in float16.*dtype='float32', or bfloat16"):
            lm.generate(no_prefix(lm, 1), decoding=rule, generator=seeded(0))


def test_wrong_calls_are_told_what_to_do(opt):
    prefix = random_prefix(opt)
    with pytest.raises(ValueError, match=r"wanted a list of texts, at least one, got 'a dog'"):
        opt.tokenize("a dog")
    with pytest.raises(ValueError, match="wanted at least 3, BOS, a word and EOS"):
        opt.tokenize(["a dog"], max_tokens=2)
    with pytest.raises(ValueError, match="Sample needs a generator"):
        opt.generate(prefix, decoding=Sample())
    with pytest.raises(ValueError, match="3 prefixes and 2 prompts: wanted one prompt a prefix"):
        opt.generate(prefix, decoding=Greedy(), prompts=["a", "b"])
    with pytest.raises(ValueError, match=r"max_tokens is 60, but tiny-opt has room for 43 after 5"):
        opt.generate(prefix, decoding=Greedy(60))
    with pytest.raises(ValueError, match=r"has 60 positions, prefix included: tiny-opt has 48"):
        opt.logits(torch.zeros(1, 60, 32), torch.ones(1, 60, dtype=torch.bool))
    with pytest.raises(ValueError, match="3 prefixes and 1 texts: wanted one prefix per text"):
        prefixed(opt, prefix, opt.tokenize(["a"]))


def test_a_tokenizer_without_an_end_mark_is_refused(opt):
    opt.tokenizer.eos_token = None
    with pytest.raises(ValueError, match=r"has no end-of-text token: set tokenizer\.eos_token"):
        CausalLM.from_model(opt.model, opt.tokenizer, "odd")
