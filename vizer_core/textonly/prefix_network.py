"""The trained part: from CLIP tokens to a prefix of language-model embeddings.

`PrefixDecoder` (MacCap section 4.2, equations 5 to 8): N_q learned queries attend to each other
and to the region tokens in one Transformer decoder layer; an MLP takes each to the width of the
language model. No positions: the tokens are a set, and shuffling them changes nothing.

    Q' = LN(decoder_layer(Q; tokens)),   E = MLP(Q')

`SingleTokenMLP` is the prefix network of the paper's single-token rows (CapDec, DeCap and Baseline
with a frozen language model): one CLIP vector in, one prefix position out.

At D = 512 and a language model of width 2048 they have 5,797,376 and 1,575,936 parameters, the
paper's "5.7M" and "1.5M". symbol -> name: N_q -> queries; D -> clip_width; D_l -> lm_width.

Where we differ: each end can be set to the scale of what it meets, before training. The input is
shifted and scaled by stored statistics (`standardise_on`): features of a CLIP at logit scale 100
share one large constant vector, and what tells texts apart is small beside it. The output starts
out spread like the language model's own words (`start_near_words`), not at some point that no text
ever was. The decoder can normalise before each sub-layer (`norm_first`). At the paper's size all
three are off; on the drawn models they shorten training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class PrefixConfig:
    """Sizes of an `PrefixDecoder`; the defaults are MacCap's.

    The paper gives one layer, 8 heads and "an MLP"; 32 queries, the feed-forward width, dropout
    and the MLP's three layers are read from the release (D10).
    """

    clip_width: int
    lm_width: int
    queries: int = 32
    heads: int = 8
    feedforward: int = 2048
    dropout: float = 0.1
    mlp_layers: int = 3
    norm_first: bool = False

    def __post_init__(self) -> None:
        if min(self.clip_width, self.lm_width, self.queries, self.heads, self.mlp_layers) < 1:
            raise ValueError(f"every size must be at least 1, got {self}")
        if self.clip_width % self.heads:
            raise ValueError(
                f"clip_width {self.clip_width} cannot be cut into {self.heads} heads: pass heads= "
                "a divisor of it"
            )


@dataclass(frozen=True)
class MLPConfig:
    """Sizes of a `SingleTokenMLP`; the hidden layers are as wide as CLIP's space."""

    clip_width: int
    lm_width: int
    mlp_layers: int = 3

    def __post_init__(self) -> None:
        if min(self.clip_width, self.lm_width, self.mlp_layers) < 1:
            raise ValueError(f"every size must be at least 1, got {self}")


@runtime_checkable
class PrefixNetwork(Protocol):
    """What training and inference want of a prefix network, an `nn.Module` with a config."""

    config: PrefixConfig | MLPConfig

    @property
    def prefix_length(self) -> int:
        """Positions q that the prefix takes."""

    def __call__(self, tokens: Float[Tensor, "b r d"]) -> Float[Tensor, "b q h"]:
        """Turn CLIP tokens into a prefix."""

    def standardise_on(self, tokens: Float[Tensor, "n r d"]) -> None:
        """Set the input's shift and scale to these tokens' mean and deviation."""

    def start_near_words(self, words: Float[Tensor, "v h"], *, generator: torch.Generator) -> None:
        """Draw the MLP's weights so that an untrained prefix is spread like these embeddings."""


class InputScale(nn.Module):
    """Shift and scale each coordinate by stored numbers: nothing is learned, nothing by default."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def set_from(self, tokens: Float[Tensor, "n r d"]) -> None:
        """Take mean and standard deviation of each coordinate over all tokens."""
        flat = tokens.float().flatten(0, 1)
        if len(flat) < 2:
            raise ValueError(f"got {len(flat)} token: wanted at least 2 to measure a deviation")
        deviation = flat.std(dim=0)
        if bool((deviation == 0).any()):
            raise ValueError(
                f"{int((deviation == 0).sum())} coordinates are the same in all {len(flat)} tokens:"
                " nothing to scale by. Pass tokens of different texts."
            )
        self.mean.copy_(flat.mean(dim=0))
        self.scale.copy_(deviation)

    def forward(self, tokens: Float[Tensor, "b r d"]) -> Float[Tensor, "b r d"]:
        """Return (tokens - mean) / scale."""
        return (tokens - self.mean) / self.scale


class PrefixDecoder(nn.Module):
    """Learned queries read a set of CLIP tokens in one decoder layer (MacCap equations 5 to 8)."""

    def __init__(self, config: PrefixConfig) -> None:
        super().__init__()
        self.config = config
        d = config.clip_width
        self.input_scale = InputScale(d)
        self.queries = nn.Parameter(torch.randn(config.queries, d))
        self.layer = nn.TransformerDecoderLayer(
            d,
            config.heads,
            config.feedforward,
            config.dropout,
            batch_first=True,
            norm_first=config.norm_first,
        )
        self.norm = nn.LayerNorm(d)
        self.mlp = _mlp(d, config.lm_width, config.mlp_layers)

    @property
    def prefix_length(self) -> int:
        """Positions q that the prefix takes: one a query."""
        return self.config.queries

    def standardise_on(self, tokens: Float[Tensor, "n r d"]) -> None:
        """Set the input's shift and scale to these tokens' mean and deviation."""
        self.input_scale.set_from(tokens)

    def start_near_words(self, words: Float[Tensor, "v h"], *, generator: torch.Generator) -> None:
        """Draw the MLP's weights so that an untrained prefix is spread like these embeddings."""
        _spread_like(self.mlp, words, generator)

    def forward(self, tokens: Float[Tensor, "b r d"]) -> Float[Tensor, "b q h"]:
        """Turn a set of r tokens into a prefix of q embeddings; the tokens' order is ignored."""
        _require_width(tokens, self.config.clip_width)
        memory = self.input_scale(tokens)
        queries = repeat(self.queries, "q d -> b q d", b=tokens.shape[0])
        return self.mlp(self.norm(self.layer(queries, memory)))


class SingleTokenMLP(nn.Module):
    """One CLIP vector in, one prefix position out (the frozen-LM rows of MacCap tables 2 and 3)."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        self.input_scale = InputScale(config.clip_width)
        self.mlp = _mlp(config.clip_width, config.lm_width, config.mlp_layers)

    @property
    def prefix_length(self) -> int:
        """Always 1."""
        return 1

    def standardise_on(self, tokens: Float[Tensor, "n r d"]) -> None:
        """Set the input's shift and scale to these tokens' mean and deviation."""
        self.input_scale.set_from(tokens)

    def start_near_words(self, words: Float[Tensor, "v h"], *, generator: torch.Generator) -> None:
        """Draw the MLP's weights so that an untrained prefix is spread like these embeddings."""
        _spread_like(self.mlp, words, generator)

    def forward(self, tokens: Float[Tensor, "b r d"]) -> Float[Tensor, "b q h"]:
        """Turn one token into one embedding."""
        _require_width(tokens, self.config.clip_width)
        if tokens.shape[1] != 1:
            raise ValueError(
                f"SingleTokenMLP reads 1 token an item, got {tokens.shape[1]}: train with "
                "tokens=1, or use PrefixDecoder"
            )
        return self.mlp(self.input_scale(tokens))


def new_prefix_network(config: PrefixConfig | MLPConfig) -> PrefixDecoder | SingleTokenMLP:
    """Make the prefix network of a config, with fresh weights from torch's global generator.

    >>> new_prefix_network(MLPConfig(clip_width=4, lm_width=6)).prefix_length
    1
    """
    if isinstance(config, MLPConfig):
        return SingleTokenMLP(config)
    return PrefixDecoder(config)


def trainable_parameters(module: nn.Module) -> int:
    """Count the parameters that training changes.

    >>> trainable_parameters(PrefixDecoder(PrefixConfig(clip_width=512, lm_width=2048)))
    5797376
    >>> trainable_parameters(SingleTokenMLP(MLPConfig(clip_width=512, lm_width=2048)))
    1575936
    """
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _mlp(width: int, out: int, layers: int) -> nn.Sequential:
    hidden = [part for _ in range(layers - 1) for part in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(width, out))


@torch.no_grad()
def _spread_like(mlp: nn.Sequential, words: Tensor, generator: torch.Generator) -> None:
    """Keep unit variance up to the last layer (He et al. 2015, section 2.2); end like the words."""
    linear = [part for part in mlp if isinstance(part, nn.Linear)]
    if words.shape[0] < 2 or words.shape[1] != linear[-1].out_features:
        raise ValueError(
            f"got embeddings {tuple(words.shape)}: wanted at least 2, of the width "
            f"{linear[-1].out_features} that this prefix network was made for"
        )
    for layer in linear[:-1]:
        drawn = torch.randn(layer.weight.shape, generator=generator)
        layer.weight.copy_(drawn * (2 / layer.in_features) ** 0.5)
        layer.bias.zero_()
    words = words.float().cpu()
    mean = words.mean(dim=0)
    _, lengths, axes = torch.linalg.svd(words - mean, full_matrices=False)
    width = linear[-1].in_features
    drawn = torch.randn(len(lengths), width, generator=generator) / width**0.5
    linear[-1].weight.copy_(axes.T @ (drawn * (lengths / len(words) ** 0.5)[:, None]))
    linear[-1].bias.copy_(mean)


def _require_width(tokens: Tensor, width: int) -> None:
    if tokens.shape[-1] != width:
        raise ValueError(
            f"got tokens of width {tokens.shape[-1]}, but this network was made for {width}: use "
            "features of the CLIP that it was trained on"
        )
