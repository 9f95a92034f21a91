"""Beams over a shared opening: transformers' own search, and its very texts, on fewer positions."""

from __future__ import annotations

import pytest
import torch
import transformers
from transformers.cache_utils import DynamicLayer

from tests.language.conftest import byte_tokenizer, fast
from vizer_core.decoding import Beam
from vizer_core.language import CausalLM, no_prefix
from vizer_core.language.beam_cache import BeamLayer, beam_cache
from vizer_core.runtime import seeded

PROMPTS = ["a", "a small dog on a", "the cat"]
RULES = [Beam(4, max_tokens=7), Beam(2, max_tokens=7, length_penalty=0.0)]


def random_prefix(lm: CausalLM, b: int = 3, q: int = 4) -> torch.Tensor:
    scale = lm.embed(torch.arange(4, 20)[None]).std()
    return torch.randn(b, q, lm.width, generator=seeded(5)) * scale


def by_transformers(lm: CausalLM, prefix: torch.Tensor, rule: Beam, prompts=None) -> torch.Tensor:
    """The search as transformers runs it by itself, every row repeated before it is read."""
    opening = lm.opening(prefix, prompts)
    inputs = lm.inputs(opening.embeddings, opening.mask)
    return lm.model.generate(**inputs, **rule.generate_options())


def random_states(b: int, t: int, seed: int) -> torch.Tensor:
    return torch.randn(b, 2, t, 5, generator=seeded(seed))


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("prompts", [None, PROMPTS], ids=["bare", "prompts"])
def test_it_writes_what_transformers_writes_by_itself(lm, rule, prompts):
    prefix = random_prefix(lm)
    found = lm.generate(prefix, decoding=rule, prompts=prompts).ids
    assert torch.equal(found, by_transformers(lm, prefix, rule, prompts))


def test_a_prompt_without_a_prefix_is_written_on_too(lm):
    prefix, rule = no_prefix(lm, 3), RULES[0]
    for prompts in (None, PROMPTS):  # without either there is one position, and nothing to share
        found = lm.generate(prefix, decoding=rule, prompts=prompts).ids
        assert torch.equal(found, by_transformers(lm, prefix, rule, prompts))


def test_the_opening_is_read_once_a_row_and_every_other_position_once_a_beam(opt):
    shapes = []

    layer = opt.model.model.decoder.layers[0].self_attn.k_proj
    hook = layer.register_forward_hook(lambda _, read, out: shapes.append(tuple(out.shape[:2])))
    found = opt.generate(random_prefix(opt, 3, q=4), decoding=Beam(4, max_tokens=5)).ids
    hook.remove()
    assert found.shape[1] == 5  # no early end, so that steps can be counted
    assert shapes == [(3, 4), *[(12, 1)] * 5]  # [prefix] alone, then BOS and four words


def test_a_layer_holds_what_a_growing_one_holds_while_beams_change_places():
    width, keys, values = 3, random_states(2, 4, 0), random_states(2, 4, 1)
    ours = BeamLayer(keys, values, width=width, max_tokens=6)
    theirs = DynamicLayer()
    theirs.update(keys.repeat_interleave(width, 0), values.repeat_interleave(width, 0))
    for step in range(6):
        new = random_states(2 * width, 1, 2 + step), random_states(2 * width, 1, 20 + step)
        for found, wanted in zip(ours.update(*new), theirs.update(*new)):
            assert torch.equal(found, wanted)
        own = torch.randint(width, (2, width), generator=seeded(step))
        indices = (own + torch.tensor([[0], [width]])).flatten()  # a beam stays in its row
        ours.reorder_cache(indices)
        theirs.reorder_cache(indices)
        assert torch.equal(ours.keys, theirs.keys) and torch.equal(ours.values, theirs.values)
        assert ours.get_seq_length() == theirs.get_seq_length() == 5 + step
        assert ours.get_mask_sizes(1) == theirs.get_mask_sizes(1)


def test_a_full_layer_says_so():
    layer = BeamLayer(random_states(1, 4, 0), random_states(1, 4, 1), width=2, max_tokens=1)
    new = random_states(2, 1, 2)
    layer.update(new, new)
    with pytest.raises(ValueError, match=r"position 6 of a beam cache with room for 5: make it"):
        layer.update(new, new)


def sliding_lm() -> CausalLM:
    """A tiny Mistral whose layers keep a window of four positions and drop the rest."""
    torch.manual_seed(0)
    bpe = byte_tokenizer(["<begin>", "<end>"])
    config = transformers.MistralConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=48,
        sliding_window=4,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    tokenizer = fast(bpe, bos_token="<begin>", eos_token="<end>")
    return CausalLM.from_model(transformers.MistralForCausalLM(config), tokenizer, "tiny-mistral")


def test_a_model_with_a_window_is_left_to_transformers():
    lm = sliding_lm()
    prefix = random_prefix(lm)
    opening = lm.opening(prefix)
    inputs = lm.inputs(opening.embeddings, opening.mask)
    assert beam_cache(lm.model, inputs, width=4, max_tokens=7) is None
    found = lm.generate(prefix, decoding=RULES[0]).ids
    assert torch.equal(found, by_transformers(lm, prefix, RULES[0]))
