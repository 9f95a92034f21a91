"""Report a run to a tracker, such as trackio or wandb, through Accelerate's classes.

Nothing is reported unless a tracker is named. `LiveRun` reports each step when it is done; a run
that was stopped and goes on reports all steps of before first, so that each report is one whole
curve. `report_run` does the same for a run that has come to its end.
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
    """Return the lists of numbers of a history, one entry per step, by the names of its fields.

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
    live = LiveRun(tracker, run=run, folder=folder, settings=settings)
    live.catch_up(curves)
    live.finish()


class LiveRun:
    """A run that a tracker hears of step by step; see `report_run` for what it is told.

    A tracker that fails on the way does not end the training: it is told nothing more, and `finish`
    raises `RuntimeError`. Without a tracker, and in all processes but the first, nothing happens.
    """

    def __init__(
        self, tracker: str | None, *, run: str, folder: Path, settings: Mapping[str, Any]
    ) -> None:
        self.tracker = tracker if is_main_process() else None
        self.run, self.folder, self.settings = run, folder, settings
        self._opened: Any = None
        self._told = 0  # steps
        self._failure: Exception | None = None
        if self.tracker is not None:
            require_tracker(self.tracker)

    def catch_up(self, curves: Curves) -> None:
        """Tell the tracker the steps that it has not heard of."""
        if self.tracker is None or self._failure is not None:
            return
        try:
            if self._opened is None:
                self._opened = self._open(self.tracker)
            for step in range(self._told, max(map(len, curves.values()), default=0)):
                here = {name: values[step] for name, values in curves.items() if step < len(values)}
                self._opened.log({n: v for n, v in here.items() if v is not None}, step=step)
                self._told = step + 1
        except Exception as error:  # each tracker has errors of its own
            self._failure = error

    def finish(self) -> None:
        """Close the report; raise `RuntimeError` where the tracker failed, now or before."""
        if self._opened is not None and self._failure is None:
            try:
                self._opened.finish()
            except Exception as error:
                self._failure = error
        if self._failure is not None:
            raise RuntimeError(
                f"the run is done and kept, but {self.tracker} did not take it: "
                f"{type(self._failure).__name__}: {self._failure}. Log in, or choose another with "
                "--report-to"
            ) from self._failure

    def _open(self, tracker: str) -> Any:
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState()  # the trackers' own log lines ask it which process this is
        kind = LOGGER_TYPE_TO_CLASS[tracker]
        where = [str(self.folder)] if kind.requires_logging_directory else []
        named = tracker in WITH_NAMED_RUNS
        opened = kind(PROJECT, name=self.run) if named else kind(self.run, *where)
        opened.start()
        plain = (bool, str, float, int)
        opened.store_init_configuration(
            {name: v for name, v in self.settings.items() if isinstance(v, plain)}
        )
        return opened


def _is_curve(value: Any) -> bool:
    numbers = (int, float, type(None))
    return isinstance(value, list | tuple) and all(isinstance(v, numbers) for v in value)
