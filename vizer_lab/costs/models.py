"""CLIP and causal language models by their shapes: FLOPs an image or token, bytes, parameters.

A transformer layer of width w has 4 w^2 weights in attention and 2 w f in its feed-forward part; a
token costs 2 FLOPs a weight, and attention 4 w for every token that it looks at. Shapes are those
of open_clip's and the hub's configurations; parameter totals are checked against the real classes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TowerShape:
    """One transformer: width, layers, width of the feed-forward part, tokens it reads."""

    width: int
    layers: int
    ffn: int
    tokens: int

    @property
    def weights(self) -> int:
        """Weights of all layers that multiply a token."""
        return self.layers * (4 * self.width**2 + 2 * self.width * self.ffn)

    def flops(self, tokens: int) -> float:
        """FLOPs of reading `tokens` tokens that all look at each other."""
        attention = 4 * self.layers * self.width * tokens**2
        return float(2 * self.weights * tokens + attention)


@dataclass(frozen=True)
class ClipSize:
    """A CLIP: two towers and the width of their space."""

    name: str
    image: TowerShape
    text: TowerShape
    embed_dim: int
    patch: int
    parameters: int
    image_size: int = 224

    @property
    def image_flops(self) -> int | float:
        """FLOPs of one image: patch embedding, tower, projection."""
        patches = (self.image_size // self.patch) ** 2
        stem = 2 * 3 * self.patch**2 * self.image.width * patches
        return stem + self.image.flops(self.image.tokens) + 2 * self.image.width * self.embed_dim

    def text_flops(self, tokens: int = 15) -> int | float:
        """FLOPs of one caption without its padding."""
        return self.text.flops(tokens) + 2 * self.text.width * self.embed_dim


@dataclass(frozen=True)
class LmSize:
    """A causal language model."""

    name: str
    shape: TowerShape
    vocabulary: int
    parameters: int

    @property
    def head(self) -> int:
        """Weights of the LM head."""
        return self.vocabulary * self.shape.width

    def kv_bytes(self, model_bytes: int = 2) -> int:
        """Keys and values of one token, all layers."""
        return 2 * self.shape.layers * self.shape.width * model_bytes


CLIP_B32 = ClipSize(
    "ViT-B/32", TowerShape(768, 12, 3072, 50), TowerShape(512, 12, 2048, 77), 512, 32, 151_277_313
)
CLIP_L14 = ClipSize(
    "ViT-L/14", TowerShape(1024, 24, 4096, 257), TowerShape(768, 12, 3072, 77), 768, 14, 427_616_513
)
OPT_125M = LmSize("OPT-125M", TowerShape(768, 12, 3072, 0), 50_272, 125_239_296)
OPT_1B = LmSize("OPT-1.3B", TowerShape(2048, 24, 8192, 0), 50_272, 1_315_758_080)
