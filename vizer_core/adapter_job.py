"""Zero-label training as one job: what it is asked for, its run on disk, the adapter, its report.

`vizer_core.jobs.enhance` and the command `vizer enhance` are this with other words around it. A job
that is stopped goes on to the same weights when it is asked for again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vizer_core.data.image_set import ImageSet
from vizer_core.distributed import is_main_process
from vizer_core.files import METADATA, files_digest, read_json
from vizer_core.models import dtype_of
from vizer_core.run_folder import JOB, RUN, STATE, Tell, to_log, working_on
from vizer_core.runtime import seeded
from vizer_core.vizer import add_lora, load_adapter, load_mapper, save_adapter, shuffled
from vizer_core.vizer.adapter_run import AdapterRun, TrainConfig, TrainHistory
from vizer_core.vizer.diagnostics import warnings_of
from vizer_core.vizer.drift import Drift, measure_drift
from vizer_core.vizer.generate_captions import share_captions
from vizer_core.vizer.lora import (
    MANIFEST,
    VIZER_LORA,
    LoraSettings,
    remove_lora,
    settings_dict,
)
from vizer_core.vizer.mapper import FittedMapper
from vizer_core.vizer.model_card import write_card
from vizer_core.vizer.named_objectives import WEIGHED, WEIGHT, WITH_MAPPER, make_objective
from vizer_core.vizer.phase_two import curve_of, fit_on_own_captions, forecast, kl_now
from vizer_core.vizer.recipes import SMALL, parameters_of
from vizer_core.vizer.targets import Slice, VisionSource
from vizer_core.vizer.text_states import ImageSource
from vizer_core.vizer.train import as_objective, train_adapter
from vizer_core.vizer.watch import NOTHING, SHOWN, Watch, WatchPlan
from vizer_core.vlm.protocol import VisionLanguageModel

UNTOLD = ("prompt", "save_every")  # settings that do not tell one run from another
LOOKED_AT = 200  # images whose captions are compared before and after
LONG = 200  # letters of an object's setting that are kept as they are; of more a digest
DEEP = 4  # objects in an object's settings that are looked into


@dataclass(frozen=True, eq=False)
class Enhancement:
    """What zero-label training did: captions of the first images before and after, and how far.

    `measured` is what was expected before, `curve` the loss by step, `kl` KL(base || now) a caption
    token in nats. `history` is None where the job had come to its end before.
    """

    folder: Path
    measured: str
    names: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    curve: tuple[float, ...]
    kl: float
    history: TrainHistory | None = None

    @property
    def drift(self) -> Drift:
        """How far the captions moved."""
        return measure_drift(self.before, self.after, kl=self.kl)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What looks wrong, in words; run it once with `shuffle=True` before you believe a gain."""
        return tuple(warnings_of((self.curve[0], self.curve[-1]), self.drift))

    def table(self) -> str:
        """Lay out what was expected, what changed, and three captions before and after."""
        drift, pairs = self.drift, list(zip(self.names, self.before, self.after))
        order = sorted(range(len(pairs)), key=lambda i: pairs[i][1] == pairs[i][2])[:3]
        return "\n".join(
            [
                self.measured,
                f"{drift.changed:.0%} of {drift.n} captions changed; length x {drift.longer:.2f}; "
                f"KL from the base {self.kl:.2g}; wrote {self.folder}",
                *(f"warning: {line}" for line in self.warnings),
                *(f"  {pairs[i][0]}: {pairs[i][1]}  ->  {pairs[i][2]}" for i in sorted(order)),
            ]
        )


@dataclass(frozen=True, eq=False)
class AdapterJob:
    """An adapter's training: the model, images without labels, and an objective with its settings.

    `objective` is a name or an object, `weight` that of an information reward, `mapper` a file; a
    mapper that is wanted and not given is fitted on the images that are not held out. `source`
    reads the images, by default one that encodes each when its turn comes.
    """

    vlm: VisionLanguageModel
    images: ImageSet
    objective: Any
    config: TrainConfig
    seed: int = 0
    shuffle: bool = False
    weight: float | None = None
    mapper: Path | None = None
    source: VisionSource | None = None
    lora: LoraSettings = VIZER_LORA
    watch: WatchPlan = NOTHING
    log: Callable[[AdapterRun, int], None] | None = None  # asked after each step

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Return what the job works on, as plain values: content, not names of files."""
        weighed = self.objective in WEIGHED and self.weight is None
        return {
            "model": self.vlm.fingerprint,
            "dtype": dtype_of(self.vlm),
            "images": self.images.digest(),
            "objective": settings_in(self.objective),
            "weight": WEIGHT if weighed else self.weight,
            "prompt": self.vlm.default_prompt,
            **getattr(self.vlm, "reading", {}),
            **{name: v for name, v in self.config.to_dict().items() if name not in UNTOLD},
            "lora": settings_dict(self.lora),
            "shuffle": self.shuffle,
            "mapper": self.mapper and files_digest({self.mapper.name: self.mapper}),
            "seed": self.seed,
            **({"held_out": self.watch.held_out} if self.watch.held_out else {}),
            **({"patience": self.watch.patience} if self.watch.patience else {}),
        }

    def run(self, out: Path, *, tell: Tell = to_log, progress: bool = False) -> Enhancement:
        """Train, or go on with what was stopped, and write the adapter to the folder `out`.

        The run lies in `run_record(out)`'s folder until the adapter is whole. It saves itself every
        few steps and on Ctrl-C. The model carries the adapter afterwards, and none if this fails,
        so that the same call goes on. Raises `ValueError` where another job was stopped there.
        """
        record = run_record(out)
        with working_on(record, self.identity, of=str(out), tell=tell), fast_rollouts(self.vlm):
            source = self._source()
            fitted = self._mapper(source, record.parent, tell)
            goal = make_objective(self.objective, self.vlm, fitted=fitted, weight=self.weight)
            good, measured = forecast(self.vlm, source, goal, seed=self.seed)
            tell(measured, err=not good)
            before = share_captions(self.vlm, self._looked_at(source))
            add_lora(self.vlm, self.lora, generator=seeded(self.seed))
            watch = self._watch(goal, source, out, tell)
            try:
                history = train_adapter(
                    self.vlm,
                    self._trained_on(source),
                    goal,
                    self.config,
                    generator=seeded(self.seed),
                    checkpoint=record.with_name(STATE),
                    progress=progress if watch is None else watch,
                )
                if watch is not None:
                    watch.restore_best()
                curve = tuple(curve_of(history, goal))
                if is_main_process():
                    self._save(out, measured, curve)
                return self._seen(out, source, measured, before, curve, history)
            except BaseException:
                remove_lora(self.vlm)
                raise

    def result(self, out: Path) -> Enhancement:
        """Return what the job did, of which `out` contains the adapter: nothing is trained.

        Captions are generated again, and the model carries the adapter afterwards.
        """
        metadata, source = read_json(out / MANIFEST)[METADATA], self._source()
        before = share_captions(self.vlm, self._looked_at(source))
        load_adapter(self.vlm, out)
        curve = tuple(metadata["curve"])
        return self._seen(out, source, metadata["forecast"], before, curve, None)

    def _source(self) -> VisionSource:
        return ImageSource(self.vlm, self.images.images) if self.source is None else self.source

    def _trained_on(self, source: VisionSource) -> VisionSource:
        """Return the images that are trained on, with their targets or those of others."""
        seen = self._not_held_out(source)
        return shuffled(seen, generator=seeded(self.seed + 1)) if self.shuffle else seen

    def _not_held_out(self, source: VisionSource) -> VisionSource:
        held = self.watch.held_out
        if held > len(source) - 2:
            raise ValueError(
                f"{held} of {len(source)} images held out: wanted at least 2 to train on"
            )
        return Slice(source, range(len(source) - held)) if held else source

    def _watch(self, goal: Any, source: VisionSource, out: Path, tell: Tell) -> Watch | None:
        """Return what looks at the training, or None where nothing is to be looked at."""
        if self.log is None and self.watch == NOTHING:
            return None
        held = range(len(source) - self.watch.held_out, len(source))
        return Watch(
            self.vlm,
            goal,
            self.config,
            self.watch,
            run_record(out).parent,
            out,
            samples=Slice(source, range(min(SHOWN, len(source)))),
            names=self.images.names[:SHOWN],
            tell=tell,
            held_out=Slice(source, held) if len(held) else None,
            log=self.log,
        )

    def _looked_at(self, source: VisionSource) -> Slice:
        return Slice(source, range(min(LOOKED_AT, len(source))))

    def _mapper(self, source: VisionSource, folder: Path, tell: Tell) -> FittedMapper | None:
        """Return the mapper that is given, or one fitted on images; None if none is wanted."""
        if self.mapper is not None:
            fitted = load_mapper(self.mapper, self.vlm)
        elif self.objective in WITH_MAPPER:
            seen = self._not_held_out(source)
            fitted = fit_on_own_captions(
                self.vlm,
                seen,
                self.images.names[: len(seen)],
                objective=self.objective,
                seed=self.seed,
                folder=folder,
            )
        else:
            return None
        tell_of_mapper(fitted, tell)
        return fitted

    def _save(self, out: Path, measured: str, curve: tuple[float, ...]) -> None:
        """Write the adapter with what it was made of, and what is needed to report it again."""
        named = isinstance(self.objective, str)
        metadata = {
            "objective": self.objective if named else type(self.objective).__name__,
            "learning_rate": self.config.learning_rate,
            "shuffled": self.shuffle,
            "seed": self.seed,
            "images": len(self.images),
            "dtype": dtype_of(self.vlm),
            "job": self.identity,
            "forecast": measured,
            "curve": list(curve),
        }
        weight = self.identity["weight"]
        save_adapter(
            self.vlm, out, metadata=metadata | ({} if weight is None else {"weight": weight})
        )
        write_card(out, self.vlm, recipe=self.config, lora=self.lora, facts=metadata)

    def _seen(
        self,
        out: Path,
        source: VisionSource,
        measured: str,
        before: tuple[str, ...],
        curve: tuple[float, ...],
        history: TrainHistory | None,
    ) -> Enhancement:
        """Look at what the model generates now, and how far it is from its base."""
        size = self.config.micro_batch_size
        kl = kl_now(self.vlm, source, micro_batch_size=size, seed=self.seed)
        after = share_captions(self.vlm, self._looked_at(source))
        names = self.images.names[: len(after)]
        return Enhancement(out, measured, names, before, after, curve, kl, history)


@contextmanager
def fast_rollouts(vlm: Any) -> Iterator[None]:
    """Let a model decode fast while it is trained, where that pays (`vlm.fast_decoder`).

    Small models are left as they are: their captions stay those of earlier runs to the last letter.
    """
    before = getattr(vlm, "fast", False)
    vlm.fast = before or parameters_of(vlm) > SMALL
    try:
        yield
    finally:
        vlm.fast = before


def run_record(out: Path) -> Path:
    """Return where an adapter's run is recorded that is not finished: in its folder.

    >>> run_record(Path("adapter")).as_posix()
    'adapter/.vizer-run/job.json'
    """
    return out / RUN / JOB


def job_kept_in(out: Path) -> dict[str, Any] | None:
    """Return the job whose adapter a folder contains; None where there is none, or not of a job."""
    try:
        kept = read_json(out / MANIFEST)[METADATA]["job"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept if isinstance(kept, dict) else None


def tell_of_mapper(fitted: FittedMapper, tell: Tell) -> None:
    """Tell the held-out cosine beside a constant answer's, with a warning where it is no more."""
    if not fitted.history.held_out:
        return
    eval_point = fitted.history.held_out[-1]
    tell(
        f"mapper: held-out cosine {eval_point.cosine:.3f}, a constant answer "
        f"{eval_point.constant_cosine:.3f} "
        f"({eval_point.n} images)"
    )
    if eval_point.cosine <= eval_point.constant_cosine:
        tell(
            "warning: on images it has not seen, the mapper does no better than a constant: its "
            "targets may teach nothing. Give more images (the drawn VLM wants 8,000 or so).",
            err=True,
        )


def settings_in(objective: Any) -> Any:
    """Return an objective as plain values: a name as it is, of an object its kind and settings.

    What an object computes cannot be seen: two that differ in their code alone look the same.

    >>> settings_in("read_back")
    'read_back'
    >>> def shortness(images, captions): ...
    >>> settings_in(shortness)
    {'kind': 'PolicyGradient', 'reward': 'shortness', 'advantage': 'rloo_scaled'}
    """
    return objective if isinstance(objective, str) else _plain(as_objective(objective), DEEP)


def _plain(value: Any, deep: int) -> Any:
    """Return a value as JSON can store it: of an object its kind and its public attributes."""
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, partial):
        return [_plain(value.func, deep), _plain(value.args, deep), _plain(value.keywords, deep)]
    # what lies in a list is not looked into: an image changes when it is first read
    if isinstance(value, Mapping):
        return _short({str(key): _plain(one, 0) for key, one in value.items()})
    if isinstance(value, list | tuple):
        return _short([_plain(one, 0) for one in value])
    if isinstance(value, Tensor):
        return sha256(value.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]
    if isinstance(value, nn.Module):
        return [type(value).__name__, _short([_plain(one, 0) for one in value.parameters()])]
    for known in ("fingerprint", "__name__"):  # a model; a function or a class
        if hasattr(value, known):
            return getattr(value, known)
    settings = getattr(value, "__dict__", {}) if deep else {}
    named = {name: one for name, one in settings.items() if not name.startswith("_")}
    kind = type(value).__name__
    return {"kind": kind} | {n: _plain(v, deep - 1) for n, v in named.items()} if named else kind


def _short(value: Any) -> Any:
    said = json.dumps(value, sort_keys=True)
    return value if len(said) <= LONG else sha256(said.encode()).hexdigest()[:16]
