"""The modules of a vision-language model, by name: components, LoRA's layers, what stays frozen.

Both families name their parts in their own way:

===============  =====================  ========================
component        Idefics3, SmolVLM      Qwen2-VL, Qwen2.5-VL
===============  =====================  ========================
vision tower     `vision_model`         `visual`
connector        `connector`            `visual.merger`
language model   `text_model`           `language_model`
head             `lm_head`              `lm_head`
===============  =====================  ========================

LoRA touches linear layers of the language model only. Source: Hu et al. 2021 (LoRA), section 4.2,
adapts attention projections; ViZer's digest gives the rank (32) and alpha (64) but not the layers.
All seven projections are the default here.

SigLIP's attention uses the names `q_proj` and `v_proj` too. PEFT compares a *list* of targets with
the ends of module names, and "all-linear" takes every linear layer: both adapt the vision tower,
and the visual feature that ViZer aims at drifts while it is trained on. PEFT compares a *string*
with the whole name as a regular expression: that is what `language_targets` makes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vizer_core.runtime import require

ATTENTION_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
FEED_FORWARD_PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
ALL_PROJECTIONS = ATTENTION_PROJECTIONS + FEED_FORWARD_PROJECTIONS
SAMPLED_VALUES = 64  # of each weight, in a fingerprint
COMPONENTS = ("vision tower", "connector", "language model", "head")
STEMS = {  # in the order of asking: Qwen's merger lies inside its tower
    "head": ("lm_head",),
    "connector": ("connector", "visual.merger"),
    "vision tower": ("vision_model", "visual"),
    "language model": ("text_model", "language_model"),
}


def component_of(name: str) -> str:
    """Return the component of a module or weight, by its name in `named_modules`.

    >>> component_of("model.text_model.layers.0.self_attn.q_proj.weight")
    'language model'
    >>> component_of("model.visual.merger.mlp.0")
    'connector'
    """
    for component, stems in STEMS.items():
        if any(f".{stem}." in f".{name}." for stem in stems):
            return component
    raise ValueError(
        f"{name!r} belongs to no component: wanted a name with one of "
        f"{', '.join(stem for stems in STEMS.values() for stem in stems)}"
    )


def language_targets(stem: str, projections: Sequence[str] = ALL_PROJECTIONS) -> str:
    """Write the regex of the named projections inside the module called `stem`.

    >>> language_targets("text_model", ("q_proj", "v_proj"))
    '(?:.*\\\\.)?text_model\\\\.layers\\\\.\\\\d+\\\\.(?:self_attn|mlp)\\\\.(?:q_proj|v_proj)'
    """
    unknown = [name for name in projections if name not in ALL_PROJECTIONS]
    if unknown or not projections:
        raise ValueError(
            f"LoRA projections {list(projections)}: wanted one or more of {list(ALL_PROJECTIONS)}"
        )
    return rf"(?:.*\.)?{stem}\.layers\.\d+\.(?:self_attn|mlp)\.(?:{'|'.join(projections)})"


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


@contextmanager
def recomputed(text_model: nn.Module) -> Iterator[None]:
    """Run the text model with gradient checkpointing: keep each layer's input, compute it again.

    Chen et al. 2016 (1604.06174). One forward pass more, and memory that grows with the layers'
    inputs instead of everything inside them (`memory.kept_bytes`). transformers' layers do it by
    themselves, but only in training mode, which would switch dropout on; here the layers alone
    believe that they are training, and only while a pass with gradient goes through.
    """
    layers = list(text_model.layers)
    again = partial(checkpoint, use_reentrant=False)
    for layer in layers:
        layer.gradient_checkpointing, layer._gradient_checkpointing_func = True, again
        layer.training = True  # the layer alone: its attention and feed-forward stay in eval mode
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = layer.training = False
