"""Images and tables for the page on the drawn world, made from the world itself at each build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.Image import Dither, Quantize

from tools.tables import cell, number, table
from vizer_core.files import load_manifest, read_json
from vizer_lab.world.captions import captions_of
from vizer_lab.world.questions import questions_of
from vizer_lab.world.render import render_scenes
from vizer_lab.world.world import Scene, make_scene
from vizer_lab.zoo.drawn_recipes import LACKS

SHOWN, COLUMNS, PIXELS, GAP = 8, 4, 224, 12  # larger than the 112 pixels that the models see


def first_scenes() -> list[Scene]:
    """Return the first scenes of the test split: not chosen by anybody."""
    return [make_scene("second_test", index) for index in range(SHOWN)]


def contact_sheet(scenes: list[Scene]) -> Image.Image:
    """Draw scenes side by side on white, row by row."""
    images = render_scenes(scenes, PIXELS)
    step = PIXELS + GAP
    rows = -(-len(scenes) // COLUMNS)
    sheet = np.full((rows * step - GAP, COLUMNS * step - GAP, 3), 255, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // COLUMNS * step, index % COLUMNS * step
        sheet[top : top + PIXELS, left : left + PIXELS] = image
    return Image.fromarray(sheet)


def scene_markdown(scene: Scene) -> str:
    """Return all that is known about a scene: truth, captions, questions."""
    objects = [
        [cell(o.name), o.size, f"{o.x:.2f}", f"{o.y:.2f}", f"{o.w:.2f}"] for o in scene.objects
    ]
    header = ["object", "size", "centre, from the left", "centre, from the top", "width"]
    captions = "\n".join(f"- {cell(caption)}" for caption in captions_of(scene))
    questions = "\n".join(f"- {cell(q.text)} *{cell(q.answer)}*" for q in questions_of(scene))
    parts = [
        f"The place is `{scene.place}`. Lengths are parts of the image's side.",
        table(header, objects),
        f"Its five captions:\n\n{captions}",
        f"Its questions, with their answers:\n\n{questions}",
    ]
    return "\n\n".join(parts)


def models_markdown(weights: Path) -> str:
    """Return what the shipped CLIPs and language model score, a table a kind, from manifests."""
    manifests = [read_json(path) for path in sorted(weights.glob("*.json"))]
    manifests = [one for one in manifests if one["name"] not in LACKS]
    families: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in manifests:
        families.setdefault(tuple(one["scores"]), []).append(one)
    return "\n\n".join(_scores(keys, models) for keys, models in families.items())


def bases_markdown(weights: Path) -> str:
    """Return three tables of the drawn bases: what each lacks and cost, what it says, by habit.

    They are narrow, so that a telephone can show them: the bases without the part of their name
    that all share, intervals below their number.
    """
    found = {name: load_manifest(weights / f"{name}.safetensors") for name in LACKS}
    made = table(
        ["base", "lacks", "seed", "CPU min"],
        [
            [f"`{name}`", LACKS[name], str(one["recipe"]["seed"]), f"{_minutes(one):.0f}"]
            for name, one in found.items()
        ],
    )
    says = table(
        ["greedy", "precision", "recall", "relations", "numbers"],
        [
            [name.removeprefix("drawn-vlm-")]
            + [_with_interval(one, f"object_{kind}") for kind in ("precision", "recall")]
            + [_claimed(one, kind) for kind in ("relation", "count")]
            for name, one in found.items()
        ],
    )
    drawn = table(
        ["sampled", "precision", "recall", "likeliest habit"],
        [
            [name.removeprefix("drawn-vlm-")]
            + [_score(one, f"sampled_object_{kind}") for kind in ("precision", "recall")]
            + [_score(one, "first_word")]
            for name, one in found.items()
        ],
    )
    return "\n\n".join((made, says, drawn))


def _minutes(manifest: dict[str, Any]) -> float:
    return sum(manifest["cpu_seconds"].values()) / 60


def _with_interval(manifest: dict[str, Any], key: str) -> str:
    low, high = manifest["intervals"][key]
    return f"{_score(manifest, key)}<br>[{low:.2f}, {high:.2f}]"


def _claimed(manifest: dict[str, Any], kind: str) -> str:
    """Give an accuracy over the claims made, and the share of captions that make one."""
    scores = manifest["scores"]
    return f"{scores[f'{kind}_accuracy']:.2f}<br>in {scores[f'{kind}_said']:.0%}"


def _scores(keys: Sequence[str], models: Sequence[dict[str, Any]]) -> str:
    header = ["score", *(f"`{one['name']}`" for one in models)]
    return table(header, [[f"`{key}`", *(_score(one, key) for one in models)] for key in keys])


def _score(manifest: dict[str, Any], key: str) -> str:
    value = manifest["scores"].get(key)
    return number(value if value is None else float(value))


def write_world_pages(root: Path, folder: Path) -> None:
    """Write the contact sheet and the tables into the folder of generated pages."""
    scenes = first_scenes()
    few = contact_sheet(scenes).quantize(256, Quantize.MEDIANCUT, dither=Dither.NONE)
    few.save(folder / "scenes.png", optimize=True)
    (folder / "scene.md").write_text(scene_markdown(scenes[0]) + "\n", encoding="utf-8")
    weights = root / "vizer_lab" / "zoo" / "weights"
    models = models_markdown(weights)
    (folder / "models.md").write_text(models + "\n", encoding="utf-8")
    (folder / "bases.md").write_text(bases_markdown(weights) + "\n", encoding="utf-8")
    clip = load_manifest(weights / "drawn-clip.safetensors")
    told = f"R@1 of one who knows all: {number(clip['oracle_t2i_r1'])}; of `drawn-clip`: "
    told += f"{_score(clip, 't2i_r1')}."
    (folder / "oracle.md").write_text(f"> {told}\n", encoding="utf-8")
