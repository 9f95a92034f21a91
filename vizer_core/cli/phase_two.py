"""Phase 2 as `vizer enhance` runs it: the forecast, the training, and what it did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizer_core.cli.app import RUN, is_quiet, say
from vizer_core.cli.caption_lines import as_text
from vizer_core.cli.named_images import NamedImages

if TYPE_CHECKING:
    from vizer_core.vizer.adapter_run import TrainConfig

STATE = "run.safetensors"  # a run that is not finished, beside its record
LOOKED_AT = 200  # images whose captions are compared before and after
FEW = 200  # images; with fewer, training teaches little
SHOWN = 3  # images whose captions are shown before and after


def enhance(
    vlm: Any,
    images: NamedImages,
    objective: str,
    config: TrainConfig,
    *,
    fitted: Any,
    weight: float | None,
    shuffle: bool,
    seed: int,
    out: Path,
    tracker: str | None = None,
) -> None:
    """Say the forecast, train an adapter into `out`, and say what it did to the captions."""
    from vizer_core.distributed import is_main_process
    from vizer_core.models import dtype_of
    from vizer_core.runtime import seeded
    from vizer_core.tracking import curves_of, report_run
    from vizer_core.vizer import add_lora, save_adapter, shuffled, train_adapter
    from vizer_core.vizer.named_objectives import make_objective
    from vizer_core.vizer.phase_two import curve_of, forecast, kl_now
    from vizer_core.vizer.write_captions import share_captions

    goal = make_objective(objective, vlm, fitted=fitted, weight=weight)
    good, line = forecast(vlm, images, goal, seed=seed)
    say(line, err=not good)
    looked_at = images.first(LOOKED_AT)
    before = share_captions(vlm, looked_at)
    add_lora(vlm, generator=seeded(seed))
    history = train_adapter(
        vlm,
        shuffled(images, generator=seeded(seed + 1)) if shuffle else images,
        goal,
        config,
        generator=seeded(seed),
        checkpoint=out / RUN / STATE,
        progress=not is_quiet(),
    )
    settings = {"objective": objective, "learning_rate": config.learning_rate}
    settings |= {"shuffled": shuffle, "seed": seed}
    if is_main_process():
        made_by = settings | {"images": len(images), "dtype": dtype_of(vlm)}
        save_adapter(vlm, out, made_by=made_by | ({} if weight is None else {"weight": weight}))
    kl = kl_now(vlm, images, micro_batch_size=config.micro_batch_size, seed=seed)
    after = share_captions(vlm, looked_at)
    report(before, after, curve=curve_of(history, goal), kl=kl, out=out)
    show_changes(looked_at.names, before, after)
    settings |= {"images_per_step": config.images_per_step}
    report_run(
        curves_of(history), tracker, run=out.name, folder=out.parent / "logs", settings=settings
    )


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
    before: Sequence[str], after: Sequence[str], *, curve: Sequence[float], kl: float, out: Path
) -> None:
    """Say what a run did to the captions, with its warnings."""
    from vizer_core.vizer.diagnostics import warnings_of
    from vizer_core.vizer.drift import measure_drift

    drift = measure_drift(before, after, kl=kl)
    say(
        f"{drift.changed:.0%} of {drift.n} captions changed; length x {drift.longer:.2f}; "
        f"KL from the base {two_digits(kl)}; wrote {out}"
    )
    for warning in warnings_of((curve[0], curve[-1]), drift):
        say(f"warning: {warning}", err=True)


def require_memory(vlm: Any, config: TrainConfig) -> None:
    """Say before anything is trained that a step will not fit, and what would."""
    from vizer_core.distributed import process_rank
    from vizer_core.hub_errors import free_bytes
    from vizer_core.vlm import StepPlan, size_of
    from vizer_core.vlm.memory import require_step_memory
    from vizer_core.vlm.sizes import SIZED

    free = free_bytes(vlm.device)
    if free is None or vlm.base.config.model_type not in SIZED:
        return
    here = -(-config.images_per_step // process_rank()[1])
    plan = StepPlan(
        batch=min(here, config.micro_batch_size or here),
        samples=config.samples,
        checkpointing=vlm.recompute,
        model_bytes=next(vlm.base.parameters()).element_size(),
    )
    require_step_memory(size_of(vlm.base.config), plan, free)
