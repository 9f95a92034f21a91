"""Run a chapter as a user of the full profile does: in Jupyter, in a folder of its own, offline."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TIMEOUT = 300


@dataclass(frozen=True)
class Ran:
    """What a chapter printed, cell by cell, and which shipped drawn models it read."""

    text: str
    warnings: tuple[str, ...]
    drawn_models: frozenset[str]


def run_chapter(name: str, environment: Mapping[str, str], folder: Path) -> Ran:
    """Run the notebook whose name holds `name`; the stored one is not touched."""
    (path,) = (ROOT / "notebooks").glob(f"*{name}*.ipynb")
    notebook = copy.deepcopy(nbformat.read(path, as_version=4))
    log = folder / "opened.txt"
    folder.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    inherited = {key: v for key, v in os.environ.items() if not key.startswith("VIZER_")}
    own = {
        "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}",
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "VIZER_OPENED": str(log),
    }
    try:
        client.execute(env={**inherited, **own, **environment})
    except CellExecutionError as error:
        raise AssertionError(f"{path.name} on the full profile: {error}") from None
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    texts = [str(o.get("text", "")) + str(o.get("data", {}).get("text/plain", "")) for o in outputs]
    stderr = [t for t, o in zip(texts, outputs) if o.get("name") == "stderr"]
    opened = log.read_text(encoding="utf-8").split() if log.is_file() else []
    return Ran(
        text="\n".join(texts),
        warnings=tuple(stderr),
        drawn_models=frozenset(Path(file).name.split(".")[0] for file in opened),
    )
