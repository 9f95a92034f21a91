"""Report a finished run to a tracker, such as trackio or wandb, through Accelerate's classes.

Nothing is reported unless a tracker is named. A run reports when it is done, all steps at once: a
run that was stopped and called again is then one curve, as its history is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from vizer_core.distributed import is_main_process

Curves = Mapping[str, Sequence[Any]]
PROJECT = "vizer"  # where a tracker keeps runs by name, all of them lie in one project
WITH_NAMED_RUNS = ("trackio", "wandb")
PACKAGES = {"comet_ml": "comet-ml"}  # where a tracker is installed by another name


def require_tracker(name: str) -> None:
    """Raise if Accelerate does not know a tracker, or its package is absent: before training."""
    from accelerate import tracking

    known = tracking.LOGGER_TYPE_TO_CLASS
    if name not in known:
        raise ValueError(f"no tracker {name!r}: wanted one of {', '.join(sorted(known))}")
    built_in = known[name].__module__ == tracking.__name__
    if built_in and name not in [str(kind) for kind in tracking.get_available_trackers()]:
        package = PACKAGES.get(name, name)
        raise ImportError(f"reporting to {name} needs its package: pip install {package}")


def curves_of(history: Any) -> Curves:
    """Return the lists of numbers of a history, one entry a step, by the names of its fields.

    >>> from dataclasses import make_dataclass
    >>> curves_of(make_dataclass("H", ["loss", "kl", "why"])([2.0, 1.0], [None, 0.1], "done"))
    {'loss': [2.0, 1.0], 'kl': [None, 0.1]}
    """
    values = {field.name: getattr(history, field.name) for field in fields(history)}
    return {name: value for name, value in values.items() if _is_curve(value)}


def report_run(
    curves: Curves, tracker: str | None, *, run: str, folder: Path, settings: Mapping[str, Any]
) -> None:
    """Give a tracker the settings of a run and its curves, step by step; one process reports.

    Without a tracker nothing happens. One that writes files, such as tensorboard, writes them to
    `folder`. A value that was not measured at a step (None) is left out there. What is sent is
    `settings` and `curves`, nothing else of this process; keys and logins are the tracker's own.

    Save the run first: a tracker that cannot be reached raises `RuntimeError`.
    """
    if tracker is None or not is_main_process():
        return
    require_tracker(tracker)
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState()  # the trackers' own log lines ask it which process this is
    kind = LOGGER_TYPE_TO_CLASS[tracker]
    where = [str(folder)] if kind.requires_logging_directory else []
    plain = (bool, str, float, int)
    try:
        named = tracker in WITH_NAMED_RUNS
        opened = kind(PROJECT, name=run) if named else kind(run, *where)
        opened.start()
        opened.store_init_configuration({k: v for k, v in settings.items() if isinstance(v, plain)})
        for step in range(max(map(len, curves.values()), default=0)):
            here = {name: values[step] for name, values in curves.items() if step < len(values)}
            opened.log({name: v for name, v in here.items() if v is not None}, step=step)
        opened.finish()
    except Exception as error:  # each tracker has errors of its own
        raise RuntimeError(
            f"the run is done and kept, but {tracker} did not take it: {type(error).__name__}: "
            f"{error}. Log in, or choose another with --report-to"
        ) from error


def _is_curve(value: Any) -> bool:
    numbers = (int, float, type(None))
    return isinstance(value, list | tuple) and all(isinstance(v, numbers) for v in value)
