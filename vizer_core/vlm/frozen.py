"""What stays as it is while LoRA comes and goes: the base model's weights, and proof of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vizer_core.runtime import require

SAMPLED_VALUES = 64


def fingerprint_of(model: nn.Module) -> str:
    """Hash each base weight's shape and 64 values spread over it, 16 hex digits.

    Billions of weights take well under a second, and LoRA layers do not count: their weights are
    left out, and the weights they wrap keep their own names.
    """
    digest = hashlib.sha256()
    for key, value in sorted(_base_weights(model)):
        spread = torch.linspace(0, value.numel() - 1, SAMPLED_VALUES, dtype=torch.float64).long()
        sample = value.detach().reshape(-1)[spread.to(value.device)].float().cpu()
        digest.update(f"{key}{tuple(value.shape)}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """Switch PEFT's layers off inside this context; afterwards all is as before.

    PEFT's own switch turns `requires_grad` on for every adapter when it comes back: the flags are
    put back here as they were. A model without adapters is left alone.
    """
    tuner = require("peft.tuners.tuners_utils", why="LoRA").BaseTunerLayer
    layers = [each for each in model.modules() if isinstance(each, tuner)]
    active = [layer for layer in layers if not layer.disable_adapters]
    flags = [(weight, weight.requires_grad) for layer in active for weight in layer.parameters()]
    for layer in active:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in active:
            layer.enable_adapters(True)
        for weight, trained in flags:
            weight.requires_grad_(trained)


def _base_weights(model: nn.Module) -> list[tuple[str, Tensor]]:
    named = [(key.replace(".base_layer", ""), value) for key, value in model.named_parameters()]
    return [(key, value) for key, value in named if ".lora_" not in key and value.numel()]
