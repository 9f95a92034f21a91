"""Make `results/seeds/gap_drawn.json`: what was measured on each model of the gap study.

The weights of the study are not kept in the repository, the measurements are: a later session adds
seeds to them without training the old ones again. A record counts as long as the model's recipe,
the weights (of shipped ones) and the number of scenes are what they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.gap_measure import Numbers
from experiments.gap_models import GapModel
from vizer_core.files import load_manifest, read_json, write_json
from vizer_core.gap import Interval

OUT = Path("results/seeds/gap_drawn.json")
DIGITS = 5
INTERVAL = "95% bootstrap over scenes, for one model each: [estimate, low, high]"
Records = dict[str, dict[str, Any]]


def name_of(model: GapModel) -> str:
    """Name a run as files of single runs do.

    >>> name_of(GapModel("cls", 50, 1))
    'cls_scale50#1'
    """
    return f"{model.system}#{model.seed}"


def read_records(path: Path = OUT) -> Records:
    """Return what was measured so far, by run."""
    return read_json(path)["models"] if path.is_file() else {}


def record_of(model: GapModel, records: Records, n: int) -> dict[str, Any] | None:
    """Return a model's record, if it still counts."""
    found = records.get(name_of(model))
    if found is None or found["n"] != n or found["recipe"] != model.recipe.to_dict():
        return None
    if model.path.is_file() and load_manifest(model.path)["sha256"] != found["sha256"]:
        return None
    return found


def numbers_of(record: dict[str, Any]) -> Numbers:
    """Return a record's measurements."""
    return {name: Interval(*ends) for name, ends in record["numbers"].items()}


def make_record(model: GapModel, numbers: Numbers, n: int) -> dict[str, Any]:
    """Return what is kept of a model: where it is from, what it cost, what was measured on it."""
    manifest = load_manifest(model.path)
    ends = {
        name: [round(value, DIGITS) for value in (row.estimate, row.low, row.high)]
        for name, row in numbers.items()
    }
    return {
        "shipped": model.shipped,
        "n": n,
        "sha256": manifest["sha256"],
        "recipe": manifest["recipe"],
        "hardware": manifest["hardware"],
        "cpu_seconds": manifest.get("cpu_seconds"),  # not known of shipped models
        "numbers": ends,
    }


def write_records(records: Records, models: Iterable[GapModel], path: Path = OUT) -> None:
    """Write the records in the grid's order, whole or not at all."""
    names = [name_of(model) for model in models]
    others = [name for name in records if name not in names]  # of seeds that were not asked for
    ordered = {name: records[name] for name in [*names, *others] if name in records}
    write_json(
        path,
        {
            "experiment": "gap_drawn",
            "command": "python -m experiments.gap_drawn",
            "interval": INTERVAL,
            "models": ordered,
        },
    )
