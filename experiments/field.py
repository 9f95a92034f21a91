"""Make `results/field.json`: the ideas of the field on one world, by one exact measure.

    python -m experiments.field                     everything, cheap rows first
    python -m experiments.field --parts captions    one part
    python -m experiments.field --collect           write what is finished; run nothing

========  ========================================================================================
bars      what each bar of a checking system gives, on validation scenes of the first base
captions  systems that train nothing, on three bases, with controls (`field_captions`)
tasks     questions, regions, differences, sets (`field_tasks`)
pairs     a linear reader trained on noisy pairs that were cleaned; towers: a CLIP trained on them
texts     captioners that were trained on texts alone; the control hears another image
rates     what each learning rate of a trainer gives, on validation scenes of the first base
weights   what each weight of the loss that aligns views gives, on validation scenes
views     CLIPs trained to see a moved image as the image, each at its best weight (`field_views`)
trainers  rewards and pruned captions on two bases, each at its best rate, seed by seed, with
          controls (`field_training`)
========  ========================================================================================

Finished cells lie in `results/cells/field`: captions, packed, or one number an item.

Fields of the file, beside those of every results file:

===========  =====================================================================================
scores       base, system, metric. Captioning systems have every metric; those of a task have the
             task before their name, `regions_crop`. `_shuffled` is a control
differences  the same, by the metrics that decide, minus `against`: beam search for what decodes or
             writes anew, the untrained base for what trains, a rival, and the control
bars, rates  precision, recall and F1 of named objects by bar or by rate, on validation scenes
weights      of views: captions kept when the image moves, and their F1, on validation scenes
arena        ratings of captioners from F1 of named objects, image by image, a base at a time
variety      Vendi score of captions, what they leave of the images' variance, and how evenly the
             colours are spread that they name
round_trip   rank correlation of the caption drawn and compared with the exact F1, over captions
cost         captions written and read an image
===========  =====================================================================================

Intervals are 95%, over scenes and seeds; where one seed is finished they are over scenes alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.field_captions import CONTROLLED, SYSTEMS, bar_cell, caption_cell
from experiments.field_pairs import pair_cell, tower_cell
from experiments.field_report import Chosen, chosen, report
from experiments.field_tasks import (
    TEXT_SYSTEMS,
    difference_cell,
    question_cell,
    region_cell,
    set_cell,
    text_cell,
)
from experiments.field_training import IMAGES, RATES, TRAINERS, rate_cell, train_cell
from experiments.field_views import CLIPS, WEIGHTS, view_cell, weight_cell
from experiments.field_world import BASES, N
from experiments.grid import Cell, answer_of, cost, run_grid, seconds_spent
from vizer_core.files import write_json
from vizer_core.runtime import git_commit, hardware

OUT, RUNS = Path("results/field.json"), Path("results/cells/field")
PARTS = (
    *("bars", "captions", "tasks", "pairs", "texts", "rates", "trainers", "weights", "views"),
    "towers",
)
CHOICES = {"trainers": "rates", "views": "weights"}  # parts, and what chooses their settings
TRAINED_ON = BASES[:2]
VALIDATION = 200  # scenes that bars and rates are chosen on
DEAR = ("information", "diverse", "contrasted", "crops_fused", "close")  # minutes, not seconds
SECONDS = {
    **{"bars": 60.0, "captions": 5.0, "tasks": 12.0},
    **{"towers": 135.0, "pairs": 30.0, "texts": 25.0},
    **{"rates": 12.0, "trainers": 12.0, "weights": 15.0, "views": 60.0},
}


def cells_of(
    part: str,
    options: argparse.Namespace,
    picked: Chosen | None = None,
) -> list[Cell]:
    """Return the cells of a part, the important ones first.

    Trainers and views are planned of which `picked` has the setting, by base and system.
    """
    n, seconds = options.n, SECONDS[part]
    if part == "bars":
        n = min(n, VALIDATION)
        return [Cell(f"bars/{BASES[0]}", bar_cell, {"base": BASES[0], "n": n}, seconds)]
    if part == "captions":
        plans = [(b, s, False) for b in BASES for s in SYSTEMS]
        plans += [(b, s, True) for b in BASES for s in CONTROLLED]
        return [
            Cell(
                f"captions/{b}-{s}{'_shuffled' * c}",
                caption_cell,
                {"base": b, "system": s, "n": n, "shuffled": c},
                seconds,
            )
            for b, s, c in plans
        ]
    if part == "tasks":
        kinds = {"questions": question_cell, "regions": region_cell, "differences": difference_cell}
        found = [
            Cell(f"tasks/{b}-{name}", run, {"base": b, "n": n}, seconds)
            for b in BASES[:2]
            for name, run in kinds.items()
        ]
        return [*found, Cell("tasks/sets", set_cell, {"n": 40, "trials": options.sets}, seconds)]
    if part in ("pairs", "towers"):
        run = pair_cell if part == "pairs" else tower_cell
        return [
            Cell(f"{part}/{seed}", run, dict(seed=seed, n=n, pairs=options.pairs), seconds)
            for seed in range(options.seeds)
        ]
    if part == "texts":
        written = [(s, False) for s in TEXT_SYSTEMS] + [(s, True) for s in ("concepts", "close")]
        return [
            Cell(
                f"texts/{s}{'_shuffled' * c}-{seed}",
                text_cell,
                {"system": s, "n": n, "seed": seed, "shuffled": c},
                seconds,
            )
            for s, c in written
            for seed in range(options.seeds if s == "close" and not c else 1)
        ]
    if part == "rates":
        n = min(n, VALIDATION)
        return [
            Cell(
                f"rates/{b}-{s}-{rate:g}",
                rate_cell,
                {"base": b, "system": s, "rate": rate, "n": n, "images": options.images},
                seconds,
            )
            for b in BASES[:1]
            for s in TRAINERS
            for rate in RATES[s]
        ]
    if part == "weights":
        n = min(n, VALIDATION)
        return [
            Cell(f"weights/{b}-{w:g}", weight_cell, {"base": b, "weight": w, "n": n}, seconds)
            for b in CLIPS
            for w in WEIGHTS
        ]
    if part == "views":
        return [
            Cell(
                f"views/{b}-{seed}",
                view_cell,
                {"base": b, "weight": picked[b, "omniview"], "n": n, "seed": seed},
                seconds,
            )
            for seed in range(options.seeds)
            for b in CLIPS
            if picked and (b, "omniview") in picked
        ]
    return trainer_cells(options, picked or {})


def trainer_cells(options: argparse.Namespace, rates: Chosen) -> list[Cell]:
    """Return each system's runs at its rate on each base, seed by seed, and one control each."""
    runs = [(s, seed, False) for seed in range(options.seeds) for s in TRAINERS]
    runs += [(s, 0, True) for s in TRAINERS]
    about = {"n": options.n, "images": options.images}
    return [
        Cell(
            f"trainers/{b}-{s}{'_shuffled' * c}-{seed}",
            train_cell,
            about | {"base": b, "system": s, "rate": rate, "seed": seed, "shuffled": c},
            SECONDS["trainers"],
        )
        for b in TRAINED_ON
        for s, seed, c in runs
        if (rate := rates.get((BASES[0], s)))
    ]


def run(options: argparse.Namespace) -> tuple[dict[str, Cell], dict[str, Any]]:
    """Run the parts in order, or look up what is finished; return cells and answers by name.

    Choices come first, for what is trained is planned by what was chosen.
    """
    parts, picked = set(options.parts), {}
    for part, choice in CHOICES.items():
        cells = cells_of(choice, options)
        if parts & {part, choice} and not options.collect:
            print(cost(cells, options.runs, options.workers), file=sys.stderr)
            run_one_by_one(cells, options.runs, options.workers)
        picked |= chosen(cells, options.runs)
    every = [cell for part in PARTS for cell in cells_of(part, options, picked)]
    wanted = [cell for cell in every if cell.name.split("/")[0] in parts]
    if not options.collect:
        print(cost(wanted, options.runs, options.workers), file=sys.stderr)
        run_one_by_one(sorted(wanted, key=importance), options.runs, options.workers)
    found = {cell.name: answer_of(cell, options.runs) for cell in every}
    answers = {name: record["answer"] for name, record in found.items() if record}
    return {cell.name: cell for cell in every}, answers


def run_one_by_one(cells: Sequence[Cell], folder: Path, workers: int) -> None:
    """Run cells in order, so that a stopped study keeps the first; name what failed at the end."""
    failed = {}
    for cell in cells:
        try:
            run_grid([cell], folder, workers=workers)
        except Exception as error:  # the other cells know nothing of it
            failed[cell.name] = error
            print(f"{cell.name} failed: {type(error).__name__}: {error}", file=sys.stderr)
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(cells)} cells failed: {', '.join(failed)}")


def importance(cell: Cell) -> tuple[int, bool]:
    """Return a cell's place in the order: two bases and first seeds, then what is dear, the rest.

    >>> from experiments.field_captions import caption_cell
    >>> importance(Cell("captions/x", caption_cell, {"base": BASES[0], "seed": 0}))
    (1, False)
    """
    part, what = cell.name.split("/")[0], cell.arguments
    place = PARTS.index(part)
    base = BASES.index(what["base"]) if what.get("base") in BASES else 0
    dear = what.get("system") in DEAR or (part == "trainers" and what["shuffled"])
    rounds = (dear, 2 * (what.get("seed", 0) > 0), 3 * (base == len(BASES) - 1))
    return place + len(PARTS) * max(rounds), bool(what.get("shuffled"))


def main() -> None:
    """Read the options, run the parts, write the file."""
    options = read_options()
    planned, answers = run(options)
    content = {
        "experiment": "field",
        "command": "python -m experiments.field",
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": seconds_spent(options.runs),  # of one core, all cells
        "interval": "95% bootstrap over scenes and seeds; differences are paired",
        "settings": {"n": options.n, "seeds": options.seeds, "images": options.images},
    }
    write_json(options.out, content | report(planned, answers, options.n))
    print(f"wrote {options.out}")


def read_options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line, or words that stand for it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--n", type=int, default=N, help="test scenes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=IMAGES, help="images of a training")
    parser.add_argument("--pairs", type=int, default=2000, help="noisy pairs")
    parser.add_argument("--sets", type=int, default=40, help="kinds of thing that sets differ in")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=RUNS, help="where finished cells lie")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--collect", action="store_true", help="run nothing, write what is there")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
