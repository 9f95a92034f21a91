"""Runs that can be killed and go on to the same end: what is kept, when, and whose it is.

A run's state (`Run`) is one safetensors file with its record in the header, so that one rename
replaces all of it: weights, AdamW's moments, the random generator, the history. `fit_mapper` keeps
one too. `AdapterRun` is what `train_adapter` keeps: it deals the images into steps before anything
else is drawn, yields the steps that are left, and saves after each that is due. With its state goes
what the vision side says of a few images: a source that shows others is refused. Stopped by Ctrl-C
it saves the last step that was whole (`kept_when_stopped`). Of several processes the first saves.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from vizer_core.distributed import is_main_process
from vizer_core.files import atomic_path
from vizer_core.vizer.lora import lora_parameters
from vizer_core.vizer.targets import VisionSource
from vizer_core.vizer.train_config import TrainConfig, TrainHistory
from vizer_core.vlm.protocol import VisionLanguageModel

logger = logging.getLogger(__name__)

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of AdamW
LOOKED_AT = 16  # images that tell one source from another
PATCHES = 8  # runs of embeddings, of which a mean each tells one image from another
SAME_IMAGE = 0.02  # of a vector's length; bfloat16 has steps of 0.004


@dataclass(frozen=True, eq=False)
class Run:
    """A training run's state: tensors, and a JSON record with its identity under `made_by`."""

    tensors: dict[str, Tensor]
    record: dict[str, Any]

    @classmethod
    def capture(
        cls,
        parameters: Mapping[str, nn.Parameter],
        optimizer: torch.optim.AdamW,
        record: Mapping[str, Any],
        *,
        generator: torch.Generator | None = None,
    ) -> Run:
        """Copy what the rest of the run depends on; parameters in the optimizer's order."""
        tensors = {f"weight.{name}": value.detach() for name, value in parameters.items()}
        state = optimizer.state_dict()["state"]
        for name, moments in zip(parameters, (state[i] for i in sorted(state)), strict=True):
            tensors |= {f"{key}.{name}": moments[key] for key in MOMENTS}
        if generator is not None:
            tensors["generator"] = generator.get_state()
        copied = {key: value.cpu().clone().contiguous() for key, value in tensors.items()}
        return cls(copied, dict(record))

    def restore(
        self,
        parameters: Mapping[str, nn.Parameter],
        optimizer: torch.optim.AdamW,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        """Put weights, moments and the generator back where they were."""
        weights = tensors_under(self.tensors, "weight.")
        if set(weights) != set(parameters):
            odd = sorted(set(weights) ^ set(parameters))
            raise ValueError(
                f"the run's parameters are not this model's: {len(odd)} differ, such as {odd[0]}"
            )
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights[name])
        state = optimizer.state_dict()
        state["state"] = {
            place: {key: self.tensors[f"{key}.{name}"] for key in MOMENTS}
            for place, name in enumerate(parameters)
        }
        optimizer.load_state_dict(state)
        if generator is not None:
            generator.set_state(self.tensors["generator"])


def save_run(path: Path, run: Run) -> None:
    """Write a run's state as one file; a kill leaves the state before or the state after."""
    with atomic_path(Path(path)) as temporary:
        save_file(run.tensors, temporary, metadata={"record": json.dumps(run.record)})


def load_run(path: Path, made_by: Mapping[str, Any]) -> Run | None:
    """Read the state at `path`, or return None where there is none yet.

    Raises `ValueError` when it belongs to other settings, data or seed: to go on would mix runs.
    """
    path = Path(path)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stream:
            record = json.loads((stream.metadata() or {}).get("record", "null"))
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable checkpoint: {error}. Delete it.") from error
    if not isinstance(record, dict) or "made_by" not in record:
        raise ValueError(f"{path} is no checkpoint of a run: it has no record")
    wanted = json.loads(json.dumps(dict(made_by)))
    if record["made_by"] != wanted:
        kept = record["made_by"]
        odd = sorted(key for key in wanted.keys() | kept.keys() if wanted.get(key) != kept.get(key))
        raise ValueError(
            f"{path} belongs to another run: {', '.join(odd)} differ. Delete it to start again, or "
            "ask for the same run"
        )
    return Run(tensors, record)


def tensors_under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, without it."""
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}


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
class AdapterRun:
    """An adapter in training: its optimizer, its steps, and where it saves itself."""

    config: TrainConfig
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.AdamW
    batches: list[list[int]]
    history: TrainHistory
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
        config: TrainConfig,
        *,
        facts: Mapping[str, Any],
        source: VisionSource,
        generator: torch.Generator,
        checkpoint: Path | None = None,
    ) -> AdapterRun:
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
        seen, history = _look_at(source) if checkpoint else {}, TrainHistory()
        if kept:
            _require_same_images(kept.tensors, seen, checkpoint)
            kept.restore(parameters, optimizer, generator=generator)
            history = TrainHistory(**kept.record["history"])
            if half:
                scaler.load_state_dict(kept.record["scaler"])
        vlm.model.eval()  # no dropout: the caption that is read must be the one that was written
        return cls(
            config=config,
            parameters=parameters,
            optimizer=optimizer,
            batches=batches,
            history=history,
            generator=generator,
            made_by=made_by,
            scaler=scaler,
            checkpoint=checkpoint,
            seen=seen,
            saved=len(history.gradient_norm),
        )

    def steps(self, *, progress: bool = False) -> Iterator[tuple[int, list[int]]]:
        """Yield the steps that are left, with the indices of their images; end when stopped."""
        done = len(self.history.gradient_norm)
        todo = [] if self.history.stopped else self.batches[done:]
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
