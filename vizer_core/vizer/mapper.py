"""ViZer's mapper h: from language-model states to the space of the frozen vision tower.

ViZer section 3: F^_T = M(.) = h(f_psi(.)), h an MLP of depth 2 whose width was swept (best: 256).

=================  ==============================================================================
f_psi(.)           `states`, [b, t + 1, h]: post-norm, before the LM head
h                  `Mapper`
F^_T               `mapped`, [b, d]
F_I                targets, [b, d], in the space that `FittedMapper.space` makes
=================  ==============================================================================

Where we differ: the activation is not stated, ours is GELU. `layer_norm` (off, as in the formula)
normalises the input. `per_token` maps every state and averages after; otherwise the mean of the
states is mapped, which lets a mapper train on one cached vector per caption.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from math import sqrt
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vizer_core.vizer.collapse import Collapse
from vizer_core.vizer.pooling import POOLS
from vizer_core.vizer.targets import TargetSpace


@dataclass(frozen=True)
class MapperConfig:
    """The shape of a mapper. Depth counts linear layers; the paper's is 2, its width 256."""

    in_width: int
    out_width: int
    width: int = 256  # "width is variable (optimal at 256)" in the digest of section 4
    depth: int = 2  # "fixed at 2 MLP layers"
    layer_norm: bool = False
    pool: str = "mean_read"  # a name in vizer_core.vizer.pooling.POOLS
    per_token: bool = False

    def __post_init__(self) -> None:
        if min(self.in_width, self.out_width, self.width, self.depth) < 1:
            raise ValueError(f"wanted widths and depth of at least 1, got {self}")
        if self.pool not in POOLS:
            raise ValueError(f"no pooling {self.pool!r}: wanted one of {sorted(POOLS)}")

    @property
    def parameters(self) -> int:
        """How many numbers are learned.

        >>> MapperConfig(2048, 1152).parameters
        820608
        """
        sizes = [self.in_width, *[self.width] * (self.depth - 1), self.out_width]
        linear = sum((a + 1) * b for a, b in pairwise(sizes))
        return linear + 2 * self.in_width * self.layer_norm

    def to_dict(self) -> dict[str, Any]:
        """The shape as plain JSON values, for a manifest."""
        return asdict(self)


class Mapper(nn.Module):
    """h of ViZer: linear layers with GELU between them, float32."""

    def __init__(self, config: MapperConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        sizes = [config.in_width, *[config.width] * (config.depth - 1), config.out_width]
        layers: list[nn.Module] = [nn.LayerNorm(config.in_width)] if config.layer_norm else []
        for number, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            layers += [nn.GELU()] if number else []
            layers.append(_linear(fan_in, fan_out, generator))
        self.layers = nn.Sequential(*layers)

    def forward(self, states: Float[Tensor, "*axes h"]) -> Float[Tensor, "*axes d"]:
        """Map states, pooled or not, to the vision tower's space."""
        if states.shape[-1] != self.config.in_width:
            raise ValueError(
                f"states are {states.shape[-1]} wide, this mapper reads {self.config.in_width}: "
                "it was made for another language model"
            )
        return self.layers(states.float())

    def read(
        self, states: Float[Tensor, "b t1 h"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b d"]:
        """Return F^_T of captions from the states of their tokens."""
        pool = POOLS[self.config.pool]
        if self.config.per_token:
            return pool(self(states), mask)
        return self(pool(states.float(), mask))


def _linear(fan_in: int, fan_out: int, generator: torch.Generator) -> nn.Linear:
    """Make a linear layer with torch's own initial distribution, drawn from `generator`."""
    layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
    bound = 1 / sqrt(fan_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


@dataclass
class MapperHistory:
    """A mapper's training: the loss of every step, and the held-out pairs looked at on the way.

    `held_out[i]` was measured after `steps[i]` steps and stands beside the constant answer.
    """

    loss: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    held_out: list[Collapse] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class FittedMapper:
    """A mapper, the space of its targets, and how it was trained."""

    mapper: Mapper
    space: TargetSpace
    history: MapperHistory = field(default_factory=MapperHistory)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def targets(self, image_features: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """Bring F_I into the space that the mapper was trained to answer in."""
        return self.space.apply(image_features)

    def to(self, device: torch.device | str) -> FittedMapper:
        """Move the mapper; targets follow the device of the features."""
        return replace(self, mapper=self.mapper.to(device))

    def cosines(
        self,
        states: Float[Tensor, "b t1 h"],
        mask: Bool[Tensor, "b t"],
        image_features: Float[Tensor, "b d"],
    ) -> Float[Tensor, " b"]:
        """Score captions by cos(F_I, F^_T), one number per caption."""
        mapped, targets = self.mapper.read(states, mask), self.targets(image_features)
        return torch.nn.functional.cosine_similarity(mapped, targets, dim=-1)


def random_mapper(
    config: MapperConfig, space: TargetSpace, *, generator: torch.Generator
) -> FittedMapper:
    """Return a mapper that learned nothing: the control for "any frozen MLP would do"."""
    mapper = Mapper(config, generator=generator).eval().requires_grad_(False)
    return FittedMapper(mapper, space, metadata={"shape": config.to_dict(), "trained": False})
