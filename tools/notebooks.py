"""Run the notebooks on the micro profile, store their outputs with a stamp, check their rules.

    python -m tools.notebooks run [NAME ...] [--all]    run the stale ones (or all), write them
    python -m tools.notebooks verify [NAME ...]         run all, write nothing, compare headlines
    python -m tools.notebooks costs [NAME ...]          write the cost tables, run nothing
    python -m tools.notebooks check [NAME ...]          rules and stamps only, in some seconds

A notebook is written only here: from a clean kernel, with stable cell ids, without timing, and with
`metadata.vizer` saying what code made the outputs. A run that changes no output leaves the file
untouched, whatever the run took and wherever it ran, so running twice gives no diff.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm.auto import tqdm

from tools.book import colab_link, repository_url
from tools.figure_words import is_words
from tools.notebook_cells import (
    chapter_of,
    normalise,
    write_colab_cell,
    write_cost_table,
    write_setup_cell,
)
from tools.notebook_rules import check_notebook, tags
from tools.stamps import (
    code_sha256,
    core_sha256,
    package_versions,
    results_sha256,
    unwatched,
    watched,
)
from vizer_core.files import atomic_path
from vizer_core.runtime import hardware
from vizer_lab.costs.measured import measured_costs

ROOT = Path(__file__).resolve().parents[1]
MEASURED = Path("results", "costs", "full.json")  # what runs on the full profile took
CELL_TIMEOUT = 600
KERNEL_ENVIRONMENT = {
    "VIZER_PROFILE": "micro",
    "VIZER_SEED": "0",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",  # a training run's sums differ with the number of threads
    "HF_HUB_OFFLINE": "1",
    "JUPYTER_PREFER_ENV_PATH": "1",
}
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?")
CIRCUMSTANCES = ("seconds", "device")  # of a run, which no output depends on
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 0.05, 0.02


def paths(root: Path, names: list[str]) -> list[Path]:
    """Return the notebooks of the checkout, or those whose file name holds one of `names`."""
    found = sorted((root / "notebooks").glob("*.ipynb"))
    if not names:
        return found
    chosen = [path for path in found if any(name in path.name for name in names)]
    if not chosen:
        raise ValueError(f"no notebook matches {names}: there are {[p.name for p in found]}")
    return chosen


def tidy(path: Path) -> None:
    """Sort imports and format the code of a notebook, as `make lint` wants it."""
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "--quiet", "--select", "I", "--fix", str(path)], check=True)
    subprocess.run([*ruff, "format", "--quiet", str(path)], check=True)


def read(path: Path) -> Any:
    """Read a notebook, with the setup cell and the Colab link of this checkout in place."""
    notebook = nbformat.read(path, as_version=4)
    url = repository_url(ROOT)
    link = colab_link(url, f"notebooks/{path.name}") if url else None
    return write_setup_cell(write_colab_cell(notebook, link), url)


def is_stale(notebook: Any, root: Path) -> bool:
    """Tell whether a notebook's outputs were made by other code than there is now."""
    stamp = notebook["metadata"].get("vizer", {})
    return (
        stamp.get("code_sha256") != code_sha256(notebook)
        or stamp.get("core_sha256") != core_sha256(notebook, root)
        or stamp.get("results") != results_sha256(stamp.get("results", ()), root)
        or stamp.get("profile") != "micro"
    )


def chapters_to_run(root: Path) -> list[int]:
    """Return the chapters whose outputs were made by other code, results or packages than now."""
    loaded = [(int(path.stem.split("_")[0]), read(path)) for path in paths(root, [])]
    return [
        number
        for number, notebook in loaded
        if is_stale(notebook, root)
        or notebook["metadata"]["vizer"].get("packages") != package_versions()
    ]


def execute(
    notebook: Any,
    folder: Path,
    *,
    environment: Mapping[str, str] = KERNEL_ENVIRONMENT,
    timeout: int | None = CELL_TIMEOUT,
) -> tuple[Any, float]:
    """Run a copy of the notebook from a clean kernel in `folder`; return it and the seconds."""
    fresh = copy.deepcopy(notebook)
    client = NotebookClient(
        fresh,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    start = time.perf_counter()
    client.execute(env={**os.environ, **environment})
    return fresh, time.perf_counter() - start


def stamped(notebook: Any, root: Path, seconds: float, read: Mapping[str, str]) -> Any:
    """Add the stamp: which code, results read, profile and machine, in how many seconds."""
    notebook["metadata"]["vizer"] = {
        "profile": KERNEL_ENVIRONMENT["VIZER_PROFILE"],
        "seed": int(KERNEL_ENVIRONMENT["VIZER_SEED"]),
        "code_sha256": code_sha256(notebook),
        "core_sha256": core_sha256(notebook, root),
        "results": dict(read),
        "device": hardware(),
        "packages": package_versions(),
        "seconds": round(seconds, 1),
    }
    return notebook


def save(path: Path, notebook: Any) -> bool:
    """Write a notebook unless the file says the same already; tell whether it wrote."""
    text = nbformat.writes(notebook) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return True


def finished(
    fresh: Any, read: Mapping[str, str], stored: Any, path: Path, root: Path, seconds: float
) -> Any:
    """Stamp a notebook that has run and write its cost table.

    Where all else is as it was stored, so are the run time and the machine: `make book` leaves a
    checkout as it was.
    """
    fresh = stamped(normalise(fresh, path.name), root, seconds, read)
    measured = measured_costs(root / MEASURED)
    before = stored["metadata"].get("vizer", {})
    as_before = copy.deepcopy(fresh)
    as_before["metadata"]["vizer"] |= {k: before[k] for k in CIRCUMSTANCES if k in before}
    as_before = write_cost_table(as_before, chapter_of(path), measured)
    same = nbformat.writes(as_before) == nbformat.writes(stored)
    return as_before if same else write_cost_table(fresh, chapter_of(path), measured)


def headline(notebook: Any) -> list[tuple[str, list[float]]]:
    """Return the numbers that the cells tagged `headline` print, cell by cell."""
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and "headline" in tags(cell):
            texts = [
                str(output.get("text", "")) or str(output.get("data", {}).get("text/plain", ""))
                for output in cell["outputs"]
                if not is_words(output)
            ]
            found.append((cell["id"], numbers("\n".join(texts))))
    return found


def numbers(text: str) -> list[float]:
    """Return the numbers in a text, in order.

    >>> numbers("gap 0.78 [.70, 1,024], -3e-2")
    [0.78, 0.7, 1024.0, -0.03]
    """
    text = re.sub(r"<Figure[^>]*>", "", text)
    return [float(match.group().rstrip(",").replace(",", "")) for match in NUMBER.finditer(text)]


def differences(stored: Any, fresh: Any) -> list[str]:
    """List headline numbers that a fresh run does not give again within the tolerance."""
    faults = []
    for (name, old), (_, new) in zip(headline(stored), headline(fresh), strict=True):
        if len(old) != len(new):
            faults.append(f"{name}: {len(old)} numbers stored, {len(new)} in a fresh run")
            continue
        for a, b in zip(old, new, strict=True):
            if not math.isclose(a, b, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE):
                faults.append(f"{name}: stored {a:g}, a fresh run gives {b:g}")
    return faults


def run(root: Path, names: list[str], *, everything: bool, progress: bool = True) -> list[str]:
    """Run stale notebooks (or all), store their outputs, and return what failed."""
    for path in paths(root, names):
        tidy(path)
    loaded = [(path, read(path)) for path in paths(root, names)]
    chosen = [(path, nb) for path, nb in loaded if everything or is_stale(nb, root)]
    cost = sum(nb["metadata"].get("vizer", {}).get("seconds", 0) for _, nb in chosen)
    print(f"{len(chosen)} of {len(loaded)} notebooks to run; last time they took {cost:.0f} s")
    faults = []
    for path, notebook in tqdm(chosen, disable=not progress, unit="notebook"):
        try:
            ran, seconds = execute(watched(notebook), root / "notebooks")
        except CellExecutionError as error:
            faults.append(f"{path.name}: {error}")
            continue
        try:
            stored = nbformat.read(path, as_version=4)
            fresh = finished(*unwatched(ran, root), stored, path, root, seconds)
        except ValueError as error:
            faults.append(f"{path.name}: {error}; add it to vizer_lab.costs.chapters")
            continue
        wrote = save(path, fresh)
        print(f"{path.name}: {seconds:.1f} s, {'written' if wrote else 'same outputs as before'}")
    return faults


def verify(root: Path, names: list[str]) -> list[str]:
    """Run notebooks without writing them and return headline numbers that came out otherwise."""
    faults = []
    for path in paths(root, names):
        stored = read(path)
        try:
            fresh, seconds = execute(stored, root / "notebooks")
        except CellExecutionError as error:
            faults.append(f"{path.name}: {error}")
            continue
        print(f"{path.name}: {seconds:.1f} s")
        fresh = normalise(fresh, path.name)  # as it would be stored
        faults += [f"{path.name}: {fault}" for fault in differences(stored, fresh)]
    return faults


def check(root: Path, names: list[str]) -> list[str]:
    """Return every broken rule, stale stamp and stale cost table."""
    faults = []
    for path in paths(root, names):
        notebook = read(path)
        faults += check_notebook(path, notebook, root)
        before = [cell["source"] for cell in notebook["cells"]]
        try:
            after = write_cost_table(notebook, chapter_of(path), measured_costs(root / MEASURED))
        except ValueError as error:
            faults.append(f"{path.name}: {error}; add it to vizer_lab.costs.chapters")
            continue
        if before != [cell["source"] for cell in after["cells"]]:
            faults.append(f"{path.name}: another cost table: run `python -m tools.notebooks costs`")
    return faults


def costs(root: Path, names: list[str]) -> list[str]:
    """Write the cost table of every notebook; nothing is run."""
    for path in paths(root, names):
        stored = nbformat.read(path, as_version=4)
        notebook = write_cost_table(stored, chapter_of(path), measured_costs(root / MEASURED))
        print(f"{path.name}: {'written' if save(path, notebook) else 'as it was'}")
    return []


def main() -> int:
    """Run one of the commands; exit 1 if anything is at fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("run", "verify", "costs", "check"))
    parser.add_argument("names", nargs="*", help="parts of file names; default: all notebooks")
    parser.add_argument("--all", action="store_true", help="run also those that are up to date")
    arguments = parser.parse_args()
    if arguments.command in ("run", "verify") and os.environ.get("VIZER_PROFILE") == "full":
        parser.error(
            "VIZER_PROFILE=full: only the micro profile's outputs are stored. To run a chapter on "
            "the full one and keep what it costs: python -m tools.costs chapter NAME"
        )
    if arguments.command == "run":
        faults = run(ROOT, arguments.names, everything=arguments.all)
    elif arguments.command == "verify":
        faults = verify(ROOT, arguments.names)
    elif arguments.command == "costs":
        faults = costs(ROOT, arguments.names)
    else:
        faults = check(ROOT, arguments.names)
    print("\n".join(faults) if faults else f"{arguments.command}: no faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
