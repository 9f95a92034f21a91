"""Run a grid of cells: each cell's answer in its own file, finished ones skipped, kills survived.

A cell is one function call: a name that says which, the function, its arguments, and a guess of
its seconds on one core. Its answer is `folder/<name>.json`, written whole or not at all, together
with the arguments that made it: an answer to other arguments is an error, not a hit. Cells run in
`workers` processes of one thread each, longest first, so that no core waits long at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from vizer_core.files import read_json, write_json


@dataclass(frozen=True)
class Cell:
    """One call of the grid. `run` is importable by name; `arguments` are plain JSON values."""

    name: str
    run: Callable[..., Any]
    arguments: dict[str, Any]
    seconds: float = 1.0

    def path(self, folder: Path) -> Path:
        """Where the cell's answer lies."""
        return Path(folder) / f"{self.name}.json"

    @property
    def signature(self) -> dict[str, Any]:
        """What has to agree for a stored answer to count."""
        return {"function": self.run.__name__, "arguments": self.arguments}


def answer_of(cell: Cell, folder: Path) -> dict[str, Any] | None:
    """Return a finished cell's record, or None; refuse an answer to other arguments."""
    path = cell.path(folder)
    if not path.is_file():
        return None
    record = read_json(path)
    if record.get("cell") != cell.signature:
        raise ValueError(
            f"{path} answers {record.get('cell')}, wanted {cell.signature}. Delete it, or name "
            "another folder."
        )
    return record


def open_cells(cells: Sequence[Cell], folder: Path) -> list[Cell]:
    """Return the cells without an answer, longest first."""
    names = [cell.name for cell in cells]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"cells of one name: {', '.join(twice)}; wanted a name for each")
    todo = [cell for cell in cells if answer_of(cell, folder) is None]
    return sorted(todo, key=lambda cell: -cell.seconds)


def cost(cells: Sequence[Cell], folder: Path, workers: int) -> str:
    """Say what is left to do and how long it takes, before it starts."""
    todo = open_cells(cells, folder)
    minutes = sum(cell.seconds for cell in todo) / max(workers, 1) / 60
    done = len(cells) - len(todo)
    return (
        f"{done} of {len(cells)} cells are done; the other {len(todo)} take about "
        f"{minutes:.0f} minutes in {workers} processes. Stop at any time: finished cells stay."
    )


def seconds_spent(folder: Path) -> float:
    """Return the CPU seconds that all finished cells of a folder took, whenever they were run."""
    records = [read_json(path) for path in sorted(Path(folder).rglob("*.json"))]
    cells = [r["cpu_seconds"] for r in records if isinstance(r, dict) and "cpu_seconds" in r]
    return round(sum(cells), 1)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _run_and_store(cell: Cell, folder: Path) -> str:
    began = time.process_time()
    answer = cell.run(**cell.arguments)
    record = {
        "cell": cell.signature,
        "cpu_seconds": round(time.process_time() - began, 1),
        "answer": answer,
    }
    write_json(cell.path(folder), record)
    return cell.name


def run_grid(
    cells: Sequence[Cell], folder: Path, *, workers: int = 2, progress: bool = False
) -> dict[str, Any]:
    """Run what is missing and return every cell's answer by name.

    A cell that raises does not stop the others; at the end the first error is raised with the
    names of all cells that failed.
    """
    folder, todo, failed = Path(folder), open_cells(cells, folder), {}
    folder.mkdir(parents=True, exist_ok=True)
    if workers < 1:
        raise ValueError(f"workers is {workers}: wanted at least 1")
    if todo and workers == 1:
        for cell in tqdm(todo, disable=not progress, desc="cells"):
            _run_and_store(cell, folder)
    elif todo:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        pool = ProcessPoolExecutor(
            max_workers=workers, mp_context=get_context("spawn"), initializer=_one_thread
        )
        with pool:
            running = {pool.submit(_run_and_store, cell, folder): cell for cell in todo}
            done = tqdm(as_completed(running), total=len(todo), disable=not progress, desc="cells")
            for future in done:
                if (error := future.exception()) is not None:
                    failed[running[future].name] = error
    if failed:
        first = next(iter(failed.values()))
        raise RuntimeError(
            f"{len(failed)} of {len(todo)} cells failed: {', '.join(failed)}. "
            f"The first said: {first}"
        ) from first
    return {cell.name: answer_of(cell, folder)["answer"] for cell in cells}
