"""Make `results/gap_micro.json`: which claims about the gap hold on the micro world, and which not.

    python -m experiments.gap_micro                 three seeds a model, 2,000 test scenes
    python -m experiments.gap_micro --train-only    only train the models that are missing

A score is the mean over seeds. Its interval is the envelope of the seeds' own 95% bootstrap
intervals over scenes: wider than any one of them, and never blind to a seed that disagrees.
Numbers that have no bootstrap of their own (a maximum, a KS distance) span the seeds alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tqdm.auto import tqdm

from experiments.gap_claims import Table, verdicts
from experiments.gap_measure import Numbers, World, measure
from experiments.gap_models import FOLDER, SEEDS, grid, load, missing, train
from vizer_core.files import read_json, write_json
from vizer_core.gap import Interval
from vizer_core.runtime import git_commit, hardware, pick_device

DIGITS = 5  # kept in the file, and what the verdicts are judged on
OUT = Path("results/gap_micro.json")
INTERVAL = (
    "scores: mean over seeds, and the envelope of the seeds' 95% bootstrap intervals over scenes; "
    "differences: mean over seeds on the same scenes, and the range over seeds (not a 95% interval)"
)
SAMPLES_PER_SECOND = {"cpu": 140, "cuda": 2000}  # one CPU core; one data-centre GPU (measured)


def envelope(intervals: list[Interval]) -> Interval:
    """Return the mean over seeds with the lowest low and the highest high.

    >>> envelope([Interval(1.0, 0.9, 1.1), Interval(2.0, 1.8, 2.3)])
    Interval(mean=1.5, low=0.9, high=2.3, n=None)
    """
    mean = sum(i.estimate for i in intervals) / len(intervals)
    ends = (mean, min(i.low for i in intervals), max(i.high for i in intervals))
    return Interval(*(round(end, DIGITS) for end in ends))


def measure_all(models: list, n: int) -> dict[tuple[str, int], Numbers]:
    """Measure every model, keeping each result in the cache under its weights' hash and n."""
    world, found = World.draw(n), {}
    for model in tqdm(models, desc="measure", unit="model"):
        kept = FOLDER / f"{model.path.stem}-n{n}.intervals.json"
        sha = read_json(model.path.with_suffix(".json"))["sha256"]
        if kept.is_file() and (stored := read_json(kept))["sha256"] == sha:
            numbers = {k: Interval(**v) for k, v in stored["numbers"].items()}
        else:
            numbers = measure(load(model), world)
            plain = {k: v.as_dict() for k, v in numbers.items()}
            write_json(kept, {"sha256": sha, "numbers": plain})
        found[model.system, model.seed] = numbers
    return found


def as_rows(found: dict[tuple[str, int], Numbers], n: int) -> Table:
    """Gather the seeds of each system into rows: (system, metric) -> interval."""
    by_system: dict[str, list[Numbers]] = {}
    for (system, _), numbers in found.items():
        by_system.setdefault(system, []).append(numbers)
    rows = {}
    for system, seeds in by_system.items():
        for metric in seeds[0]:
            rows[system, metric] = envelope([numbers[metric] for numbers in seeds])
    return Table(rows, n=n, seeds=len({seed for _, seed in found}))


def differences(found: dict[tuple[str, int], Numbers], n: int) -> list[dict]:
    """Compare each system with the plain one on its own seed, metric by metric."""
    metrics = ("gap_norm", "pair_cosine_mean", "constant_share", "i2t_r1", "patch_closer")
    rows = []
    for system in dict.fromkeys(system for system, _ in found):
        if system == "cls":
            continue
        seeds = sorted(seed for s, seed in found if s == system)
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


def main() -> None:
    """Train what is missing, measure everything, judge the claims, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=2000, help="test scenes, one pair each")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    began, models = time.monotonic(), list(grid(tuple(options.seeds)))
    device = str(pick_device(options.device))
    todo = missing(models)
    if todo:
        hours = sum(m.recipe.samples for m in todo) / SAMPLES_PER_SECOND[device] / 3600
        print(
            f"{len(todo)} models to train, about {hours:.1f} hours on {device}; stop and go on "
            "at will"
        )
    for model in todo:
        train(model, device=device)
    if options.train_only:
        return
    found = measure_all(models, options.n)
    table = as_rows(found, options.n)
    command = f"python -m experiments.gap_micro --n {options.n} --seeds " + " ".join(
        map(str, options.seeds)
    )
    trained_on = sorted({read_json(m.path.with_suffix(".json"))["hardware"] for m in models})
    write_json(
        options.out,
        {
            "experiment": "gap_micro",
            "command": command,
            "commit": git_commit(),
            "hardware": f"{hardware()}; models trained on {', '.join(trained_on)}",
            "seconds": round(time.monotonic() - began, 1),
            "interval": INTERVAL,
            "scores": table.to_rows(),
            "differences": differences(found, options.n),
            "claims": verdicts(table),
        },
    )
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
