"""Make `results/vizer_micro.json`: every part of ViZer on the micro VLMs, with its controls.

    python -m experiments.vizer_micro                  everything: 2 bases, 3 seeds, 1,000 scenes
    python -m experiments.vizer_micro --n 60 --seeds 1 --mapper-images 900 --images 64
        --rl-images 64 --ablation 700 900 --runs /tmp/v --out /tmp/v.json   a try in a minute

Each variant is trained on unlabelled images, once with their own features as target and once with
another image's (`x_shuffled`), over the same seeds. Captions are greedy and, with the prefix
`sampled_`, drawn at T = 1. Finished cells lie in the runs folder: a stopped study goes on.
Intervals are 95%, over scenes and seeds; differences are paired.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments import vizer_world as world
from experiments.grid import Cell, cost, run_grid, seconds_spent
from experiments.scoring import Exam, changed, difference_rows, score, score_rows
from experiments.vizer_cells import (
    INFORMATION,
    READERS,
    RL_RATES,
    VARIANTS,
    Trial,
    baseline_cell,
    trial_cell,
)
from experiments.vizer_claims import BEST, RECOMMENDED, recommended, verdicts
from vizer_core.files import write_json
from vizer_core.metrics.stats import Statistics
from vizer_core.runtime import git_commit, hardware
from vizer_core.vizer.sampled import pool_draws
from vizer_lab.world import MicroSplit
from vizer_lab.zoo import load_micro_clip

OUT, RUNS = Path("results/vizer_micro.json"), Path(".cache/vizer")
BASELINES = ("base", "base_banned", "base_primed", "best_of_8_read_back", "best_of_8_clip")
DRAWN = ("best_of_8_read_back", "best_of_8_clip")
HARD = ("vizer_g", "read_back", "rl_clip", "information")  # what the two bases are compared on
SECONDS = {"loss": 40.0, "reward": 60.0, "baseline": 30.0, "states": 60.0}  # of one core
ABLATED = ("vizer_gt_context", "vizer_g")
Found = dict[str, list[dict[str, Statistics]]]


def shared(cells: Sequence[Cell]) -> list[Cell]:
    """Leave out cells that are asked for twice."""
    return list({cell.name: cell for cell in cells}.values())


def name_of(trial: Trial) -> str:
    """Return the system's name in results: variant, control, and what was changed."""
    name = trial.variant
    if trial.shuffled:
        name += "_shuffled"
    return name + "_random_mapper" * trial.random_mapper


class Study:
    """One study: its folder, its size, and the rows found so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.runs, self.workers, self.seeds = str(options.runs), options.workers, options.seeds
        self.mapper_images, self.ablation = options.mapper_images, tuple(options.ablation)
        self.widths = (64, 256, 1024)
        images, rl_images = options.images, options.rl_images
        most = max(*self.ablation, self.mapper_images) if self.ablation else self.mapper_images
        self.trial = Trial(
            self.runs, "vizer_g", n=options.n, mapper_images=self.mapper_images,
            images=images, rl_images=rl_images, samples=options.samples, states=most,
        )  # fmt: skip
        self.stored = most + self.seeds * max(images, rl_images)
        self.most = most
        self.exam = Exam.of(MicroSplit("test", options.n), load_micro_clip(world.JUDGE))
        self.scores: list[dict] = []
        self.differences: list[dict] = []
        self.runs_record: dict[str, Any] = {}

    def grid(self, cells: Sequence[Cell]) -> dict:
        """Run cells, saying first what they cost."""
        cells = shared(cells)
        print(cost(cells, Path(self.runs), self.workers), file=sys.stderr)
        return run_grid(cells, Path(self.runs), workers=self.workers, progress=True)

    def prepare(self, base: str, variants: Sequence[str]) -> None:
        """Let the tower see all images, and compute the states that mappers read."""
        wanted = [*variants, BEST, *(ABLATED if self.ablation else ())]
        readers = sorted({READERS[variant] for variant in wanted if variant in READERS})
        sizes = {"stream": self.stored, self.trial.part: self.trial.n}
        if any(reader.startswith("gt") for reader in readers):
            sizes["train"] = self.most
        world.encode(self.runs, base, sizes)
        self.grid([
            Cell(f"states/{base}-{reader}-{self.most}", world.states_cell,
                 {"runs": self.runs, "base": base, "reader": reader, "count": self.most,
                  "stored": self.stored, "seed": 0},
                 SECONDS["states"])
            for reader in readers
        ])  # fmt: skip

    def cell(self, trial: Trial) -> Cell:
        """Return the cell of a trial."""
        changed = f"{trial.base}-{name_of(trial)}-m{trial.mapper_images}-w{trial.width}"
        seconds = SECONDS["reward" if trial.by_reward else "loss"]
        arguments = {"stored": self.stored} | asdict(trial)
        return Cell(f"trial/{changed}-{trial.seed}", trial_cell, arguments, seconds)

    def trials(self, base: str, variants: Sequence[str]) -> list[Trial]:
        """Return every variant with its shuffled control, seed by seed."""
        found = [
            replace(self.trial, base=base, variant=variant, seed=seed, shuffled=mixed)
            for variant in variants
            for mixed in (False, True)
            for seed in range(self.seeds)
        ]
        return found + [
            replace(self.trial, base=base, variant=BEST, seed=seed, random_mapper=True)
            for seed in range(self.seeds)
            if base == world.BASES[0]
        ]

    def baselines(self, base: str) -> list[Cell]:
        """Return the cells that decode without training."""
        what = asdict(replace(self.trial, base=base, variant=BEST)) | {"stored": self.stored}
        return [
            Cell(f"baseline/{base}-{system}", baseline_cell, {"system": system} | what,
                 SECONDS["baseline"])
            for system in BASELINES
        ]  # fmt: skip

    def statistics(self, answer: Mapping[str, Any], before: Sequence[str]) -> dict[str, Statistics]:
        """Score greedy captions, and drawn ones as the mean over draws."""
        found = score(answer["greedy"], self.exam)
        found["changed"] = changed(answer["greedy"], before)
        return found | pool_draws([score(texts, self.exam) for texts in answer["sampled"]])

    def settle(self, base: str, variants: Sequence[str], prefix: str) -> None:
        """Run a base's baselines and variants, and add their rows."""
        trials, baselines = self.trials(base, variants), self.baselines(base)
        cells = [self.cell(trial) for trial in trials]
        answers = self.grid([*baselines, *cells])
        before = answers[f"baseline/{base}-base"]["greedy"]
        found: Found = {
            system: [self.statistics(answers[f"baseline/{base}-{system}"], before)]
            for system in BASELINES
        }
        for trial, cell in zip(trials, cells):
            found.setdefault(name_of(trial), []).append(self.statistics(answers[cell.name], before))
            self.note(prefix + name_of(trial), answers[cell.name]["record"])
        self.runs_record[f"{prefix}base"] = answers[f"baseline/{base}-base"]["record"]
        if not prefix:
            found["best"] = found[BEST]
            found["best_shuffled"] = found[f"{BEST}_shuffled"]
        self.scores += score_rows(found, prefix=prefix)
        self.differences += difference_rows(found, pairs_of(found), prefix=prefix)

    def note(self, name: str, record: Mapping[str, Any]) -> None:
        """Keep what a run recorded: first and last of its curve, KL, share of captions changed."""
        curve, kl = record["curve"], record["kl"]
        kept = {
            "first": round(float(np.mean(curve[:3])), 4),
            "last": round(float(np.mean(curve[-3:])), 4),
            "kl": round(kl[-1], 4) if kl else None,
            "changed": round(record["changed"], 4),
            "longer": round(record["longer"], 4),
            "mapper": record.get("mapper"),
            "stopped": record["stopped"],
        }
        self.runs_record.setdefault(name, []).append(kept)

    def ablate(self) -> None:
        """Report the paper's ablation: variant by mapper data, and by width."""
        base = world.BASES[0]
        settings = {(size, 256) for size in self.ablation}
        settings |= {(self.ablation[1], width) for width in self.widths}
        trials = [
            replace(self.trial, variant=variant, seed=seed, mapper_images=size, width=width)
            for variant in ABLATED
            for size, width in sorted(settings)
            for seed in range(self.seeds)
        ]
        answers = self.grid([self.cell(trial) for trial in trials])
        before = run_grid(self.baselines(base)[:1], Path(self.runs), workers=1)
        greedy = next(iter(before.values()))["greedy"]
        found: Found = {}
        for trial in trials:
            name = f"{trial.variant}:m{trial.mapper_images}:w{trial.width}"
            statistics = self.statistics(answers[self.cell(trial).name], greedy)
            found.setdefault(name, []).append(statistics)
        pairs = []
        for variant in ABLATED:
            middle = f"{variant}:m{self.ablation[1]}:w256"
            pairs += [(name, middle) for name in found
                      if name.startswith(f"{variant}:") and name != middle]  # fmt: skip
        self.scores += score_rows(found, prefix="ablation:")
        self.differences += difference_rows(found, pairs, prefix="ablation:")


def pairs_of(found: Found) -> list[tuple[str, str]]:
    """Return every system against the base, and against its shuffled control."""
    pairs = [(system, "base") for system in found if system != "base"]
    pairs += [(system, f"{system}_shuffled") for system in found if f"{system}_shuffled" in found]
    others = (
        "base_banned",
        "base_primed",
        "vizer_g",
        "best_of_8_read_back",
        "rl_clip",
        f"{BEST}_random_mapper",
    )
    pairs += [("best", other) for other in others if "best" in found and other in found]
    prompts = ("base_banned", "base_primed")
    pairs += [("vizer_g", other) for other in prompts if "vizer_g" in found and other in found]
    others = (*prompts, "best_of_8_read_back", "read_back", "vizer_g")
    pairs += [(RECOMMENDED, other) for other in others if RECOMMENDED in found and other in found]
    return pairs


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Run every part and return the file's content."""
    job = Study(options)
    for base in options.bases:
        first = base == world.BASES[0]
        variants = [v for v in (VARIANTS if first else HARD) if v in options.variants]
        job.prepare(base, variants)
        job.settle(base, variants, "" if first else "hard:")
    if job.ablation:
        job.ablate()
    claims, not_run = verdicts(job.scores, job.differences)
    return {
        "experiment": "vizer_micro",
        "command": f"python -m experiments.vizer_micro {' '.join(sys.argv[1:])}".strip(),
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": seconds_spent(options.runs),  # of one core, all cells
        "interval": "95% bootstrap over scenes and seeds; differences are paired",
        "settings": {
            "mapper_images": job.mapper_images, "images": job.trial.images,
            "rl_images": job.trial.rl_images, "rates": RL_RATES, "rows_named_best": BEST,
            RECOMMENDED: INFORMATION,
        },
        "best": recommended(job.differences),
        "runs": job.runs_record,
        "scores": job.scores,
        "differences": job.differences,
        "claims": claims,
        "not_run": not_run,
    }  # fmt: skip


def main() -> None:
    """Read the options, run the study, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=1000, help="test scenes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=2, help="captions drawn a scene at T = 1")
    parser.add_argument("--mapper-images", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=2000, help="unlabelled, of a loss run")
    parser.add_argument("--rl-images", type=int, default=1000, help="unlabelled, of a reward run")
    parser.add_argument("--ablation", type=int, nargs="*", default=[1_000, 4_000, 16_000],
                        help="mapper data sizes; none leaves the ablation out")  # fmt: skip
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--bases", nargs="+", choices=world.BASES, default=world.BASES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=RUNS, help="where finished cells lie")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    write_json(options.out, study(options))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
