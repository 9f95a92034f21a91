"""Train and score a VLM with a real language half: makes `results/real_language_vlm.json`.

    make real
    nice python -m experiments.real_language_vlm --folder /tmp/rlv  # half an hour of one core
    nice python -m experiments.real_language_vlm --folder /tmp/rlv --ship     # and keep its weights

`vizer_lab.zoo.real_language_vlm` says what the model is. The tower's patches are stored first; then
the run saves itself every 50 steps, and the same command goes on where a killed one was. Captions
of the drawn world's test scenes are greedy.

===========  ====================================================================================
real         the model: its tower, SmolLM2-135M, and between them what was trained
another      control: its captions, each scored as one of the image before it
small_lm  the drawn VLM that the tower is from, whose language model was trained here
===========  ====================================================================================
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.scoring import Exam, difference_rows, score, score_rows
from vizer_core.decoding import Greedy
from vizer_core.files import load_tensors, read_json, save_tensors, write_json
from vizer_core.language.fast_linear import fast_linears
from vizer_core.runtime import git_commit, hardware
from vizer_core.vlm import SmolVlm
from vizer_lab.world.data import DrawnSplit
from vizer_lab.world.world import split_in
from vizer_lab.zoo.real_language_vlm import (
    SHIPPED,
    WORLD,
    RealLanguageRecipe,
    build,
    load_real_language_vlm,
    load_tower,
    ship,
    train,
)
from vizer_lab.zoo.shipped_model import WEIGHTS, thinned
from vizer_lab.zoo.step_checkpoint import StepCheckpoint, Watch
from vizer_lab.zoo.vlm_images import encode_images
from vizer_lab.zoo.vlm_train import patches_of_scenes

OUT, TOWERS = Path("results/real_language_vlm.json"), WEIGHTS
SAVE_EVERY, MOST_TOKENS, SHOWN = 50, 48, 6


class Seconds:
    """CPU seconds of a run over all its starts, kept in a file whenever the run is."""

    def __init__(self, path: Path) -> None:
        self.path, self.began = path, time.process_time()
        self.before = float(read_json(path)["cpu_seconds"]) if path.is_file() else 0.0

    @property
    def total(self) -> float:
        """The seconds so far."""
        return round(self.before + time.process_time() - self.began, 1)

    def keep(self) -> None:
        """Write them."""
        write_json(self.path, {"cpu_seconds": self.total})


def stored_patches(vlm: SmolVlm, recipe: RealLanguageRecipe, folder: Path) -> Tensor:
    """Return what the tower says of the training scenes: read, or computed once and stored."""
    path, facts = folder / "patches.safetensors", {"tower": recipe.tower, "scenes": recipe.scenes}
    if path.is_file():
        tensors, manifest = load_tensors(path)
        if {key: manifest.get(key) for key in facts} == facts:
            return tensors["patches"]
    size = int(vlm.base.config.vision_config.image_size)
    tower = vlm.base.model.vision_model
    patches = patches_of_scenes(tower, 0, recipe.scenes, size=size, world=WORLD)
    save_tensors(path, {"patches": patches}, facts)
    return patches


def run(recipe: RealLanguageRecipe, folder: Path) -> dict[str, Any]:
    """Train the model, or what is left of it, and write it into the folder. Returns facts."""
    done = folder / "model.safetensors"
    if done.is_file():
        _, manifest = load_tensors(done)
        if manifest["recipe"] != recipe.to_dict():
            raise ValueError(f"{done} was made by another recipe: name another folder")
        return manifest["facts"]
    folder.mkdir(parents=True, exist_ok=True)
    seconds = Seconds(folder / "seconds.json")
    vlm = build(recipe)
    patches = stored_patches(vlm, recipe, folder)
    checkpoint = StepCheckpoint(folder / "run.safetensors", recipe.to_dict(), SAVE_EVERY)

    def each_step(step: int, loss: float) -> None:
        if (step + 1) % SAVE_EVERY == 0:
            seconds.keep()
            print(f"step {step + 1}: loss {loss:.3f}, {seconds.total:.0f} CPU seconds", flush=True)

    losses = train(vlm, patches, recipe, watch=Watch(True, checkpoint), each_step=each_step)
    facts = {"cpu_seconds": seconds.total, "loss": thinned(losses)}
    ship(vlm, recipe, done, {"facts": facts}, TOWERS)
    checkpoint.remove()
    return facts


def captions_of(vlm: SmolVlm, data: DrawnSplit) -> list[str]:
    """Write a greedy caption of each image."""
    with fast_linears(vlm.model):
        vision = encode_images(vlm, data.images)
        return list(vlm.generate(vision, decoding=Greedy(MOST_TOKENS)).texts)


def scored(recipe: RealLanguageRecipe, model: Path, n: int) -> dict[str, Any]:
    """Score the model, its control and the small_lm model on test scenes."""
    data = DrawnSplit(split_in(WORLD, "test"), n)
    exam, began = Exam.of(data, None), time.process_time()
    generated = captions_of(load_real_language_vlm(model), data)
    seconds = round(time.process_time() - began, 1)
    own, _ = load_tower(recipe.tower)
    captions = {
        "real": generated,
        "another": generated[1:] + generated[:1],
        "small_lm": captions_of(own, data),
    }
    table = {name: [score(texts, exam)] for name, texts in captions.items()}
    return {
        "scores": score_rows(table),
        "differences": difference_rows(table, [("real", "another"), ("real", "small_lm")]),
        "captioning_seconds": seconds,
        "ended": round(sum(len(t.split()) < MOST_TOKENS // 2 for t in generated) / n, 4),
        "examples": [
            {"scene": scene.id, "reference": references[0]}
            | {name: texts[i] for name, texts in captions.items() if name != "another"}
            for i, (scene, references) in enumerate(zip(data.scenes[:SHOWN], data.captions))
        ],
    }


def study(recipe: RealLanguageRecipe, options: argparse.Namespace) -> dict[str, Any]:
    """Train and score: the file's content."""
    facts = run(recipe, options.folder)
    found = scored(recipe, options.folder / "model.safetensors", options.n)
    return {
        "experiment": "real_language_vlm",
        "command": f"python -m experiments.real_language_vlm --folder FOLDER --tower {recipe.tower}"
        f" --steps {recipe.exact.steps} --scenes {recipe.scenes} --n {options.n}",
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": facts["cpu_seconds"] + found["captioning_seconds"],
        "interval": "95% bootstrap over images, one training; differences are paired",
        "recipe": recipe.to_dict(),
        "training": facts,
        **found,
        "claims": [],
    }


def keep(options: argparse.Namespace, record: dict[str, Any]) -> None:
    """Copy the trained parts into the package, with their scores in the manifest."""
    tensors, manifest = load_tensors(options.folder / "model.safetensors")
    scores = {row["metric"]: row["mean"] for row in record["scores"] if row["system"] == "real"}
    made = {key: record[key] for key in ("command", "commit", "hardware")}
    save_tensors(SHIPPED, tensors, manifest | made | {"scores": scores})


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, run the study, write the file."""
    plain = RealLanguageRecipe()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="the run and its patches")
    parser.add_argument("--tower", default=plain.tower, help="the VLM it is from")
    parser.add_argument("--steps", type=int, default=plain.exact.steps)
    parser.add_argument("--scenes", type=int, default=plain.scenes, help="to train on")
    parser.add_argument("--connector", default=plain.connector, help="start: words or fresh")
    parser.add_argument("--n", type=int, default=300, help="test scenes to caption")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--ship", action="store_true", help="put the weights into the package")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recipe = replace(
        plain,
        tower=options.tower,
        exact=replace(plain.exact, steps=options.steps),
        scenes=options.scenes,
        connector=options.connector,
    )
    record = study(recipe, options)
    write_json(options.out, record)
    if options.ship:
        keep(options, record)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
