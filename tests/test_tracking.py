"""Runs reported through Accelerate's trackers: every step once, nothing unless it is asked for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from accelerate import tracking as accelerate_tracking

from vizer_core import tracking
from vizer_core.tracking import curves_of, report_run, require_tracker


class Notes(accelerate_tracking.GeneralTracker):
    """A local tracker: one JSON line a call."""

    name = "notes"
    requires_logging_directory = True
    opened: ClassVar[list[str]] = []

    def __init__(self, run_name: str, logging_dir: str) -> None:
        super().__init__()
        Notes.opened.append(run_name)
        Path(logging_dir).mkdir(parents=True, exist_ok=True)
        self.file = Path(logging_dir) / f"{run_name}.jsonl"

    @property
    def tracker(self) -> Path:
        return self.file

    def _write(self, row: dict) -> None:
        with self.file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")

    def store_init_configuration(self, values: dict) -> None:
        self._write({"settings": values})

    def log(self, values: dict, step: int | None = None, **_: object) -> None:
        self._write({"step": step} | values)

    def finish(self) -> None:
        self._write({"finished": True})


@pytest.fixture
def notes(monkeypatch):
    """Register a tracker as a user would, and forget it afterwards."""
    monkeypatch.setattr(Notes, "opened", [])
    known = dict(accelerate_tracking.LOGGER_TYPE_TO_CLASS)
    monkeypatch.setattr(accelerate_tracking, "LOGGER_TYPE_TO_CLASS", known)
    accelerate_tracking.register_tracker_class(Notes)
    return Notes


def rows_of(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_step_is_reported_once_with_what_was_measured(notes, tmp_path):
    curves = {"loss": [3.0, 2.0, 1.0], "kl": [None, 0.5]}
    settings = {"seed": 0, "weights": [1, 2]}
    report_run(curves, "notes", run="mine", folder=tmp_path / "logs", settings=settings)
    first, *steps, last = rows_of(tmp_path / "logs" / "mine.jsonl")
    assert first == {"settings": {"seed": 0}} and last == {"finished": True}
    assert steps == [
        {"step": 0, "loss": 3.0}, {"step": 1, "loss": 2.0, "kl": 0.5}, {"step": 2, "loss": 1.0},
    ]  # fmt: skip


def test_only_the_first_process_reports(notes, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "is_main_process", lambda: False)
    report_run({"loss": [1.0]}, "notes", run="mine", folder=tmp_path, settings={})
    assert notes.opened == []


def test_a_history_gives_its_curves_and_nothing_else():
    from vizer_core.vizer.adapter_run import TrainHistory

    history = TrainHistory(reward=[0.1], kl=[0.0], stopped="KL")
    assert curves_of(history)["reward"] == [0.1] and "stopped" not in curves_of(history)


def test_unknown_and_absent_trackers_are_refused_before_anything_runs(monkeypatch):
    with pytest.raises(ValueError, match=r"no tracker 'x': wanted one of .*trackio, wandb"):
        require_tracker("x")
    monkeypatch.setattr(accelerate_tracking, "_available_trackers", [])
    with pytest.raises(ImportError, match="reporting to trackio needs its package: pip install"):
        require_tracker("trackio")


@pytest.fixture
def stand_in(monkeypatch):
    """Put a stand-in for the package `trackio` or `wandb` in place; return what it was told.

    Both have the calls that Accelerate makes: `init`, `config.update`, the run's `log` and
    `finish`. With tensorboard 2.21, wandb 0.31 (offline) and trackio 0.43 themselves the same
    calls were tried by hand; they are not installed here.
    """
    from accelerate import PartialState
    from accelerate.utils import LoggerType

    PartialState._reset_state()  # as in a command that has not touched Accelerate yet

    def put(name: str, *, fails: Exception | None = None) -> list[tuple]:
        told: list[tuple] = []

        def log(values: dict, step: int | None = None) -> None:
            if fails is not None:
                raise fails
            told.append(("log", step, values))

        def init(**given: str) -> SimpleNamespace:
            told.append(("init", given))
            return SimpleNamespace(log=log, finish=lambda: told.append(("finish",)))

        def update(values: dict, **_: object) -> None:
            told.append(("config", values))

        package = SimpleNamespace(init=init, config=SimpleNamespace(update=update))
        monkeypatch.setitem(sys.modules, name, package)
        monkeypatch.setattr(accelerate_tracking, "_available_trackers", [LoggerType(name)])
        return told

    return put


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_trackers_of_named_runs_are_told_project_run_settings_and_steps(name, stand_in, tmp_path):
    told = stand_in(name)
    report_run({"loss": [2.0, 1.0]}, name, run="mine", folder=tmp_path, settings={"seed": 3})
    assert told == [
        ("init", {"project": "vizer", "name": "mine"}),
        ("config", {"seed": 3}),
        ("log", 0, {"loss": 2.0}),
        ("log", 1, {"loss": 1.0}),
        ("finish",),
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_fails_says_that_the_run_is_kept(stand_in, tmp_path):
    stand_in("wandb", fails=Exception("api_key not configured"))
    wanted = "the run is done and kept, but wandb did not take it: Exception: api_key not"
    with pytest.raises(RuntimeError, match=wanted):
        report_run({"loss": [2.0]}, "wandb", run="mine", folder=tmp_path, settings={})


def test_nothing_of_the_environment_is_reported(notes, tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "secret-of-mine")
    report_run({"loss": [1.0]}, "notes", run="mine", folder=tmp_path, settings={"seed": 0})
    assert "secret" not in (tmp_path / "mine.jsonl").read_text()


def test_tensorboard_writes_its_events_where_it_is_installed(tmp_path):
    pytest.importorskip("tensorboard")
    report_run({"loss": [1.0]}, "tensorboard", run="mine", folder=tmp_path, settings={"seed": 0})
    assert list((tmp_path / "mine").glob("events.out.tfevents*"))


def test_no_command_reports_unless_it_is_told_to():
    import inspect

    from vizer_core.cli.enhance import enhance_command
    from vizer_core.cli.train_captioner import train_captioner_command

    for command in (train_captioner_command, enhance_command):
        assert inspect.signature(command).parameters["report_to"].default is None
