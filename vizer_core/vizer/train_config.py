"""How an adapter is trained, in settings and in numbers: for losses and for policy gradients alike.

===================  ============================================================================
VIZER_PAPER          ViZer section 4: AdamW, weight decay 0.01, 1 epoch; a caption an image
VIZER_MICRO          the same at the learning rate and batch of the micro models
POLICY_GRADIENT      four captions an image, the distance from the base known at every step
===================  ============================================================================

ViZer does not state learning rate, batch, warm-up, clipping and decoding; its "RL" rows state none
of these. The anchor KL(base || now) is ours, and off unless `kl_weight` says so. Others are made by
`dataclasses.replace(POLICY_GRADIENT, learning_rate=1e-4)`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from vizer_core.decoding import Decoding, Sample


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training; it takes images times epochs over `images_per_step` steps.

    `samples` captions are written for each image. `micro_batch_size` images of a step go through
    with gradient at once and the rest after them (gradient accumulation), all at once where it is
    None: less memory, the same step but for rounding. A run's identity leaves it out.
    """

    learning_rate: float = 2e-4
    images_per_step: int = 32  # of all processes together
    samples: int = 1
    epochs: int = 1  # "Both the mapper and the VLM are trained for 1 epoch each"
    weight_decay: float = 0.01  # "AdamW optimizer with weight decay of 0.01"
    warmup_steps: int = 5
    clip_norm: float = 1.0
    decoding: Decoding = field(default_factory=Sample)
    prompt: str | None = None
    kl_weight: float = 0.0
    kl_every: int = 10  # steps from one look at KL(base || now) to the next; 0 never looks
    max_kl: float = float("inf")  # stop when KL(base || now) passes this
    save_every: int = 20
    micro_batch_size: int | None = None

    def __post_init__(self) -> None:
        counts = (self.images_per_step, self.samples, self.epochs, self.save_every)
        counts += (self.micro_batch_size or 1, self.warmup_steps + 1, self.kl_every + 1)
        if min(counts) < 1:
            raise ValueError(
                "wanted at least 1 image a step, 1 sample, 1 epoch and no negative count, got "
                f"{self}"
            )
        if not self.learning_rate > 0 or not self.clip_norm > 0 or self.kl_weight < 0:
            raise ValueError(
                f"wanted a positive learning rate and clip, kl_weight >= 0, got {self}"
            )
        if self.max_kl < float("inf") and not (self.kl_every or self.kl_weight):
            raise ValueError(f"max_kl={self.max_kl} needs kl_every > 0: nothing would measure it")

    def measures_kl(self, step: int) -> bool:
        """Say whether the distance from the base is known after this step, counted from 0.

        >>> [step for step in range(25) if VIZER_MICRO.measures_kl(step)]
        [0, 10, 20]
        """
        return bool(self.kl_weight or (self.kl_every and step % self.kl_every == 0))

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values, for a manifest."""
        rule = {"rule": type(self.decoding).__name__} | asdict(self.decoding)
        limit = self.max_kl if self.max_kl < float("inf") else None
        plain = {key: value for key, value in asdict(self).items() if key != "micro_batch_size"}
        return plain | {"decoding": rule, "max_kl": limit}


VIZER_PAPER = TrainConfig(learning_rate=1e-4, images_per_step=8, decoding=Sample(max_tokens=32))
VIZER_MICRO = TrainConfig()
POLICY_GRADIENT = TrainConfig(samples=4, kl_every=1, save_every=5)


@dataclass
class TrainHistory:
    """What happened, one entry a step; `stopped` says why a run ended before its last image.

    `loss` is the objective's, without the anchor. `reward` and `spread`, the mean standard
    deviation of rewards within an image, are a policy gradient's, empty otherwise: without spread
    there is nothing to learn from. `kl` is None where it was not measured. `length` counts tokens
    a caption, `top1` is the share of the step's commonest caption.
    """

    loss: list[float] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    kl: list[float | None] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    length: list[float] = field(default_factory=list)
    top1: list[float] = field(default_factory=list)
    stopped: str | None = None
