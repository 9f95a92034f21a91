"""The key-value cache's argument under its old and its new name."""

import pytest
import torch
import transformers
from torch import nn

from vizer_core.token_loop import cache_argument


class Older(nn.Module):
    def forward(self, inputs_embeds=None, past_key_values=None): ...


class Newer(nn.Module):
    def forward(self, inputs_embeds=None, cache=None): ...


class ForAWhileBoth(nn.Module):
    def forward(self, past_key_values=None, cache=None): ...


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Older, "past_key_values"), (Newer, "cache"), (ForAWhileBoth, "cache")],
)
def test_the_name_that_the_model_takes(kind, name):
    assert cache_argument(kind(), 7) == {name: 7}


def test_a_model_without_a_cache_is_refused():
    with pytest.raises(ValueError, match=r"Linear\.forward takes no key-value cache"):
        cache_argument(nn.Linear(1, 1), None)


def test_the_installed_transformers_take_it_without_a_warning():
    """Warnings are errors here, so a deprecated name would fail; and the cache must be filled."""
    config = transformers.OPTConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, ffn_dim=8,
        word_embed_proj_dim=8,
    )  # fmt: skip
    model = transformers.OPTForCausalLM(config).eval()
    cache = transformers.DynamicCache(config=config)
    with torch.no_grad():
        model(input_ids=torch.tensor([[1, 2, 3]]), **cache_argument(model, cache), use_cache=True)
    assert cache.get_seq_length() == 3
