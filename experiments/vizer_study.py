"""Make `results/vizer_study.json`: when do captions improve without labels, and what foretells it?

    python -m experiments.vizer_study                 everything, in order of importance
    python -m experiments.vizer_study --parts choose  candidates on validation scenes; the choice,
                                                      or, if it was made, the others' scores
    python -m experiments.vizer_study --collect       write what is finished; run nothing

Parts, each made of cells that are skipped when finished, so that a killed study goes on:

=======  =======================================================================================
choose   label-free variants, once each, on the middling base and validation scenes; the one
         whose smaller gain (sampled object precision, recall) over the base and over the primed
         base is largest goes into the file
core     each base: the paper's reading, the read-back, the chosen variant; real and shuffled;
         the caption's likelihood as reward; decoding baselines that train nothing
away     the chosen variant on images with backgrounds that no base has met
other    as core, on two bases of another world: other objects, other places, other words; what
         was chosen at home is taken as it is, and the rule of the forecast as it was fitted there
map      read-back over base x mapper data x learning rate, the chosen one over base x learning
         rate; real and shuffled; on half of the scenes
=======  =======================================================================================

Fields of the file, beside those of every results file:

===========  ===================================================================================
choices      what was chosen on validation scenes, its candidates with their scores, and when;
             `later` has candidates that were tried after the choice, which they do not change
scores       system = base:place:variant; `_shuffled` is its control; `best` stands for the chosen
differences  the same names; paired over scenes and seeds
map          one row a setting: base, variant, mapper_images, learning_rate, and for each metric
             its gain over the shuffled control, `over_base` and `over_primed`, each with low and
             high, n, seeds
runs         per system and seed: curve, KL in nats a token, share of greedy captions changed, the
             mapper's held-out cosine
forecast     what was measured before training, per base and variant, whether the run helped
             (drawn object F1 at least .04 above base and control), and how often the rule was right
             on a base that it was not fitted on; `other` has its forecasts in the other world
not_run      cells that were planned and are not finished
===========  ===================================================================================

Intervals are 95%, over scenes and seeds. Greedy metrics have no prefix; `sampled_` is the mean
over draws at T = 1; names that end in `cool` were drawn at T = .7, and are to be compared with one
another. Objects are scored exactly; `surprisal` is nats a word under the shipped language model,
which saw texts alone. In the other world no CLIP can judge and that language model lacks the words:
CLIPScore, self-retrieval and surprisal are absent there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments import vizer_study_world as world
from experiments.grid import Cell, answer_of, cost, run_grid, seconds_spent
from experiments.vizer_bases import (
    BASES,
    MADE,
    OTHER_BASES,
    SHIPPED,
    bases_cost,
    home_of,
)
from experiments.vizer_study_cells import INFORMATION, READERS, VARIANTS, trial_cell
from experiments.vizer_study_forecast import forecast_cell
from experiments.vizer_study_report import UNSHUFFLED, choose, report
from experiments.vizer_study_world import BASELINES, Trial
from vizer_core.files import read_json, write_json
from vizer_core.runtime import git_commit, hardware

OUT, RUNS = Path("results/vizer_study.json"), Path(".cache/vizer_study")
PARTS = ("choose", "core", "away", "other", "map")
CHOOSER = "middling"
CANDIDATES = ("information_70", "information_50", "residual", "consensus")  # the others came later
COMPARED = ("read_back", "literal", "information_0")  # the chosen variant comes to these
RATE, INFORMATION_RATE = 2e-4, 5e-4
RATES, SIZES = (5e-5, 2e-4, 8e-4), (1_000, 16_000)
LEFT_OUT_OF_MAP = ("qwen", "hard")  # in the core only: each base of the map has 36 cells
SECONDS = {"loss": 22.0, "reward": 30.0, "baseline": 10.0, "states": 45.0, "encode": 25.0}
MAP_BASELINES = ("base", "primed")


class Study:
    """The study's plan: which cells there are, in which order."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.runs, self.options = str(options.runs), options
        self.trial = Trial(
            self.runs, CHOOSER, "read_back", n=options.n, samples=options.samples,
            images=options.images, states=options.states, mapper_images=options.states // 2,
        )  # fmt: skip
        self.stored = options.states + options.seeds * options.images

    @property
    def sizes(self) -> list[int]:
        """How many captions the mappers of the map read."""
        return [size * self.options.states // max(SIZES) for size in SIZES]

    def grid(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """Run cells, saying first what they cost; with `--collect`, return finished ones only."""
        cells, folder = list({cell.name: cell for cell in cells}.values()), Path(self.runs)
        if self.options.collect:
            found = {cell.name: answer_of(cell, folder) for cell in cells}
            return {name: record["answer"] for name, record in found.items() if record}
        print(cost(cells, folder, self.options.workers), file=sys.stderr)
        return run_grid(cells, folder, workers=self.options.workers, progress=True)

    def prepare(self, bases: Sequence[str], variants: Sequence[str], place: str = "home") -> None:
        """Make bases, let their towers see the images, and compute the states mappers read."""
        made = [base for base in bases if base in MADE]
        for with_parent in (False, True):  # who sees with another's tower comes after it
            self.grid([
                Cell(f"bases/{base}", world.make_cell, {"runs": self.runs, "base": base},
                     bases_cost(self.runs, [base]))
                for base in made if (MADE[base].parent in MADE) is with_parent
            ])  # fmt: skip
        self.grid([
            Cell(f"vision/{base}-{each}", world.encode_cell,
                 {"runs": self.runs, "base": base, "place": each, "count": self.stored},
                 SECONDS["encode"])
            for base in bases
            for each in (home_of(base), *(("away",) if place == "away" else ()))
        ])  # fmt: skip
        readers = sorted({READERS[variant] for variant in variants if variant in READERS})
        self.grid([
            Cell(f"states/{base}-{reader}", world.states_cell,
                 {"runs": self.runs, "base": base, "reader": reader, "count": self.trial.states},
                 SECONDS["states"])
            for base in bases for reader in readers
        ])  # fmt: skip

    def cells(self, trials: Sequence[Trial]) -> list[Cell]:
        """Return the cells of trials."""
        return [
            Cell(trial.name, trial_cell, asdict(trial) | ({} if trial.n == self.options.n or
                 trial.part != "test" else {"cool": False}),
                 SECONDS["loss" if trial.variant == "literal" else "reward"])
            for trial in trials
        ]  # fmt: skip

    def baselines(self, trial: Trial, systems: Sequence[str]) -> list[Cell]:
        """Return the cells that decode without training."""
        where = f"{trial.base}-{trial.place}-{trial.part}{trial.n}"
        untrained = replace(
            trial, seed=0, shuffled=False, variant="base", learning_rate=Trial.learning_rate
        )
        plain = asdict(untrained)
        return [
            Cell(f"baseline/{where}-{system}", world.baseline_cell, {"system": system} | plain,
                 SECONDS["baseline"])
            for system in systems
        ]  # fmt: skip

    def at(self, base: str, place: str, n: int) -> Trial:
        """Return the plain trial of a base: at a place, or at its own home for `home`."""
        where = home_of(base) if place == "home" else place
        return replace(self.trial, base=base, place=where, n=n)

    def candidates(self, names: Sequence[str]) -> list[Trial]:
        """Return one run of each label-free variant of these names on validation scenes."""
        plain = replace(self.trial, part="validation", n=self.options.validation, samples=2)
        tried = [(name, rate_of(name)) for name in names]
        return [replace(plain, variant=name, learning_rate=rate) for name, rate in tried]

    def compared(self, place: str, best: Trial) -> list[Trial]:
        """Return real and shuffled runs of every base and compared variant, seed by seed."""
        names = () if place == "away" else self.options.compared
        bases = OTHER_BASES if place == "other" else self.options.bases
        others = [(name, rate_of(name)) for name in names]
        rows = [
            replace(self.trial, base=base, place=place, variant=name, seed=seed, shuffled=mixed,
                    learning_rate=rate)
            for seed in range(self.options.seeds)
            for base in bases
            for name, rate in ((best.variant, best.learning_rate), *others)
            for mixed in ((False,) if name in UNSHUFFLED else (False, True))
        ]  # fmt: skip
        return [row for row in rows if row.base in SHIPPED] if place == "away" else rows

    def mapped(self, best: Trial) -> list[Trial]:
        """Return the runs of the map."""
        half, bases = replace(self.trial, n=self.options.map_n), self.options.bases
        if "other" in self.options.parts:
            bases = (*bases, *OTHER_BASES)
        plain = [
            replace(half, base=base, place=home_of(base), seed=seed, shuffled=mixed,
                    learning_rate=rate)
            for seed in range(self.options.map_seeds)
            for base in bases
            if base not in LEFT_OUT_OF_MAP
            for rate in RATES
            for mixed in (False, True)
        ]  # fmt: skip
        read = [replace(trial, mapper_images=size) for trial in plain for size in self.sizes]
        return read + [replace(trial, variant=best.variant) for trial in plain]

    def measurements(self, best: Trial, bases: Sequence[str]) -> list[Cell]:
        """Return what is measured before training, per base and variant."""
        names = (best.variant, *self.options.compared)
        trials = [
            replace(self.trial, base=base, variant=name, place=home_of(base))
            for base in bases
            for name in names
        ]
        cells = [
            Cell(f"forecast/{trial.base}-{trial.variant}", forecast_cell, asdict(trial), 8.0)
            for trial in trials
        ]
        mapped = [
            replace(self.trial, base=base, mapper_images=size, place=home_of(base))
            for base in bases
            if base not in LEFT_OUT_OF_MAP and "map" in self.options.parts
            for size in self.sizes
        ]
        return cells + [
            Cell(f"forecast/{trial.base}-read_back-m{trial.mapper_images}", forecast_cell,
                 asdict(trial), 8.0)
            for trial in mapped
        ]  # fmt: skip


def rate_of(variant: str) -> float:
    """Return the learning rate that a variant is run with outside the map."""
    return INFORMATION_RATE if variant in INFORMATION else RATE


def chosen_trial(study: Study, choices: dict[str, Any]) -> Trial:
    """Return the trial that validation scenes chose."""
    best = choices["best"]
    return replace(study.trial, variant=best["variant"], learning_rate=best["learning_rate"])


def run_choice(study: Study, out: Path) -> dict[str, Any]:
    """Run the candidates and write the choice into the file, before any test scene is captioned."""
    trials = study.candidates(CANDIDATES)
    study.prepare([CHOOSER], [trial.variant for trial in trials])
    base = study.baselines(trials[0], ("base", "primed"))
    answers = study.grid([*base, *study.cells(trials)])
    choices = choose(trials, base, answers, study.options.validation)
    choices |= {"commit": git_commit(), "at": datetime.now(UTC).isoformat(timespec="seconds")}
    write_json(out, {"experiment": "vizer_study", "choices": choices})
    return choices


def try_later(study: Study, choices: dict[str, Any]) -> dict[str, Any]:
    """Score candidates that the choice did not have, on its scenes; the choice stays."""
    known = {(row["variant"], row["learning_rate"]) for row in choices["candidates"]}
    tried = study.candidates(study.options.candidates)
    trials = [t for t in tried if (t.variant, t.learning_rate) not in known]
    if not trials:
        return choices
    study.prepare([CHOOSER], [trial.variant for trial in trials])
    base = study.baselines(trials[0], ("base", "primed"))
    answers = study.grid([*base, *study.cells(trials)])
    found = choose(trials, base, answers, study.options.validation)["candidates"]
    return choices | {"later": found}


def main() -> None:
    """Read the options, run the parts, write the file."""
    options = read_options()
    study = Study(options)
    written = read_json(options.out) if options.out.is_file() else {}
    choices = written.get("choices")
    if choices is None:
        if "choose" not in options.parts:
            raise SystemExit(f"{options.out} holds no choice yet: run --parts choose first")
        choices = run_choice(study, options.out)
    if "choose" in options.parts:
        choices = try_later(study, choices)
    best = chosen_trial(study, choices)
    plan: dict[str, list[Trial]] = {}
    baselines: list[Cell] = []
    for part in [name for name in PARTS[1:] if name in options.parts]:
        place = part if part in ("away", "other") else "home"
        trials = study.mapped(best) if part == "map" else study.compared(place, best)
        used = sorted({trial.base for trial in trials})
        study.prepare(used, sorted({trial.variant for trial in trials}), place)
        n, systems = options.n, options.baselines
        if part == "map":
            n, systems = options.map_n, MAP_BASELINES
        some = [
            cell for base in used for cell in study.baselines(study.at(base, place, n), systems)
        ]
        plan[part], baselines = trials, [*baselines, *some]
        study.grid(study.measurements(best, used) + some if part in ("core", "other") else some)
        study.grid(study.cells(trials))
    foretold = list(dict.fromkeys(
        trial.base for part in ("core", "other") for trial in plan.get(part, ())
    ))  # fmt: skip
    answers = study.grid([*baselines, *study.measurements(best, foretold)]) if plan else {}
    for trials in plan.values():
        answers |= study.grid(study.cells(trials))
    found = report(plan, baselines, answers, best)
    content = {
        "experiment": "vizer_study",
        "command": f"python -m experiments.vizer_study {' '.join(sys.argv[1:])}".strip(),
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": seconds_spent(options.runs),  # of one core, all cells
        "interval": "95% bootstrap over scenes and seeds; differences are paired",
        "settings": {key: value for key, value in asdict(study.trial).items() if key != "runs"},
        "choices": choices,
    }
    write_json(options.out, content | found)
    print(f"wrote {options.out}: {len(found['not_run'])} planned cells are not run")


def read_options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line, or words that stand for it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--bases", nargs="+", choices=BASES, default=BASES)
    parser.add_argument("--candidates", nargs="+", choices=VARIANTS[1:], default=VARIANTS[1:])
    parser.add_argument("--compared", nargs="*", choices=VARIANTS, default=COMPARED)
    parser.add_argument("--baselines", nargs="+", choices=BASELINES, default=BASELINES)
    parser.add_argument("--n", type=int, default=1000, help="test scenes")
    parser.add_argument("--validation", type=int, default=300, help="scenes for choices")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--map-n", type=int, default=500, help="test scenes of the map")
    parser.add_argument("--map-seeds", type=int, default=2)
    parser.add_argument("--samples", type=int, default=2, help="captions drawn a scene")
    parser.add_argument("--images", type=int, default=640, help="unlabelled images of a run")
    parser.add_argument("--states", type=int, default=8000, help="own captions of a base")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=RUNS, help="where finished cells lie")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--collect", action="store_true", help="run nothing, write what is there")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
