"""Make `results/maccap_drawn.json`: MacCap, its baselines and their controls on the drawn world.

    python -m experiments.maccap_drawn --seeds 5 --sweep-seeds 2      everything, 500 images
    python -m experiments.maccap_drawn --seeds 1 --settings ""        in domain only
    python -m experiments.maccap_drawn --n 24 --seeds 1 --scenes 60 --runs /tmp/m --out /tmp/m.json

Settings in the shape of MacCap's Tables 2 and 3: in-domain, texts of another domain, images of
another domain; two more CLIPs; the ablation of Table 5; the sweeps of Figures 4 and 5; Table 4's
questions. Noise and patch number are chosen on validation images, for each CLIP. Finished cells lie
in the runs folder: a stopped study goes on, and `maccap_store` takes them to another machine.
Intervals are 95%, over images and seeds; differences are paired.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from torch import Tensor

from experiments import maccap_world as world
from experiments.grid import Cell, cost, open_cells, run_grid, seconds_spent
from experiments.maccap_cells import PATCHES, SHORT, Run, caption_cell, train_cell
from experiments.maccap_claims import verdicts
from experiments.maccap_questions import question_rows
from experiments.maccap_store import ELSEWHERE, TRAINED
from experiments.maccap_tables import PAIRS, SETTINGS, recipes_of
from experiments.scoring import Exam, add_meteor, difference_rows, score, score_rows
from vizer_core.clip import MACCAP_REGIONS
from vizer_core.files import read_json, write_json
from vizer_core.gap.noise_scale import matched_noise_std
from vizer_core.gap.stats import measure_gap
from vizer_core.metrics.stats import Statistics
from vizer_core.runtime import git_commit, hardware
from vizer_lab.zoo import load_drawn_clip

REAL = Path("results/gap_real_clip.json")
OUT, RUNS = Path("results/maccap_drawn.json"), Path(".cache/maccap")
CLIPS = (world.CLIP, world.TRAINED_PATCHES, world.LARGE_GAP)
MULTIPLES = (0.033, 0.1, 0.33, 1.0, 3.0)  # of the variance that matches the mean cosine of pairs
CHOICES = (0.33, 1.0, 3.0, 10.0)  # the same, to choose from on validation images
SEEDLESS = ("magic", "zerocap")  # nothing in them is trained or drawn
SECONDS = {"train": 80.0, "sampled": 40.0, "caption": 8.0}  # of one core, as measured


def seeds_of(name: str, seeds: int) -> int:
    """Return how many seeds a recipe or system gets: one where nothing is trained or drawn."""
    return 1 if name in SEEDLESS else seeds


def train_cells(run: Run, recipes: Sequence[str], seeds: int | Sequence[int]) -> list[Cell]:
    """Return one training cell a recipe and seed."""
    cells = []
    for recipe in recipes:
        for seed in range(seeds) if isinstance(seeds, int) else seeds:
            # training reads texts and its own noise alone: the same for whatever is captioned later
            own = "single" if recipe.startswith("single") else "variance"
            noise = {"variance": 0.0, "single": 0.0, own: run.variance_of(recipe)}
            place = replace(
                run, seed=seed, images="home", part="validation", n=0, patches=MACCAP_REGIONS,
                **noise,
            )  # fmt: skip
            arguments = {"recipe": recipe} | asdict(place)
            name = f"train/{place.prefix_network_path(recipe).stem}"
            cells.append(Cell(name, train_cell, arguments, SECONDS["train"]))
    return cells


def caption_cells(run: Run, systems: Sequence[str], seeds: int, prefix: str) -> list[Cell]:
    """Return one captioning cell a system and seed; one in all where nothing is drawn."""
    cells = []
    for system in systems:
        sampled = system.startswith("maccap") and "pass" not in system
        for seed in range(seeds_of(system, seeds)):
            arguments = {"system": system} | asdict(replace(run, seed=seed))
            name = f"caption/{prefix.replace(':', '-')}{run.part}-{system}-{seed}"
            seconds = SECONDS["sampled" if sampled else "caption"]
            cells.append(Cell(name, caption_cell, arguments, seconds))
    return cells


class Study:
    """One study: its folder, its size, and what it has found so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.runs, self.workers = str(options.runs), options.workers
        self.seeds, self.meteor = options.seeds, not options.no_meteor
        self.sweep_seeds = min(self.seeds, options.sweep_seeds)
        self.base = Run(self.runs, n=options.n, scenes=options.scenes)
        self.chosen: dict[str, dict] = {}
        self.finished = options.finished
        self.exams: dict[tuple[str, str, str], Exam] = {}
        self.scores: list[dict] = []
        self.differences: list[dict] = []

    def grid(self, cells: Sequence[Cell]) -> dict:
        """Run cells, saying first what they cost."""
        print(cost(cells, Path(self.runs), self.workers), file=sys.stderr)
        return run_grid(cells, Path(self.runs), workers=self.workers, progress=True)

    def captioned(self, run: Run, cells: Sequence[Cell]) -> dict:
        """Caption, training first what the missing captions read, and nothing else."""
        readers: dict[int, list[str]] = {}
        for cell in open_cells(cells, Path(self.runs)):
            readers.setdefault(cell.arguments["seed"], []).append(cell.arguments["system"])
        for seed, systems in sorted(readers.items()):
            self.grid(train_cells(run, sorted(recipes_of(systems)), [seed]))
        return self.grid(cells)

    def exam(self, run: Run) -> Exam:
        """Prepare a domain's images with the judge that this CLIP was trained apart from."""
        key = (run.clip, run.images, run.part)
        if key not in self.exams:
            split = world.split_of(run.images, run.part, run.n)
            self.exams[key] = Exam.of(split, load_drawn_clip(world.JUDGES[run.clip]))
        return self.exams[key]

    def score(
        self, run: Run, systems: Sequence[str], prefix: str = "", *, meteor: bool = False,
        seeds: int | None = None,
    ) -> dict[str, list[dict[str, Statistics]]]:  # fmt: skip
        """Caption with every system and seed, and return the statistics."""
        cells = caption_cells(run, systems, seeds or self.seeds, prefix)
        if self.finished:
            cells = [cell for cell in cells if not open_cells([cell], Path(self.runs))]
        answers, exam = {}, self.exam(run)
        for system in systems:
            answers |= self.captioned(run, [c for c in cells if c.arguments["system"] == system])
        texts = [answers[cell.name] for cell in cells]
        found = [score(captions, exam) for captions in texts]
        if meteor:
            add_meteor(found, texts, exam)
        by_system: dict[str, list] = {}
        for cell, statistics in zip(cells, found):
            by_system.setdefault(cell.arguments["system"], []).append(statistics)
        # a seed that is not there yet for all would make pairs of different seeds
        whole = max(map(len, by_system.values()), default=0)
        return {name: runs for name, runs in by_system.items() if len(runs) in (1, whole)}

    def captions(self, run: Run, system: str) -> list[str] | None:
        """Return the captions that the in-domain table was made from.

        None where they are not there, and only finished cells are wanted.
        """
        cell = caption_cells(run, [system], self.seeds, "")[run.seed]
        if self.finished and open_cells([cell], Path(self.runs)):
            return None
        return run_grid([cell], Path(self.runs), workers=1)[cell.name]

    def report(self, scored: dict, prefix: str) -> None:
        """Add rows for scores and for every pair that both of its systems are in."""
        pairs = [(a, b) for a, b in PAIRS if a in scored and b in scored]
        self.scores += score_rows(scored, prefix=prefix)
        self.differences += difference_rows(scored, pairs, prefix=prefix)

    def choose(self, run: Run, field: str, system: str) -> Run:
        """Train at several noises; return the run with the best variance on validation images."""
        matched = matched_variance(run)
        places = {m: replace(run, **{field: round(m * matched, 5)}) for m in CHOICES}
        means = {
            multiple: self.on_validation(place, system, f"{run.clip}-x{multiple}:")
            for multiple, place in places.items()
        }
        best = max(means, key=means.__getitem__)
        self.chosen[f"{run.clip}:{field}"] = {
            "matched": round(matched, 5),
            "variance": getattr(places[best], field),
            "object_f1": {f"x{m:g}": round(mean, 4) for m, mean in means.items()},
        }
        return places[best]

    def on_validation(self, run: Run, system: str, prefix: str) -> float:
        """Return a system's object F1 on validation images, one seed."""
        run = replace(run, part="validation")
        (captions,) = self.captioned(run, caption_cells(run, [system], 1, prefix)).values()
        return score(captions, self.exam(run))["object_f1"].score

    def choose_patches(self, run: Run) -> Run:
        """Return the run with the patch number that is best on validation images."""
        prefix = f"{run.clip}-"
        means = {c: self.on_validation(run, f"patches_{c}{SHORT}", prefix) for c in PATCHES}
        best = max(means, key=means.__getitem__)
        self.chosen[f"{run.clip}:patches"] = {
            "patches": best,
            "object_f1": {str(count): round(mean, 4) for count, mean in means.items()},
        }
        return replace(run, patches=best)

    def settled(self, clip: str) -> Run:
        """Return a CLIP's run with everything that is chosen on validation images."""
        run = replace(self.base, clip=clip)
        multi = self.choose(run, "variance", f"maccap_pass{SHORT}")
        single = self.choose(run, "single", f"capdec{SHORT}")
        return self.choose_patches(replace(multi, single=single.single))

    def sweep(self, run: Run) -> None:
        """Report Figure 4: the same system at every variance, on test images."""
        scored, matched = {}, matched_variance(run)
        for multiple in MULTIPLES:
            place = replace(run, variance=round(multiple * matched, 5))
            for system in ("maccap_pass", "maccap_pass_global"):
                name = f"variance_{multiple:g}:{system}"
                prefix = f"{run.clip}-x{multiple}:"
                seeds = self.sweep_seeds
                found = self.score(place, [system], prefix, seeds=seeds)
                if system in found:  # `--finished` leaves out what is not there
                    scored[name] = found[system]
        self.scores += score_rows(scored)
        pairs = [
            (f"variance_1:{system}", f"variance_{m:g}:{system}")
            for m in MULTIPLES
            if m != 1.0
            for system in ("maccap_pass", "maccap_pass_global")
            if {f"variance_1:{system}", f"variance_{m:g}:{system}"} <= scored.keys()
        ]
        self.differences += difference_rows(scored, pairs)


def matched_variance(run: Run) -> float:
    """Return the variance that turns a text as far as its image is away, on validation pairs."""
    texts, images = validation_pairs(run)
    cosine = float((images * texts).sum(-1).mean())
    return matched_noise_std(cosine, images.shape[1]) ** 2


def validation_pairs(run: Run) -> tuple[Tensor, Tensor]:
    """Return the features of the validation scenes' first captions, and of their images."""
    split = world.split_of("home", "validation", run.n)
    texts = load_drawn_clip(run.clip).encode_text([captions[0] for captions in split.captions])
    return texts, world.states(run.runs, run.clip, "home", "validation", run.n).image_features


def gap_shapes(job: Study, clips: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return norm and constant share of each CLIP's gap on validation pairs, and of real CLIP's."""
    shapes = {
        row["metric"]: row["mean"]
        for row in read_json(REAL)["scores"]
        if row["system"] == "real" and row["metric"] in ("gap_norm", "constant_share")
    }
    found = {"real": shapes}
    for clip in clips:
        texts, images = validation_pairs(replace(job.base, clip=clip))
        measured = measure_gap(images, texts)
        found[clip] = {
            "gap_norm": round(measured.gap_norm, 5),
            "constant_share": round(measured.constant_share, 5),
        }
    return found


def study(options: argparse.Namespace) -> dict:
    """Run every part and return the file's content."""
    job = Study(options)
    named = {SETTINGS[prefix][0].get("clip", world.CLIP) for prefix in options.settings}
    clips = [clip for clip in CLIPS if clip in named]
    for clip in clips:
        world.encode(job.runs, clip, n=options.n, scenes=options.scenes)
    runs = {clip: job.settled(clip) for clip in clips}
    for prefix in options.settings:
        change, systems = SETTINGS[prefix]
        run = replace(runs[change.get("clip", world.CLIP)], **change)
        job.report(job.score(run, systems, prefix, meteor=job.meteor), prefix)
    if options.sweep_seeds:
        job.sweep(runs[world.CLIP])
    if not options.no_questions:
        scores, differences = question_rows(job, runs[world.CLIP])
        job.scores += scores
        job.differences += differences
    shapes = gap_shapes(job, clips)
    claims, not_run = verdicts(job.scores, job.differences, shapes)
    return {
        "experiment": "maccap_drawn",
        "command": command_of(options),
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": seconds_spent(options.runs),  # of one core, all cells
        "interval": "95% bootstrap over images and seeds; differences are paired",
        "chosen": job.chosen,
        "gap": shapes,
        "training": training_record(job),
        "scores": job.scores,
        "differences": job.differences,
        "claims": claims,
        "not_run": not_run,
    }


def command_of(options: argparse.Namespace) -> str:
    """Return the command that makes the file, with what it was asked to leave out."""
    words = ["python -m experiments.maccap_drawn", f"--n {options.n}", f"--seeds {options.seeds}"]
    words.append(f"--scenes {options.scenes} --sweep-seeds {options.sweep_seeds}")
    if options.settings != list(SETTINGS):
        words.append("--settings " + " ".join(prefix or "''" for prefix in options.settings))
    flags = ("no_meteor", "no_questions", "finished")
    words += [f"--{flag.replace('_', '-')}" for flag in flags if getattr(options, flag)]
    return " ".join(words)


def training_record(job: Study) -> dict[str, dict]:
    """Return each trained part's last loss, mean over seeds."""
    found: dict[str, list[dict]] = {}
    folders = (Path(job.runs) / folder for folder in (ELSEWHERE, TRAINED))
    paths = {path.stem: path for folder in folders for path in sorted(folder.glob("*.json"))}
    for _, path in sorted(paths.items()):
        found.setdefault(path.stem.rsplit("-", 1)[0], []).append(read_json(path)["answer"])
    return {
        name: {
            "loss": round(sum(a["loss"] for a in answers) / len(answers), 4),
            "steps": answers[0]["steps"],
            "seeds": len(answers),
        }
        | by_parts_of(answers, "epochs")
        | by_parts_of(answers, "quarters")
        for name, answers in found.items()
    }


def by_parts_of(answers: Sequence[dict], parts: str) -> dict[str, list[float]]:
    """Return the mean loss of each epoch or quarter, over the seeds that kept it."""
    kept = [answer[parts] for answer in answers if parts in answer]
    if not kept:
        return {}
    return {parts: [round(sum(column) / len(kept), 4) for column in zip(*kept, strict=True)]}


def main() -> None:
    """Read the options, run the study, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=500, help="images of each test and validation")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scenes", type=int, default=world.FIRST_TRAINING_SCENES)
    parser.add_argument(
        "--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS),
        help="'' is in domain; what is left out stays without a verdict",
    )  # fmt: skip
    parser.add_argument("--finished", action="store_true", help="report finished cells, run none")
    parser.add_argument("--no-questions", action="store_true", help="leave Table 4 out")
    parser.add_argument("--sweep-seeds", type=int, default=1, help="of the noise sweep")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-meteor", action="store_true", help="for machines without Java")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where finished cells lie")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    write_json(options.out, study(options))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
