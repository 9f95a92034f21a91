"""Phase 2 as `vizer enhance` runs it: the outlook, the training, and what it did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vizer_core.cli.app import say
from vizer_core.cli.models import dtype_of
from vizer_core.cli.objectives import REWARDS, Aim, Target, target_of
from vizer_core.cli.outlook import forecast

RUN = "run.safetensors"  # where a run lies that is not finished
LOOKED_AT = 200  # pictures whose captions are compared before and after
Sizes = tuple[float, int, int | None]  # learning rate, images a step, images at once


def enhance(
    vlm: Any, pictures: Any, aim: Aim, sizes: Sizes,
    *, shuffle: bool, seed: int, out: Path, tracker: str | None = None,
) -> None:  # fmt: skip
    """Say the outlook, train an adapter into `out`, and say what it did to the captions."""
    from vizer_core.processes import is_main_process
    from vizer_core.runtime import seeded
    from vizer_core.tracking import curves_of, report_run
    from vizer_core.vizer import add_lora, save_adapter, shuffled
    from vizer_core.vizer.shared_work import share_captions
    from vizer_core.vizer.text_states import ImageSource

    good, line = forecast(vlm, pictures, aim, seed=seed)
    say(line, err=not good)
    looked_at = ImageSource(vlm, pictures[:LOOKED_AT])
    before = share_captions(vlm, looked_at)
    add_lora(vlm, generator=seeded(seed))
    target = target_of(vlm, ImageSource(vlm, pictures), aim)
    source = shuffled(target.source, generator=seeded(seed + 1)) if shuffle else target.source
    history = train(vlm, source, target, sizes, generator=seeded(seed), state=out / RUN)
    if is_main_process():
        objective, _, weight = aim
        made_by = {"objective": objective, "pictures": len(pictures), "shuffled": shuffle,
                   "learning_rate": sizes[0], "seed": seed,
                   "dtype": dtype_of(vlm)}  # fmt: skip
        save_adapter(vlm, out, made_by=made_by | ({} if weight is None else {"weight": weight}))
    report(before, share_captions(vlm, looked_at), ends_of(history, target), out)
    settings = {"objective": aim[0], "learning_rate": sizes[0], "images_per_step": sizes[1]}
    report_run(curves_of(history), tracker, run=out.name, folder=out.parent / "logs",
               settings=settings | {"shuffled": shuffle, "seed": seed})  # fmt: skip


def train(
    vlm: Any, source: Any, target: Target, sizes: Sizes,
    *, generator: Any, state: Path,
) -> Any:  # fmt: skip
    """Run phase 2; return its history."""
    from dataclasses import replace

    from vizer_core.vizer import train_zero_label
    from vizer_core.vizer.train_rl import RlConfig, train_rl
    from vizer_core.vizer.train_zero_label import VIZER_MICRO

    rate, per_step, at_once = sizes
    wanted = {"learning_rate": rate, "images_per_step": per_step, "images_at_once": at_once}
    if target.reward is not None:
        return train_rl(
            vlm, source, target.reward, RlConfig(**wanted),
            generator=generator, checkpoint=state, progress=True,
        )  # fmt: skip
    return train_zero_label(
        vlm, source, replace(VIZER_MICRO, **wanted), objective=target.loss, generator=generator,
        checkpoint=state, progress=True,
    )  # fmt: skip


def ends_of(history: Any, target: Target) -> tuple[list[float], float]:
    """Return the losses (best - reward where there is one) and the last KL that was measured."""
    if target.reward is not None:
        return [target.best - reward for reward in history.reward], history.kl[-1]
    measured = [value for value in history.kl if value is not None]
    return history.loss, measured[-1]


def report(
    before: Sequence[str], after: Sequence[str], run: tuple[Sequence[float], float], out: Path
) -> None:
    """Say what a run did to the captions, with its warnings."""
    from vizer_core.vizer.diagnostics import warnings_of
    from vizer_core.vizer.drift import measure_drift

    curve, kl = run
    drift = measure_drift(before, after, kl=kl)
    say(
        f"{drift.changed:.0%} of {drift.n} captions changed; length x {drift.longer:.2f}; "
        f"KL from the base {kl:.2f}; wrote {out}"
    )
    for warning in warnings_of((curve[0], curve[-1]), drift):
        say(f"warning: {warning}", err=True)


def require_memory(vlm: Any, objective: str, per_step: int, at_once: int | None) -> None:
    """Say before anything is trained that a step will not fit, and what would."""
    from vizer_core.hub import free_bytes
    from vizer_core.processes import process_rank
    from vizer_core.vlm import StepPlan, size_of
    from vizer_core.vlm.memory import require_step_memory
    from vizer_core.vlm.sizes import SIZED

    free = free_bytes(vlm.device)
    if free is None or vlm.base.config.model_type not in SIZED:
        return
    here = -(-per_step // process_rank()[1])
    plan = StepPlan(
        batch=min(here, at_once or here),
        samples=4 if objective in REWARDS else 1,
        checkpointing=vlm.recompute,
        model_bytes=next(vlm.base.parameters()).element_size(),
    )
    require_step_memory(size_of(vlm.base.config), plan, free)
