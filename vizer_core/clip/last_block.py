"""The last block of a CLIP image tower, taken apart: attention map, values, counterfactuals.

Source: the ViT block of Dosovitskiy et al. 2021 as open_clip writes it, x' = x + Attn(ln_1 x),
y = x' + MLP(ln_2 x'). One ordinary `encode_image` runs with two hooks on the last block; the
attention map, which fused kernels never form, is then recomputed in float32 from the block's
input. MacCap section 4.2 needs that map, averaged over heads.

Counterfactual feature of patch p, ours: what the tower would have said had its read-out token
attended to p alone in the last block,

    cf_p = unit(proj(ln_post(finish(x_readout + W_o v_p + b_o)))),  finish(x) = x + MLP(ln_2 x).

The read-out is the class token; where the tower averages its patches it is every patch token,
followed by that average. No retraining: cf_p travels the path on which CLIP was trained.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeVar

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vizer_core.clip.features import ImageStates, Pool
from vizer_core.shapes import unit_norm

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class BlockPass:
    """One forward pass: the model's own global feature and the last block's two ends."""

    image_features: Float[Tensor, "n d"]
    entering: Float[Tensor, "n s h"]
    leaving: Float[Tensor, "n s h"]


def require_regions(model: nn.Module, name: str) -> None:
    """Raise `ValueError` unless the image tower has patches, a class token and plain attention."""
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    visual = model.visual
    advice = "encode_image and encode_text work; sub-regions need a ViT such as ViT-B-32"
    if not isinstance(visual, VisionTransformer):
        kind = type(visual).__name__
        raise ValueError(
            f"{name} has no sub-regions: its image tower is {kind}, without a class token that "
            f"attends to patches. {advice}."
        )
    if visual.attn_pool is not None or visual.pool_type not in ("tok", "avg"):
        raise ValueError(
            f"{name} has no sub-regions: it pools its image tokens by a separate attention layer. "
            f"{advice}."
        )
    block = visual.transformer.resblocks[-1]
    if not isinstance(block, ResidualAttentionBlock):
        raise ValueError(
            f"{name} has no sub-regions: its last block is {type(block).__name__}, whose attention "
            f"is not the plain softmax. {advice}."
        )


def tower_pool(visual: nn.Module) -> Pool:
    """Say which tokens the tower reads its global feature from."""
    return "cls" if visual.pool_type == "tok" else "patches"


def run_with_last_block(model: nn.Module, pixels: Tensor) -> BlockPass:
    """Encode images once and keep what enters and leaves the last block."""
    block = model.visual.transformer.resblocks[-1]
    kept: dict[str, Tensor] = {}
    hooks = [
        block.register_forward_pre_hook(lambda _, args: kept.update(entering=args[0])),
        block.register_forward_hook(lambda _, args, out: kept.update(leaving=out)),
    ]
    try:
        features = model.encode_image(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return BlockPass(features.float(), kept["entering"].float(), kept["leaving"].float())


def attention_map(block: nn.Module, entering: Float[Tensor, "n s h"]) -> Float[Tensor, "n s s"]:
    """Recompute softmax(q k^T / sqrt(w)) of a float32 block, averaged over its heads."""
    query, key, _ = _query_key_value(block, entering)
    split = "n s (heads w) -> n heads s w"
    query = rearrange(query, split, heads=block.attn.num_heads)
    key = rearrange(key, split, heads=block.attn.num_heads)
    scores = einsum(query, key, "n heads i w, n heads j w -> n heads i j")
    return (scores / query.shape[-1] ** 0.5).softmax(dim=-1).mean(dim=1)


def counterfactual_readout(
    visual: nn.Module, entering: Float[Tensor, "n s h"]
) -> Float[Tensor, "n p d"]:
    """Return the unnormalised global feature, had the read-out attended to one patch alone."""
    block = visual.transformer.resblocks[-1]
    _, _, values = _query_key_value(block, entering)
    updates = block.ls_1(block.attn.out_proj(values[:, 1:]))
    readers = entering[:, :1] if tower_pool(visual) == "cls" else entering[:, 1:]
    at_once = max(1, updates.shape[1] // readers.shape[1])  # one patch at a time if all read
    pieces = []
    for chunk in updates.split(at_once, dim=1):
        x = rearrange(readers, "n q h -> n 1 q h") + rearrange(chunk, "n p h -> n p 1 h")
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
        pieces.append(_pool_and_project(visual, x))
    return torch.cat(pieces, dim=1)


def project_tokens(visual: nn.Module, tokens: Float[Tensor, "n s h"]) -> Float[Tensor, "n s d"]:
    """Map last-layer tokens to the joint space: ln_post, then the projection."""
    tokens = visual.ln_post(tokens)
    return tokens if visual.proj is None else tokens @ visual.proj


def read_states(model: nn.Module, pixels: Tensor) -> ImageStates:
    """Run one pass over preprocessed images and take the last block apart."""
    visual = model.visual
    block_pass = run_with_last_block(model, pixels)
    head = _float32(visual)
    block = head.transformer.resblocks[-1]
    return ImageStates(
        image_features=unit_norm(block_pass.image_features),
        patch_features=unit_norm(project_tokens(head, block_pass.leaving[:, 1:])),
        attention=attention_map(block, block_pass.entering),
        counterfactual_features=unit_norm(counterfactual_readout(head, block_pass.entering)),
        grid=tuple(visual.grid_size),
        pool=tower_pool(visual),
    )


def _pool_and_project(visual: nn.Module, x: Float[Tensor, "n p q h"]) -> Float[Tensor, "n p d"]:
    """Pool the read-out tokens as the tower does, then project."""
    pooled = (
        visual.ln_post(x.mean(dim=2))
        if visual.final_ln_after_pool
        else visual.ln_post(x).mean(dim=2)
    )
    return pooled if visual.proj is None else pooled @ visual.proj


def _query_key_value(block: nn.Module, entering: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    attention = block.attn
    joint = functional.linear(
        block.ln_1(entering), attention.in_proj_weight, attention.in_proj_bias
    )
    query, key, value = joint.chunk(3, dim=-1)
    return query, key, value


def _float32(module: Module) -> Module:
    """Return the module itself if it is float32 throughout, else a float32 copy."""
    if all(parameter.dtype == torch.float32 for parameter in module.parameters()):
        return module
    return copy.deepcopy(module).float()
