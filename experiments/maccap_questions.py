"""The part of the captioning study that asks questions: MacCap's Table 4 on the drawn world.

Each system's captions of the test images stand in for the images; a frozen language model
answers, and the answer is ranked among all candidates. Besides the paper's rows: the question
alone, chance, two priors, and the scene's own first caption, as much as a caption can give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from experiments import maccap_world as world
from experiments.maccap_cells import Run
from experiments.scoring import difference_rows, score_rows
from vizer_core.metrics.stats import Statistics
from vizer_core.vqa import VqaProtocol, evaluate_vqa
from vizer_lab.world.vqa_items import drawn_answer_list, drawn_prompt, drawn_vqa_items
from vizer_lab.zoo.language_models import load_drawn_lm

if TYPE_CHECKING:
    from experiments.maccap_drawn import Study

PREFIX, HUMAN = "vqa:", "human_caption"
CAPTIONED = (
    *("baseline", "capdec", "decap", "capdec_mlp", "decap_mlp", "maccap", "maccap_global"),
    *("clipre", "socratic", "blind", "clipcap"),
)
METRICS = ("top1", "top5", "top10")
TRAINING_SCENES = 2000  # scenes whose questions give the priors
PAIRS = (
    *(("maccap", other) for other in ("question_only", "capdec", "decap", "clipre", "blind")),
    *(("maccap", other) for other in ("prior", "type_prior", "maccap_global")),
    ("capdec", "question_only"),
    ("decap", "question_only"),
    ("baseline", "question_only"),
    ("clipcap", "maccap"),
    ("human_caption", "maccap"),
)


def question_rows(job: Study, run: Run) -> tuple[list[dict], list[dict]]:
    """Return score and difference rows of every captioned system, by seed."""
    split = world.split_of("home", "test", run.n)
    items = drawn_vqa_items(split.name, run.n)
    training = drawn_vqa_items(world.TEXTS["home"], min(TRAINING_SCENES, run.scenes))
    lm = load_drawn_lm(name=world.LANGUAGE_MODEL)
    answers = drawn_answer_list()
    protocol = VqaProtocol(lm, run.encoder, answers, prompt=drawn_prompt, batch_size=256)
    found: dict[str, list[dict[str, Statistics]]] = {}
    for seed in range(job.seeds):
        written = {system: job.captions(replace(run, seed=seed), system) for system in CAPTIONED}
        captions = {
            system: dict(zip(split.ids, texts)) for system, texts in written.items() if texts
        }
        if seed == 0:
            captions[HUMAN] = {scene: texts[0] for scene, texts in zip(split.ids, split.captions)}
        report = evaluate_vqa(items, captions, protocol, training=training)
        for system, statistics in report.statistics.items():
            if system in CAPTIONED or seed == 0:
                kept = {name: statistics[name] for name in METRICS}
                found.setdefault(system, []).append(kept)
    return score_rows(found, prefix=PREFIX), _differences(found, PAIRS)


def _differences(
    found: dict[str, list[dict[str, Statistics]]], pairs: Sequence[tuple[str, str]]
) -> list[dict]:
    present = [(a, b) for a, b in pairs if a in found and b in found]
    return difference_rows(found, present, prefix=PREFIX)
