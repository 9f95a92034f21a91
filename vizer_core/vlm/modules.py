"""The modules of a vision-language model, by name: components, and the layers that LoRA touches.

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

from collections.abc import Sequence

ATTENTION_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
FEED_FORWARD_PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
ALL_PROJECTIONS = ATTENTION_PROJECTIONS + FEED_FORWARD_PROJECTIONS
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
