"""Make `results/gap_drawn.json`: which claims about the gap hold on the drawn world, which do not.

    python -m experiments.gap_drawn                 every model of the grid, 2,000 test scenes
    python -m experiments.gap_drawn --train-only    only train the models that are missing
    python -m experiments.gap_drawn --present       judge by the models that there are

What was measured on each model stands in `results/seeds/gap_drawn.json`; a model that stands there
is neither trained nor measured again. A score is the mean over seeds. Its interval is the envelope
of the seeds' own 95% bootstrap intervals over scenes: wider than any one of them, and never blind
to a seed that disagrees. Numbers that have no bootstrap of their own (a maximum, a KS distance)
span the seeds alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from experiments.gap_claims import Table, verdicts
from experiments.gap_measure import Numbers, World, measure
from experiments.gap_models import SEEDS, GapModel, grid, load, missing, train
from experiments.gap_seeds import (
    Records,
    make_record,
    name_of,
    numbers_of,
    read_records,
    record_of,
    write_records,
)
from vizer_core.files import write_json
from vizer_core.gap import Interval
from vizer_core.runtime import git_commit, hardware, pick_device

DIGITS = 5  # kept in the file, and what the verdicts are judged on
OUT = Path("results/gap_drawn.json")
INTERVAL = (
    "scores: mean over seeds, and the envelope of the seeds' 95% bootstrap intervals over scenes; "
    "differences: mean over seeds on the same scenes, and the range over seeds (not a 95% interval)"
)
CUT = (
    "seed 0 is the shipped drawn CLIPs; seeds from 1 on are trained by the same recipes on half of "
    "the batches",
    "two kinds of an earlier grid are left out: a class-token tower of eight layers, and "
    "the mean of the patches at logit scale 100",
)
SAMPLES_PER_SECOND = {"cpu": 150, "cuda": 2000}  # one CPU core; one data-centre GPU (measured)


def envelope(intervals: list[Interval]) -> Interval:
    """Return the mean over seeds with the lowest low and the highest high.

    >>> envelope([Interval(1.0, 0.9, 1.1), Interval(2.0, 1.8, 2.3)])
    Interval(mean=1.5, low=0.9, high=2.3, n=None)
    """
    mean = sum(i.estimate for i in intervals) / len(intervals)
    ends = (mean, min(i.low for i in intervals), max(i.high for i in intervals))
    return Interval(*(round(end, DIGITS) for end in ends))


def measure_all(models: Sequence[GapModel], n: int) -> Records:
    """Return every model's record, measuring those whose weights are there and that have none."""
    records, world = read_records(), None
    for model in tqdm(models, desc="measure", unit="model"):
        if record_of(model, records, n) is None and model.path.is_file():
            world = world or World.draw(n)
            records[name_of(model)] = make_record(model, measure(load(model), world), n)
            write_records(records, models)
    found = {name_of(model): record_of(model, records, n) for model in models}
    return {name: record for name, record in found.items() if record is not None}


def by_run(models: Sequence[GapModel], records: Records) -> dict[tuple[str, int], Numbers]:
    """Return the measurements of the models that have a record, by system and seed."""
    return {
        (model.system, model.seed): numbers_of(records[name_of(model)])
        for model in models
        if name_of(model) in records
    }


def as_rows(found: dict[tuple[str, int], Numbers], n: int) -> Table:
    """Gather the seeds of each system into rows: (system, metric) -> interval."""
    by_system: dict[str, list[Numbers]] = {}
    for (system, _), numbers in found.items():
        by_system.setdefault(system, []).append(numbers)
    rows = {}
    for system, seeds in by_system.items():
        for metric in seeds[0]:
            rows[system, metric] = envelope([numbers[metric] for numbers in seeds])
    return Table(rows, n=n, seeds={system: len(seeds) for system, seeds in by_system.items()})


def differences(found: dict[tuple[str, int], Numbers], n: int) -> list[dict]:
    """Compare each system with the plain one on its own seed, metric by metric."""
    metrics = ("gap_norm", "pair_cosine_mean", "constant_share", "i2t_r1", "patch_closer")
    rows = []
    for system in dict.fromkeys(system for system, _ in found):
        if system == "cls":
            continue
        seeds = sorted(seed for s, seed in found if s == system and ("cls", seed) in found)
        for metric in metrics:
            changes = [
                found[system, seed][metric].estimate - found["cls", seed][metric].estimate
                for seed in seeds
            ]
            rows.append(
                {
                    "system": system,
                    "against": "cls",
                    "metric": metric,
                    "mean": round(sum(changes) / len(changes), 5),
                    "low": round(min(changes), 5),
                    "high": round(max(changes), 5),
                    "n": n,
                    "seeds": len(seeds),
                }
            )
    return rows


def what_was_cut(models: Sequence[GapModel], records: Records) -> list[str]:
    """Say what the study lacks: by design, and of its own grid."""
    lacking = [name_of(model) for model in models if name_of(model) not in records]
    return [*CUT, *([f"not trained yet: {', '.join(lacking)}"] if lacking else [])]


def train_missing(models: Sequence[GapModel], n: int, device: str) -> None:
    """Train the models that have neither a record nor weights, and their parents, saying costs."""
    records = read_records()
    wanted = [model for model in models if record_of(model, records, n) is None]
    needed = {*wanted, *(model.parent for model in wanted if model.parent)}
    todo = missing([model for model in models if model in needed])
    if todo:
        hours = sum(m.recipe.samples for m in todo) / SAMPLES_PER_SECOND[device] / 3600
        print(
            f"{len(todo)} models to train, about {hours:.1f} hours on {device}; stop and go on "
            "at will"
        )
    for model in todo:
        train(model, device=device)


def main() -> None:
    """Train what is missing, measure everything, judge the claims, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=2000, help="test scenes, one pair each")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--present", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    began, models = time.monotonic(), list(grid(tuple(options.seeds)))
    if not options.present:
        device = "cuda" if pick_device(options.device).type == "cuda" else "cpu"
        train_missing(models, options.n, device)
    if options.train_only:
        return
    records = measure_all(models, options.n)
    found = by_run(models, records)
    table = as_rows(found, options.n)
    seeds = " ".join(map(str, options.seeds))
    present = " --present" if options.present else ""
    trained_on = sorted({record["hardware"] for record in records.values()})
    write_json(
        options.out,
        {
            "experiment": "gap_drawn",
            "command": f"python -m experiments.gap_drawn --n {options.n} --seeds {seeds}{present}",
            "commit": git_commit(),
            "hardware": f"{hardware()}; models trained on {', '.join(trained_on)}",
            "seconds": round(time.monotonic() - began, 1),
            "interval": INTERVAL,
            "cut": what_was_cut(models, records),
            "scores": table.to_rows(),
            "differences": differences(found, options.n),
            "claims": verdicts(table),
        },
    )
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
