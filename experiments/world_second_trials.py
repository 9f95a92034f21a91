"""Trials for the models of the drawn world's second edition: what was tried, and how it ended.

    python -m experiments.world_second_trials second-clip --folder /tmp/trials
    python -m experiments.world_second_trials second-clip --folder /tmp/trials --ship

A trial trains one model by one recipe (`vizer_lab.zoo.second_edition`) on the second edition's
training scenes and scores it on its validation scenes. Its weights stay in `--folder`, so that
another trial can start from them, and a killed one goes on where it was. Its row in
`results/trials/world_second_edition.json` holds the recipe, the CPU seconds, the losses and the
scores; rows of trials that are not run again stay. With `--ship` the weights go into the package,
in half precision, with a manifest whose scores are of the test scenes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vizer_core.clip.encoder import OpenClipEncoder
from vizer_core.decoding import Greedy
from vizer_core.files import atomic_path, load_tensors, save_tensors
from vizer_core.runtime import git_commit
from vizer_core.vlm import SmolVlm
from vizer_lab.world.data import MicroSplit
from vizer_lab.world.world import split_in
from vizer_lab.zoo.clip_recipe import ClipRecipe
from vizer_lab.zoo.clips import score_micro_clip
from vizer_lab.zoo.second_edition import (
    CLIP_RECIPES,
    VLM_RECIPES,
    WORLD,
    clip_encoder,
    objects_against_places,
    second_weights,
)
from vizer_lab.zoo.train_clip import train_micro_clip
from vizer_lab.zoo.vlm_images import encode_images
from vizer_lab.zoo.vlm_recipe import VlmRecipe
from vizer_lab.zoo.vlm_run import VlmRun, run_stages
from vizer_lab.zoo.vlm_scores import caption_scores, claim_scores
from vizer_lab.zoo.vlms import TOWER_KEYS, vlm_from_state

RESULTS = Path(__file__).resolve().parents[1] / "results" / "trials" / "world_second_edition.json"
KEPT_LOSSES, SCORED, SHIPPED_SCORED, MOST_WORDS, SHOWN = 60, 500, 1000, 40, 6
SAVE_EVERY = 100


def thinned(losses: Sequence[float]) -> dict[str, Any]:
    """Keep about `KEPT_LOSSES` means of consecutive losses.

    >>> thinned([1.0, 3.0])
    {'every': 1, 'mean': [1.0, 3.0]}
    """
    block = max(1, len(losses) // KEPT_LOSSES)
    parts = [losses[i : i + block] for i in range(0, len(losses), block)]
    return {"every": block, "mean": [round(sum(part) / len(part), 4) for part in parts]}


def weights_in(folder: Path, name: str) -> Path:
    """Return where a trial's finished weights lie."""
    return folder / f"{name}.safetensors"


def clip_trial(name: str, recipe: ClipRecipe, folder: Path) -> dict[str, Any]:
    """Train a CLIP, or read the finished one, and score it on the validation scenes."""
    path = weights_in(folder, name)
    if not path.is_file():
        start = load_tensors(weights_in(folder, recipe.parent))[0] if recipe.parent else None
        began = time.process_time()
        model, history = train_micro_clip(
            recipe,
            start=start,
            checkpoint=folder / f"{name}.run.safetensors",
            save_every=SAVE_EVERY,
            progress=True,
        )
        state = {key: value.half() for key, value in model.state_dict().items()}
        seconds = time.process_time() - began
        made = {"recipe": recipe.to_dict(), "loss": history.loss, "cpu_seconds": seconds}
        save_tensors(path, state, made)
    state, made = load_tensors(path)
    return {
        "kind": "clip",
        "recipe": made["recipe"],
        "cpu_seconds": round(made["cpu_seconds"], 1),
        "loss": thinned(made["loss"]),
        "scores": clip_scores(clip_encoder(name, recipe.model, state), "validation"),
    }


def clip_scores(encoder: OpenClipEncoder, part: str) -> dict[str, float]:
    """Score a CLIP on a part of the second edition: its gallery, and objects against places."""
    against = objects_against_places(encoder)
    found = score_micro_clip(encoder, f"{WORLD}_{part}")
    return found | {f"object_before_empty_{name}": share for name, share in against.items()}


def vlm_trial(name: str, recipe: VlmRecipe, folder: Path) -> dict[str, Any]:
    """Run the stages of a VLM that are not finished, and score its greedy captions."""
    tower: dict[str, Tensor] = {}
    if recipe.parent:
        state, _ = load_tensors(weights_in(folder, recipe.parent))
        tower = {
            key.removeprefix(TOWER_KEYS): value.float()
            for key, value in state.items()
            if key.startswith(TOWER_KEYS)
        }
    run = VlmRun.open(weights_in(folder, name), recipe)
    start = None
    if recipe.clip and not tower and not run.losses:
        state, _ = load_tensors(weights_in(folder, recipe.clip))
        start = clip_encoder(recipe.clip, CLIP_RECIPES[recipe.clip].model, state).model.visual
    model = run_stages(run, tower, start=start, progress=True)
    vlm = vlm_from_state(name, recipe.model, dict(model.state_dict()))
    scores, captions = vlm_scores(vlm, recipe.model.world, "validation", SCORED)
    return {
        "kind": "vlm",
        "recipe": recipe.to_dict(),
        "cpu_seconds": run.seconds,
        "loss": {stage: thinned(losses) for stage, losses in run.losses.items()},
        "scores": scores,
        "captions": captions,
    }


def vlm_scores(
    vlm: SmolVlm, world: str, part: str, n: int
) -> tuple[dict[str, float], dict[str, str]]:
    """Score a VLM's greedy captions of a part of its world; return also a few of them by scene."""
    data = MicroSplit(split_in(world, part), n)
    written = vlm.generate(encode_images(vlm, data.images), decoding=Greedy(MOST_WORDS)).texts
    scores = caption_scores(written, data.scenes) | claim_scores(written, data.scenes)
    rounded = {key: round(value, 4) for key, value in scores.items()}
    return rounded, dict(zip(data.ids[:SHOWN], written[:SHOWN]))


def ship(name: str, row: dict[str, Any], folder: Path) -> None:
    """Write a trial's weights in half precision into the package, scored on the test scenes."""
    state, _ = load_tensors(weights_in(folder, name))
    state = {key: value.half() for key, value in state.items()}
    recipe = {**CLIP_RECIPES, **VLM_RECIPES}[name]
    if isinstance(recipe, ClipRecipe):
        scores = clip_scores(clip_encoder(name, recipe.model, state), "test")
    else:
        vlm = vlm_from_state(name, recipe.model, state)
        scores, _ = vlm_scores(vlm, recipe.model.world, "test", SHIPPED_SCORED)
    keys = ("recipe", "cpu_seconds", "loss", "hardware", "commit")
    manifest = {
        "name": name,
        "command": f"python -m experiments.world_second_trials {name} --folder FOLDER --ship",
        "parameters": sum(value.numel() for value in state.values()),
        "scores": scores,
        **{key: row[key] for key in keys},
        "art": "OpenMoji, https://openmoji.org, CC BY-SA 4.0",
    }
    save_tensors(second_weights(name), state, manifest)


def keep_row(name: str, row: dict[str, Any], path: Path | None = None) -> None:
    """Put a trial's row into the results; the others stay."""
    path = path or RESULTS
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    rows[name] = row
    with atomic_path(path) as place:
        place.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the trials that are named, one after another."""
    known = {**CLIP_RECIPES, **VLM_RECIPES}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+", choices=sorted(known), metavar="NAME")
    parser.add_argument("--folder", type=Path, required=True, help="weights and runs lie here")
    parser.add_argument("--ship", action="store_true", help="put the weights into the package")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name in chosen.names:
        recipe = known[name]
        trial = clip_trial if isinstance(recipe, ClipRecipe) else vlm_trial
        row = trial(name, recipe, chosen.folder) | {
            "part": "validation",
            "hardware": f"CPU, 1 thread, torch {torch.__version__}",
            "commit": git_commit(),
        }
        keep_row(name, row)
        if chosen.ship:
            ship(name, row, chosen.folder)
        print(json.dumps({name: row["scores"]}))


if __name__ == "__main__":
    main()
