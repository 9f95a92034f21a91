"""Which linear layers LoRA may touch: those of the language model, by regular expression.

Source: Hu et al. 2021 (LoRA), section 4.2, adapts attention projections; ViZer's digest gives the
rank (32) and alpha (64) but not the layers. All seven projections are the default here.

SigLIP's attention uses the names `q_proj` and `v_proj` too. PEFT compares a *list* of targets with
the ends of module names, and "all-linear" takes every linear layer: both adapt the vision tower,
and the visual feature that ViZer aims at drifts while it is trained on. PEFT compares a *string*
with the whole name as a regular expression: that is what is made here.
"""

from __future__ import annotations

from collections.abc import Sequence

ATTENTION_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
FEED_FORWARD_PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
ALL_PROJECTIONS = ATTENTION_PROJECTIONS + FEED_FORWARD_PROJECTIONS


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
