"""What a drawn CLIP's training run consists of: a model, stages, and what it records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from vizer_lab.zoo.clip_model import DrawnClipConfig
from vizer_lab.zoo.muon import OPTIMIZERS

YOUNGER = {
    "captions_each": 1,
    "method": "adamw",
    "views": 0.0,
}  # fields, and what they are when left out


@dataclass(frozen=True)
class Stage:
    """One part of the curriculum. `scale` None leaves `logit_scale` to be learned.

    Each image is compared with `captions_each` of its captions in turn: the text tower is the
    cheaper one, and every caption leaves out something else. `method` is the optimizer: `adamw`
    for all, or `muon` for the matrices (`zoo.muon`). `views` weighs the loss that draws views of
    an image towards it (`zoo.view_alignment`); the feed then has them behind the images.
    """

    name: str
    steps: int
    batch: int
    learning_rate: float
    easy: bool = False
    scale: float | None = None
    captions_each: int = 1
    method: str = "adamw"
    views: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in OPTIMIZERS:
            raise ValueError(f"no optimizer {self.method!r}: wanted one of {list(OPTIMIZERS)}")
        if self.steps < 1 or self.batch < 2 or self.views < 0:
            raise ValueError(
                f"stage {self.name!r}: wanted steps >= 1, batch >= 2 and views >= 0, got {self}"
            )


@dataclass(frozen=True)
class ClipRecipe:
    """A whole training run: the model, its stages, and the seed of its weights.

    A recipe with a `parent` starts from that model's weights instead of fresh ones, and
    `first_scene` keeps it off the scenes that the parent has seen.
    """

    model: DrawnClipConfig
    stages: tuple[Stage, ...]
    parent: str | None = None
    first_scene: int = 0
    weight_decay: float = 0.1
    warmup_steps: int = 80
    seed: int = 0

    @property
    def samples(self) -> int:
        """Image-text pairs seen in all."""
        return sum(stage.steps * stage.batch for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, for a manifest.

        A field that is younger than some shipped manifests is left out where it is as it was then.
        """
        plain = asdict(self) | {"stages": [asdict(stage) for stage in self.stages]}
        for part in plain["stages"]:
            for name, was in YOUNGER.items():
                if part.get(name) == was:
                    del part[name]
        return plain

    def shortened(self, factor: float) -> ClipRecipe:
        """The same recipe with every stage cut to `factor` of its steps (for tests)."""
        stages = tuple(replace(s, steps=max(2, int(s.steps * factor))) for s in self.stages)
        return replace(self, stages=stages)


@dataclass
class History:
    """Losses by step, and the step at which each stage began."""

    loss: list[float] = field(default_factory=list)
    stage_starts: dict[str, int] = field(default_factory=dict)


# images uint8 [b, 3, s, s], or [(1 + v) * b, ...] with v views of each; ids [captions_each * b, t]
Batch = tuple[Tensor, Tensor]
Feed = Callable[[Stage, int], Iterator[Batch]]  # a stage, and how many of its batches are done
