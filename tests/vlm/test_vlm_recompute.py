"""Gradient checkpointing: the same states and gradients, less that is kept, no trace left."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import noise_images, tiny_qwen, tiny_smol

from vizer_core.decoding import Sample
from vizer_core.runtime import seeded
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters


def read(vlm, recompute: bool, samples: int):
    """Return states, gradients, and how many bytes autograd kept."""
    vlm.recompute = recompute
    vision = vlm.encode_image(noise_images(2))
    captions = vlm.generate(
        vision, decoding=Sample(max_tokens=6), samples=samples, generator=seeded(1)
    )
    kept: dict[int, int] = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        states = vlm.caption_states(vision, captions)
    loss = states[:, 1:][captions.mask].square().sum() + vlm.text_states(captions).sum()
    weights = lora_parameters(vlm)
    return states.detach(), torch.autograd.grad(loss, list(weights.values())), sum(kept.values())


@pytest.mark.parametrize("make", [tiny_smol, tiny_qwen])
@pytest.mark.parametrize("samples", [1, 3])
def test_recomputing_changes_memory_and_nothing_else(make, samples):
    vlm = make()
    add_lora(vlm, LoraSettings(2, 4), generator=seeded(0))
    with torch.no_grad():
        for weight in lora_parameters(vlm).values():
            weight.add_(0.05)
    states, gradients, kept = read(vlm, False, samples)
    again, same, fewer = read(vlm, True, samples)
    torch.testing.assert_close(again, states, rtol=1e-4, atol=1e-5)
    for one, two in zip(gradients, same):
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)
    if samples == 1:
        assert fewer < 0.7 * kept
    layers = vlm.text_model.layers
    assert not any(part.training for part in vlm.model.modules())
    assert not any(layer.gradient_checkpointing for layer in layers)
