"""The whole VQA table: every captioner's row, the question-only row, and the floors under them.

Reported by MacCap for 20,000 questions of VQAv2 val (top 1 / 5 / 10, in %): question only 3.26 /
7.24 / 11.21, CapDec 6.53 / 11.06 / 15.00, DeCap 6.00 / 11.81 / 15.57, MacCap 7.96 / 14.00 / 18.72.
Chance among 3,128 answers is .03 / .16 / .32. It does not name the questions, the seed, the ground
truth or the stopping rule, so those numbers cannot be met exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vizer_core.data.vqav2 import VqaItem
from vizer_core.metrics.stats import (
    Difference,
    Interval,
    Statistics,
    bootstrap,
    bootstrap_many,
    paired_bootstraps,
)
from vizer_core.vqa.answering import VqaProtocol, generate_answers, retrieve_answers
from vizer_core.vqa.scoring import (
    prior_ranking,
    score_by_type,
    score_chance,
    score_coverage,
    score_generated,
    score_ranking,
    type_prior_ranking,
)

QUESTION_ONLY, CHANCE, PRIOR, TYPE_PRIOR = "question_only", "chance", "prior", "type_prior"
FLOORS = (CHANCE, PRIOR, TYPE_PRIOR)
COLUMNS = {"top1": "top 1", "top10": "top 10", "soft": "soft", "written_soft": "soft, as written"}
LABELS = {
    QUESTION_ONLY: "question only",
    PRIOR: "most frequent answer",
    TYPE_PRIOR: "the same, by type",
    CHANCE: "chance",
}
Captions = Mapping[str, str]  # image id -> caption


@dataclass(frozen=True, eq=False)
class VqaReport:
    """Scores with 95% intervals over images, by system and metric; floors are systems too.

    `generated` has each system's texts in the order of the questions, `retrieved` the candidate
    that came first; the two priors are in `retrieved` as well.
    """

    scores: Mapping[str, Mapping[str, Interval]]
    statistics: Mapping[str, Mapping[str, Statistics]]
    coverage: Interval
    questions: int
    candidates: int
    candidates_sha256: str
    generated: Mapping[str, tuple[str, ...]]
    retrieved: Mapping[str, tuple[str, ...]]

    @property
    def empty(self) -> dict[str, int]:
        """How often each system generated no words, which counts as wrong."""
        return {name: sum(not text for text in texts) for name, texts in self.generated.items()}

    def compare(self, system: str, against: str = QUESTION_ONLY) -> dict[str, Difference]:
        """Return system minus another by every metric that both have, on the same resamples."""
        for name in (system, against):
            if name not in self.statistics:
                raise ValueError(f"no system {name!r}: wanted one of {sorted(self.statistics)}")
        a, b = self.statistics[system], self.statistics[against]
        both = [metric for metric in a if metric in b]
        return paired_bootstraps({m: a[m] for m in both}, {m: b[m] for m in both})

    def by_type(self, items: Sequence[VqaItem]) -> dict[str, dict[str, Interval]]:
        """Return top-1 by system and question type; `items` are the report's own questions."""
        return {
            system: {
                kind: bootstrap(statistics)
                for kind, statistics in score_by_type(items, answers).items()
            }
            for system, answers in self.retrieved.items()
        }

    def table(self) -> str:
        """Lay out the accuracies in percent, with intervals: the systems, then the floors."""
        return vqa_table(self)

    def rows(self) -> list[dict[str, Any]]:
        """Return the scores as rows of a results file, without seeds."""
        return [
            {"system": system, "metric": f"vqa_{metric}"} | interval.as_dict()
            for system, metrics in self.scores.items()
            for metric, interval in metrics.items()
        ]


def vqa_table(report: VqaReport) -> str:
    """Lay out the accuracies in percent, with intervals: the captions' rows, then the floors."""
    rows = [name for name in report.scores if name not in LABELS]
    width = max(len(label) for label in (*rows, *LABELS.values())) + 2
    lines = ["".ljust(width) + "".join(title.ljust(22) for title in COLUMNS.values()).rstrip()]
    for name in (*rows, *LABELS):
        found = report.scores[name]
        cells = [_cell(found[metric]) if metric in found else "-" for metric in COLUMNS]
        label = LABELS.get(name, name).ljust(width)
        lines.append((label + "".join(cell.ljust(22) for cell in cells)).rstrip())
    covered = report.coverage.mean
    lines.append(
        f"{report.questions:,} questions; {report.candidates:,} candidates, among them the agreed "
        f"answer of {covered:.1%}. Percent, with 95% intervals over images."
    )
    return "\n".join(lines)


def _cell(score: Interval) -> str:
    return f"{100 * score.mean:.2f} [{100 * score.low:.2f}, {100 * score.high:.2f}]"


def evaluate_vqa(
    items: Sequence[VqaItem],
    captions: Mapping[str, Captions],
    protocol: VqaProtocol,
    *,
    training: Sequence[VqaItem],
    progress: bool = False,
) -> VqaReport:
    """Answer the questions from each system's captions, and from none; score all and the floors.

    `captions` has, by system, one caption per image id. `training` gives the priors; it must be
    of other images (VQAv2's train split, or the drawn world's).
    """
    _require(items, captions, training)
    features = protocol.encoder.encode_text(protocol.candidates.answers)
    generated: dict[str, tuple[str, ...]] = {}
    rankings: dict[str, Tensor] = {}
    found: dict[str, dict[str, Statistics]] = {}
    nothing = dict.fromkeys((item.image_id for item in items), "")
    for system, texts in {QUESTION_ONLY: nothing, **captions}.items():
        prompts = [protocol.prompt(texts[item.image_id], item.question) for item in items]
        generated[system] = generate_answers(protocol, prompts, progress=progress)
        rankings[system] = retrieve_answers(protocol, generated[system], features)
        found[system] = score_ranking(items, rankings[system], protocol.candidates)
        found[system] |= score_generated(items, generated[system])
    priors = _priors(items, training, protocol)
    found[CHANCE] = score_chance(items, protocol.candidates)
    found |= {name: score_ranking(items, r, protocol.candidates) for name, r in priors.items()}
    names = (*protocol.candidates.answers, "")  # index -1 is the empty answer
    return VqaReport(
        scores={system: bootstrap_many(metrics) for system, metrics in found.items()},
        statistics=found,
        coverage=bootstrap(score_coverage(items, protocol.candidates)),
        questions=len(items),
        candidates=len(protocol.candidates),
        candidates_sha256=protocol.candidates.sha256,
        generated=generated,
        retrieved={
            system: tuple(names[index] for index in ranked[:, 0].tolist())
            for system, ranked in (rankings | priors).items()
        },
    )


def _priors(
    items: Sequence[VqaItem], training: Sequence[VqaItem], protocol: VqaProtocol
) -> dict[str, Tensor]:
    candidates, top = protocol.candidates, protocol.top
    return {
        PRIOR: prior_ranking(items, training, candidates, top=top),
        TYPE_PRIOR: type_prior_ranking(items, training, candidates, top=top),
    }


def _require(
    items: Sequence[VqaItem], captions: Mapping[str, Captions], training: Sequence[VqaItem]
) -> None:
    if not items or not training:
        raise ValueError(
            f"got {len(items)} questions and {len(training)} training questions: wanted some of "
            "both; the priors, without which no score can be read, come from the training ones"
        )
    taken = {QUESTION_ONLY, *FLOORS} & captions.keys()
    if taken:
        raise ValueError(f"{sorted(taken)} are rows of every report: name your system otherwise")
    images = {item.image_id for item in items}
    shared = images & {item.image_id for item in training}
    if shared:
        raise ValueError(
            f"{len(shared)} images are in both the questions and the training questions, first "
            f"{min(shared)!r}: the prior has to come from other images"
        )
    for system, texts in captions.items():
        absent = sorted(images - texts.keys())
        if absent:
            raise ValueError(
                f"system {system!r} has no caption for {len(absent)} of {len(images)} images, "
                f"first {absent[0]!r}: wanted one caption per image"
            )
