"""What the study of unlabelled images found: `results/improvement.json` by base and system.

Systems are called as the file calls them:

==================  ===========================================================================
base, first_word    not trained: greedy as the model is; after a first word found without labels
beam, views_5, ...  not trained: other decoders, all after that word; `experiments` lists them
self_training, ...  trained without labels, decoded greedily from the model's own prompt; the
                    teacher of `beam_distillation` is beam search
best                the label-free trainer of the highest F1 on validation scenes
..._views           the same, reading the mean of five views
..._shuffled        the control: trained towards the images of others
==================  ===========================================================================

Nothing here assumes that a row is there: what was not run is absent from every answer, so that a
page made of a half-finished file is true. `outcome` puts a comparison into words and `quotable`
the whole into one paragraph, whatever the numbers say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vizer_core.files import read_json
from vizer_lab.studies.clip_study import RESULTS

FILE = "improvement.json"
PRECISION, RECALL, F1 = "object_precision", "object_recall", "object_f1"
LABELLED = ("clip_reward", "vizer_gt", "vizer_gt_contrastive")  # trainers that saw captions
PUPIL = "beam_distillation"  # the trainer whose teacher is the beam
NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Measured:
    """A mean with its 95% interval over `n` scenes and `seeds` training runs."""

    mean: float
    low: float
    high: float
    n: int
    seeds: int

    @property
    def clear(self) -> int:
        """1 if the interval lies above zero, -1 if below, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    def signed(self) -> str:
        """Write it as a difference; in a narrow table the interval stays on one line.

        >>> Measured(0.0914, 0.068, 0.1131, 1000, 3).signed().replace(NO_BREAK, " ")
        '+.091 [+.068, +.113]'
        """
        values = [f"{value:+.3f}".replace("0.", ".", 1) for value in self._numbers]
        return f"{values[0]} [{values[1]},{NO_BREAK}{values[2]}]"

    def plain(self) -> str:
        """Write it as a score; in a narrow table the interval stays on one line.

        >>> Measured(0.5, 0.25, 1.75, 1000, 3).plain().replace(NO_BREAK, " ")
        '.500 [.250, 1.750]'
        """
        mean, low, high = (bare(value, 3) for value in self._numbers)
        return f"{mean} [{low},{NO_BREAK}{high}]"

    @property
    def _numbers(self) -> tuple[float, float, float]:
        return self.mean, self.low, self.high


@dataclass(frozen=True, eq=False)
class ImprovementStudy:
    """The rows of the file by name; `record` is the whole of it."""

    scores: Mapping[tuple[str, str, str], Measured]  # (base, system, metric)
    differences: Mapping[tuple[str, str, str, str], Measured]  # (base, system, against, metric)
    record: Mapping[str, Any]

    @property
    def bases(self) -> tuple[str, ...]:
        """The bases that anything is known of, in the study's order of importance."""
        return tuple(dict.fromkeys(base for base, _, _ in self.scores))

    @property
    def best(self) -> str | None:
        """The trainer that `best` names: the label-free one of the highest validation F1."""
        return self.record["choices"]["best"]

    def trained(self) -> tuple[str, ...]:
        """Return the label-free trainers that were tried, the best on validation scenes first."""
        rates = self.record["choices"]["rates"]
        free = [name for name in rates if name not in LABELLED]
        return tuple(sorted(free, key=lambda name: -rates[name][F1]))

    def bases_with(self, *systems: str) -> tuple[str, ...]:
        """Return the bases on which each of some systems has a greedy F1 on test scenes."""
        return tuple(
            base for base in self.bases if all((base, name, F1) in self.scores for name in systems)
        )

    def column(self, metric: str, system: str) -> dict[str, Measured]:
        """Return a system's score by base; bases without it are absent."""
        return {
            base: self.scores[base, system, metric]
            for base in self.bases
            if (base, system, metric) in self.scores
        }

    def gains(self, metric: str, system: str, against: str) -> dict[str, Measured]:
        """Return a paired difference by base; bases without it are absent."""
        keys = {base: (base, system, against, metric) for base in self.bases}
        return {
            base: self.differences[key] for base, key in keys.items() if key in self.differences
        }

    def outcome(self, system: str, against: str) -> str:
        """Say on how many bases precision and recall differ, clear of zero."""
        found = {
            "precision": self.gains(PRECISION, system, against),
            "recall": self.gains(RECALL, system, against),
        }
        if not all(found.values()):
            return "not run"
        return "; ".join(f"{name} {counted(gains)}" for name, gains in found.items())

    def cost(self, system: str) -> str:
        """Say what a caption costs, once a system is made: passes and captions written.

        A trained model costs what its base does.
        """
        five = system.endswith("_views")
        stem = system.removesuffix("_views").removesuffix("_shuffled")
        rows = {row["system"]: row for row in self.record["cost"] if row["when"] == "decoding"}
        row = rows.get(stem, rows["base"])
        looks, written = (5 if five else row["tower"]), row["written"]
        said = f"{looks} look{'s' * (looks > 1)}, {written} caption{'s' * (written > 1)}"
        return said + (f", {row['read']} read" if row["read"] else "")

    def curves(
        self, systems: Mapping[tuple[str, int], str], *, bases: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Return the rows of `curve`, and one at temperature 0 of systems that only search.

        `systems` are (system, views), as `draw_temperature_curves` takes them.
        """
        trainers = {"best": self.best}
        rows = []
        for base in bases or self.bases:
            for name, views in systems:
                known = [
                    row | {"system": name}
                    for row in self.record["curve"]
                    if (row["base"], row["views"]) == (base, views)
                    and row["system"] == trainers.get(name, name)
                ]
                stem = name + "_views" * (views > 1)
                found = {m: self.scores.get((base, stem, m)) for m in (PRECISION, RECALL)}
                if not known and all(found.values()):
                    greedy = {m: [v.mean, v.low, v.high] for m, v in found.items() if v}
                    known = [{"base": base, "system": name, "views": views, "temperature": 0.0}]
                    known[0] |= greedy
                rows += known
        return rows

    def ablations(self, system: str, *, base: str = "drawn-vlm-web") -> list[Mapping[str, Any]]:
        """Return the rows of one setting changed at a time, the trainer's default first.

        `object_f1` and its like are mean, low and high; `object_f1_difference` is the same less
        the default, over the same scenes.
        """
        rows = [
            row
            for row in self.record.get("ablations", ())
            if (row["base"], row["system"]) == (base, system)
        ]
        return sorted(rows, key=lambda row: row["setting"] != "default")

    def chosen_blindly(self) -> dict[str, dict[str, Any]]:
        """Return per trainer which of its settings view agreement prefers, and what that costs.

        `rate` and `weight` are those of the highest view agreement, `loss` the validation F1 that
        the setting with the highest F1 has more.
        """
        found = {}
        for name, choice in self.record["choices"]["rates"].items():
            tried = choice["candidates"]
            blind = max(tried, key=lambda row: row["view_agreement"])
            found[name] = {
                "settings": len(tried),
                "rate": blind["rate"],
                "weight": blind["weight"],
                "same": (blind["rate"], blind["weight"]) == (choice["rate"], choice["weight"]),
                "F1": blind[F1],
                "loss": choice[F1] - blind[F1],
            }
        return found


def bare(value: float, decimals: int = 2) -> str:
    """Write a number without the zero before its point.

    >>> bare(0.804), bare(-0.5, 1), bare(1.0)
    ('.80', '-.5', '1.00')
    """
    text = f"{value:.{decimals}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 and text.lstrip("-")[0] == "0" else text


def counted(gains: Mapping[str, Measured]) -> str:
    """Say on how many bases differences lie clear of zero.

    >>> up, open_ = Measured(0.1, 0.05, 0.2, 9, 1), Measured(0.1, -0.05, 0.2, 9, 1)
    >>> counted({"a": up, "b": open_}), counted({"b": open_})
    ('up on 1 of 2', 'not clear on 1')
    """
    sides = [gain.clear for gain in gains.values()]
    said = [
        f"{way} on {sides.count(side)}" for way, side in (("up", 1), ("down", -1)) if side in sides
    ]
    if not said:
        return f"not clear on {len(sides)}"
    return ", ".join(said) + f" of {len(sides)}"


def read_improvement(path: Path = RESULTS / FILE) -> ImprovementStudy:
    """Read the study's file."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}: the results lie in the repository, not in the installed package. Run "
            "this from a clone of it, or make the file with python -m experiments.improvement"
        )
    record = read_json(path)
    return ImprovementStudy(
        scores={
            (row["base"], row["system"], row["metric"]): _measured(row) for row in record["scores"]
        },
        differences={
            (row["base"], row["system"], row["against"], row["metric"]): _measured(row)
            for row in record["differences"]
        },
        record=record,
    )


def quotable(study: ImprovementStudy) -> str:
    """Put the outcome into at most 60 words: the ladder in mean F1, what training adds, the limit.

    Means are over the bases that have every row that is named.
    """
    untrained = ("base", "first_word", "beam")
    bases = study.bases_with(*untrained)
    if not bases:
        raise ValueError(f"no base has rows of {', '.join(untrained)}: run the study's decoders")
    taught = study.bases_with(*untrained, PUPIL)
    bases = taught or bases
    base, word, beam = (bare(_mean(study, name, bases)) for name in untrained)
    many = f"{len(bases)} models" if len(bases) > 1 else "One model"
    scenes = _span([study.scores[name, "base", F1].n for name in bases])
    said = (
        f"{many}, {scenes} fresh drawn scenes, no labels: object F1 is {base} as they are, {word} "
        f"after a first word chosen by view agreement, {beam} with beam search after it."
    )
    if taught:
        counts = [study.scores[name, PUPIL, F1].seeds for name in taught]
        said += (
            f" Taught their own beam captions they reach {bare(_mean(study, PUPIL, taught))} in "
            f"one greedy pass ({_span(counts)} seed{'s' * (max(counts) > 1)})."
        )
    return f"{said} Try words and beams before training. A mechanism, not quality at scale."


def _span(counts: Sequence[int]) -> str:
    """Put counts into words: one number, or the least to the most.

    >>> _span([120, 1000]), _span([3, 3])
    ('120 to 1,000', '3')
    """
    least, most = min(counts), max(counts)
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def _mean(study: ImprovementStudy, system: str, bases: Sequence[str]) -> float:
    return sum(study.scores[base, system, F1].mean for base in bases) / len(bases)


def _measured(row: Mapping[str, Any]) -> Measured:
    return Measured(row["mean"], row["low"], row["high"], row["n"], row["seeds"])
