"""Diagrams of how a method is built, as SVG: boxes, arrows between them, text that stays text.

A diagram is a list of boxes on a grid and of arrows from box to box. `vlm_parts` shows a
vision-language model with the shapes that a chapter measured; `two_readings` shows what ViZer's
mapper is given in its two forms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vizer_lab.figures.sketch import TEXT, Sketch

WIDE, HIGH, ACROSS, DOWN, MARGIN = 132, 52, 160, 84, 12


@dataclass(frozen=True)
class Box:
    """A box at (column, row) of the grid: its name, a line below it, the role that colours it.

    A box that is no `part` of a model is something that passes through: it has no frame.
    """

    column: float
    row: float
    name: str
    below: str = ""
    role: str = "ink"
    part: bool = True

    @property
    def middle(self) -> tuple[float, float]:
        """Where the middle of the box is drawn."""
        return (
            MARGIN + self.column * ACROSS + WIDE / 2,
            MARGIN + self.row * DOWN + HIGH / 2,
        )


@dataclass(frozen=True)
class Diagram:
    """Boxes by key, and arrows (from, to, words beside it)."""

    boxes: Mapping[str, Box]
    arrows: Sequence[tuple[str, str, str]]

    def _repr_svg_(self) -> str:
        wide = max(box.middle[0] for box in self.boxes.values()) + WIDE / 2 + MARGIN
        high = max(box.middle[1] for box in self.boxes.values()) + HIGH / 2 + MARGIN
        names = ", ".join(box.name for box in self.boxes.values())
        sheet = Sketch(high, "Diagram", f"Boxes and arrows: {names}", wide=wide)
        for start, end, words in self.arrows:
            _arrow(sheet, self.boxes[start], self.boxes[end], words)
        for box in self.boxes.values():
            _box(sheet, box)
        return sheet.svg()

    def __repr__(self) -> str:
        return "\n".join(f"{box.name}: {box.below}" for box in self.boxes.values() if box.below)


def vlm_parts(shapes: Mapping[str, str]) -> Diagram:
    """Draw a vision-language model and where F_I is taken.

    `shapes` gives what stands below "pixels", "patches", "F_I", "image tokens", "ids", "states" and
    "logits".
    """
    wanted = ("pixels", "patches", "F_I", "image tokens", "ids", "states", "logits")
    if missing := [name for name in wanted if name not in shapes]:
        raise ValueError(f"no shape of {missing}: wanted one each of {', '.join(wanted)}")

    def flows(column: float, row: float, name: str, role: str = "ink") -> Box:
        return Box(column, row, name, shapes[name], role, part=False)

    boxes = {
        "pixels": flows(0.0, 0.0, "pixels", "image"),
        "tower": Box(0.0, 1.0, "vision tower", "frozen", "image"),
        "patches": flows(0.0, 2.0, "patches", "image"),
        "mean": Box(0.0, 3.0, "mean", "over patches", "region"),
        "F_I": flows(0.0, 4.0, "F_I", "region"),
        "connector": Box(1.0, 2.0, "connector", "one linear layer", "image"),
        "tokens": flows(1.0, 3.0, "image tokens", "image"),
        "ids": flows(2.0, 1.0, "ids", "text"),
        "embed": Box(2.0, 2.0, "embeddings", "of words", "text"),
        "lm": Box(2.0, 3.0, "language model", "gets LoRA", "text"),
        "states": flows(2.0, 4.0, "states", "text"),
        "head": Box(2.0, 5.0, "head", "", "text"),
        "logits": flows(1.0, 5.0, "logits", "text"),
    }
    chains = (
        ("pixels", "tower", "patches", "mean", "F_I"),
        ("patches", "connector", "tokens", "lm"),
        ("ids", "embed", "lm", "states", "head", "logits"),
    )
    return Diagram(boxes, [(a, b, "") for chain in chains for a, b in pairwise(chain)])


def two_readings() -> Diagram:
    """Draw what the mapper is given: states after the image (left), or of the caption alone."""
    boxes = {
        "image": Box(0.0, 0.0, "image", "", "image", part=False),
        "caption": Box(1.0, 0.0, "caption", "", "text", part=False),
        "after": Box(0.0, 1.0, "language model", "image, then caption", "image"),
        "alone": Box(1.0, 1.0, "language model", "caption alone", "text"),
        "left": Box(0.0, 2.0, "mapper", "image in context", "image"),
        "right": Box(1.0, 2.0, "mapper", "text alone", "text"),
        "F_I": Box(0.5, 3.0, "near F_I ?", "of the image", "region", part=False),
    }
    arrows = [
        ("image", "after", ""),
        ("caption", "after", ""),
        ("caption", "alone", ""),
        ("after", "left", "states"),
        ("alone", "right", "states"),
        ("left", "F_I", ""),
        ("right", "F_I", ""),
    ]
    return Diagram(boxes, arrows)


def _box(sheet: Sketch, box: Box) -> None:
    x, y = box.middle
    lines = [box.name, box.below] if box.below else [box.name]
    if box.part:
        sheet.box(x - WIDE / 2, y - HIGH / 2, WIDE, HIGH, box.role, *lines, thick=2)
        return
    sheet.text(x, y - 3 if box.below else y + 4, box.name, box.role, size=TEXT, bold=True)
    sheet.text(x, y + 15, box.below)


def _arrow(sheet: Sketch, start: Box, end: Box, words: str) -> None:
    (x, y), (right, low) = start.middle, end.middle
    if y != low:  # from the lower edge to the upper
        y, low = y + HIGH / 2, low - HIGH / 2 - 2
    else:
        way = 1 if right > x else -1
        x, right = x + way * WIDE / 2, right - way * (WIDE / 2 + 2)
    sheet.arrow([(x, y), (right, low)])
    sheet.text((x + right) / 2 + 8, (y + low) / 2 + 4, words, anchor="start")
