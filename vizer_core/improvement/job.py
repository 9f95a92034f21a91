"""`improve` as one job: look, train or not, climb the ladder on held-out images, write it down.

The order of images is drawn by the seed: the first are held out to the end, some of the others are
tried on, and at most `CAPTIONS` of the others are trained on. Everything is decided before anything
is written; a run that is stopped while it trains goes on to the same weights when it is asked for
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from vizer_core.adapter_job import run_record
from vizer_core.data.image_set import ImageSet
from vizer_core.distributed import is_main_process
from vizer_core.files import read_json, write_json
from vizer_core.improvement import gate
from vizer_core.improvement.bench import Bench, Rung
from vizer_core.improvement.climb import best_of, first_look, last_look
from vizer_core.improvement.outcome import CAUTION, KIND, PAGE, REPORT, Improvement, rows_of
from vizer_core.improvement.training import (
    CAPTIONS,
    MAX_KL,
    NAME,
    WATCHED,
    Watch,
    config_for,
    trainer,
)
from vizer_core.improvement.ways import BASE, Way, with_beams
from vizer_core.models import dtype_of
from vizer_core.run_folder import STATE, Tell, is_unfinished, require_same, to_log, working_on
from vizer_core.runtime import seeded
from vizer_core.vizer import add_lora, save_adapter, train_adapter
from vizer_core.vizer.adapter_run import TrainConfig, TrainHistory
from vizer_core.vizer.lora import remove_lora
from vizer_core.vizer.phase_two import kl_now
from vizer_core.vizer.targets import VisionSource
from vizer_core.vizer.text_states import ImageSource
from vizer_core.vlm.protocol import VisionLanguageModel

LOOKED = "looked.json"  # beside the run's state: what the first look found
TRAIN = ("auto", "always", "never")


@dataclass(frozen=True, eq=False)
class ImproveJob:
    """A model, images without labels, and how far to go; see `run`."""

    vlm: VisionLanguageModel
    images: ImageSet
    train: str = "auto"
    views: int = 5
    prompts: tuple[str, ...] = ()
    learning_rate: float | None = None
    max_kl: float = MAX_KL
    images_per_step: int = 32
    micro_batch_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.train not in TRAIN:
            raise ValueError(f"train is {self.train!r}: wanted one of {', '.join(TRAIN)}")
        gate.require_enough(len(self.images), len(self.images.skipped))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Return what the job works on, as plain values: content, not names of files."""
        return {
            "model": self.vlm.fingerprint,
            "dtype": dtype_of(self.vlm),
            "images": self.images.digest(),
            "train": self.train,
            "views": self.views,
            "prompts": list(self.prompts),
            "learning_rate": self.learning_rate,
            "max_kl": self.max_kl,
            "images_per_step": self.images_per_step,
            "seed": self.seed,
            **({"reading": dict(reading)} if (reading := getattr(self.vlm, "reading", {})) else {}),
        }

    @cached_property
    def _order(self) -> list[int]:
        return torch.randperm(len(self.images), generator=seeded(self.seed)).tolist()

    @property
    def held_out(self) -> list[int]:
        """Images that nothing is chosen or trained on."""
        return self._order[: gate.split_images(len(self.images))[0]]

    @property
    def others(self) -> list[int]:
        """Images that are not held out; the first of them are tried on."""
        return self._order[len(self.held_out) :]

    @property
    def trained_on(self) -> list[int]:
        """The others that are trained on, at most `CAPTIONS`: the study's captions in one pass."""
        return self.others[:CAPTIONS]

    def run(self, out: Path, *, tell: Tell = to_log) -> Improvement:
        """Look, train where that is expected to add something, and write the report to `out`.

        The model carries the adapter afterwards where one is kept. Raises `ValueError` where the
        model captions as random weights do, where what was asked for would be a collapse, and where
        another job was stopped in `out`; nothing is written then.
        """
        record, began = run_record(out), perf_counter()
        looked = self._looked(record, out, tell)
        spent = {"look": perf_counter() - began}
        with working_on(record, self.identity, of=str(out), tell=tell):
            if is_main_process():
                write_json(record.with_name(LOOKED), looked)
            tell(looked["why"])
            start, bench = Way.from_dict(looked["start"]), self._bench(self.held_out)
            history: TrainHistory | None = None
            try:
                began = perf_counter()
                if looked["trains"]:
                    history = self._train(record, looked, start, bench, tell)
                spent["train"] = perf_counter() - began
                collapsed = history is not None and (history.stopped or "").startswith("collapse")
                if collapsed:
                    remove_lora(self.vlm)
                kept = history is not None and not collapsed
                began = perf_counter()
                ladder = last_look(bench, start, trained=kept)
                spent["ladder"] = perf_counter() - began
                found = self._record(looked, ladder, bench, history, kept=kept) | {
                    "seconds": {part: round(value, 1) for part, value in spent.items()}
                }
                done = Improvement(out, found)
                if is_main_process():
                    self._write(done)
                tell(done.table())
                return done
            except BaseException:
                if history is not None or looked["trains"]:
                    remove_lora(self.vlm)
                raise

    def _looked(self, record: Path, out: Path, tell: Tell) -> dict[str, Any]:
        """Return what the first look found: kept from the run that was stopped, or new."""
        if is_unfinished(record):
            kept = read_json(record).get("job", {})
            require_same(kept, self.identity, of=str(out), delete=str(record.parent))
            if record.with_name(LOOKED).is_file():
                return dict(read_json(record.with_name(LOOKED)))
        _, count = gate.split_images(len(self.images))
        bench = self._bench(self.others[:count])
        gate.require_trained(bench, seed=self.seed)
        rungs, start = first_look(bench, self.prompts)
        tell(f"tried on {count} images, beside the model as it is:")
        for line in rows_of([rung.to_dict() for rung in rungs]):
            tell(line)
        teacher = next(rung for rung in rungs if rung.way == with_beams(start))
        trains, why = gate.decide(self.train, bench, teacher, images=len(self.trained_on))
        return {
            "look": [rung.to_dict() for rung in rungs],
            "start": start.to_dict(),
            "trains": trains,
            "why": why,
            "samples": [],
        }

    def _bench(self, rows: list[int]) -> Bench:
        images = [self.images.images[row] for row in rows]
        return Bench.of(self.vlm, images, views=self.views, seed=self.seed)

    @cached_property
    def config(self) -> TrainConfig:
        """The settings of the training."""
        return config_for(
            self.vlm,
            len(self.trained_on),
            learning_rate=self.learning_rate,
            max_kl=self.max_kl,
            images_per_step=self.images_per_step,
            micro_batch_size=self.micro_batch_size,
        )

    def _source(self) -> VisionSource:
        return ImageSource(self.vlm, [self.images.images[row] for row in self.trained_on])

    def _train(
        self,
        record: Path,
        looked: dict[str, Any],
        start: Way,
        bench: Bench,
        tell: Tell,
    ) -> TrainHistory:
        """Train an adapter on the model, watched, or go on with what was stopped."""
        rows = range(min(WATCHED, len(bench)))
        watch = Watch(
            bench,
            teacher=bench.captions(with_beams(start), rows).texts,
            names=tuple(self.images.names[row] for row in self.held_out),
            tell=tell,
            samples=list(looked["samples"]),
        )

        def keep(run: Any) -> None:
            if is_main_process():
                by_step = {sample["step"]: sample for sample in watch.samples}
                looked["samples"] = [by_step[step] for step in sorted(by_step)]
                write_json(record.with_name(LOOKED), looked)

        watch.then = keep
        add_lora(self.vlm, generator=seeded(self.seed))
        return train_adapter(
            self.vlm,
            self._source(),
            trainer(start),
            self.config,
            generator=seeded(self.seed),
            checkpoint=record.with_name(STATE),
            progress=watch,
        )

    def _record(
        self,
        looked: Mapping[str, Any],
        ladder: list[Rung],
        bench: Bench,
        history: TrainHistory | None,
        *,
        kept: bool,
    ) -> dict[str, Any]:
        """Return the report as plain values."""
        best = best_of(bench, ladder[1:])
        training: dict[str, Any] = {"kept": kept, "why": looked["why"]}
        if history is not None:
            training |= {"config": self.config.to_dict(), "history": asdict(history)}
            training |= {"samples": looked["samples"], "stopped": history.stopped}
        if kept:
            size = self.micro_batch_size
            training["kl"] = kl_now(self.vlm, self._source(), micro_batch_size=size, seed=self.seed)
        return {
            "kind": KIND,
            "model": self.vlm.name,
            "job": self.identity,
            "images": {
                "all": len(self.images),
                "looked_at": gate.split_images(len(self.images))[1],
                "held_out": len(self.held_out),
                "trained_on": len(self.trained_on) if history is not None else 0,
                "skipped": list(self.images.skipped),
            },
            "limits": gate.settings(),
            "look": looked["look"],
            "start": looked["start"],
            "ladder": [rung.to_dict() for rung in ladder],
            "recommended": best.way.to_dict(),
            "training": training,
            "says": [*_says(bench, ladder, best, history, kept=kept), CAUTION],
            "captions": _captions([self.images.names[row] for row in self.held_out], ladder, best),
        }

    def _write(self, done: Improvement) -> None:
        """Write the adapter where there is one, the page, and last the report."""
        from vizer_core.improvement.card import write_card
        from vizer_core.improvement.page import write_page

        out, images = done.folder, [self.images.images[row] for row in self.held_out]
        out.mkdir(parents=True, exist_ok=True)
        write_page(out / PAGE, done, images)
        if done.trained:
            metadata = {
                "objective": NAME,
                "job": self.identity,
                "learning_rate": self.config.learning_rate,
                "images": len(self.trained_on),
                "seed": self.seed,
                "dtype": dtype_of(self.vlm),
            }
            save_adapter(self.vlm, out, metadata=metadata)
            write_card(out, done)
        write_json(out / REPORT, done.record)


def _says(
    bench: Bench,
    ladder: list[Rung],
    best: Rung,
    history: TrainHistory | None,
    *,
    kept: bool,
) -> list[str]:
    """Say in sentences what the ladder shows."""
    found = []
    if history is not None and history.stopped:
        found.append(f"training was stopped early: {history.stopped}")
    if history is not None and not kept:
        found.append("the adapter is not kept")
    if best.way == BASE:
        found.append("no way of captioning is clearly better than the model as it is")
    else:
        found.append(f"recommended: {best.way.name}; {best.beside.say()}")
    adapters = [rung for rung in ladder if rung.way.adapter]
    plain = [rung for rung in ladder if not rung.way.adapter]
    if adapters and not best.way.adapter:
        rival = best_of(bench, plain[1:])
        beside = bench.beside(adapters[0], rival)
        named = "the model as it is" if rival.way == BASE else rival.way.name
        found.append(
            f"the adapter is not clearly better than {named}, which needs no training: "
            f"{beside.say()}"
        )
        saved = rival.way.decodes - adapters[0].way.decodes
        if saved and beside.preferred.high >= 0.5 and beside.per_image.high >= 0:
            found.append(
                f"nor is it clearly worse, and it writes a caption with {adapters[0].way.cost} in "
                f"the place of {rival.way.cost}"
            )
    return found


def _captions(names: list[str], ladder: list[Rung], best: Rung) -> list[dict[str, Any]]:
    """Return captions of the held-out images: before, recommended, and by the adapter."""
    base = ladder[0]
    adapter = next((rung for rung in ladder if rung.way.adapter), None)
    rows = []
    for row, name in enumerate(names):
        found: dict[str, Any] = {
            "image": name,
            "before": base.texts[row],
            "after": best.texts[row],
            "score": round(float(best.scores[row] - base.scores[row]), 3),
        }
        if adapter is not None and best is not adapter:
            found["adapter"] = adapter.texts[row]
        rows.append(found)
    return rows
