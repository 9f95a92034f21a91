"""One idea of the field: what it changes, needs and costs, its function and its row in a study.

`changes` is what it touches: data, decoding, weights or the metric. `needs` is the dearest thing
that it cannot do without, in the order of `NEEDS`; a CLIP is what ranks or rewards. `compute` is
what it costs over one greedy caption, in the order of `COMPUTE`; a look is a pass of the tower.
"""

from __future__ import annotations

from dataclasses import dataclass

CHANGES = ("data", "decoding", "weights", "metric")
NEEDS = ("nothing", "a CLIP", "labels")
COMPUTE = ("nothing", "several looks", "one caption", "several captions", "training")


@dataclass(frozen=True)
class FieldSystem:
    """One idea: its papers, what it does in a sentence, its function, its row in the results.

    `row` is (system, against, metric) of a study's file; empty where a chapter or an exercise shows
    it instead. `use` is how one asks for it, where that is a line.
    """

    name: str
    papers: str
    idea: str
    changes: str
    needs: str
    compute: str
    function: str
    row: tuple[str, str, str] | None = None  # system, against, metric
    use: str = ""
    study: str = "field"  # results/<study>.json has the row

    def __post_init__(self) -> None:
        if self.changes not in CHANGES or self.needs not in NEEDS or self.compute not in COMPUTE:
            raise ValueError(
                f"{self.name} changes {self.changes!r}, needs {self.needs!r} and costs "
                f"{self.compute!r}: wanted one of {CHANGES}, of {NEEDS} and of {COMPUTE}"
            )
