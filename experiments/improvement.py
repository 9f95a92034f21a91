"""Make `results/improvement.json`: what do unlabelled images buy, and what does it cost?

    python -m experiments.improvement                    everything, in order of importance
    python -m experiments.improvement --parts decoders   one part
    python -m experiments.improvement --collect          write what is finished; run nothing

Parts, each made of cells that are skipped when finished, so that a killed study goes on:

=========  ======================================================================================
words      per base, the first words that captions could be forced to begin with, on validation
decoders   per base, everything that trains nothing, each from one view and from five
rates      per trainer, its learning rates on validation scenes of the first base
trainers   per base, each trainer at its best rate and the same with its images shuffled
confirm    the recommended adapter against the decoders once more, on scenes of its own
views      per base, what averaging over views does: how many, how far, with other images
ablations  per base, one setting of a trainer changed at a time
=========  ======================================================================================

Finished cells lie in `results/cells/improvement`: counts per scene, no images and no weights.

Fields of the file, beside those of every results file:

===========  =====================================================================================
choices      per base the first word with its candidates; per trainer the rate with its candidates
scores       base, system, metric: greedy metrics of captions from one view; `_views` systems read
             the mean of five; `sampled_` is drawn at T = 1; `_shuffled` is a control, `best` the
             trainer with the highest F1 on validation scenes
differences  the same, minus `against`: base, first_word, beam, self_training, the control
success      of trained systems: share of seeds whose greedy precision and recall are above those of
             `first_word`, and of which both intervals are clear of zero
confirm      base, system: each seed's differences from `first_word` on the scenes that confirm
curve        sampled precision and recall at each temperature
agreement    view agreement of each system, and its rank correlation with exact scores
views        rows of the part `views`
ablations    base, trainer (`system`), setting, value: greedy metrics and their differences from the
             trainer's default, over scenes
cost         passes through model and tower, per image at decoding and per image trained on
not_run      what was planned and is not finished
===========  =====================================================================================

Intervals are 95%, over scenes and seeds; where one seed is finished they are over scenes alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from experiments.grid import Cell, answer_of, cost, run_grid, seconds_spent
from experiments.improvement_ablations import ablation_cells
from experiments.improvement_cells import decoder_cell, trial_cell, word_cell
from experiments.improvement_claims import MOST_SEEDS
from experiments.improvement_confirm import confirm_trials
from experiments.improvement_decoders import DECODERS
from experiments.improvement_report import chosen_rates, report
from experiments.improvement_training import RATES, TRAINERS, WEIGHTS
from experiments.improvement_views import VIEW_CELLS, view_cell
from experiments.improvement_world import BASES, CORE, REAL, TRAINED, Trial, is_there
from vizer_core.files import write_json
from vizer_core.runtime import git_commit, hardware

OUT, RUNS = Path("results/improvement.json"), Path("results/cells/improvement")
PARTS = ("words", "decoders", "rates", "trainers", "confirm", "views", "ablations")
CHOOSER = CORE[0]
DEAR = ("mbr", "best_of_n_information", "diverse_beam")  # decoders of many captions per image
SECONDS = {"word": 60.0, "decoder": 30.0, "rate": 30.0, "trainer": 45.0, "control": 35.0}
VIEW_SECONDS = 30.0
REAL_TIMES = 15  # as long a cell takes on the base with a real language half
# the base whose language half is a real model is dear: it sees fewer scenes, learns from fewer
# images, and its mappers read as many captions per image trained on as the others'. Since a larger
# model wants smaller rates it chooses its own, with every other's rival, the teacher of most
# precision, and the paper's two; all four chose the same, and the other trainers take that
REAL_SCENES, REAL_IMAGES, REAL_MAPPER_IMAGES = 120, 128, 800
REAL_TRAINERS = ("self_training", "beam_view_distillation", "vizer_g", "vizer_gt")
REAL_RATES = (2e-4, 1e-3)
REAL_RATE = REAL_RATES[0]


class Study:
    """The study's plan: which cells there are, in which order."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.runs = options, Path(options.runs)
        self.bases = [base for base in options.bases if options.collect or is_there(base)]
        self.plain = Trial(
            CHOOSER, "base", n=options.n, images=options.images, mapper_images=options.mapper_images
        )
        self.planned: dict[str, Cell] = {}

    def scenes(self, base: str, wanted: int) -> int:
        """Return how many scenes a base is tried on, where others see `wanted`."""
        return min(wanted, REAL_SCENES) if base == REAL else wanted

    def mapper_images(self, base: str, trainer: str) -> int:
        """Return how many captions a trainer's mapper reads, if it has one."""
        wanted = self.options.mapper_images
        few = base == REAL and trainer.startswith("vizer")
        return min(wanted, REAL_MAPPER_IMAGES) if few else wanted

    def grid(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """Run cells in the order given; with `--collect`, return finished ones only."""
        self.planned |= {cell.name: cell for cell in cells}
        if self.options.collect:
            found = {cell.name: answer_of(cell, self.runs) for cell in cells}
            return {name: record["answer"] for name, record in found.items() if record}
        print(cost(cells, self.runs, self.options.workers), file=sys.stderr)
        return run_grid(cells, self.runs, workers=self.options.workers, progress=True)

    def words(self) -> list[Cell]:
        """Return the cells that choose first words."""
        return [
            Cell(
                f"{base}/word",
                word_cell,
                {"base": base, "n": self.scenes(base, self.options.validation)},
                SECONDS["word"],
            )
            for base in self.bases
        ]

    def decoders(
        self, words: dict[str, str], base: str, among: Sequence[str] = DECODERS
    ) -> list[Cell]:
        """Return the cells of a base that train nothing, those of some decoders."""
        if base not in words:
            return []
        trials = [
            replace(
                self.plain,
                base=base,
                system=name,
                word=words[base],
                n=self.scenes(base, self.options.n),
            )
            for name in self.options.decoders
            if name in among
        ]
        return [Cell(t.name, decoder_cell, asdict(t), seconds_of("decoder", base)) for t in trials]

    def rates(self, words: dict[str, str]) -> list[Cell]:
        """Return the runs that choose learning rates, on validation scenes."""
        if CHOOSER not in words or CHOOSER not in self.bases:
            return []
        plain = replace(
            self.plain, part="validation", n=self.options.validation, word=words[CHOOSER]
        )
        first = [replace(plain, system="base"), replace(plain, system="first_word")]
        tried = [
            replace(plain, system=name, rate=rate, weight=weight)
            for name in self.options.trainers
            for weight in WEIGHTS.get(name, (0.0,))
            for rate in RATES[name]
        ]
        return [
            *(Cell(t.name, decoder_cell, asdict(t), SECONDS["rate"]) for t in first),
            *(Cell(t.name, trial_cell, asdict(t), SECONDS["rate"]) for t in tried),
        ]

    def rates_of_real(self, words: dict[str, str]) -> list[Cell]:
        """Return the runs that choose learning rates for the base with a real language half."""
        if REAL not in words or REAL not in self.bases:
            return []
        plain = replace(
            self.plain,
            base=REAL,
            part="validation",
            n=self.scenes(REAL, self.options.validation),
            images=min(self.options.images, REAL_IMAGES),
            word=words[REAL],
        )
        tried = [
            replace(plain, system=name, rate=rate, mapper_images=self.mapper_images(REAL, name))
            for name in self.options.trainers
            if name in REAL_TRAINERS
            for rate in REAL_RATES
        ]
        return [Cell(t.name, trial_cell, asdict(t), seconds_of("rate", REAL)) for t in tried]

    def trainers(
        self,
        words: dict[str, str],
        rates: dict[str, dict[str, Any]],
        base: str,
        seed: int,
        *,
        control: bool,
    ) -> list[Cell]:
        """Return runs of every trainer on a base with a seed, or their shuffled controls."""
        if base not in words or (base == REAL and seed > 0):
            return []
        images = min(self.options.images, REAL_IMAGES) if base == REAL else self.options.images
        seconds = seconds_of("control" if control else "trainer", base)
        trials = [
            replace(
                self.plain,
                base=base,
                n=self.scenes(base, self.options.n),
                images=images,
                mapper_images=self.mapper_images(base, name),
                system=name,
                word=words[base],
                seed=seed,
                shuffled=control,
                rate=rates[name]["rate"],
                weight=rates[name]["weight"],
            )
            for name in self.options.trainers
            if name in rates and can_run(base, name)
        ]
        return [Cell(t.name, trial_cell, asdict(t), seconds) for t in trials]

    def confirm(self, words: dict[str, str], rates: dict[str, dict[str, Any]]) -> list[Cell]:
        """Return the runs that ask the moonshot once more, on scenes of their own."""
        words = {base: word for base, word in words.items() if base in self.bases}
        return [
            Cell(t.name, trial_cell if t.rate else decoder_cell, asdict(t), SECONDS["trainer"])
            for t in confirm_trials(self.plain, words, rates, self.options.seeds)
            if t.system in (*self.options.trainers, *self.options.decoders)
        ]

    def views(self, words: dict[str, str], base: str) -> list[Cell]:
        """Return the cells that ask what views do."""
        if base not in words:
            return []
        about = {"base": base, "word": words[base], "n": self.scenes(base, self.options.n)}
        return [
            Cell(f"{base}/views-{what}", view_cell, about | {"what": what}, VIEW_SECONDS)
            for what in self.options.views
        ]


def seconds_of(kind: str, base: str) -> float:
    """Return a guess of what a cell takes on one core.

    >>> seconds_of("trainer", REAL) / seconds_of("trainer", CHOOSER)
    15.0
    """
    return SECONDS[kind] * (REAL_TIMES if base == REAL else 1)


def can_run(base: str, trainer: str) -> bool:
    """Tell whether a base has a trainer: no CLIP knows the other world.

    >>> can_run("drawn-vlm-other-web", "clip_reward"), can_run("drawn-vlm-web", "clip_reward")
    (False, True)
    """
    return trainer != "clip_reward" or "-other" not in base


def order(bases: Sequence[str], seeds: int) -> list[tuple[str, str, int]]:
    """Return kinds of cells, each with its base and seed, in the order of importance.

    >>> order(["drawn-vlm-web", "drawn-vlm-qwen"], 1)[:3]
    [('cheap', 'drawn-vlm-web', 0), ('rates', '', 0), ('trainers', 'drawn-vlm-web', 0)]
    """
    core = [base for base in CORE if base in bases]
    others = [base for base in TRAINED if base in bases and base not in CORE]
    untrained = [base for base in bases if base not in core]
    plan = [("cheap", base, 0) for base in core] + [("rates", "", 0)]
    plan += [(kind, base, 0) for base in core for kind in ("trainers", "dear", "controls")]
    plan += [("confirm", "", 0)] + [("views", base, 0) for base in core] + [("ablations", "", 0)]
    plan += [(kind, base, 0) for base in untrained for kind in ("cheap", "dear")]
    plan += [(kind, base, 0) for base in bases if base == REAL for kind in ("trainers", "controls")]
    plan += [
        (kind, base, seed)
        for some in (core, others)
        for seed in range(min(seeds, MOST_SEEDS))
        for base in some
        for kind in ("trainers", "controls")
    ]
    plan += [
        (kind, base, seed)
        for seed in range(seeds)
        for base in (*core, *others)
        for kind in ("trainers", "controls")
    ]
    return list(dict.fromkeys(plan))


def run(study: Study) -> dict[str, Any]:
    """Run the parts in order and return the report."""
    parts = study.options.parts
    answers = study.grid(study.words())
    words = {name.split("/")[0]: found["word"] for name, found in answers.items()}
    rates: dict[str, dict[str, Any]] = {}
    real_rates: dict[str, dict[str, Any]] = {}
    cheap = [name for name in DECODERS if name not in DEAR]
    for kind, base, seed in order(study.bases, study.options.seeds):
        if kind in ("cheap", "dear") and "decoders" in parts:
            some = cheap if kind == "cheap" else DEAR
            answers |= study.grid(study.decoders(words, base, some))
        elif kind == "confirm" and "confirm" in parts:
            answers |= study.grid(study.confirm(words, rates))
        elif kind == "rates" and {"rates", "trainers", "confirm", "ablations"} & set(parts):
            answers |= study.grid(study.rates(words))
            rates = chosen_rates(study.planned, answers, CHOOSER)
            answers |= study.grid(study.rates_of_real(words))
            real_rates = chosen_rates(study.planned, answers, REAL)
        elif kind == "views" and "views" in parts:
            answers |= study.grid(study.views(words, base))
        elif kind == "ablations" and "ablations" in parts:
            for cells in ablation_cells(rates, study.bases, study.plain):
                answers |= study.grid(cells)
        elif kind in ("trainers", "controls") and "trainers" in parts:
            control, chosen = kind == "controls", rates
            if base == REAL:
                taken = {name: found | {"rate": REAL_RATE} for name, found in rates.items()}
                chosen = taken | real_rates
            answers |= study.grid(study.trainers(words, chosen, base, seed, control=control))
    return report(study.planned, answers, words, {CHOOSER: rates, REAL: real_rates})


def main() -> None:
    """Read the options, run the parts, write the file."""
    options = read_options()
    study = Study(options)
    found = run(study)
    content = {
        "experiment": "improvement",
        "command": "python -m experiments.improvement",
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": seconds_spent(options.runs),  # of one core, all cells
        "interval": "95% bootstrap over scenes and seeds; differences are paired",
        "settings": {
            "n": options.n,
            "validation": options.validation,
            "seeds": options.seeds,
            "images": options.images,
            "mapper_images": options.mapper_images,
        },
    }
    write_json(options.out, content | found)
    print(f"wrote {options.out}; not run: {'; '.join(found['not_run']) or 'nothing'}")


def read_options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line, or words that stand for it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--bases", nargs="+", choices=BASES, default=BASES)
    parser.add_argument("--decoders", nargs="+", choices=DECODERS, default=DECODERS)
    parser.add_argument("--trainers", nargs="+", choices=TRAINERS, default=TRAINERS)
    parser.add_argument("--views", nargs="+", choices=tuple(VIEW_CELLS), default=tuple(VIEW_CELLS))
    parser.add_argument("--n", type=int, default=1000, help="test scenes")
    parser.add_argument("--validation", type=int, default=300, help="scenes for choices")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=640, help="unlabelled images of a run")
    parser.add_argument("--mapper-images", type=int, default=4000, help="captions mappers read")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=RUNS, help="where finished cells lie")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--collect", action="store_true", help="run nothing, write what is there")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
