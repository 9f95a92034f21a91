"""Phase 2 as `vizer enhance` runs it: the forecast, the training, and what it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vizer_core.cli.app import is_quiet, say
from vizer_core.cli.caption_lines import as_text

if TYPE_CHECKING:
    from vizer_core.adapter_job import AdapterJob, Enhancement

FEW = 200  # images; with fewer, training teaches little
SHOWN = 3  # images whose captions are shown before and after


def enhance(job: AdapterJob, out: Path, *, tracker: str | None = None) -> None:
    """Say the forecast, train an adapter into `out`, and say what it did to the captions.

    A tracker hears of each step when it is done.
    """
    from vizer_core import tracking

    asked = ("objective", "learning_rate", "shuffle", "seed", "images_per_step")
    settings = {name: job.identity[name] for name in asked}
    settings["shuffled"] = settings.pop("shuffle")
    live = tracking.LiveRun(tracker, run=out.name, folder=out.parent / "logs", settings=settings)
    if tracker is not None:
        job = replace(job, log=lambda run, step: live.catch_up(tracking.curves_of(run.history)))
    done = job.run(out, tell=say, progress=not is_quiet())
    report(done)
    show_changes(done.names, done.before, done.after)
    live.finish()


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
            f"{images} has {count} image, and an adapter learns from differences between images: "
            "wanted at least 2, better some hundreds"
        )
    if count < FEW:
        say(
            f"warning: {count} images are few and teach little: hardly a caption may change, or "
            "all in one way. Better are some hundreds (the drawn VLM wants 1,000).",
            err=True,
        )


def show_changes(names: Sequence[str], before: Sequence[str], after: Sequence[str]) -> None:
    """Print some captions before and after: first of those that changed, where some did."""
    from vizer_core.data.karpathy import one_line

    pairs = [(one_line(old), one_line(new)) for old, new in zip(before, after, strict=True)]
    order = sorted(range(len(pairs)), key=lambda i: pairs[i][0] == pairs[i][1])[:SHOWN]
    say("captions before and after:")
    for index in sorted(order):
        old, new = pairs[index]
        say(f"  {as_text(names[index])}: {old}  ->  {'(the same)' if old == new else new}")


def report(done: Enhancement) -> None:
    """Say what a run did to the captions, with its warnings."""
    drift = done.drift
    say(
        f"{drift.changed:.0%} of {drift.n} captions changed; length x {drift.longer:.2f}; "
        f"KL from the base {two_digits(done.kl)}; wrote {done.folder}"
    )
    for warning in done.warnings:
        say(f"warning: {warning}", err=True)
