"""Start the drawn VLM's tower from a drawn CLIP's, as real VLMs start from SigLIP's.

The blocks of both towers are the same; what differs is folded into the first layer:

==================  ========================================================================
pixels              CLIP's channel means and spreads become part of the convolution
8 px -> 7 px        the kernel that gives, on a patch, what CLIP's gives on the patch enlarged
7 x 7 -> 8 x 8      position vectors are interpolated
`ln_pre`            Idefics3 has none: its gain, its offset and the mean spread are folded in
CLS                 dropped: Idefics3 has none
==================  ========================================================================

So the new tower computes nearly, not exactly, what CLIP's did; the dense labels of `vlm_vision`
train it on.
"""

from __future__ import annotations

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor, nn
from torch.nn import functional


def resized_kernel(kernel: Float[Tensor, "d c s s"], size: int) -> Float[Tensor, "d c s2 s2"]:
    """Return the kernel that reads a patch of `size` px as `kernel` reads it enlarged to its own.

    >>> kernel = torch.ones(1, 1, 8, 8)
    >>> float(resized_kernel(kernel, 7).sum())
    64.0
    """
    pixels = torch.eye(size * size).view(size * size, 1, size, size)
    enlarged = functional.interpolate(pixels, kernel.shape[-2:], mode="bilinear")
    small = einsum(enlarged[:, 0], kernel, "q y x, d c y x -> d c q")
    return rearrange(small, "d c (y x) -> d c y x", y=size)


def start_from_clip(tower: nn.Module, visual: nn.Module, pixels: Float[Tensor, "b 3 s s"]) -> None:
    """Copy an open_clip vision tower into an Idefics3 one of the same width and depth, in place.

    `pixels` are a few images as the Idefics3 tower sees them: the spread of their tokens stands
    in for `ln_pre`. Raises `ValueError` when the sizes do not fit.
    """
    blocks, layers = list(visual.transformer.resblocks), list(tower.encoder.layers)
    there = (len(blocks), *blocks[0].mlp.c_fc.weight.shape)
    wanted = (len(layers), *layers[0].mlp.fc1.weight.shape)
    if there != wanted:
        raise ValueError(
            f"the CLIP tower has (layers, ffn, width) {there}, the VLM's {wanted}: "
            "set vision_layers, vision_ffn and vision_width to the CLIP's"
        )
    with torch.no_grad():
        _copy_first_layer(tower.embeddings, visual, pixels)
        for layer, block in zip(layers, blocks):
            _copy_block(layer, block)
        tower.post_layernorm.load_state_dict(visual.ln_post.state_dict())


def _copy_first_layer(embeddings: nn.Module, visual: nn.Module, pixels: Tensor) -> None:
    mean, std = torch.tensor(OPENAI_DATASET_MEAN), torch.tensor(OPENAI_DATASET_STD)
    kernel = resized_kernel(visual.conv1.weight, embeddings.patch_size)
    bias = einsum(kernel, (0.5 - mean) / std, "d c y x, c -> d")
    positions = visual.positional_embedding[1:]
    side, grid = int(len(positions) ** 0.5), embeddings.num_patches_per_side
    positions = rearrange(positions, "(y x) d -> 1 d y x", y=side)
    positions = functional.interpolate(positions, (grid, grid), mode="bilinear")
    # ln_pre's parts that are linear: take off the mean of the d numbers, then gain and offset
    kernel = kernel * (0.5 / std)[None, :, None, None]
    kernel = kernel - kernel.mean(0, keepdim=True)
    offset = rearrange(positions, "1 d y x -> (y x) d") + bias
    offset = offset - offset.mean(1, keepdim=True)
    tokens = functional.conv2d(pixels, kernel, stride=embeddings.patch_size)
    spread = (rearrange(tokens, "b d y x -> b (y x) d") + offset).std(dim=-1).mean()
    gain = visual.ln_pre.weight / spread
    embeddings.patch_embedding.weight.copy_(kernel * gain[:, None, None, None])
    embeddings.patch_embedding.bias.zero_()
    embeddings.position_embedding.weight.copy_(offset * gain + visual.ln_pre.bias)


def _copy_block(layer: nn.Module, block: nn.Module) -> None:
    weights = block.attn.in_proj_weight.chunk(3)
    biases = block.attn.in_proj_bias.chunk(3)
    attention = layer.self_attn
    for part, weight, bias in zip(
        (attention.q_proj, attention.k_proj, attention.v_proj), weights, biases
    ):
        part.weight.copy_(weight)
        part.bias.copy_(bias)
    attention.out_proj.load_state_dict(block.attn.out_proj.state_dict())
    layer.layer_norm1.load_state_dict(block.ln_1.state_dict())
    layer.layer_norm2.load_state_dict(block.ln_2.state_dict())
    layer.mlp.fc1.load_state_dict(block.mlp.c_fc.state_dict())
    layer.mlp.fc2.load_state_dict(block.mlp.c_proj.state_dict())
