"""Captions beside their images, as HTML that a notebook shows: things and places marked as named.

As in `marked`: a word is blue and bold if its thing or place is in the scene, else vermilion and
struck through. Where nobody knows what is in the images, nothing is marked.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from vizer_core.metrics.caption_parser import Lexicon
from vizer_core.metrics.grounding import SceneTruth
from vizer_core.plots.style import COLOURS
from vizer_lab.figures.marked import COLOURS_AN_IMAGE, named_parts
from vizer_lab.figures.sketch import LIGHT

SIDE = 150
GROUND = f"background:white;color:{COLOURS['ink']};padding:8px;overflow-x:auto"
CELL = "vertical-align:middle;text-align:left;padding:2px 10px;border:none"
TRUE = f'<b style="color:{COLOURS["image"]}">{{}}</b>'
FALSE = f'<s style="color:{LIGHT["text"][0]}">{{}}</s>'

Parts = Sequence[tuple[str, bool | None]]


@dataclass(frozen=True)
class Gallery:
    """Images, and the parts of each system's caption of each: `captions[system][image]`."""

    images: Sequence[Image.Image]
    captions: Mapping[str, Sequence[Parts]]

    def _repr_html_(self) -> str:
        rows = []
        for number, image in enumerate(self.images):
            lines = [(name, _marked(texts[number])) for name, texts in self.captions.items()]
            first = (
                f'<td rowspan="{len(lines)}" style="{CELL}">'
                f'<img alt="test image {number + 1} of {len(self.images)}" width="{SIDE}" '
                f'src="data:image/png;base64,{_png(image)}"></td>'
            )
            for line, (name, text) in enumerate(lines):
                grey = f"{CELL};color:{COLOURS['control']};white-space:nowrap"
                cells = f'<td style="{grey}">{escape(name)}</td><td style="{CELL}">{text}</td>'
                rows.append(f"<tr>{'' if line else first}{cells}</tr>")
        return f'<div style="{GROUND}"><table style="border:none">{"".join(rows)}</table></div>'

    def __repr__(self) -> str:
        lines = []
        for number in range(len(self.images)):
            for name, texts in self.captions.items():
                lines.append(f"{number + 1}  {name}: {''.join(part for part, _ in texts[number])}")
        return "\n".join(lines)


def caption_gallery(
    images: Sequence[Image.Image],
    captions: Mapping[str, Sequence[str]],
    *,
    truths: Sequence[SceneTruth] = (),
    lexicon: Lexicon | None = None,
) -> Gallery:
    """Show what each system of `captions` says of each image; with truths, true words marked.

    Raises `ValueError` unless there are as many images, truths (if any) and captions of each.
    """
    counts = [len(images), *(len(texts) for texts in captions.values())]
    counts += [len(truths)] if lexicon else []
    if not captions or not images or len(set(counts)) > 1:
        raise ValueError(f"got images, captions and truths of {counts}: wanted as many of each")
    marked = {
        name: [
            named_parts(text, truths[i], lexicon) if lexicon else [(text, None)]
            for i, text in enumerate(texts)
        ]
        for name, texts in captions.items()
    }
    return Gallery(list(images), marked)


def _marked(parts: Parts) -> str:
    forms = {True: TRUE, False: FALSE, None: "{}"}
    return "".join(forms[verdict].format(escape(part)) for part, verdict in parts)


def _png(image: Image.Image) -> str:
    stream = io.BytesIO()
    small = image.convert("RGB")
    small.thumbnail((2 * SIDE, 2 * SIDE))
    small.quantize(COLOURS_AN_IMAGE).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
