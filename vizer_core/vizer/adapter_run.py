"""A training of an adapter, whatever its objective: its settings, its record, and its steps.

===================  ============================================================================
VIZER_PAPER          ViZer section 4: AdamW, weight decay 0.01, 1 epoch; a caption per image
VIZER_SMALL          the same at the learning rate and batch of the small models
POLICY_GRADIENT      four captions per image, the distance from the base known at every step
===================  ============================================================================

ViZer does not state learning rate, batch, warm-up, clipping and decoding; its "RL" rows state none
of these. The anchor KL(base || now) is ours, and off unless `kl_weight` says so. Others are made by
`dataclasses.replace(POLICY_GRADIENT, learning_rate=1e-4)`.

`AdapterRun` is what `train_adapter` keeps: it deals the images into steps before anything else is
drawn, yields the steps that are left, and saves its state (`run_state.Run`) after each that is due:
a run that is killed goes on to the same end. With its state goes what the vision side says of a few
images: a source that shows others is refused. Stopped by Ctrl-C it saves the last step that was
whole (`kept_when_stopped`). Of several processes the first saves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from math import cos, pi
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from vizer_core.decoding import Decoding, Sample
from vizer_core.distributed import is_main_process
from vizer_core.files import METADATA
from vizer_core.run_state import Run, load_run, save_run
from vizer_core.vizer.lora import lora_parameters
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm.protocol import VisionLanguageModel

logger = logging.getLogger(__name__)

LOOKED_AT = 16  # images that tell one source from another
PATCHES = 8  # runs of embeddings, of which a mean each tells one image from another
SAME_IMAGE = 0.02  # of a vector's length; bfloat16 has steps of 0.004


# what is left of the rate where a share of the steps after the warm-up is done
DECAYS: Mapping[str, Callable[[float], float]] = {
    "none": lambda past: 1.0,
    "linear": lambda past: 1.0 - past,
    "cosine": lambda past: (1.0 + cos(pi * past)) / 2,
}


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training; it takes images times epochs over `images_per_step` steps.

    `samples` captions are generated for each image. `micro_batch_size` images of a step go through
    with gradient at once and the rest after them (gradient accumulation), all at once where it is
    None: less memory, the same step but for rounding. A run's identity leaves it out.
    """

    learning_rate: float = 2e-4
    images_per_step: int = 32  # of all processes together
    samples: int = 1
    epochs: int = 1  # "Both the mapper and the VLM are trained for 1 epoch each"
    weight_decay: float = 0.01  # "AdamW optimizer with weight decay of 0.01"
    warmup_steps: int = 5
    decay: str = "none"  # of the rate after the warm-up, down to 0: none, linear, cosine
    clip_norm: float = 1.0
    decoding: Decoding = field(default_factory=Sample)
    prompt: str | None = None
    kl_weight: float = 0.0
    kl_every: int = 10  # steps from one measure of KL(base || now) to the next; 0: never
    max_kl: float = float("inf")  # stop when KL(base || now) passes this
    save_every: int = 20
    micro_batch_size: int | None = None

    def __post_init__(self) -> None:
        counts = (self.images_per_step, self.samples, self.epochs, self.save_every)
        counts += (self.micro_batch_size or 1, self.warmup_steps + 1, self.kl_every + 1)
        if min(counts) < 1:
            raise ValueError(
                "wanted at least 1 image per step, 1 sample, 1 epoch and no negative count, got "
                f"{self}"
            )
        if not self.learning_rate > 0 or not self.clip_norm > 0 or self.kl_weight < 0:
            raise ValueError(
                f"wanted a positive learning rate and clip, kl_weight >= 0, got {self}"
            )
        if self.decay not in DECAYS:
            raise ValueError(f"decay is {self.decay!r}: wanted one of {', '.join(DECAYS)}")
        if self.max_kl < float("inf") and not (self.kl_every or self.kl_weight):
            raise ValueError(f"max_kl={self.max_kl} needs kl_every > 0: nothing would measure it")

    def measures_kl(self, step: int) -> bool:
        """Say whether the distance from the base is known after this step, counted from 0.

        >>> [step for step in range(25) if VIZER_SMALL.measures_kl(step)]
        [0, 10, 20]
        """
        return bool(self.kl_weight or (self.kl_every and step % self.kl_every == 0))

    def rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of a step, counted from 0, of a run of so many.

        >>> config = TrainConfig(learning_rate=1.0, warmup_steps=1, decay="linear")
        >>> [config.rate_at(step, 5) for step in range(5)]
        [0.5, 1.0, 0.75, 0.5, 0.25]
        """
        warm = self.learning_rate * min(1.0, (step + 1) / (self.warmup_steps + 1))
        past = max(0, step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        return warm * DECAYS[self.decay](past)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values, for a manifest; decay only where there is one."""
        rule = {"rule": type(self.decoding).__name__} | asdict(self.decoding)
        limit = self.max_kl if self.max_kl < float("inf") else None
        left = {"micro_batch_size"} | ({"decay"} if self.decay == "none" else set())
        plain = {key: value for key, value in asdict(self).items() if key not in left}
        return plain | {"decoding": rule, "max_kl": limit}


VIZER_PAPER = TrainConfig(learning_rate=1e-4, images_per_step=8, decoding=Sample(max_tokens=32))
VIZER_SMALL = TrainConfig()
POLICY_GRADIENT = TrainConfig(samples=4, kl_every=1, save_every=5)


@dataclass
class TrainHistory:
    """What happened, one entry per step; `stopped` says why a run ended before its last image.

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


def deal_images(
    count: int, images_per_step: int, *, epochs: int = 1, generator: torch.Generator
) -> list[list[int]]:
    """Deal images into steps, anew each epoch.

    >>> [len(step) for step in deal_images(5, 2, generator=torch.Generator())]
    [2, 2, 1]
    """
    if not count:
        raise ValueError("the source contains no image: there is nothing to train on")
    batches: list[list[int]] = []
    for _ in range(epochs):
        dealt = torch.randperm(count, generator=generator)
        batches += [part.tolist() for part in dealt.split(images_per_step)]
    return batches


@dataclass(eq=False)
class AdapterRun:
    """An adapter in training: its optimizer, its steps, and where it saves itself."""

    config: TrainConfig
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.AdamW
    batches: list[list[int]]
    history: TrainHistory
    generator: torch.Generator
    metadata: Mapping[str, Any]
    scaler: torch.amp.GradScaler
    checkpoint: Path | None = None
    seen: dict[str, Tensor] = field(default_factory=dict)  # some of the images: `_look_at`
    shown: dict[str, str] = field(default_factory=dict)
    whole: Run | None = None  # the state after the last whole step, where it is not saved yet
    saved: int = 0  # steps that the checkpoint contains

    @classmethod
    def open(
        cls,
        vlm: VisionLanguageModel,
        config: TrainConfig,
        *,
        metadata: Mapping[str, Any],
        source: VisionSource,
        generator: torch.Generator,
        checkpoint: Path | None = None,
    ) -> AdapterRun:
        """Start a run on the adapter that `vlm` carries, or go on with the one at `checkpoint`.

        A checkpoint is refused where the model, the images or their order, the adapter's size or
        one of `metadata` (plain JSON values) is another than when it was written.
        """
        batches = deal_images(
            len(source), config.images_per_step, epochs=config.epochs, generator=generator
        )
        parameters = lora_parameters(vlm)
        metadata = _metadata(vlm, metadata, batches)
        optimizer = torch.optim.AdamW(
            parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        half = any(weight.dtype == torch.float16 for weight in vlm.model.parameters())
        scaler = torch.amp.GradScaler(vlm.device.type, enabled=half)
        kept = load_run(checkpoint, metadata) if checkpoint else None
        seen, history = _look_at(source) if checkpoint else {}, TrainHistory()
        if kept:
            _require_same_images(kept.tensors, seen, checkpoint)
            kept.restore(parameters, optimizer, generator=generator)
            history = TrainHistory(**kept.record["history"])
            if half:
                scaler.load_state_dict(kept.record["scaler"])
        vlm.model.eval()  # no dropout: the caption that is read must be the one that was generated
        return cls(
            config=config,
            parameters=parameters,
            optimizer=optimizer,
            batches=batches,
            history=history,
            generator=generator,
            metadata=metadata,
            scaler=scaler,
            checkpoint=checkpoint,
            seen=seen,
            saved=len(history.gradient_norm),
        )

    @property
    def left(self) -> list[list[int]]:
        """The images of the steps that are left, none where the run was stopped."""
        done = len(self.history.gradient_norm)
        return [] if self.history.stopped else self.batches[done:]

    def steps(self, *, progress: bool = False) -> Iterator[tuple[int, list[int]]]:
        """Yield the steps that are left, with the indices of their images; end when stopped."""
        done, todo = len(self.history.gradient_norm), self.left
        bar = tqdm(todo, initial=done, total=len(self.batches), disable=not progress)
        for step, indices in enumerate(bar, start=done):
            yield step, indices
            bar.set_postfix(self.shown)
            if self.history.stopped:
                return

    def close_step(self, step: int) -> None:
        """Stop if the model is too far from its base; save when it is time."""
        kl = self.history.kl[-1]
        if kl is not None and kl > self.config.max_kl:
            self.history.stopped = f"KL {kl:.2f} > {self.config.max_kl:g} after step {step + 1}"
            logger.warning("stopped early: %s", self.history.stopped)
        last = step + 1 == len(self.batches) or self.history.stopped is not None
        due = last or (step + 1) % self.config.save_every == 0
        if self.checkpoint and is_main_process() and self.optimizer.state:  # not all overflowed
            record = {METADATA: self.metadata, "history": asdict(self.history)}
            if self.scaler.is_enabled():
                record["scaler"] = self.scaler.state_dict()
            state = Run.capture(self.parameters, self.optimizer, record, generator=self.generator)
            state.tensors.update(self.seen)
            self.whole = state
            if due:
                self._save()

    @contextmanager
    def kept_when_stopped(self) -> Iterator[None]:
        """Save the last whole step when `KeyboardInterrupt` comes, and raise it again.

        It then says how far the run is, as in "step 3 of 50"; nothing where no step was kept.
        """
        try:
            yield
        except KeyboardInterrupt as error:
            if self.whole is not None:
                self._save()
            kept = self.checkpoint is not None and self.checkpoint.is_file()
            if not kept or not is_main_process():
                raise
            raise KeyboardInterrupt(f"step {self.saved} of {len(self.batches)}") from error

    def _save(self) -> None:
        """Write the state after the last whole step."""
        assert self.checkpoint is not None and self.whole is not None
        save_run(self.checkpoint, self.whole)
        self.saved, self.whole = len(self.whole.record["history"]["gradient_norm"]), None


@torch.no_grad()
def _look_at(source: VisionSource) -> dict[str, Tensor]:
    """Return targets of at most `LOOKED_AT` images, spread over the source, and their embeddings.

    Targets may be another's, so the embeddings, which the language model reads, count too: the
    means of `PATCHES` runs of them, [k, PATCHES * h].
    """
    last = len(source) - 1
    indices = sorted({round(last * i / (LOOKED_AT - 1)) for i in range(LOOKED_AT)})
    vision = source.select(indices)
    parts = [
        torch.stack([part.float().mean(dim=0) for part in embeddings.tensor_split(PATCHES)])
        if len(embeddings) >= PATCHES
        else embeddings.float().mean(dim=0).expand(PATCHES, -1)
        for embeddings in vision.image_embeddings
    ]
    found = {"images": vision.targets, "embeddings": torch.stack(parts).flatten(1)}
    return {name: value.detach().float().cpu().contiguous() for name, value in found.items()}


def _require_same_images(
    kept: Mapping[str, Tensor], seen: Mapping[str, Tensor], checkpoint: Path
) -> None:
    """Raise `ValueError` where images look otherwise than when a checkpoint was written.

    Another machine rounds otherwise, so a small difference is none.
    """
    if not all(_are_alike(kept.get(name), now) for name, now in seen.items()):
        raise ValueError(
            f"{checkpoint} belongs to another run: its images, or the targets that they carry, are "
            "others. Delete it to start again, or give the images that it was made with"
        )


def _are_alike(then: Float[Tensor, "k d"] | None, now: Float[Tensor, "k d"]) -> bool:
    if then is None or then.shape != now.shape:
        return False
    return bool(((now - then).norm(dim=1) <= SAME_IMAGE * then.norm(dim=1) + 1e-6).all())


def _metadata(
    vlm: VisionLanguageModel, metadata: Mapping[str, Any], batches: list[list[int]]
) -> dict[str, Any]:
    adapter = vlm.model.peft_config["default"]
    return {
        "vlm": vlm.fingerprint,
        **metadata,
        "lora": {"rank": adapter.r, "alpha": adapter.lora_alpha},
        "order": sha256(str(batches).encode()).hexdigest()[:16],
    }
