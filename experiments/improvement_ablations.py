"""One setting of a trainer at a time: what a training of the study owes to each.

===============  =================================================================================
default          as the study trains: rate and weight chosen on validation scenes, 4,000 captions
                 for the mapper, width 256 with layer norm, LoRA rank 32, 640 images, 4 passes
seed             the default again: images, mapper, LoRA and sampled words anew
rate             learning rate
mapper_passes    passes of the mapper over its captions: one, as in the paper, is few steps here
fitted_and_fast  that many passes, and the rate of `FAST`; `fitted_control` the same with every
                 image given the target of another
mapper_captions  captions that the mapper read, before training
mapper_width     width of the mapper's hidden layer
layer_norm       whether the mapper has one
lora_rank        rank of the adapter, alpha twice that
images           images trained on, as many captions as the default: fewer passes over more images
passes           passes over the default's images: less or more training
weight           of the information reward's prior
others           other images in that prior; 0 is the base that reads text alone
max_kl           nats a token from the base at which a training stops; of `FAST` trainers at the
                 rate given there, at which the default's ceiling is far
===============  =================================================================================

Every row is compared with its trainer's default, seed 0, over the same scenes: greedy captions of
one view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch

from experiments import improvement_world as world
from experiments.grid import Cell
from experiments.improvement_decoders import greedy
from experiments.improvement_record import (
    SAMPLES_KEPT,
    pack_captions,
    record_of,
    statistics_of,
    unpack_captions,
)
from experiments.improvement_training import PASSES, SETTINGS, Settings, mapper_of, train
from experiments.improvement_world import CORE, Trial
from vizer_core.metrics.stats import bootstrap_many, paired_bootstraps

Value = float | int | bool
WEB, GENERAL = CORE
DEFAULT = "default"
# in order of importance; each trainer's default comes first
ABLATIONS: tuple[tuple[str, str, str, tuple[Value, ...]], ...] = (
    (WEB, "vizer_g", DEFAULT, (0,)),
    (WEB, "vizer_g", "fitted_and_fast", (8,)),
    (WEB, "vizer_g", "rate", (5e-4,)),
    (WEB, "vizer_g", "mapper_passes", (8,)),
    (WEB, "vizer_g", "fitted_control", (8,)),
    (WEB, "vizer_g", "mapper_width", (64, 1024)),
    (WEB, "vizer_g", "mapper_captions", (1000,)),
    (WEB, "vizer_g", "seed", (1,)),
    (WEB, "vizer_g", "lora_rank", (4,)),
    (WEB, "vizer_g", "images", (160,)),
    (WEB, "vizer_g", "layer_norm", (False,)),
    (WEB, "vizer_gt", DEFAULT, (0,)),
    (WEB, "vizer_gt", "fitted_and_fast", (8,)),
    (WEB, "vizer_gt", "mapper_captions", (1000,)),
    (WEB, "vizer_gt", "mapper_width", (64, 1024)),
    (WEB, "vizer_g", "passes", (1,)),
    (WEB, "information", DEFAULT, (0,)),
    (WEB, "information", "others", (0, 2)),
    (WEB, "information", "weight", (0.3,)),
    (WEB, "vizer_g", "max_kl", (0.1,)),
    (WEB, "vizer_g", "rate", (2e-5,)),
    (GENERAL, "vizer_g", DEFAULT, (0,)),
    (GENERAL, "vizer_g", "fitted_and_fast", (8,)),
    (GENERAL, "information", DEFAULT, (0,)),
    (GENERAL, "information", "others", (0,)),
    (WEB, "vizer_g", "seed", (2,)),
    (WEB, "vizer_g", "lora_rank", (128,)),
    (WEB, "vizer_g", "mapper_captions", (16000,)),
    (WEB, "vizer_gt", "mapper_captions", (16000,)),
    (WEB, "vizer_g", "images", (2560,)),
    (WEB, "information", "rate", (1e-4, 2e-3)),
)
FAST = {"vizer_g": 5e-4, "vizer_gt": 5e-4}  # of max_kl and fitted_*; of others, their default's
METRICS = ("object_precision", "object_recall", "object_f1", "exact", "length")
SECONDS, SECONDS_OF = 30.0, {("mapper_captions", 16000): 200.0}


def changed(trial: Trial, setting: str, value: Value) -> tuple[Trial, Settings]:
    """Return a trial and the settings of its training, with one of them changed.

    >>> trial, settings = changed(Trial(WEB, "vizer_g", rate=1e-4), "images", 160)
    >>> trial.images, settings.passes
    (160, 16)
    >>> changed(Trial(WEB, "vizer_g", rate=1e-4), "mapper_width", 64)[1].width
    64
    """
    if setting == DEFAULT:
        return trial, SETTINGS
    if setting == "images":
        passes = PASSES * trial.images // int(value)
        return replace(trial, images=int(value)), replace(SETTINGS, passes=max(1, passes))
    if setting in ("max_kl", "fitted_and_fast", "fitted_control"):
        name = "max_kl" if setting == "max_kl" else "mapper_passes"
        trial = replace(trial, rate=FAST.get(trial.system, trial.rate))
        trial = replace(trial, shuffled=setting == "fitted_control")
        return trial, replace(SETTINGS, **{name: value})
    of_trial = {"seed": "seed", "rate": "rate", "weight": "weight"}
    of_trial |= {"mapper_captions": "mapper_images"}
    of_training = {"mapper_width": "width", "layer_norm": "layer_norm", "lora_rank": "rank"}
    of_training |= {name: name for name in ("passes", "others", "mapper_passes")}
    if setting in of_trial:
        return replace(trial, **{of_trial[setting]: value}), SETTINGS
    if setting in of_training:
        return trial, replace(SETTINGS, **{of_training[setting]: value})
    special = (DEFAULT, "images", "max_kl", "fitted_and_fast", "fitted_control")
    known = ", ".join((*special, *of_trial, *of_training))
    raise ValueError(f"no setting {setting!r}: wanted one of {known}")


def ablation_cells(
    rates: Mapping[str, Mapping[str, Any]], bases: Sequence[str], plain: Trial
) -> list[list[Cell]]:
    """Return the cells of each question, in order of importance; `plain` has the study's sizes."""
    return [
        [
            Cell(
                f"{base}/ablation-{trainer}-{setting}-{value:g}",
                ablation_cell,
                {
                    **{"base": base, "trainer": trainer, "setting": setting, "value": value},
                    **{"rate": rates[trainer]["rate"], "weight": rates[trainer]["weight"]},
                    **{"n": plain.n, "images": plain.images},
                    "mapper_images": plain.mapper_images,
                },
                SECONDS_OF.get((setting, value), SECONDS),
            )
            for value in values
        ]
        for base, trainer, setting, values in ABLATIONS
        if trainer in rates and base in bases
    ]


def _mapper_cosine(trial: Trial, settings: Settings) -> float:
    last = mapper_of(trial, world.load_once(trial.base), settings).history.held_out[-1]
    return round(last.cosine, 4)


@lru_cache(maxsize=2)
def _before(base: str, n: int) -> list[str]:
    """Return the untrained base's captions: what counts as changed."""
    return greedy(world.load_once(base), world.one_view(base, "test", n), "")


def ablation_cell(
    base: str,
    trainer: str,
    setting: str,
    value: Value,
    rate: float,
    weight: float,
    **sizes: int,
) -> dict[str, Any]:
    """Train with one setting changed, and caption test scenes from the default prompt.

    `sizes` are the trial's: `n`, `images`, `mapper_images`.
    """
    torch.set_num_threads(1)
    default = Trial(base, trainer, rate=rate, weight=weight, **sizes)
    trial, settings = changed(default, setting, value)
    vlm = world.load_fresh(base)
    record = train(trial, vlm, settings) | {"rate": trial.rate, "passes": settings.passes}
    if trainer.startswith("vizer"):
        record["mapper_cosine"] = _mapper_cosine(trial, settings)
    split, vision = (each(base, "test", trial.n) for each in (world.scenes_of, world.one_view))
    captions = greedy(vlm, vision, "")
    return {
        "greedy": record_of(captions, split, before=_before(base, trial.n)),
        "captions": pack_captions(captions),
        "record": record,
    }


def ablation_rows(planned: Mapping[str, Cell], answers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row a finished cell: scores, and differences from its trainer's default."""
    found = [
        (cell.arguments, answers[name])
        for name, cell in planned.items()
        if name in answers and "setting" in cell.arguments
    ]
    defaults = {
        (what["base"], what["trainer"]): answer
        for what, answer in found
        if what["setting"] == DEFAULT
    }
    return [
        row_of(what, answer, defaults[what["base"], what["trainer"]])
        for what, answer in found
        if (what["base"], what["trainer"]) in defaults
    ]


def row_of(
    what: Mapping[str, Any], answer: Mapping[str, Any], default: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the row of one cell beside its trainer's default."""
    split = world.scenes_of(what["base"], "test", what["n"])
    statistics, rival = (statistics_of(each["greedy"], split) for each in (answer, default))
    both = [name for name in METRICS if name in statistics and name in rival]
    scores = bootstrap_many({name: statistics[name] for name in both})
    gains = paired_bootstraps(*({m: each[m] for m in both} for each in (statistics, rival)))
    record = answer["record"]
    return {
        **{"base": what["base"], "system": what["trainer"]},
        **{"setting": what["setting"], "value": what["value"]},
        **{name: record.get(name) for name in ("rate", "kl", "stopped", "mapper_cosine")},
        "changed": round(statistics["changed"].score, 4),
        **{name: _interval(scores[name]) for name in both},
        **{f"{name}_difference": _interval(gains[name]) for name in both},
        "object_f1_p": round(gains["object_f1"].p, 4),
        "n": what["n"],
        "samples": unpack_captions(answer["captions"])[:SAMPLES_KEPT],
    }


def _interval(row: Any) -> list[float]:
    return [round(value, 4) for value in (row.mean, row.low, row.high)]
