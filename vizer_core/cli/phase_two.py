"""Phase 2 as `vizer enhance` runs it: the outlook, the training, and what it did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizer_core.cli.app import RUN, is_quiet, say
from vizer_core.cli.caption_lines import as_text
from vizer_core.cli.named_images import NamedImages

if TYPE_CHECKING:
    from vizer_core.vizer.named_objectives import Aim
    from vizer_core.vizer.phase_two import Sizes

STATE = "run.safetensors"  # a run that is not finished, beside its record
LOOKED_AT = 200  # pictures whose captions are compared before and after
FEW = 200  # images; with fewer, training teaches little
SHOWN = 3  # images whose captions are shown before and after


def enhance(
    vlm: Any, pictures: NamedImages, aim: Aim, sizes: Sizes,
    *, shuffle: bool, seed: int, out: Path, tracker: str | None = None,
) -> None:  # fmt: skip
    """Say the outlook, train an adapter into `out`, and say what it did to the captions."""
    from vizer_core.models import dtype_of
    from vizer_core.processes import is_main_process
    from vizer_core.runtime import seeded
    from vizer_core.tracking import curves_of, report_run
    from vizer_core.vizer import add_lora, save_adapter, shuffled
    from vizer_core.vizer.forecast import forecast
    from vizer_core.vizer.named_objectives import target_of
    from vizer_core.vizer.phase_two import curve_of, kl_now, train
    from vizer_core.vizer.shared_work import share_captions

    good, line = forecast(vlm, pictures, aim, seed=seed)
    say(line, err=not good)
    looked_at = pictures.first(LOOKED_AT)
    before = share_captions(vlm, looked_at)
    add_lora(vlm, generator=seeded(seed))
    target = target_of(vlm, pictures, aim)
    source = shuffled(target.source, generator=seeded(seed + 1)) if shuffle else target.source
    history = train(
        vlm, source, target, sizes,
        generator=seeded(seed), state=out / RUN / STATE, progress=not is_quiet(),
    )  # fmt: skip
    if is_main_process():
        objective, _, weight = aim
        made_by = {"objective": objective, "pictures": len(pictures), "shuffled": shuffle,
                   "learning_rate": sizes[0], "seed": seed,
                   "dtype": dtype_of(vlm)}  # fmt: skip
        save_adapter(vlm, out, made_by=made_by | ({} if weight is None else {"weight": weight}))
    after, kl = share_captions(vlm, looked_at), kl_now(vlm, pictures, sizes[2], seed=seed)
    report(before, after, (curve_of(history, target), kl), out)
    show_changes(looked_at.names, before, after)
    settings = {"objective": aim[0], "learning_rate": sizes[0], "images_per_step": sizes[1]}
    report_run(curves_of(history), tracker, run=out.name, folder=out.parent / "logs",
               settings=settings | {"shuffled": shuffle, "seed": seed})  # fmt: skip


def two_digits(value: float) -> str:
    """Return a number of nats with two significant digits.

    >>> [two_digits(value) for value in (0.0, 0.00123, 0.1, 1.0, 12.34)]
    ['0.0', '0.0012', '0.10', '1.0', '12']
    """
    return f"{value:.0f}" if value >= 9.95 else f"{value:#.2g}"


def require_images(count: int, images: Path) -> None:
    """Raise `ValueError` where there is nothing to tell apart; warn of images that are few."""
    if count < 2:
        raise ValueError(
            f"{images} holds {count} image, and an adapter learns from differences between images: "
            "wanted at least 2, better some hundreds"
        )
    if count < FEW:
        say(
            f"warning: {count} images are few and teach little: hardly a caption may change, or "
            "all in one way. Better are some hundreds (the micro VLM wants 1,000).",
            err=True,
        )


def show_changes(names: Sequence[str], before: Sequence[str], after: Sequence[str]) -> None:
    """Print some captions before and after: first of those that changed, where some did."""
    from vizer_core.data.karpathy import one_line

    pairs = [(one_line(old), one_line(new)) for old, new in zip(before, after, strict=True)]
    order = sorted(range(len(pairs)), key=lambda i: pairs[i][0] == pairs[i][1])[:SHOWN]
    say("captions before and after:")
    for place in sorted(order):
        old, new = pairs[place]
        say(f"  {as_text(names[place])}: {old}  ->  {'(the same)' if old == new else new}")


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
        f"KL from the base {two_digits(kl)}; wrote {out}"
    )
    for warning in warnings_of((curve[0], curve[-1]), drift):
        say(f"warning: {warning}", err=True)


def require_memory(vlm: Any, objective: str, per_step: int, at_once: int | None) -> None:
    """Say before anything is trained that a step will not fit, and what would."""
    from vizer_core.hub import free_bytes
    from vizer_core.processes import process_rank
    from vizer_core.vizer.named_objectives import REWARDS
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
