"""From finished cells of the field to its file: scores, differences, an arena, variety, claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments import field_world as world
from experiments.field_captions import USED
from experiments.field_claims import claim_rows
from experiments.grid import Cell, answer_of
from experiments.improvement_record import unpack_captions
from experiments.scoring import difference_rows, score_rows
from vizer_core.metrics.arena import arena
from vizer_core.metrics.grounding import ground_captions, parse_caption
from vizer_core.metrics.stats import Statistics, mean_statistics, rank_correlation, rate_statistics
from vizer_core.metrics.vendi import attribute_spread, left_over, vendi_score
from vizer_core.vizer.decoders import DRAWN, GROUPS, OTHERS
from vizer_lab.world import drawn_lexicon, render_scenes
from vizer_lab.world.round_trip import drawn_scene, round_trip
from vizer_lab.zoo.clips import load_drawn_clip, pixels_of

Chosen = dict[tuple[str, str], float]  # (base, system) -> the rate or the weight of its runs
Runs = dict[str, list[dict[str, Statistics]]]  # system -> one per seed -> metric
CLEANED = ("filtered", "paired_anew", "recaptioned", "filtered_and_recaptioned")
RIVALS = {
    "texts": {
        "concepts": ("decap", "baseline", "concepts_shuffled"),
        "close": ("capdec", "decap", "close_shuffled"),
    },
    "questions": {"prompted": ("beam", "prompted_shuffled", "no_caption")},
    "regions": {"crop": ("whole", "crop_shuffled")},
    "differences": {"rated": ("spoken",), "spoken": ("spoken_shuffled",)},
    "sets": {"ranked": ("frequent",)},
    "pairs": {name: ("noisy", "random_half", "clean") for name in CLEANED},
    "towers": {name: ("noisy", "random_half", "clean", "before") for name in CLEANED}
    | {"noisy": ("random_half", "clean", "before")},
    "views": {
        "omniview": ("augmented", "pairs", "before", "omniview_shuffled"),
        "augmented": ("pairs", "before"),
        "pairs": ("before",),
    },
}
UNTRAINED = ("base", "first_word", "beam")
TRAINED = {
    "clip_reward": (),
    "mocha": ("clip_reward",),
    "caprl": ("clip_reward",),
    "bag_curriculum": ("clip_reward",),
    "human": (),
    "knowada": ("human",),
}
WRITTEN: dict[str, tuple[int, int]] = {  # captions written and statements or captions read
    "base": (1, 0),
    "first_word": (1, 0),
    "beam": (4, 0),
    "guidance": (2, 0),
    "consensus": (DRAWN, 0),
    "information": (DRAWN, DRAWN * (1 + OTHERS)),
    "diverse": (GROUPS, GROUPS * (1 + OTHERS)),
    "fused": (4 + DRAWN, 0),
    "checked": (4 + DRAWN, 0),
    "contrasted": (4, 4 * (1 + OTHERS)),
    "clip_ranked": (4 + DRAWN, 0),
    "crops_fused": (20, 0),
    "verified": (4 + DRAWN, 0),
    "best_of_nine": (4 + DRAWN, 0),
}
COMPARED = (  # of captioning systems; a task's metrics are all compared
    *("object_precision", "object_recall", "object_f1", "statement_precision", "count_accuracy"),
    *("relation_accuracy", "exact", "cider", "clipscore", "length"),
)
DRAWN_AGAIN = ("base", "first_word", "beam", "clip_ranked", "crops_fused")


def grouped(planned: Mapping[str, Cell], answers: Mapping[str, Any], n: int) -> dict[str, Runs]:
    """Return statistics by base and system; a task's systems have its name before their own."""
    found: dict[str, Runs] = {}
    for name, cell in planned.items():
        if name not in answers or name.startswith(("bars/", "rates/", "weights/")):
            continue
        part, what, answer = name.split("/")[0], cell.arguments, answers[name]
        base = what.get("base", part)
        if "captions" in answer:
            system = what["system"] + "_shuffled" * bool(what.get("shuffled"))
            own = world.statistics_of(unpack_captions(answer["captions"]), n)
            found.setdefault(base, {}).setdefault(system, []).append(own)
            continue
        task = name.rpartition("-")[2] if part == "tasks" and "-" in name else name.split("/")[-1]
        task = part if part in ("pairs", "towers", "views") else task.removeprefix("tasks/")
        for system, metrics in answer.items():
            row = task_statistics(metrics)
            found.setdefault(base, {}).setdefault(f"{task}_{system}", []).append(row)
    return found


def task_statistics(metrics: Mapping[str, Sequence[float]]) -> dict[str, Statistics]:
    """Turn one number an item into statistics; of changes, precision and recall too.

    >>> task_statistics({"right": [1, 0], "told": [2, 0], "there": [1, 1]})["precision"].score
    0.5
    """
    found = {name: mean_statistics(values) for name, values in metrics.items()}
    if {"right", "told", "there"} <= set(metrics):
        found = {"exact": found["exact"]} if "exact" in found else {}
        found["precision"] = rate_statistics(metrics["right"], metrics["told"])
        found["recall"] = rate_statistics(metrics["right"], metrics["there"])
    return found


def pairs_of(systems: Sequence[str]) -> list[tuple[str, str]]:
    """Return which systems of a base are compared: with rivals and with the own control.

    >>> pairs_of(["base", "beam", "fused", "fused_shuffled"])
    [('beam', 'base'), ('fused', 'base'), ('fused', 'beam'), ('fused', 'fused_shuffled')]
    """
    wanted: list[tuple[str, str]] = []
    for system in systems:
        if system.endswith("_shuffled"):
            continue
        for task, rows in RIVALS.items():
            own = system.removeprefix(f"{task}_") if task != "texts" else system
            prefix = f"{task}_" if system != own else ""
            if prefix or task == "texts":
                wanted += [(system, f"{prefix}{other}") for other in rows.get(own, ())]
        if system in WRITTEN or system in TRAINED:
            others = (*UNTRAINED, *TRAINED.get(system, ()), f"{system}_shuffled")
            wanted += [(system, other) for other in others if other != system]
    order = {name: place for place, name in enumerate(systems)}
    earlier = [
        (a, b)
        for a, b in dict.fromkeys(wanted)
        if b in order and (a not in UNTRAINED or order[b] < order[a])
    ]
    return earlier


def even(runs: Runs, pair: tuple[str, str]) -> Runs:
    """Cut the runs of two systems to the seeds that both finished; a single run is kept as it is.

    >>> [len(own) for own in even({"a": [{}, {}, {}], "b": [{}, {}]}, ("a", "b")).values()]
    [2, 2]
    >>> [len(own) for own in even({"a": [{}, {}, {}], "b": [{}]}, ("a", "b")).values()]
    [3, 1]
    """
    counts = {len(runs[name]) for name in pair} - {1}
    return {name: runs[name][: min(counts, default=1)] for name in pair}


def report(planned: Mapping[str, Cell], answers: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Return the file's fields."""
    torch.set_num_threads(1)
    scores, differences = [], []
    for base, runs in grouped(planned, answers, n).items():
        scores += [{"base": base} | row for row in score_rows(runs)]
        for pair in pairs_of(list(runs)):
            task = "object_f1" not in runs[pair[0]][0]
            differences += [
                {"base": base} | row
                for row in difference_rows(even(runs, pair), [pair])
                if task or row["metric"] in COMPARED
            ]
    captions = {
        (cell.arguments["base"], cell.arguments["system"]): unpack_captions(
            answers[name]["captions"]
        )
        for name, cell in planned.items()
        if name in answers and name.startswith("captions/") and not cell.arguments["shuffled"]
    }
    return {
        "claims": claim_rows(differences),
        "bars": bar_rows(planned, answers),
        "rates": choice_rows(planned, answers, "rates", "trainers"),
        "weights": choice_rows(planned, answers, "weights", "views"),
        "scores": scores,
        "differences": differences,
        "arena": arena_rows(captions, n),
        "variety": variety_rows(captions, n),
        "round_trip": round_trip_rows(captions, n),
        "cost": [{"system": s, "written": w, "read": r} for s, (w, r) in WRITTEN.items()],
        "not_run": sorted({c.name for c in planned.values()} - set(answers)),
    }


def f1_of(captions: Sequence[str], n: int) -> np.ndarray:
    """Return each caption's F1 of named things."""
    about = world.exam(n)
    truths = [scene.truth for scene in about.split.scenes]
    counts = ground_captions(captions, truths, lexicon=about.lexicon)
    return np.array([2 * c.object_found / max(1, c.object_said + c.object_there) for c in counts])


def arena_rows(captions: Mapping[tuple[str, str], list[str]], n: int) -> list[dict[str, Any]]:
    """Return ratings of each base's captioners; an oracle does not play."""
    rows = []
    for base in dict.fromkeys(base for base, _ in captions):
        own = {
            s: f1_of(t, n) for (b, s), t in captions.items() if b == base and s != "best_of_nine"
        }
        if len(own) > 1:
            rows += [
                {"base": base, "system": r.system, "won": round(r.won, 4)}
                | {key: round(getattr(r, key), 1) for key in ("mean", "low", "high")}
                for r in arena(own)
            ]
    return rows


def variety_rows(captions: Mapping[tuple[str, str], list[str]], n: int) -> list[dict[str, Any]]:
    """Return how many different captions there are, and what they leave of the images."""
    clip, images, rows = world.ranker(), world.clip_features(n), []
    for (base, system), texts in captions.items():
        features = clip.encode_text(texts)
        share, directions = left_over(images, features)
        rows.append(
            {
                "base": base,
                "system": system,
                "vendi": round(vendi_score(features), 2),
                "left_over": round(share, 4),
                "directions": round(directions, 2),
                "colours": round(colour_spread(texts), 4),
            }
        )
    return rows


def colour_spread(captions: Sequence[str]) -> float:
    """Return how evenly the colours are spread that captions give to things: 0 to 1.

    GRADE's entropy (`vendi.attribute_spread`) of one concept, a thing: in this world a kind has one
    colour, so that within a kind there is nothing to spread. 0 where fewer than two are said.

    >>> colour_spread(["a red crown", "a blue hat"])
    1.0
    """
    lexicon = drawn_lexicon()
    mentions = [m for text in captions for m in parse_caption(text, lexicon).mentions]
    said = [m.colour for m in mentions if m.colour is not None and not m.is_category]
    possible = len(set(said))
    return attribute_spread(said, possible=possible) if possible > 1 else 0.0


def bar_rows(planned: Mapping[str, Cell], answers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what every bar gave on validation scenes, and which one is used."""
    return [
        {
            "base": planned[name].arguments["base"],
            "system": system,
            "used": row["bar"] == USED[system],
        }
        | row
        for name, answer in answers.items()
        if name.startswith("bars/")
        for system, rows in answer["bars"].items()
        for row in rows
    ]


def chosen(cells: Sequence[Cell], folder: Path) -> Chosen:
    """Return by base and system the rate or weight of the highest F1 on validation scenes.

    Only of those whose every rate or weight was tried.
    """
    tried: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for cell in cells:
        about, record = cell.arguments, answer_of(cell, folder)
        setting, score = ("rate", "object_f1") if "rate" in about else ("weight", "moved_f1")
        found = record["answer"][score] if record else float("nan")
        key = (about["base"], about.get("system", "omniview"))
        tried.setdefault(key, []).append((found, about[setting]))
    return {
        key: max(rows, key=lambda row: row[0])[1]
        for key, rows in tried.items()
        if not any(np.isnan(found) for found, _ in rows)
    }


def choice_rows(
    planned: Mapping[str, Cell], answers: Mapping[str, Any], choice: str, part: str
) -> list[dict[str, Any]]:
    """Return what every rate or weight gave on validation scenes, and which ones are used."""
    names = ("base", "system", "rate", "weight")

    def setting(cell: Cell) -> dict[str, Any]:
        return {name: cell.arguments[name] for name in names if name in cell.arguments}

    used = [setting(cell) for name, cell in planned.items() if name.startswith(f"{part}/")]
    return [
        setting(cell) | {"used": setting(cell) in used} | answers[name]
        for name, cell in planned.items()
        if name.startswith(f"{choice}/") and name in answers
    ]


def round_trip_rows(captions: Mapping[tuple[str, str], list[str]], n: int) -> list[dict[str, Any]]:
    """Return how well a drawn caption tells good captions from bad ones, over all of a base."""
    judge, scenes, rows = load_drawn_clip(world.JUDGE), world.split_of(n).scenes, []
    true = judge.encode_image(pixels_of(world.split_of(n).images))
    for base in dict.fromkeys(base for base, _ in captions):
        exact, things, cosines, read = [], [], [], []
        for system in DRAWN_AGAIN:
            texts = captions.get((base, system))
            if texts is None:
                continue
            exact += f1_of(texts, n).tolist()
            things += [round_trip(text, s).f1 for text, s in zip(texts, scenes, strict=True)]
            drawn = [drawn_scene(text, s) for text, s in zip(texts, scenes, strict=True)]
            again = judge.encode_image(pixels_of(render_scenes(drawn)))
            cosines += (again * true).sum(dim=-1).tolist()
            read += (judge.encode_text(texts) * true).sum(dim=-1).tolist()
        if exact:
            rows.append(
                {"base": base, "captions": len(exact)}
                | {
                    name: round(rank_correlation(values, exact, resamples=10).mean, 4)
                    for name, values in (
                        ("scenes", things),
                        ("images", cosines),
                        ("clipscore", read),
                    )
                }
            )
    return rows
