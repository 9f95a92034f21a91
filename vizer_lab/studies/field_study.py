"""What the study of the field found: `results/field.json` by system, each with a verdict.

Some ideas have their row in the study of unlabelled images, `results/improvement.json`, which lies
beside it: the same scenes, more of them. A row that was not run is absent from every answer, so
that a page of a half-finished file is true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vizer_core.files import read_json
from vizer_lab.names import in_words
from vizer_lab.studies.clip_study import RESULTS
from vizer_lab.studies.field_entry import FieldSystem
from vizer_lab.studies.field_systems import FIELD
from vizer_lab.studies.improvement_study import Measured

FILE = "field.json"
OTHERS = ("improvement",)  # files beside it that have a row of some system


@dataclass(frozen=True, eq=False)
class FieldStudy:
    """The rows of the file by base and name; `record` is all of it, `other` files of others."""

    scores: Mapping[tuple[str, str, str], Measured]  # base, system, metric
    differences: Mapping[tuple[str, str, str, str], Measured]  # base, system, against, metric
    record: Mapping[str, Any]
    other: Mapping[str, FieldStudy] = field(default_factory=dict)

    @property
    def bases(self) -> tuple[str, ...]:
        """The bases, tasks and encoders that anything is known of, in the order of the file."""
        return tuple(dict.fromkeys(base for base, _, _ in self.scores))

    def gains(self, system: FieldSystem) -> dict[str, Measured]:
        """Return what a system gained over its rival, by base."""
        if system.row is None:
            return {}
        if system.study != "field":
            there = self.other.get(system.study)
            return there.gains(replace(system, study="field")) if there else {}
        keys = {base: (base, *system.row) for base in self.bases}
        return {b: self.differences[key] for b, key in keys.items() if key in self.differences}

    def control(self, system: FieldSystem) -> dict[str, Measured]:
        """Return what it gained over its own control, by base; nothing where it has none."""
        if system.row is None:
            return {}
        if system.study != "field":
            there = self.other.get(system.study)
            return there.control(replace(system, study="field")) if there else {}
        name, _, metric = system.row
        keys = {base: (base, name, f"{name}_shuffled", metric) for base in self.bases}
        return {b: self.differences[key] for b, key in keys.items() if key in self.differences}

    def score(self, base: str, system: str, metric: str) -> Measured | None:
        """Return one score, or None where it was not run."""
        return self.scores.get((base, system, metric))

    def table(self) -> list[dict[str, str]]:
        """Return a row per system: idea, what it changes and needs, and what it gave."""
        return [
            {
                "system": system.name,
                "idea": system.idea,
                "changes": system.changes,
                "needs": system.needs,
                "compute": system.compute,
                "measured": measured_as(system),
                "found": verdict(self.gains(system), self.control(system)),
            }
            for system in FIELD
        ]


def measured_as(system: FieldSystem) -> str:
    """Say what is compared.

    >>> from vizer_lab.studies.field_systems import field_named
    >>> measured_as(field_named("crops")), measured_as(field_named("quality token"))
    ('object F1, minus beam search', 'no row')
    """
    if system.row is None:
        return "no row"
    _, against, metric = system.row
    where = "" if system.study == "field" else f", study of {system.study}"
    return f"{in_words(metric)}, minus {in_words(against)}{where}"


def verdict(gains: Mapping[str, Measured], control: Mapping[str, Measured] | None = None) -> str:
    """Say in words on how many bases a gain is clear, how large, and if the control shares it.

    >>> up, flat = Measured(0.1, 0.05, 0.2, 9, 1), Measured(0.0, -0.1, 0.1, 9, 1)
    >>> verdict({"a": up}).replace("\\u00a0", " ")
    'up on 1 of 1: +.100 [+.050, +.200]'
    >>> verdict({"a": up}, {"a": flat}).rpartition("; ")[2]
    'above its control on 0 of 1'
    >>> verdict({})
    'not run'
    """
    if not gains:
        return "not run"
    sides = [gain.clear for gain in gains.values()]
    said = [f"{way} on {sides.count(s)}" for way, s in (("up", 1), ("down", -1)) if s in sides]
    words = ", ".join(said) or "not clear on any"
    found = f"{words} of {len(sides)}: " + "; ".join(gain.signed() for gain in gains.values())
    if control:
        above = sum(gain.clear > 0 for gain in control.values())
        found += f"; above its control on {above} of {len(control)}"
    return found


def read_field(path: Path = RESULTS / FILE) -> FieldStudy:
    """Read the study's file."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}: the results lie in the repository, not in the installed package. Run "
            "this from a clone of it, or make the file with python -m experiments.field"
        )
    beside = {study: path.with_name(f"{study}.json") for study in OTHERS}
    other = {study: _study(read_json(file)) for study, file in beside.items() if file.is_file()}
    return _study(read_json(path), other)


def _study(record: Mapping[str, Any], other: Mapping[str, FieldStudy] | None = None) -> FieldStudy:
    return FieldStudy(
        {_key(row, "base", "system", "metric"): _measured(row) for row in record["scores"]},
        {
            _key(row, "base", "system", "against", "metric"): _measured(row)
            for row in record["differences"]
        },
        record,
        other or {},
    )


def _key(row: Mapping[str, Any], *names: str) -> Any:
    return tuple(row[name] for name in names)


def _measured(row: Mapping[str, Any]) -> Measured:
    return Measured(row["mean"], row["low"], row["high"], row["n"], row["seeds"])


def unfinished(study: FieldStudy, systems: Sequence[FieldSystem] = FIELD) -> tuple[str, ...]:
    """Return the systems that have a row in the plan and none in the file."""
    return tuple(s.name for s in systems if s.row is not None and not study.gains(s))
