"""Captions beside their images, as HTML that a notebook shows: things and places marked as named.

As in `marked`: a word is blue and bold if its thing or place is in the scene, else vermilion and
struck through. Where nobody knows what is in the images, nothing is marked.

There is no ground: a gallery stands on the notebook's own, light or dark, in the ink around it. The
two colours are mixed with that ink, so they can be read on either.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from vizer_core.metrics.caption_parser import Lexicon
from vizer_core.metrics.grounding import SceneTruth
from vizer_core.plots.style import COLOURS
from vizer_lab.figures.marked import COLOURS_AN_IMAGE, named_parts
from vizer_lab.figures.sketch import LIGHT

SIDE = 150
SHORT = 18  # letters of a name that stays on one line; a column of longer ones would crowd captions
BOX = "padding:8px;overflow-x:auto"
ROW = '<tr style="background:none">'  # JupyterLab stripes the rows of tables
CELL = "vertical-align:middle;text-align:left;padding:2px 10px;border:none"
NAME = f"{CELL};opacity:.8"


def ink(colour: str) -> str:
    """Return the CSS of a colour that is mixed with the ink around it; older browsers show it pure.

    >>> ink("#0072B2")
    'color:#0072B2;color:color-mix(in srgb,#0072B2 55%,currentColor)'
    """
    return f"color:{colour};color:color-mix(in srgb,{colour} 55%,currentColor)"


TRUE = f'<b style="{ink(COLOURS["image"])}">{{}}</b>'
FALSE = f'<s style="{ink(LIGHT["text"][0])}">{{}}</s>'

Parts = Sequence[tuple[str, bool | None]]


@dataclass(frozen=True)
class Gallery:
    """Images, and the parts of each system's caption of each: `captions[system][image]`.

    `contents` says in words what is in each image, for readers who do not see it.
    """

    images: Sequence[Image.Image]
    captions: Mapping[str, Sequence[Parts]]
    contents: Sequence[str] = ()

    def _repr_html_(self) -> str:
        rows = []
        name_style = system_style(self.captions)
        for number, image in enumerate(self.images):
            lines = [(name, _marked(texts[number])) for name, texts in self.captions.items()]
            first = (
                f'<td rowspan="{len(lines)}" style="{CELL}">'
                f'<img alt="{escape(self._alt(number))}" width="{SIDE}" '
                f'src="data:image/png;base64,{_png(image)}"></td>'
            )
            for line, (name, text) in enumerate(lines):
                cells = (
                    f'<td style="{name_style}">{escape(name)}</td><td style="{CELL}">{text}</td>'
                )
                rows.append(f"{ROW}{'' if line else first}{cells}</tr>")
        return f'<div style="{BOX}"><table style="border:none">{"".join(rows)}</table></div>'

    def _alt(self, number: int) -> str:
        what = f": {self.contents[number]}" if self.contents else ""
        return f"image {number + 1} of {len(self.images)}{what}"

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
    return Gallery(list(images), marked, list(map(contents_of, truths)))


def contents_of(truth: SceneTruth) -> str:
    """Say what is in a scene, in words.

    >>> from dataclasses import replace
    >>> from vizer_core.metrics.grounding import ObjectTruth
    >>> dog = ObjectTruth("dog", "animal", "brown", "small", 0.2, 0.5, 0.1)
    >>> contents_of(SceneTruth((dog, dog, replace(dog, name="cat")), "sea"))
    'dog, 2 of them; cat; background: sea'
    """
    counts = Counter(thing.name for thing in truth.objects)
    things = [name if n == 1 else f"{name}, {n} of them" for name, n in counts.items()]
    return "; ".join([*things, f"background: {truth.background}"])


def system_style(names: Iterable[str]) -> str:
    """Return the CSS of the cells with names: on one line each, unless one of them is long.

    >>> system_style(["MacCap"]).rpartition(";")[2], system_style(["a" * 40]).rpartition(";")[2]
    ('white-space:nowrap', 'min-width:9em')
    """
    if max(map(len, names)) > SHORT:
        return f"{NAME};white-space:normal;min-width:9em"
    return f"{NAME};white-space:nowrap"


def _marked(parts: Parts) -> str:
    forms = {True: TRUE, False: FALSE, None: "{}"}
    return "".join(forms[verdict].format(escape(part)) for part, verdict in parts)


def _png(image: Image.Image) -> str:
    stream = io.BytesIO()
    small = image.convert("RGB")
    small.thumbnail((2 * SIDE, 2 * SIDE))
    small.quantize(COLOURS_AN_IMAGE).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
