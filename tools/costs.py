"""Run a chapter or a command at full size and keep what it took beside the estimate.

    VIZER_DATA=... python -m tools.costs chapter umap      run it on the full profile, keep a row
    python -m tools.costs command enhance --images ...     run `vizer enhance ...`, keep a row
    python -m tools.costs show                             list the rows

Rows lie in results/costs/full.json (--out FILE: elsewhere), one for each chapter or command and
device. A run that fails leaves no row. The cost tables of the chapters and the planning page show
the rows. A chapter's stored outputs stay those of the micro profile.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError

from tools import notebooks
from tools.notebook_cells import chapter_of
from tools.stamps import code_of, package_versions
from vizer_core.runtime import git_commit, hardware
from vizer_lab.costs import MeasuredCost, full_profile
from vizer_lab.costs.measured import (
    CUT,
    measured_costs,
    peak_memory,
    record_cost,
)

ROOT = Path(__file__).resolve().parents[1]
MORE_PACKAGES = ("transformers", "accelerate", "peft")
MODELS = {
    "CLIP": "VIZER_CLIP",
    "language model": "VIZER_LM",
    "VLM": "VIZER_VLM",
    "judge": "VIZER_JUDGE",
}
LAST_CELL = """\
import json as _json

from vizer_lab.costs.measured import peak_memory as _peak_memory
from vizer_core.runtime import hardware as _hardware
from vizer_core.runtime import profile as _profile

print(_json.dumps({**vars(_peak_memory()), "on": _hardware(), "profile": _profile().name}))
"""


def measure_chapter(path: Path, *, commit: str) -> MeasuredCost:
    """Run a notebook on the full profile in a clean kernel and return what it took.

    The kernel itself reads its peaks in a last cell, which is not kept; nor are any outputs.
    """
    if full_profile(chapter_of(path)) is None:
        raise ValueError(f"{path.name} is the same on both profiles: its row `micro` is measured")
    notebook = nbformat.read(path, as_version=4)
    sizes = sizes_of(notebook)
    notebook["cells"].append(nbformat.v4.new_code_cell(LAST_CELL))
    environment = notebooks.KERNEL_ENVIRONMENT | {"VIZER_PROFILE": "full"}
    for name in ("HF_HUB_OFFLINE", "OMP_NUM_THREADS"):  # the caller's own setting decides
        environment.pop(name)
    environment["VIZER_SEED"] = os.environ.get("VIZER_SEED", "0")
    fresh, seconds = notebooks.execute(notebook, path.parent, environment=environment, timeout=None)
    seen = json.loads(str(fresh["cells"][-1]["outputs"][0]["text"]))
    if seen["profile"] != "full":
        raise ValueError(f"{path.name} ran on the profile {seen['profile']!r}: wanted 'full'")
    return _row(chapter_of(path), seconds, seen, commit=commit, sizes=sizes)


def measure_command(words: Sequence[str], *, commit: str) -> MeasuredCost:
    """Run `vizer WORDS` in this process and return what it took; folders lose their paths."""
    from vizer_core.cli import app

    start = time.perf_counter()
    status = app(list(words), standalone_mode=False)
    if isinstance(status, int) and status:
        raise ValueError(f"vizer {' '.join(words)} ended with status {status}: nothing is recorded")
    seconds = time.perf_counter() - start
    plain = " ".join(Path(word).name if "/" in word else word for word in words[1:])
    seen = {**vars(peak_memory()), "on": hardware()}
    return _row(f"vizer {words[0]}", seconds, seen, commit=commit, sizes={"options": plain})


def sizes_of(notebook: Any) -> dict[str, str]:
    """Return how much a chapter asks for: the call that opens its study, precision, a cut."""
    opened = re.search(r"study = (open_\w+\([^)]*\))", "\n".join(code_of(notebook)))
    found = {"opened": opened[1]} if opened else {}
    if dtype := os.environ.get("VIZER_DTYPE"):
        found["dtype"] = dtype
    if most := os.environ.get("VIZER_IMAGES"):
        found[CUT] = most
    return found


def _row(
    what: str, seconds: float, seen: dict[str, Any], *, commit: str, sizes: dict[str, str]
) -> MeasuredCost:
    models = {name: os.environ[key] for name, key in MODELS.items() if os.environ.get(key)}
    return MeasuredCost(
        what=what,
        device=re.sub(r", torch .*", "", seen["on"]),
        minutes=seconds / 60,
        ram=seen["ram"],
        vram=seen["vram"],
        commit=commit,
        date=datetime.now(UTC).date().isoformat(),
        versions=versions(),
        sizes=sizes,
        models={
            name: Path(given).name if Path(given).exists() else given
            for name, given in models.items()
        },
    )


def versions() -> dict[str, str]:
    """Return the versions of the packages that decide how fast a run is."""
    return package_versions() | package_versions(MORE_PACKAGES)


def said(row: MeasuredCost) -> str:
    """Return a row in one line."""
    gpu = "no GPU" if row.vram is None else f"{row.vram / 1e9:.1f} GB of GPU memory"
    return (
        f"{row.what}: measured on {row.device}, {row.date}, commit {row.commit}: "
        f"{row.minutes:.1f} minutes, {row.ram / 1e9:.1f} GB of RAM, {gpu}"
    )


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run one of the commands; exit 1 if what was to be measured failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=root / notebooks.MEASURED)
    parser.add_argument("command", choices=("chapter", "command", "show"))
    parser.add_argument("words", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    if given.command == "show":
        rows = measured_costs(given.out)
        print("\n".join(map(said, rows)) or "no run is recorded: all costs are estimates")
        return 0
    if not given.words:
        parser.error(f"{given.command}: wanted what to run, such as umap or enhance --images ...")
    commit = git_commit(root)
    try:
        if given.command == "command":
            row = measure_command(given.words, commit=commit)
        else:
            (path, *more) = notebooks.paths(root, given.words)
            if more:
                raise ValueError(f"{given.words} names {len(more) + 1} chapters: wanted one")
            row = measure_chapter(path, commit=commit)
    except (ValueError, CellExecutionError) as error:
        print(f"nothing is recorded: {error}", file=sys.stderr)
        return 1
    record_cost(given.out, row)
    print(said(row))
    if given.command == "chapter" and given.out == root / notebooks.MEASURED:
        notebooks.costs(root, [path.name])
    return 0


if __name__ == "__main__":
    sys.exit(main())
