"""A run that trains an adapter: what `train_zero_label` and `train_rl` do alike, in one place.

Both deal their images into steps before anything else is drawn, take AdamW steps with a warm-up
and a clipped gradient, watch the distance from the base, and save what the rest of the run depends
on. A run that is opened on a checkpoint goes on from there to the same end. With its state it keeps
what the vision side says of a few images: a source that shows others is refused. Stopped by Ctrl-C
it saves the last step that was whole (`kept_when_stopped`).

Several processes (`torchrun`) take the same steps: each reads its part of a step's images
(`step_part`), gradients are summed, the first process saves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from vizer_core.processes import is_main_process, sum_gradients
from vizer_core.vizer.checkpoint import Run, load_run, save_run
from vizer_core.vizer.lora import lora_parameters
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm.protocol import VisionLanguageModel

logger = logging.getLogger(__name__)

LOOKED_AT = 16  # images that tell one source from another
PATCHES = 8  # runs of embeddings, of which a mean each tells one image from another
SAME_IMAGE = 0.02  # of a vector's length; bfloat16 has steps of 0.004


@runtime_checkable
class StepConfig(Protocol):
    """The settings that both ways of training have."""

    learning_rate: float
    epochs: int
    images_per_step: int
    images_at_once: int | None
    weight_decay: float
    warmup_steps: int
    clip_norm: float
    max_kl: float
    save_every: int


@runtime_checkable
class RunHistory(Protocol):
    """What both histories write down, one entry a step; a dataclass of plain values."""

    gradient_norm: list[float]
    stopped: str | None


History = TypeVar("History", bound=RunHistory)


def deal_images(
    count: int, images_per_step: int, *, epochs: int = 1, generator: torch.Generator
) -> list[list[int]]:
    """Deal images into steps, anew each epoch.

    >>> [len(step) for step in deal_images(5, 2, generator=torch.Generator())]
    [2, 2, 1]
    """
    if not count:
        raise ValueError("the source holds no image: there is nothing to train on")
    batches: list[list[int]] = []
    for _ in range(epochs):
        dealt = torch.randperm(count, generator=generator)
        batches += [part.tolist() for part in dealt.split(images_per_step)]
    return batches


@dataclass(eq=False)
class AdapterRun(Generic[History]):
    """An adapter in training: its optimizer, its steps, and where it saves itself."""

    config: StepConfig
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.AdamW
    batches: list[list[int]]
    history: History
    generator: torch.Generator
    made_by: dict[str, Any]
    scaler: torch.amp.GradScaler
    checkpoint: Path | None = None
    seen: dict[str, Tensor] = field(default_factory=dict)  # some of the images: `_look_at`
    shown: dict[str, str] = field(default_factory=dict)
    whole: Run | None = None  # the state after the last whole step, where it is not saved yet
    saved: int = 0  # steps that the checkpoint holds

    @classmethod
    def open(
        cls,
        vlm: VisionLanguageModel,
        config: StepConfig,
        history: History,
        *,
        facts: Mapping[str, Any],
        source: VisionSource,
        generator: torch.Generator,
        checkpoint: Path | None = None,
    ) -> AdapterRun[History]:
        """Start a run on the adapter that `vlm` carries, or go on with the one at `checkpoint`.

        A checkpoint is refused where the model, the images or their order, the adapter's size or
        one of `facts` (plain JSON values) is another than when it was written.
        """
        batches = deal_images(
            len(source), config.images_per_step, epochs=config.epochs, generator=generator
        )
        parameters = lora_parameters(vlm)
        made_by = _identity(vlm, facts, batches)
        optimizer = torch.optim.AdamW(
            parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        half = any(weight.dtype == torch.float16 for weight in vlm.model.parameters())
        scaler = torch.amp.GradScaler(vlm.device.type, enabled=half)
        kept = load_run(checkpoint, made_by) if checkpoint else None
        seen = _look_at(source) if checkpoint else {}
        if kept:
            _require_same_images(kept.tensors, seen, checkpoint)
            kept.restore(parameters, optimizer, generator=generator)
            history = replace(history, **kept.record["history"])
            if half:
                scaler.load_state_dict(kept.record["scaler"])
        vlm.model.eval()  # no dropout: the caption that is read must be the one that was written
        parts = (config, parameters, optimizer, batches, history, generator, made_by, scaler)
        return cls(*parts, checkpoint, seen, saved=len(history.gradient_norm))

    def steps(self, *, progress: bool = False) -> Iterator[tuple[int, list[int]]]:
        """Yield the steps that are left, with the places of their images; end when stopped."""
        done = len(self.history.gradient_norm)
        todo = [] if self.history.stopped else self.batches[done:]
        bar = tqdm(todo, initial=done, total=len(self.batches), disable=not progress)
        for step, places in enumerate(bar, start=done):
            yield step, places
            bar.set_postfix(self.shown)
            if self.history.stopped:
                return

    def descend(self, losses: Iterable[Tensor], step: int) -> float:
        """Take one AdamW step, its rate warmed up, its gradient clipped; return its norm before.

        `losses` are weighted pieces of the step's loss, made one at a time; over all of them and
        all processes they add up to it. A float16 base's gradients are scaled, and unscaled before
        they are clipped; a step that overflows is skipped.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for loss in losses:
            self.scaler.scale(loss).backward()
            total += float(loss.detach())
        sum_gradients(self.parameters.values())
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.clip_norm)
        if not bool(torch.isfinite(norm)) and not self.scaler.is_enabled():
            raise ValueError(
                f"step {step + 1}: loss {total}, gradient norm {float(norm)}. "
                "Lower the learning rate, or look for NaN in the image features."
            )
        for group in self.optimizer.param_groups:
            warmth = (step + 1) / (self.config.warmup_steps + 1)
            group["lr"] = self.config.learning_rate * min(1.0, warmth)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return float(norm)

    def close_step(self, step: int, *, kl: float | None) -> None:
        """Stop if the model is too far from its base; save when it is time."""
        if kl is not None and kl > self.config.max_kl:
            self.history.stopped = f"KL {kl:.2f} > {self.config.max_kl:g} after step {step + 1}"
            logger.warning("stopped early: %s", self.history.stopped)
        last = step + 1 == len(self.batches) or self.history.stopped is not None
        due = last or (step + 1) % self.config.save_every == 0
        if self.checkpoint and is_main_process() and self.optimizer.state:  # not all overflowed
            record = {"made_by": self.made_by, "history": asdict(self.history)}
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
    places = sorted({round(last * i / (LOOKED_AT - 1)) for i in range(LOOKED_AT)})
    vision = source.select(places)
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


def _identity(
    vlm: VisionLanguageModel, facts: Mapping[str, Any], batches: list[list[int]]
) -> dict[str, Any]:
    adapter = vlm.model.peft_config["default"]
    return {
        "vlm": vlm.fingerprint,
        **facts,
        "lora": {"rank": adapter.r, "alpha": adapter.lora_alpha},
        "order": sha256(str(batches).encode()).hexdigest()[:16],
    }
