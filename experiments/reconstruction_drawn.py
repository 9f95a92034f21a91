"""Make `results/reconstruction_drawn.json`: what noise in training costs texts and gives images.

    python -m experiments.reconstruction_drawn --runs .cache/maccap

Reads the prefix networks that `experiments.maccap_drawn` trains, and trains what is missing:
MacCap's, without noise and at the multiples that the study chooses among, of the variance that
turns a text as far as its image is away. Each is read three ways, always with the noise that it was
trained with:

==================  ===============================================================
x0.33:text          the text feature of the image's first caption: reconstruction
x0.33:image         the image's global feature, N_cr times
x0.33:another       control: the global feature of another image
==================  ===============================================================

`x0` is trained and read without noise. Intervals are 95%, over images and seeds.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from experiments import maccap_world as world
from experiments.grid import Cell, run_grid, seconds_spent
from experiments.maccap_cells import Run
from experiments.maccap_drawn import CHOICES, RUNS, matched_variance, train_cells
from experiments.scoring import Exam, difference_rows, score, score_rows
from vizer_core.captioners import GlobalTokens, MacCap
from vizer_core.files import read_json, write_json
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.textonly import GaussianNoise, NoNoise, PrefixGenerator, load_prefix_network
from vizer_lab.zoo import load_drawn_clip
from vizer_lab.zoo.drawn_captioners import DRAWN_DECODING
from vizer_lab.zoo.language_models import load_drawn_lm

OUT = Path("results/reconstruction_drawn.json")
READINGS = ("text", "image", "another")
SECONDS = 4.0  # one reading of 200 images on one core


def recipe_of(multiple: float) -> str:
    """Return the recipe of a prefix network at this multiple of the matched variance."""
    return "multi_noise" if multiple else "multi_clean"


def features_read(run: Run, reading: str, shown: int) -> torch.Tensor:
    """Return what stands in the image's place, one feature for each of the first images."""
    images = run.states(run.part).image_features[:shown]
    if reading == "text":
        captions = world.split_of(run.images, run.part, shown).captions
        return run.encoder.encode_text([texts[0] for texts in captions])
    if reading == "another":
        return images.roll(1, dims=0)
    return images


def read_cell(reading: str, recipe: str, shown: int, **where: Any) -> list[str]:
    """Caption the first images from what a reading puts in their place."""
    run, lm = Run(**where), load_drawn_lm(name=world.LANGUAGE_MODEL)
    prefix_network = load_prefix_network(
        run.prefix_network_path(recipe), encoder=run.encoder, language_model=lm
    )
    noise = GaussianNoise(run.variance) if run.variance else NoNoise()
    generator = PrefixGenerator(prefix_network, lm, DRAWN_DECODING)
    captioner = MacCap(generator, GlobalTokens(), noise)
    return captioner.caption(features_read(run, reading, shown), generator=seeded(run.seed))


def read_cells(run: Run, multiple: float, shown: int, seeds: int) -> list[Cell]:
    """Return one cell a reading and seed at one multiple."""
    cells = []
    for reading in READINGS:
        for seed in range(seeds):
            arguments = {"reading": reading, "recipe": recipe_of(multiple), "shown": shown}
            name = f"reconstruct/x{multiple:g}-{reading}-{shown}-{seed}"
            arguments |= asdict(replace(run, seed=seed))
            cells.append(Cell(name, read_cell, arguments, SECONDS))
    return cells


def train_missing(run: Run, multiple: float, seeds: int) -> None:
    """Train the prefix networks of one multiple that do not lie in the runs folder."""
    recipe = recipe_of(multiple)
    cells = [
        cell
        for seed, cell in enumerate(train_cells(run, [recipe], seeds))
        if not replace(run, seed=seed).prefix_network_path(recipe).is_file()
    ]
    run_grid(cells, Path(run.runs), workers=1, progress=True)


def training_of(run: Run, multiple: float, seeds: int) -> dict[str, Any]:
    """Return the mean loss of each quarter of the trainings of one multiple, where it was kept.

    Captions are read once, so these are losses of captions not seen before.
    """
    recipe, kept = recipe_of(multiple), []
    for seed in range(seeds):
        name = replace(run, seed=seed).prefix_network_path(recipe).stem
        path = Path(run.runs) / "train" / f"{name}.json"
        answer = read_json(path)["answer"] if path.is_file() else {}
        kept += [answer["quarters"]] if "quarters" in answer else []
    means = [round(sum(column) / len(kept), 4) for column in zip(*kept)]
    return {"trainings": len(kept), "quarters": means}


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Train what is missing, read each network three ways, and return the file's content."""
    base = Run(str(options.runs), n=500)
    world.encode(base.runs, base.clip, n=base.n, scenes=base.scenes)
    matched = matched_variance(replace(base, part="validation"))
    variances = {m: round(m * matched, 5) for m in (0.0, *options.multiples)}
    split = world.split_of(base.images, base.part, options.n)
    exam = Exam.of(split, load_drawn_clip(world.JUDGES[base.clip]))
    scored: dict[str, list] = {}
    training = {}
    for multiple, variance in variances.items():
        run = replace(base, variance=variance)
        train_missing(run, multiple, options.seeds)
        training[f"x{multiple:g}"] = training_of(run, multiple, options.seeds)
        cells = read_cells(run, multiple, options.n, options.seeds)
        answers = run_grid(cells, options.runs, workers=1, progress=True)
        for cell in cells:
            system = f"x{multiple:g}:{cell.arguments['reading']}"
            scored.setdefault(system, []).append(score(answers[cell.name], exam))
    pairs = [(f"x{m:g}:image", f"x{m:g}:another") for m in variances]
    pairs += [(f"x{m:g}:image", "x0:image") for m in options.multiples]
    return {
        "experiment": "reconstruction_drawn",
        "command": f"python -m experiments.reconstruction_drawn --n {options.n} "
        f"--seeds {options.seeds} --multiples " + " ".join(f"{m:g}" for m in options.multiples),
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": seconds_spent(Path(options.runs) / "reconstruct"),
        "interval": "95% bootstrap over images and seeds; differences are paired",
        "variances": {f"x{m:g}": v for m, v in variances.items()},
        "training": training,
        "scores": score_rows(scored),
        "differences": difference_rows(scored, pairs),
        "claims": [],
    }


def main() -> None:
    """Read the options, run the study, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=200, help="test images")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--multiples", type=float, nargs="+", default=CHOICES)
    parser.add_argument("--runs", type=Path, default=RUNS, help="where trained prefix networks lie")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    write_json(options.out, study(options))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
