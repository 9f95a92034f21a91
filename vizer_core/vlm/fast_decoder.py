"""One token after the other in few operations: LoRA merged, weights joined, a cache of fixed size.

Decoding single tokens is bound by the number of operations that Python launches, not by what they
compute: transformers' Llama takes some 1,130 per token at 24 layers, 2,000 with LoRA beside its
weights. Here a layer takes 19:

==================  ==========================================================================
norm, twice         4 each (length, with epsilon, division, weight); one on CUDA, fused there;
                    in half precision no more, rounded where transformers rounds
queries, keys,      1: their weights are one matrix
values
rotation            3, of all three at once; values are turned by nothing
cache               1: keys and values lie in one tensor, made once for all tokens to come
attention           1
output              1, the residual added in the product
feed-forward        4: gate and other half in one product, its activation, their product, down
==================  ==========================================================================

The prompt runs through the model itself; its keys and values are copied. LoRA is merged into a copy
of the language model's linear weights, which lives as long as one call of `generate`: the model is
not touched, so that nothing is lost in half precision by merging and unmerging. Sums are added up
in another order than in transformers, so that logits agree to rounding, not to the bit; studies
whose numbers are stored use the model itself (`CaptionGenerator.fast` is False).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

FAMILIES = ("llama", "qwen2_vl_text", "qwen2_5_vl_text")  # text models whose layers are read here
PLAIN = (torch.float32, torch.bfloat16, torch.float16)  # a weight in four bits is not


@dataclass(frozen=True, eq=False)
class Block:
    """The weights of a layer, LoRA merged: [in, out] each, biases only where the model has them."""

    norm_in: Norm
    norm_after: Norm
    qkv: Tensor
    qkv_bias: Tensor | None
    out: Tensor
    gate_up: Tensor
    down: Tensor


def supports(text_model: nn.Module) -> bool:
    """Say whether a text model's layers are read here: whole, and in plain numbers."""
    if text_model.config.model_type not in FAMILIES or text_model.config.hidden_act != "silu":
        return False
    weights = [w for n, w in text_model.named_parameters() if n.endswith("_proj.weight")]
    weights += [w for n, w in text_model.named_parameters() if n.endswith("base_layer.weight")]
    biased = ("o_proj", "gate_proj", "up_proj", "down_proj")
    names = [n.replace(".base_layer", "") for n, _ in text_model.named_parameters()]
    if any(name.endswith(f"{linear}.bias") for name in names for linear in biased):
        return False
    return all(type(w) is nn.Parameter and w.dtype in PLAIN for w in weights)


@torch.no_grad()
def merged_weight(linear: nn.Module) -> Tensor:
    """Return a linear layer's weight with what LoRA adds to it; computed in LoRA's precision."""
    if not hasattr(linear, "get_base_layer"):
        return linear.weight
    weight = linear.get_base_layer().weight
    if linear.disable_adapters or linear.merged:
        return weight
    for name in linear.active_adapters:
        weight = weight + linear.get_delta_weight(name)
    return weight.to(linear.get_base_layer().weight.dtype)


def _block(layer: nn.Module, eps: float) -> Block:
    attention, mlp = layer.self_attn, layer.mlp
    three = (attention.q_proj, attention.k_proj, attention.v_proj)
    biases = [getattr(linear, "base_layer", linear).bias for linear in three]
    return Block(
        Norm(layer.input_layernorm.weight, eps),
        Norm(layer.post_attention_layernorm.weight, eps),
        torch.cat([merged_weight(linear) for linear in three]).T,
        None if biases[0] is None else torch.cat(biases),
        merged_weight(attention.o_proj).T,
        torch.cat([merged_weight(mlp.gate_proj), merged_weight(mlp.up_proj)]).T,
        merged_weight(mlp.down_proj).T,
    )


class Norm:
    """Root mean square normalisation; on a CPU, which has no fused one, in four operations.

    >>> x = torch.tensor([[3.0, 4.0]])
    >>> Norm(torch.ones(2), 0.0)(x) - functional.rms_norm(x, (2,))
    tensor([[0., 0.]])
    """

    def __init__(self, weight: Float[Tensor, " h"], eps: float) -> None:
        self.root = len(weight) ** 0.5
        self.weight, self.eps, self.fused = weight, eps, weight.is_cuda
        self.half = weight.dtype != torch.float32
        if not self.fused:
            self.least = weight.new_tensor((eps * len(weight)) ** 0.5, dtype=torch.float32)
            self.none, self.room = torch.zeros_like(self.least), weight
            self.weight = weight if self.half else weight * self.root

    def __call__(self, x: Float[Tensor, "b h"]) -> Float[Tensor, "b h"]:
        """Return x over sqrt(mean(x^2) + eps), times the weight."""
        if self.fused:
            return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        most = torch.hypot(length, self.least)
        if not self.half:
            return x / most * self.weight
        # divided in float32 and rounded on the way out: a cast for itself would be one more
        if self.room.shape != x.shape:
            self.room = torch.empty_like(x)
        torch.addcdiv(self.none, x, most, value=self.root, out=self.room)
        return self.room * self.weight


class FixedCache:
    """Keys and values of all layers, [rows, 2 kv heads, prompt + tokens, head], made once.

    Until `batch_repeat_interleave` or the first token it is the model's own cache of the prompt.
    """

    def __init__(self, prompt: Any, tokens: int) -> None:
        self.prompt, self.tokens = prompt, tokens
        self.samples = 1
        self.layers: list[Tensor] = []
        self.rows: Tensor | None = None  # those that are left of the rows at the first token

    def batch_repeat_interleave(self, samples: int) -> None:
        """Let each prompt be read by so many captions."""
        self.samples = samples

    def batch_select_indices(self, kept: Int[Tensor, " n"]) -> None:
        """Go on with some of the rows."""
        self.layers = [layer.index_select(0, kept) for layer in self.layers]
        self.rows = kept if self.rows is None else self.rows[kept]

    def open(self) -> None:
        """Copy the prompt's keys and values to their place."""
        for layer in self.prompt.layers:
            both = torch.cat([layer.keys, layer.values], dim=1)
            whole = functional.pad(both, (0, 0, 0, self.tokens))
            self.layers.append(whole.repeat_interleave(self.samples, dim=0))
        self.prompt = None


class FastDecoder:
    """A text model's layers, ready to read a token per row; made anew for each call of `generate`.

    `text_pass` is what `generate_ids` calls: the prompt as embeddings goes through `model_pass`.
    """

    def __init__(self, text_model: nn.Module, model_pass: Any, *, tokens: int) -> None:
        config = text_model.config
        self.text_model, self.model_pass, self.tokens = text_model, model_pass, tokens
        eps = config.rms_norm_eps
        self.blocks = [_block(layer, eps) for layer in text_model.layers]
        self.embeddings = text_model.embed_tokens.weight
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        width = config.hidden_size // self.heads
        self.head = getattr(config, "head_dim", None) or width
        self.last_norm = Norm(text_model.norm.weight, eps)
        self._length = 0
        self._step = 0

    def new_cache(self, prompt: Any) -> FixedCache:
        """Make a cache around the model's own, which the prompt is read into."""
        return FixedCache(prompt, self.tokens)

    def text_pass(
        self, tokens: Tensor, mask: Tensor, positions: Tensor, cache: FixedCache
    ) -> Tensor:
        """Return states: of a prompt's embeddings [b, s, h], or of one token per row [b, 1]."""
        if tokens.is_floating_point():
            self._length = tokens.shape[1]
            return self.model_pass(tokens, mask, positions, cache.prompt)
        if not cache.layers:
            cache.open()
            self._prepare(mask, positions)
        at = self._step
        self._step += 1
        rows = slice(None) if cache.rows is None else cache.rows
        seen = self._length + at + 1
        return self.step(
            self.embeddings[tokens[:, 0]],
            self._turns(self.cos[at], rows, 1.0),
            self._turns(self.sin[at], rows, 0.0),
            self.barred[rows, :, :, :seen],
            [layer[:, :, :seen] for layer in cache.layers],
        )[:, None]

    def _prepare(self, mask: Tensor, positions: Tensor) -> None:
        """Compute, for all tokens to come, the angles of rotation and what may be looked at."""
        steps = torch.arange(self.tokens, device=positions.device)
        follow = positions + steps
        many = self.text_model.config.model_type != "llama"  # Qwen turns in three dimensions
        given = follow.expand(3, *follow.shape) if many else follow
        cos, sin = self.text_model.rotary_emb(self.embeddings[:1], given)
        if cos.ndim == 4:  # words have one place in all three
            cos, sin = cos[0], sin[0]
        half = self.head // 2
        self.cos = cos.transpose(0, 1).contiguous()
        self.sin = torch.cat([-sin[..., :half], sin[..., half:]], dim=-1).transpose(0, 1)
        open_ones = functional.pad(mask[:, : self._length], (0, self.tokens), value=True)
        barred = torch.zeros(open_ones.shape, dtype=cos.dtype, device=mask.device)
        lowest = torch.finfo(cos.dtype).min
        self.barred = barred.masked_fill(~open_ones, lowest)[:, None, None]

    def _turns(self, angles: Float[Tensor, "b d"], rows: Any, still: float) -> Tensor:
        """Repeat angles for queries and keys, and `still` for values: [b, heads, d]."""
        turned = angles[rows][:, None].expand(-1, self.heads + self.kv_heads, -1)
        return functional.pad(turned, (0, 0, 0, self.kv_heads), value=still)

    def step(
        self,
        x: Float[Tensor, "b h"],
        cos: Float[Tensor, "b heads d"],
        sin: Float[Tensor, "b heads d"],
        barred: Float[Tensor, "b 1 1 s"],
        layers: list[Tensor],
        place: Int[Tensor, " 1"] | None = None,
    ) -> Float[Tensor, "b h"]:
        """Read one token per row; its keys and values go to `place`, or the last, of each layer."""
        both, half = self.heads + 2 * self.kv_heads, self.head // 2
        for block, cache in zip(self.blocks, layers, strict=True):
            y = block.norm_in(x)
            joined = y @ block.qkv if block.qkv_bias is None else self._biased(y, block)
            parts = joined.view(len(x), both, self.head)
            turned = torch.addcmul(parts * cos, parts.roll(half, dims=-1), sin)
            if place is None:
                cache[:, :, -1].copy_(turned[:, self.heads :])
            else:
                cache.index_copy_(2, place, turned[:, self.heads :, None])
            seen = functional.scaled_dot_product_attention(
                turned[:, : self.heads, None],
                cache[:, : self.kv_heads],
                cache[:, self.kv_heads :],
                attn_mask=barred,
                enable_gqa=self.heads != self.kv_heads,
            )
            x = torch.addmm(x, seen.reshape(len(x), -1), block.out)
            gate, up = (block.norm_after(x) @ block.gate_up).chunk(2, dim=-1)
            x = torch.addmm(x, functional.silu(gate) * up, block.down)
        return self.last_norm(x)

    @staticmethod
    def _biased(y: Tensor, block: Block) -> Tensor:
        assert block.qkv_bias is not None
        return torch.addmm(block.qkv_bias, y, block.qkv)
