"""How large a vision-language model is, from its configuration alone: widths and parameters.

Closed forms over transformers' own modules. A Llama layer has four attention projections, three of
the feed-forward and two norms; SigLIP's layer has biases and two layer norms; Qwen2's queries, keys
and values have biases, and its tower ends in a merger of two linear layers. The tower of Qwen2.5-VL
has gated feed-forwards and norms without a bias; most of its layers look at windows, which is not
counted: its attention costs less than said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vizer_core.vlm.modules import ALL_PROJECTIONS

SIZED = ("idefics3", "smolvlm", "qwen2_vl", "qwen2_5_vl")  # model types that `size_of` knows
IMAGE_PIXELS = 448 * 448  # the size Qwen's tower is counted at: 256 tokens


@dataclass(frozen=True)
class TextSize:
    """A Llama-like language model; `biases` are those of queries, keys and values."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    biases: bool = False

    @property
    def query_width(self) -> int:
        """Width of all queries of one token."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all keys of one token; values are as wide."""
        return self.kv_heads * self.head_dim

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of each linear layer of one block."""
        return {
            "q_proj": (self.width, self.query_width),
            "k_proj": (self.width, self.kv_width),
            "v_proj": (self.width, self.kv_width),
            "o_proj": (self.query_width, self.width),
            "gate_proj": (self.width, self.ffn),
            "up_proj": (self.width, self.ffn),
            "down_proj": (self.ffn, self.width),
        }

    @property
    def linear_weights(self) -> int:
        """Weights that multiply each token, head and embeddings left out."""
        return self.layers * sum(rows * columns for rows, columns in self.projections.values())

    @property
    def parameters(self) -> int:
        """All parameters without the head: embeddings, layers, the last norm."""
        biases = self.query_width + 2 * self.kv_width if self.biases else 0
        norms = self.layers * (2 * self.width + biases) + self.width
        return self.vocabulary * self.width + self.linear_weights + norms

    def lora_parameters(self, rank: int, projections: Sequence[str] = ALL_PROJECTIONS) -> int:
        """Count LoRA's weights: rank * (inputs + outputs) a projection and layer.

        >>> TextSize(2048, 24, 32, 32, 64, 8192, 49155).lora_parameters(32)
        36175872
        """
        sides = [sum(self.projections[name]) for name in projections]
        return self.layers * rank * sum(sides)


@dataclass(frozen=True)
class TowerSize:
    """A vision tower with its connector, at one tile (Qwen: at one image of a given size)."""

    width: int
    layers: int
    ffn: int
    patches: int
    tokens: int
    linear_weights: int
    parameters: int
    connector_weights: int


@dataclass(frozen=True)
class VlmSize:
    """Both sides of a model. A tied head is the embedding table and counts once."""

    text: TextSize
    tower: TowerSize
    tied: bool

    @property
    def head_weights(self) -> int:
        """Weights of the LM head."""
        return self.text.vocabulary * self.text.width

    @property
    def parameters(self) -> int:
        """All parameters of the model."""
        head = 0 if self.tied else self.head_weights
        return self.text.parameters + self.tower.parameters + self.tower.connector_weights + head


def size_of(config: Any, *, pixels: int = IMAGE_PIXELS) -> VlmSize:
    """Read the sizes off a transformers configuration; `pixels` matters to Qwen's families only."""
    if config.model_type in ("idefics3", "smolvlm"):
        tower = _siglip(config)
    elif config.model_type == "qwen2_vl":
        tower = _qwen2(config, pixels)
    elif config.model_type == "qwen2_5_vl":
        tower = _qwen2_5(config, pixels)
    else:
        raise ValueError(f"no sizes for {config.model_type!r}: wanted one of {', '.join(SIZED)}")
    text = config.text_config
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return VlmSize(
        TextSize(
            width=text.hidden_size,
            layers=text.num_hidden_layers,
            heads=text.num_attention_heads,
            kv_heads=text.num_key_value_heads,
            head_dim=head_dim,
            ffn=text.intermediate_size,
            vocabulary=text.vocab_size,
            biases=config.model_type.startswith("qwen2"),
        ),
        tower,
        tied=bool(config.tie_word_embeddings),
    )


def _siglip(config: Any) -> TowerSize:
    vision, scale = config.vision_config, config.scale_factor
    width, ffn, layers = vision.hidden_size, vision.intermediate_size, vision.num_hidden_layers
    patches = (vision.image_size // vision.patch_size) ** 2
    embedding = vision.num_channels * vision.patch_size**2 * width
    linear = layers * (4 * width**2 + 2 * width * ffn)
    biases_and_norms = layers * (4 * width + ffn + width + 4 * width) + 2 * width + width
    return TowerSize(
        width=width,
        layers=layers,
        ffn=ffn,
        patches=patches,
        tokens=patches // scale**2,
        linear_weights=linear + embedding,
        parameters=linear + embedding + biases_and_norms + patches * width,
        connector_weights=width * scale**2 * config.text_config.hidden_size,
    )


def _qwen2(config: Any, pixels: int) -> TowerSize:
    vision = config.vision_config
    width, layers, ffn = vision.embed_dim, vision.depth, vision.embed_dim * vision.mlp_ratio
    merged = width * vision.spatial_merge_size**2
    patches = pixels // vision.patch_size**2
    embedding = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2 * width
    linear = layers * (4 * width**2 + 2 * width * ffn)
    biases_and_norms = layers * (4 * width + ffn + width + 4 * width)
    merger = merged**2 + merged + merged * vision.hidden_size + vision.hidden_size + 2 * width
    return TowerSize(
        width=width,
        layers=layers,
        ffn=ffn,
        patches=patches,
        tokens=patches // vision.spatial_merge_size**2,
        linear_weights=linear + embedding,
        parameters=linear + embedding + biases_and_norms,
        connector_weights=merger,
    )


def _qwen2_5(config: Any, pixels: int) -> TowerSize:
    vision = config.vision_config
    width, layers, ffn = vision.hidden_size, vision.depth, vision.intermediate_size
    merged, out = width * vision.spatial_merge_size**2, vision.out_hidden_size
    patches = pixels // vision.patch_size**2
    embedding = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2 * width
    linear = layers * (4 * width**2 + 3 * width * ffn)
    biases_and_norms = layers * (4 * width + 2 * ffn + width + 2 * width)
    return TowerSize(
        width=width,
        layers=layers,
        ffn=ffn,
        patches=patches,
        tokens=patches // vision.spatial_merge_size**2,
        linear_weights=linear + embedding,
        parameters=linear + embedding + biases_and_norms,
        connector_weights=merged**2 + merged + merged * out + out + width,
    )
