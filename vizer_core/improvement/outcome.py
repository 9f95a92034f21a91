"""What an improvement found, as `report.json` contains it, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vizer_core.files import read_json
from vizer_core.improvement.ways import Way
from vizer_core.vlm.loading import reading_words

REPORT, PAGE = "report.json", "report.html"
KIND = "vizer-improvement"
SHOWN, WORST = 24, 6  # images of the page: captions that changed first, and the worst cases
CAUTION = (
    "Scores are the model's own: its captions are read again under views of the image that they "
    "did not see. They rank ways of captioning without a label, and they can be gamed: an adapter "
    "that only learned to agree with itself scores higher too. Check with some dozens of labelled "
    "images (vizer evaluate) before you rely on a gain."
)


@dataclass(frozen=True, eq=False)
class Improvement:
    """The outcome of `improve`: the folder that it wrote, and its report as plain values."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def trained(self) -> bool:
        """True where the folder contains an adapter."""
        return bool(self.record["training"]["kept"])

    @property
    def recommended(self) -> Way:
        """The way to caption that is recommended."""
        return Way.from_dict(self.record["recommended"])

    @property
    def command(self) -> str:
        """The command that captions the recommended way."""
        return self.command_of(self.recommended)

    def command_of(self, way: Way) -> str:
        """Return the command that captions a way."""
        words = (
            f" --adapter {self.folder}"
            if way.adapter
            else reading_words(self.record["job"].get("reading", {}))
        )
        return f"vizer caption IMAGES --model {self.record['model']}{words}{way.options()}"

    def table(self) -> str:
        """Lay out the ladder, what was trained and why, and what is recommended."""
        record = self.record
        return "\n".join(
            [
                f"on {record['images']['held_out']} held-out images, beside the model as it is:",
                *rows_of(record["ladder"]),
                record["training"]["why"],
                *record["says"],
                f"caption with: {self.command}",
            ]
        )


def read_improvement(folder: Path) -> Improvement:
    """Read what `improve` wrote to a folder."""
    return Improvement(folder, read_json(folder / REPORT))


def job_kept_in(folder: Path) -> dict[str, Any] | None:
    """Return the job whose report a folder contains; None where there is none."""
    try:
        kept = read_json(folder / REPORT)
    except (OSError, ValueError):
        return None
    is_ours = isinstance(kept, dict) and kept.get("kind") == KIND
    return dict(kept["job"]) if is_ours else None


def ceiling_words(max_kl: float | None) -> str:
    """Say how far a training may go, as a report's settings have it: None is without a limit.

    >>> ceiling_words(1.5), ceiling_words(None)
    ('1.5', 'none')
    """
    return "none" if max_kl is None else f"{max_kl:g}"


def rows_of(rungs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a ladder as lines of text: preferred to the base, length, vague captions, cost.

    >>> interval = {"mean": 0.5, "low": 0.4, "high": 0.6}
    >>> rung = {"way": {"name": "beam 4"}, "length": 8.31, "vague": 0.0, "repetition": 0.02,
    ...         "cost": "1 vision pass, 4 decodes",
    ...         "agreement": {"preferred": interval, "per_token": interval, "changed": 0.25}}
    >>> print(*rows_of([rung]), sep="\\n")
      beam 4  preferred on 50% [40%, 60%], +0.50 nats per token; 25% changed, 8.3 words, 0% ...
    """
    width = max(len(rung["way"]["name"]) for rung in rungs)
    found = []
    for rung in rungs:
        agreement = rung["agreement"]
        share, nats = agreement["preferred"], agreement["per_token"]["mean"]
        found.append(
            f"  {rung['way']['name']:<{width}}  preferred on {share['mean']:.0%} "
            f"[{share['low']:.0%}, {share['high']:.0%}], {nats:+.2f} nats per token; "
            f"{agreement['changed']:.0%} changed, {rung['length']:.1f} words, "
            f"{rung['vague']:.0%} vague; {rung['cost']}"
        )
    return found
