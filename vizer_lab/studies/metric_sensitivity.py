"""Metric sensitivity: what does each metric do when a caption changes in a known way?

The caption is a sixth writer's, its references are the scene's five. A *change* is the
metric of the edited captions minus that of the same captions before, over the scenes where the
edit has a place, with a paired bootstrap interval over scenes. To compare metrics with each other,
a change is also given as a share of the fall to a caption of another image (0: no cost, -1: as
bad as the wrong image).

Rank agreement with the truth (exact grounding) has two levels. *Caption*: do the scores order the
captions of one scene as the truth does (Kendall's tau-b per scene, then the mean)? *System*: do
they order whole systems, each a mixture of good captions and one edit at some strength?

The truth reads statements, not grammar: a shuffled caption still names its objects. So rank
agreement is over edits of content only (`CONTENT`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64
from torch import Tensor

from vizer_core.clip import ImageTextEncoder
from vizer_core.metrics.grounding import GroundingCounts
from vizer_core.metrics.references import make_references, match
from vizer_core.metrics.scorers import SCORERS, Inputs, Job
from vizer_core.metrics.stats import (
    Difference,
    Interval,
    Statistics,
    bootstrap,
    mean_statistics,
    paired_bootstraps,
    rate_statistics,
    resampled_scores,
)
from vizer_lab.world.captions import another_home_caption, home_captions
from vizer_lab.world.perturbations import SCENE_EDITS, said, statements
from vizer_lab.world.phrases import shared_lexicon
from vizer_lab.world.text_perturbations import FORM_EDITS, SAME_CONTENT
from vizer_lab.world.world import Scene

BEFORE = "unedited"
ANOTHER_IMAGE = "another_image"
ANOTHER_WRITER = "another_writer"
CONTENT = (
    BEFORE,
    ANOTHER_WRITER,
    *SAME_CONTENT,
    *SCENE_EDITS,
    "generic",
    ANOTHER_IMAGE,
)
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
TEXT_FAMILIES = ("bleu", "rouge_l", "cider", "length")
REFERENCE_METRICS = ("bleu1", "bleu4", "rouge_l", "cider", "meteor")
TRUTHS = ("object_f1", "statement_accuracy")

Metrics = dict[str, Statistics]


@dataclass(frozen=True)
class Edited:
    """The captions after one edit; `here` says where the edit had a place (elsewhere unchanged)."""

    captions: tuple[str, ...]
    here: Bool[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.captions)


@dataclass(frozen=True)
class ScoredEdits:
    """Every metric of the captions before and after every edit."""

    edits: Mapping[str, Edited]
    metrics: Mapping[str, Metrics]  # by edit, then by metric

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that every edit was scored with."""
        return tuple(self.metrics[BEFORE])


def _pair(captions: Sequence[str], tried: Sequence[str | None]) -> Edited:
    return Edited(
        tuple(before if after is None else after for before, after in zip(captions, tried)),
        np.array([after is not None for after in tried]),
    )


def edit_captions(scenes: Sequence[Scene], *, seed: int = 0) -> dict[str, Edited]:
    """Write one caption per scene and edit it in every way of both files of perturbations."""
    if len(scenes) < 2:
        raise ValueError(f"got {len(scenes)} scenes, wanted at least 2 to exchange captions")
    before = [another_home_caption(scene) for scene in scenes]
    tried: dict[str, list[str | None]] = {
        BEFORE: list(before),
        ANOTHER_WRITER: [another_home_caption(scene, 1) for scene in scenes],
    }
    for number, name in enumerate((*SAME_CONTENT, *SCENE_EDITS, *FORM_EDITS)):
        rngs = [np.random.default_rng([seed, number, scene.index]) for scene in scenes]
        for caption, scene, rng in zip(before, scenes, rngs):
            if name in SCENE_EDITS:
                after = SCENE_EDITS[name](caption, scene, rng)
            elif name in SAME_CONTENT:
                after = SAME_CONTENT[name](caption, rng)
            else:
                after = FORM_EDITS[name](caption, rng)
            tried.setdefault(name, []).append(after)
    tried[ANOTHER_IMAGE] = [*before[1:], before[0]]
    return {name: _pair(before, captions) for name, captions in tried.items()}


def edit_texts(
    captions: Sequence[str], others: Sequence[str], *, seed: int = 0
) -> dict[str, Edited]:
    """Edit captions without a scene; `others` are a second writer's for the same images."""
    if len(captions) < 2 or len(captions) != len(others):
        raise ValueError(
            f"got {len(captions)} captions and {len(others)} others: wanted as many, at least 2"
        )
    tried: dict[str, list[str | None]] = {BEFORE: list(captions), ANOTHER_WRITER: list(others)}
    for number, (name, edit) in enumerate(FORM_EDITS.items()):
        rng = np.random.default_rng([seed, number])
        tried[name] = [edit(caption, rng) for caption in captions]
    tried[ANOTHER_IMAGE] = [*captions[1:], captions[0]]
    return {name: _pair(captions, texts) for name, texts in tried.items()}


def object_f1(counts: Sequence[GroundingCounts]) -> Statistics:
    """Return F1 of named against present objects as sums: 2 found / (said + there).

    >>> object_f1([GroundingCounts(object_said=1, object_found=1, object_there=3)]).score
    0.5
    """
    return rate_statistics(
        [2 * c.object_found for c in counts], [c.object_said + c.object_there for c in counts]
    )


def statement_accuracy(counts: Sequence[GroundingCounts]) -> Statistics:
    """Return true statements over statements of every kind.

    >>> statement_accuracy([GroundingCounts(object_said=2, object_true=1)]).score
    0.5
    """
    kinds = ("object", "attribute", "count", "relation", "background")
    true = [sum(getattr(c, f"{kind}_true") for kind in kinds) for c in counts]
    return rate_statistics(true, [said(c) for c in counts])


def score_texts(
    edits: Mapping[str, Edited],
    references: Sequence[Sequence[str]],
    *,
    families: Sequence[str] = TEXT_FAMILIES,
    inputs: Mapping[str, Inputs] | None = None,
) -> dict[str, Metrics]:
    """Score every edit by families of metrics; METEOR, if named, in one run for all edits."""
    indexed, found = make_references(references), {}
    jobs = {
        name: Job(match(edit.captions, indexed), inputs[name] if inputs else Inputs())
        for name, edit in edits.items()
    }
    for name, job in jobs.items():
        found[name] = {}
        for family in families:
            if family != "meteor":
                found[name] |= SCORERS[family](job).statistics
    if "meteor" in families:
        stacked = make_references([*references] * len(edits))
        captions = [caption for edit in edits.values() for caption in edit.captions]
        rows = SCORERS["meteor"](Job(match(captions, stacked), Inputs())).statistics["meteor"]
        for name, part in zip(found, np.split(rows.rows, len(edits))):
            found[name]["meteor"] = Statistics(part, rows.value)
    return found


def score_edits(
    scenes: Sequence[Scene],
    image_features: Tensor,
    encoder: ImageTextEncoder,
    *,
    meteor: bool = False,
    seed: int = 0,
) -> ScoredEdits:
    """Edit one caption per scene in every way and score all with every metric."""
    edits = edit_captions(scenes, seed=seed)
    references = [home_captions(scene) for scene in scenes]
    shared = partial(
        Inputs,
        image_features=image_features,
        reference_features=encoder.encode_text([c for texts in references for c in texts]),
        encoder_name="drawn CLIP",
        lexicon=shared_lexicon(),
        scenes={str(i): scene.truth for i, scene in enumerate(scenes)},
    )
    inputs = {
        name: shared(text_features=encoder.encode_text(list(edit.captions)))
        for name, edit in edits.items()
    }
    families = [*TEXT_FAMILIES, "clipscore", "refclipscore", "self_retrieval"]
    found = score_texts(
        edits, references, families=[*families, "meteor"] if meteor else families, inputs=inputs
    )
    for name, edit in edits.items():
        counts = [statements(c, s) for c, s in zip(edit.captions, scenes)]
        found[name] |= {
            "object_f1": object_f1(counts),
            "statement_accuracy": statement_accuracy(counts),
        }
        for unused in ("bleu2", "bleu3", "clip_cosine"):
            found[name].pop(unused)
    return ScoredEdits(edits, found)


def _rows(metrics: Metrics, here: np.ndarray) -> Metrics:
    return {name: Statistics(entry.rows[here], entry.value) for name, entry in metrics.items()}


def metric_changes(
    scored: ScoredEdits, *, resamples: int = 1000
) -> dict[tuple[str, str], Difference]:
    """Return, by (edit, metric), after minus before with its paired 95% interval."""
    found = {}
    for name, edit in scored.edits.items():
        if name != BEFORE:
            after, before = (_rows(scored.metrics[key], edit.here) for key in (name, BEFORE))
            moved = paired_bootstraps(after, before, resamples=resamples)
            found |= {(name, metric): difference for metric, difference in moved.items()}
    return found


def relative(
    found: Mapping[tuple[str, str], Difference],
) -> dict[tuple[str, str], Interval]:
    """Give each change as a share of the fall to another image's caption (that fall is -1)."""
    shares = {}
    for (edit, metric), d in found.items():
        fall = -found[ANOTHER_IMAGE, metric].mean
        if not (fall > 0 and np.isfinite(d.mean)):
            continue  # length does not fall there; captions that state nothing have no accuracy
        shares[edit, metric] = Interval(d.mean / fall, d.low / fall, d.high / fall, d.n)
    return shares


def _tau_b(a: np.ndarray, b: np.ndarray) -> float:
    """Return Kendall's tau-b of two short lists, over the items that have both; NaN if constant."""
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    above = np.triu_indices(len(a), k=1)
    x, y = (np.sign((v[:, None] - v[None, :])[above].round(12)) for v in (a, b))
    norm = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / norm) if norm else float("nan")


def caption_agreement(
    scored: ScoredEdits, truth: str, *, edits: Sequence[str] = CONTENT, resamples: int = 1000
) -> dict[str, Interval]:
    """Return each metric's mean Kendall tau-b with the truth, among the captions of one scene."""
    here = np.stack([scored.edits[name].here for name in edits], axis=1)
    true = np.stack([scored.metrics[name][truth].per_image for name in edits], axis=1)
    here = here & np.isfinite(true)  # a caption that states nothing has no accuracy
    found = {}
    for metric in scored.names:
        if metric in TRUTHS:
            continue
        score = np.stack([scored.metrics[name][metric].per_image for name in edits], axis=1)
        taus = [_tau_b(s[k], t[k]) for s, t, k in zip(score, true, here)]
        kept = np.array([tau for tau in taus if np.isfinite(tau)])
        found[metric] = bootstrap(mean_statistics(kept), resamples=resamples)
    return found


def _systems(
    scored: ScoredEdits, metric: str, edits: Sequence[str], mark: Float64[np.ndarray, " n"]
) -> list[Statistics]:
    """Mix each edit into the unedited captions at each strength, nested: .5 contains .25."""
    before = scored.metrics[BEFORE][metric]
    systems = [before]
    for name in edits:
        if name != BEFORE:
            after = scored.metrics[name][metric].rows
            for strength in STRENGTHS:
                chosen = (mark < strength)[:, None]
                systems.append(Statistics(np.where(chosen, after, before.rows), before.value))
    return systems


def system_agreement(
    scored: ScoredEdits,
    truth: str,
    *,
    edits: Sequence[str] = CONTENT,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return each metric's Kendall tau-b with the truth over systems, resampling scenes."""
    mark = np.random.default_rng([seed, 7]).permutation(len(scored.edits[BEFORE]))
    mark = mark / len(mark)
    scores = {}
    for metric in scored.names:
        if metric in TRUTHS and metric != truth:
            continue
        systems = _systems(scored, metric, edits, mark)
        points = np.array([system.score for system in systems])
        drawn = resampled_scores(systems, resamples=resamples, seed=seed)
        scores[metric] = np.vstack([points, drawn])
    found = {}
    for metric, rows in scores.items():
        if metric != truth:
            taus = np.array([_tau_b(a, b) for a, b in zip(rows, scores[truth])])
            low, high = np.percentile(taus[1:], [2.5, 97.5])
            found[metric] = Interval(float(taus[0]), float(low), float(high), rows.shape[1])
    return found
