"""Linear layers by oneDNN: the same products, where they are large, with the inputs' gradients."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
import transformers
from torch.nn.functional import linear

from tests.language.conftest import opt_parts
from vizer_core.decoding import Beam, Greedy, Sample
from vizer_core.language import CausalLM, fast_linear, sequence_log_probs
from vizer_core.language.fast_linear import FastLinear, fast_linears, fits
from vizer_core.runtime import seeded

LARGE = torch.randn(512, 512, generator=seeded(0))


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the weights that went to oneDNN."""
    shapes: list[tuple[int, ...]] = []

    def noting(inputs: torch.Tensor, weight: torch.Tensor, *bias: torch.Tensor | None) -> bool:
        found = fits(inputs, weight, *bias)
        if found:
            shapes.append(tuple(weight.shape))
        return found

    monkeypatch.setattr(fast_linear, "fits", noting)
    return shapes


@pytest.mark.parametrize("shape", [(1, 512), (80, 512), (3, 5, 512)], ids=str)
@pytest.mark.parametrize("biased", [True, False])
def test_products_are_those_of_torch(taken, shape, biased):
    inputs, bias = torch.randn(*shape, generator=seeded(1)), torch.arange(512.0) if biased else None
    wanted = linear(inputs.double(), LARGE.double(), None if bias is None else bias.double())
    with FastLinear():
        found = linear(inputs, LARGE, bias)
    assert taken == [(512, 512)] and found.shape == wanted.shape
    assert torch.allclose(found.double(), wanted, atol=1e-3, rtol=1e-5)


def test_a_module_and_a_slice_of_a_tensor_are_taken_too(taken):
    layer = torch.nn.Linear(512, 512).requires_grad_(False)
    rows = torch.randn(4, 7, 512, generator=seeded(2))[:, ::2]
    wanted = layer(rows)
    with FastLinear():
        assert torch.allclose(layer(rows), wanted, atol=1e-4)
    assert taken == [(512, 512)]


def test_small_layers_come_out_bit_for_bit(taken):
    inputs, small = torch.randn(9, 256, generator=seeded(1)), LARGE[:256, :256].contiguous()
    wanted = linear(inputs, small)
    with FastLinear():
        assert torch.equal(linear(inputs, small), wanted)
    assert taken == []


@pytest.mark.parametrize("biased", [True, False])
def test_the_inputs_gradient_is_that_of_exact_arithmetic(taken, biased):
    inputs = torch.randn(4, 3, 512, generator=seeded(1))[:, :2].requires_grad_()
    tall = torch.randn(1024, 512, generator=seeded(3))
    bias = torch.arange(1024.0) if biased else None
    with FastLinear():
        linear(inputs, tall, bias).square().sum().backward()
    found, exact = inputs.grad, inputs.detach().double().requires_grad_()
    linear(exact, tall.double(), None if bias is None else bias.double()).square().sum().backward()
    assert taken == [(1024, 512)] and found.dtype == torch.float32
    assert float((found - exact.grad).norm() / exact.grad.norm()) < 1e-6


def test_weights_and_biases_that_are_trained_get_their_gradients(taken):
    layer, inputs = torch.nn.Linear(512, 512), torch.randn(4, 512, generator=seeded(1))
    layer.weight.requires_grad_(False)
    with FastLinear():
        layer(inputs).sum().backward()
        assert layer.bias.grad is not None and taken == []
        layer.requires_grad_(True)
        layer(inputs).sum().backward()
        assert layer.weight.grad is not None and taken == []
        with torch.no_grad():
            layer(inputs)
    assert taken == [(512, 512)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_and_autocast_stay_with_torch(dtype):
    assert fits(torch.ones(2, 512), LARGE)
    assert not fits(torch.ones(2, 512, dtype=dtype), LARGE.to(dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not fits(torch.ones(2, 512), LARGE)


def test_a_prefix_learns_through_a_large_frozen_model_as_through_torchs_layers(taken, monkeypatch):
    lm, gradients = wide_lm(), []
    for smallest in (fast_linear.SMALLEST_WEIGHT, 2**40):
        monkeypatch.setattr(fast_linear, "SMALLEST_WEIGHT", smallest)
        prefix = (torch.randn(2, 3, 512, generator=seeded(3)) * 0.1).requires_grad_()
        sequence_log_probs(lm, prefix, ["a dog", "two cats"]).sum().backward()
        gradients.append(prefix.grad)
        assert len(taken) == 6  # attention 4, behind it 2; the small output layer is torch's
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-4)


def test_wrong_shapes_are_refused_as_ever():
    with FastLinear(), pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        linear(torch.ones(2, 500), LARGE)


def wide_lm() -> CausalLM:
    """An OPT of one layer, just wide enough; its large weights make the words differ."""
    torch.manual_seed(0)
    _, tokenizer = opt_parts()
    config = transformers.OPTConfig(
        vocab_size=len(tokenizer),
        hidden_size=512,
        num_hidden_layers=1,
        ffn_dim=512,
        num_attention_heads=2,
        max_position_embeddings=48,
        word_embed_proj_dim=512,
    )
    model = transformers.OPTForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if weight.ndim == 2 and "embed" not in name:
                weight.mul_(6)
    return CausalLM.from_model(model, tokenizer, "wide-opt")


@pytest.mark.parametrize("rule", [Greedy(6), Beam(3, max_tokens=6), Sample(max_tokens=6)], ids=str)
def test_a_large_model_writes_the_same_either_way(taken, monkeypatch, rule):
    lm = wide_lm()
    prefix = torch.randn(4, 3, 512, generator=seeded(3)) * 0.1
    found = lm.generate(prefix, decoding=rule, generator=seeded(4)).ids
    assert taken and len(found.unique(dim=0)) == 4
    monkeypatch.setattr(fast_linear, "SMALLEST_WEIGHT", 2**40)
    assert torch.equal(found, lm.generate(prefix, decoding=rule, generator=seeded(4)).ids)


def test_a_small_model_gets_no_context_at_all(opt):
    assert isinstance(fast_linears(opt.model), nullcontext)
    assert isinstance(fast_linears(wide_lm().model), FastLinear)
