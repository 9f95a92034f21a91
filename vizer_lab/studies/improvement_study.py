"""What the study of label-free improvement found: `results/vizer_study.json` by base and system.

A system of the file is base:place:variant. A place is `home`, where bases were trained, `away`,
which has backgrounds that they never met, or `other`: a world of other objects, places and words,
with bases of its own. The variants, as the file names them:

==================  ===========================================================================
best                the chosen one: RLOO on log p(y | I) - w log p(y), by the frozen base
read_back, literal  the read-back reward; the paper's reading of ViZer
information_0       the caption's likelihood alone as reward: does sharpening do as much?
base, primed        not trained; the second with its first word given
cool, primed_cool   the same, drawn at T = .7; `best_cool` is the trained one, drawn so
best_of_8           not trained: the best of eight drawn captions by the reward of `best`
..._shuffled        the control: trained towards the images of others
==================  ===========================================================================

Nothing here assumes that a row is there: a base, a place or a variant that was not run is absent
from every answer. `quotable` puts the outcome into one paragraph, whatever it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vizer_core.files import read_json
from vizer_lab.studies.clip_study import RESULTS

FILE = "vizer_study.json"
HOME, AWAY, OTHER = "home", "away", "other"
PRECISION, RECALL, F1 = "object_precision", "object_recall", "object_f1"
WAYS = ("drawn, T = 1", "drawn, T = .7", "greedy")
NO_BREAK = "\u00a0"
COOLER = {"base": "cool"}  # of the others, the name with `_cool`


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
        values = [f"{value:.3f}" for value in self._numbers]
        mean, low, high = (text[1:] if text.startswith("0.") else text for text in values)
        return f"{mean} [{low},{NO_BREAK}{high}]"

    @property
    def _numbers(self) -> tuple[float, float, float]:
        return self.mean, self.low, self.high


@dataclass(frozen=True, eq=False)
class ImprovementStudy:
    """The rows of the file by name; `record` is the whole of it."""

    scores: Mapping[tuple[str, str], Measured]  # (system, metric)
    differences: Mapping[tuple[str, str, str], Measured]  # (system, against, metric)
    record: Mapping[str, Any]

    def bases(self, place: str = HOME) -> tuple[str, ...]:
        """Return the bases that were trained at a place, the weakest first, by drawn object F1."""
        found = {
            base: self.scores[f"{base}:{place}:base", f"sampled_{F1}"].mean
            for base, where, variant in (system.split(":") for system, _ in self.scores)
            if where == place
            and variant == "best"
            and (f"{base}:{place}:base", f"sampled_{F1}") in self.scores
        }
        return tuple(sorted(found, key=found.__getitem__))

    def column(self, metric: str, system: str, *, place: str = HOME) -> dict[str, Measured]:
        """Return a system's score by base, weakest first; bases without it are absent."""
        names = {base: (f"{base}:{place}:{system}", metric) for base in self.bases(place)}
        return {base: self.scores[key] for base, key in names.items() if key in self.scores}

    def gains(
        self, metric: str, system: str, against: str, *, place: str = HOME
    ) -> dict[str, Measured]:
        """Return a paired difference by base, weakest first; bases without it are absent."""
        keys = {
            base: (f"{base}:{place}:{system}", f"{base}:{place}:{against}", metric)
            for base in self.bases(place)
        }
        return {
            base: self.differences[key] for base, key in keys.items() if key in self.differences
        }

    def curve(
        self, base: str, system: str, *, place: str = HOME
    ) -> dict[str, tuple[Measured, Measured]]:
        """Return (recall, precision) of objects by way of decoding, the warmest first."""
        cool = COOLER.get(system, f"{system}_cool")
        rows = zip(WAYS, (system, cool, system), ("sampled_", "sampled_", ""))
        keys = {
            way: tuple((f"{base}:{place}:{name}", start + metric) for metric in (RECALL, PRECISION))
            for way, name, start in rows
        }
        return {
            way: (self.scores[recall], self.scores[precision])
            for way, (recall, precision) in keys.items()
            if recall in self.scores and precision in self.scores
        }


def read_improvement(path: Path = RESULTS / FILE) -> ImprovementStudy:
    """Read the study's file."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}: the results lie in the repository, not in the installed package. Run "
            "this from a clone of it, or make the file with python -m experiments.vizer_study"
        )
    record = read_json(path)
    return ImprovementStudy(
        scores={(row["system"], row["metric"]): _measured(row) for row in record["scores"]},
        differences={
            (row["system"], row["against"], row["metric"]): _measured(row)
            for row in record["differences"]
        },
        record=record,
    )


def quotable(study: ImprovementStudy) -> str:
    """Put the outcome into a paragraph: settings, gains with intervals, the price, the limit."""
    bases = study.bases()
    if not bases:
        raise ValueError("the file has no base with a row of `best`: run the core of the study")
    settings, best = study.record["settings"], study.record["choices"]["best"]
    runs = min(study.scores[f"{b}:{HOME}:best", f"sampled_{RECALL}"].seeds for b in bases)
    weight = int(best["variant"].rpartition("_")[2]) / 100
    start = (
        f"On {len(bases)} base models of the micro world ({', '.join(bases)}), with "
        f"{settings['n']:,} test scenes that chose nothing, {runs} training seeds, "
        f"{settings['samples']} drawn captions a scene and 95% intervals over scenes and seeds: "
        f"policy-gradient training on log p(y|I) - {weight:g} log p(y), both by the frozen base "
        f"and no label anywhere, over {settings['images']:,} unlabelled images."
    )
    said = _compared(study, HOME)
    far = _told(
        f"On images with backgrounds that no base has met ({', '.join(study.bases(AWAY))}), "
        "against the base with its first word given",
        *(study.gains(f"sampled_{m}", "best", "primed", place=AWAY) for m in (PRECISION, RECALL)),
    )
    said += [_beside(study), far, _elsewhere(study), _control(study)]
    return " ".join([start, *(text for text in said if text)])


COMPARISONS = (
    ("Against the base, both drawn at T = 1", "sampled_", "best", "base"),
    ("Against the base with its first word given, at T = 1", "sampled_", "best", "primed"),
    ("The same at T = .7", "sampled_", "best_cool", "primed_cool"),
    ("The same decoded greedily", "", "best", "primed"),
    ("Against rewarding log p(y|I) alone, at T = 1", "sampled_", "best", "information_0"),
)


def _compared(study: ImprovementStudy, place: str, count: int = len(COMPARISONS)) -> list[str]:
    return [
        _told(
            words,
            *(
                study.gains(prefix + metric, system, other, place=place)
                for metric in (PRECISION, RECALL)
            ),
        )
        for words, prefix, system, other in COMPARISONS[:count]
    ]


def _elsewhere(study: ImprovementStudy) -> str:
    """Say what came out in the other world, and how well the rule of home foretold it."""
    bases = study.bases(OTHER)
    if not bases:
        return ""
    start = (
        f"In another world, of other objects, backgrounds and words, with bases of its own "
        f"({', '.join(bases)}) and every choice taken over from home."
    )
    said = " ".join([start, *_compared(study, OTHER, 4)])
    seen = study.record.get("outlook", {}).get("other")
    if seen is None:
        return said
    right = round(seen["accuracy"] * seen["n"])
    return (
        f"{said} The rule that foretells, as fitted at home, was right on {right} of "
        f"{seen['n']} runs there ({round(seen['always_yes'] * seen['n'])} of them helped)."
    )


def _measured(row: Mapping[str, Any]) -> Measured:
    seeds = row["seeds"] if isinstance(row["seeds"], int) else len(row["seeds"])
    return Measured(row["mean"], row["low"], row["high"], row["n"], seeds)


def _told(words: str, precision: Mapping[str, Measured], recall: Mapping[str, Measured]) -> str:
    parts = [
        f"{name} {_direction(gains)}"
        for name, gains in (("precision", precision), ("recall", recall))
        if gains
    ]
    return f"{words}, {'; '.join(parts)}." if parts else ""


def _direction(gains: Mapping[str, Measured]) -> str:
    up = sum(gain.clear > 0 for gain in gains.values())
    down = sum(gain.clear < 0 for gain in gains.values())
    least = min(gains, key=lambda base: gains[base].mean)
    fell = f" and fell on {down}" if down else ""
    rose = f"rose clear of zero on {up} of {len(gains)}{fell}"
    return f"{rose} (least: {least} {gains[least].signed()})"


def _beside(study: ImprovementStudy) -> str:
    """Say where greedy captions of the untrained base beat drawn ones of the trained, in both."""
    trained = [study.column(f"sampled_{metric}", "best") for metric in (PRECISION, RECALL)]
    primed = [study.column(metric, "primed") for metric in (PRECISION, RECALL)]
    pairs = list(zip(primed, trained, strict=True))
    bases = [base for base in study.bases() if all(base in row for pair in pairs for row in pair)]
    if not bases:
        return ""
    beaten = [base for base in bases if all(a[base].low > b[base].high for a, b in pairs)]
    return (
        "Greedy captions of the untrained base with its first word given are more precise, and "
        f"name more, than the trained model's captions drawn at T = 1 on {len(beaten)} of "
        f"{len(bases)} bases (intervals apart)."
    )


def _control(study: ImprovementStudy) -> str:
    runs = {
        base: study.record["runs"].get(f"{base}:{HOME}:best_shuffled") for base in study.bases()
    }
    drift = [run["kl"] for some in runs.values() for run in some or () if run["kl"] is not None]
    if not drift:
        return ""
    return (
        "Training towards the images of others gave none of this, but such runs collapse (KL "
        f"{min(drift):.1f} to {max(drift):.1f} nats a token) and are easy to beat. A drawn world "
        "and small models: a mechanism, not quality at scale."
    )
