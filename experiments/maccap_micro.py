"""Make `results/maccap_micro.json`: MacCap, its baselines and their controls on the micro world.

    python -m experiments.maccap_micro                        everything: 3 seeds, 500 images
    python -m experiments.maccap_micro --n 60 --seeds 1 --scenes 300 --runs /tmp/m --out /tmp/m.json

Three settings in the shape of MacCap's Tables 2 and 3: in-domain, texts of another domain, images
of another domain; the ablation of Table 5; the sweeps of Figures 4 and 5; Table 4's questions.
The noise is chosen on validation images. Finished cells lie in the runs folder: a stopped study
goes on. Intervals are 95%, over images and seeds; differences are paired.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from experiments import maccap_world as world
from experiments.grid import Cell, cost, run_grid, seconds_spent
from experiments.maccap_cells import LONG, SYSTEMS, Run, caption_cell, train_cell
from experiments.maccap_claims import verdicts
from experiments.maccap_questions import question_rows
from experiments.scoring import Exam, add_meteor, difference_rows, score, score_rows
from vizer_core.files import read_json, write_json
from vizer_core.gap.noise_scale import matched_noise_std
from vizer_core.metrics.stats import Statistics
from vizer_core.runtime import git_commit, hardware
from vizer_lab.zoo import load_micro_clip

OUT, RUNS = Path("results/maccap_micro.json"), Path(".cache/maccap")
MULTIPLES = (0.033, 0.1, 0.33, 1.0, 3.0)  # of the variance that matches the mean cosine of pairs
SEEDLESS = ("magic", "zerocap")  # nothing in them is trained or drawn
SECONDS = {"train": 80.0, "sampled": 40.0, "caption": 8.0}  # of one core, as measured

IN_DOMAIN = tuple(SYSTEMS)
TABLE = (
    *("clipre", "magic", "zerocap", "baseline", "capdec", "decap", "mean_shift", "blind"),
    *("oracle_text", "maccap_pass", "maccap", "maccap_global", "maccap_random"),
)
TRAINED_PATCHES = (
    *("capdec", "decap", "maccap_pass", "maccap_pass_global", "maccap_pass_random"),
    *("maccap", "maccap_global", "maccap_random"),
)
SETTINGS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "": ({}, IN_DOMAIN),
    "other_texts:": ({"texts": "away"}, TABLE),
    "other_pictures:": ({"images": "away"}, TABLE),
    "trained_patches:": ({"clip": world.TRAINED_PATCHES}, TRAINED_PATCHES),
}
PAIRS = (
    ("capdec", "baseline"),
    ("maccap_pass_global", "multi_clean"),
    ("maccap_pass_global", "capdec"),
    ("maccap_pass", "maccap_pass_global"),
    ("maccap_pass", "maccap_pass_random"),
    ("maccap_pass", "maccap_pass_mean"),
    ("maccap_pass", "maccap_pass_release"),
    ("maccap_pass", "maccap_pass_counterfactual"),
    ("maccap_pass", "maccap_pass_average"),
    ("maccap_pass", "maccap_pass_still"),
    ("multi_clean_regions", "multi_clean"),
    ("maccap", "maccap_pass"),
    ("maccap_global", "maccap_pass_global"),
    ("maccap", "maccap_global"),
    ("maccap", "maccap_random"),
    ("maccap_counterfactual", "maccap"),
    ("maccap_global_shifted", "maccap_global"),
    *(("maccap", other) for other in ("baseline", "capdec", "decap", "clipre", "blind")),
    *(("maccap", other) for other in ("magic", "zerocap", "socratic", "mean_shift")),
    ("mean_shift", "baseline"),
    ("mean_shift", "capdec"),
    ("mean_shift_noise", "capdec"),
    ("capdec_tuned", "capdec"),
    ("decap_tuned", "decap"),
    ("decap", "clipre"),
    ("clipcap", "maccap"),
    ("clipcap", "decap"),
    ("oracle_text", "baseline"),
    ("baseline", "blind"),
    *((f"patches_{count}", "maccap_pass") for count in (1, 5, 20, 49)),
    # does training four times as long change a system, or an order?
    *(
        (f"{name}{LONG}", name)
        for name in (
            "baseline",
            "decap",
            "capdec",
            "multi_clean",
            "maccap",
            "maccap_pass",
            "maccap_pass_global",
        )
    ),
    *(
        (f"{a}{LONG}", f"{b}{LONG}")
        for a, b in (
            ("capdec", "baseline"),
            ("maccap_pass_global", "multi_clean"),
            ("maccap_pass_global", "capdec"),
            ("maccap_pass", "maccap_pass_global"),
            ("maccap", "maccap_pass"),
            ("maccap", "capdec"),
            ("maccap", "baseline"),
            ("maccap", "decap"),
        )
    ),
)


def recipes_of(systems: Sequence[str]) -> set[str]:
    """Return the trained parts that these systems read."""
    found = set()
    for system in systems:
        longer = LONG if system.endswith(LONG) else ""
        if system.startswith(("maccap", "patches")):
            found.add("multi_noise" + longer)
        elif system.startswith("multi_clean"):
            found.add("multi_clean" + longer)
    direct = {
        "baseline": "single_clean",
        "decap": "single_clean",
        "mean_shift": "single_clean",
        "blind": "single_clean",
        "oracle_text": "single_clean",
        "capdec": "single_noise",
        "mean_shift_noise": "single_noise",
        "clipcap": "supervised",
        "capdec_tuned": "single_noise_tuned",
        "decap_tuned": "single_clean_tuned",
        "baseline_long": "single_clean_long",
        "decap_long": "single_clean_long",
        "capdec_long": "single_noise_long",
    }
    return found | {direct[system] for system in systems if system in direct}


def seeds_of(name: str, seeds: int) -> int:
    """Return how many seeds a recipe or system gets: one where nothing is trained or drawn."""
    return 1 if name in SEEDLESS else seeds


def train_cells(run: Run, recipes: Sequence[str], seeds: int) -> list[Cell]:
    """Return one training cell a recipe and seed."""
    cells = []
    for recipe in recipes:
        for seed in range(seeds_of(recipe, seeds)):
            # training reads texts alone: the same for whatever images are captioned later
            place = replace(run, seed=seed, images="home", part="validation", n=0)
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
        self.base = Run(self.runs, n=options.n, scenes=options.scenes)
        self.scores: list[dict] = []
        self.differences: list[dict] = []

    def grid(self, cells: Sequence[Cell]) -> dict:
        """Run cells, saying first what they cost."""
        print(cost(cells, Path(self.runs), self.workers), file=sys.stderr)
        return run_grid(cells, Path(self.runs), workers=self.workers, progress=True)

    def exam(self, run: Run) -> Exam:
        """Prepare a domain's images with the judge that this CLIP was trained apart from."""
        split = world.split_of(run.images, run.part, run.n)
        return Exam.of(split, load_micro_clip(world.JUDGES[run.clip]))

    def score(
        self, run: Run, systems: Sequence[str], prefix: str = "", *, meteor: bool = False
    ) -> dict[str, list[dict[str, Statistics]]]:
        """Caption with every system and seed, and return the statistics."""
        cells = caption_cells(run, systems, self.seeds, prefix)
        answers, exam = self.grid(cells), self.exam(run)
        texts = [answers[cell.name] for cell in cells]
        found = [score(captions, exam) for captions in texts]
        if meteor:
            add_meteor(found, texts, exam)
        by_system: dict[str, list] = {system: [] for system in systems}
        for cell, statistics in zip(cells, found):
            by_system[cell.arguments["system"]].append(statistics)
        return by_system

    def captions(self, run: Run, system: str) -> list[str]:
        """Return the captions that the in-domain table was made from."""
        cell = caption_cells(run, [system], self.seeds, "")[run.seed]
        return run_grid([cell], Path(self.runs), workers=1)[cell.name]

    def report(self, scored: dict, prefix: str) -> None:
        """Add rows for scores and for every pair that both of its systems are in."""
        pairs = [(a, b) for a, b in PAIRS if a in scored and b in scored]
        self.scores += score_rows(scored, prefix=prefix)
        self.differences += difference_rows(scored, pairs, prefix=prefix)

    def choose_noise(self, clip: str, multiples: Sequence[float]) -> float:
        """Train MacCap at several noises and return the best variance on validation images."""
        run = replace(self.base, clip=clip, part="validation")
        variances = {m: round(m * matched_variance(run), 5) for m in multiples}
        places = {m: replace(run, variance=v) for m, v in variances.items()}
        self.grid([c for p in places.values() for c in train_cells(p, ["multi_noise"], self.seeds)])
        means = {}
        for multiple, place in places.items():
            prefix = f"{clip}-x{multiple}:"
            runs = self.score(place, ["maccap_pass"], prefix)["maccap_pass"]
            means[multiple] = sum(found["object_f1"].score for found in runs) / len(runs)
        best = max(means, key=means.__getitem__)
        return variances[best]

    def sweep(self, chosen: float, multiples: Sequence[float]) -> None:
        """Report Figure 4: the same system at every variance, on test images."""
        scored = {}
        for multiple in multiples:
            variance = round(multiple * matched_variance(self.base), 5)
            run = replace(self.base, variance=variance)
            for system in ("maccap_pass", "maccap_pass_global"):
                name = f"variance_{multiple:g}:{system}"
                prefix = f"{world.CLIP}-x{multiple}:"
                scored[name] = self.score(run, [system], prefix)[system]
        self.scores += score_rows(scored)
        best = next(m for m in multiples if round(m * matched_variance(self.base), 5) == chosen)
        pairs = [
            (f"variance_{best:g}:maccap_pass", f"variance_{m:g}:maccap_pass")
            for m in multiples
            if m != best
        ]
        self.differences += difference_rows(scored, pairs)


def matched_variance(run: Run) -> float:
    """Return the variance that turns a text as far as its image is away, on validation pairs."""
    split = world.split_of("home", "validation", run.n)
    encoder = load_micro_clip(run.clip)
    texts = encoder.encode_text([captions[0] for captions in split.captions])
    images = world.states(run.runs, run.clip, "home", "validation", run.n).image_features
    cosine = float((images * texts).sum(-1).mean())
    return matched_noise_std(cosine, images.shape[1]) ** 2


def study(options: argparse.Namespace) -> dict:
    """Run every part and return the file's content."""
    job = Study(options)
    noises: dict[str, float] = {}
    for clip in (world.CLIP, world.TRAINED_PATCHES):
        world.encode(job.runs, clip, n=options.n, scenes=options.scenes)
    noises[world.CLIP] = job.choose_noise(world.CLIP, options.multiples)
    noises[world.TRAINED_PATCHES] = job.choose_noise(world.TRAINED_PATCHES, (0.33, 1.0))
    for prefix, (change, systems) in SETTINGS.items():
        run = replace(job.base, **change)
        run = replace(run, variance=noises[run.clip])
        job.grid(train_cells(run, sorted(recipes_of(systems)), job.seeds))
        job.report(job.score(run, systems, prefix, meteor=job.meteor), prefix)
    job.sweep(noises[world.CLIP], options.multiples)
    run = replace(job.base, variance=noises[world.CLIP])
    scores, differences = question_rows(job, run)
    job.scores += scores
    job.differences += differences
    claims, not_run = verdicts(job.scores, job.differences)
    return {
        "experiment": "maccap_micro",
        "command": f"python -m experiments.maccap_micro --n {options.n} --seeds {options.seeds} "
        f"--scenes {options.scenes}" + ("" if job.meteor else " --no-meteor"),
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": seconds_spent(options.runs),  # of one core, all cells
        "interval": "95% bootstrap over images and seeds; differences are paired",
        "noise": {
            clip: {
                "variance": noise,
                "matched": round(matched_variance(replace(job.base, clip=clip)), 5),
            }
            for clip, noise in noises.items()
        },
        "training": training_record(job),
        "scores": job.scores,
        "differences": job.differences,
        "claims": claims,
        "not_run": not_run,
    }


def training_record(job: Study) -> dict[str, dict]:
    """Return each trained part's last loss, mean over seeds."""
    found: dict[str, list[dict]] = {}
    for path in sorted((Path(job.runs) / "train").glob("*.json")):
        found.setdefault(path.stem.rsplit("-", 1)[0], []).append(read_json(path)["answer"])
    return {
        name: {
            "loss": round(sum(a["loss"] for a in answers) / len(answers), 4),
            "steps": answers[0]["steps"],
            "seeds": len(answers),
        }
        | by_epoch(answers)
        for name, answers in found.items()
    }


def by_epoch(answers: Sequence[dict]) -> dict[str, list[float]]:
    """Return the mean loss of each epoch, where every seed kept it."""
    if not all("epochs" in answer for answer in answers):
        return {}
    columns = zip(*(answer["epochs"] for answer in answers), strict=True)
    return {"epochs": [round(sum(column) / len(answers), 4) for column in columns]}


def main() -> None:
    """Read the options, run the study, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=500, help="images of each test and validation")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scenes", type=int, default=world.FIRST_TRAINING_SCENES)
    parser.add_argument("--multiples", type=float, nargs="+", default=MULTIPLES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-meteor", action="store_true", help="for machines without Java")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where finished cells lie")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    write_json(options.out, study(options))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
