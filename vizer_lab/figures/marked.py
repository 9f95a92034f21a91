"""What captioners say of drawn scenes, as SVG: each thing and place that is named is marked.

A word is true if its thing, or its place, is in the scene: blue and bold. Otherwise it is vermilion
and struck through. Words that name neither (numbers, colours, relations, category words) stay as
they are. The scenes are drawn with OpenMoji art, so the image is CC BY-SA 4.0.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from html import escape

from PIL import Image

from vizer_core.metrics.caption_parser import Lexicon, parse_caption
from vizer_core.metrics.grounding import SceneTruth
from vizer_core.plots.style import COLOURS
from vizer_lab.figures.sketch import LIGHT

SIDE, LINE, GAP, MARGIN, WIDTH, LABEL = 112, 32, 18, 14, 800, 170
LETTER = 9.0  # mean width of one, at 16 px in the wider of the two fonts
COLOURS_AN_IMAGE = 64  # the file stays small enough to be committed
TRUE = f'fill="{COLOURS["image"]}" font-weight="bold"'
FALSE = f'fill="{LIGHT["text"][0]}" text-decoration="line-through"'


def named_parts(caption: str, truth: SceneTruth, lexicon: Lexicon) -> list[tuple[str, bool | None]]:
    """Cut a caption into parts: True where a thing or place is there, False where it is not.

    >>> from vizer_core.metrics.grounding import ObjectTruth
    >>> lexicon = Lexicon({"dog": "dog", "cat": "cat"}, frozenset(), {},
    ...     {"in the snow": "snow"}, {"a": 1}, frozenset(), {}, {})
    >>> truth = SceneTruth((ObjectTruth("dog", "animal", None, "small", 0.5, 0.5, 0.1),), "snow")
    >>> named_parts("a dog and a cat in the snow", truth, lexicon)[1:4]
    [('dog', True), (' and a ', None), ('cat', False)]
    """
    there = {thing.name for thing in truth.objects}
    said = parse_caption(caption, lexicon)
    wanted = {m.surface: bool(m.names & there) for m in said.mentions if not m.is_category}
    wanted |= {
        surface: place == truth.background
        for surface, place in lexicon.backgrounds.items()
        if place in said.backgrounds
    }
    if not wanted:
        return [(caption, None)]
    longest_first = sorted(wanted, key=len, reverse=True)
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, longest_first))})\b", flags=re.IGNORECASE)
    parts = [part for part in pattern.split(caption) if part]
    return [(part, wanted.get(part.lower())) for part in parts]


def draw_marked_captions(
    images: Sequence[Image.Image],
    truths: Sequence[SceneTruth],
    captions: Mapping[str, Sequence[str]],
    lexicon: Lexicon,
) -> str:
    """Return an SVG with one row per image: what each system of `captions` says of it, marked.

    Raises `ValueError` unless there are as many images, truths and captions of each system.
    """
    counts = [len(images), len(truths), *(len(texts) for texts in captions.values())]
    if not captions or not images or len(set(counts)) > 1:
        raise ValueError(f"got images, truths and captions of {counts}: wanted as many of each")
    drawn = []
    for row, (image, truth) in enumerate(zip(images, truths)):
        top = MARGIN + row * (SIDE + GAP)
        drawn.append(_image(image, top))
        for line, (system, texts) in enumerate(captions.items()):
            y = top + SIDE // 2 + 6 + round((line - (len(captions) - 1) / 2) * LINE)
            drawn.append(_line(system, named_parts(texts[row], truth, lexicon), y))
    height = 2 * MARGIN + len(images) * (SIDE + GAP) - GAP
    longest = max(len(text) for texts in captions.values() for text in texts)
    width = max(WIDTH, 2 * MARGIN + SIDE + GAP + LABEL + round(LETTER * longest))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="16">'
    )
    ground = f'<rect width="{width}" height="{height}" rx="8" fill="white"/>'
    return "\n".join([head, ground, *drawn, "</svg>"]) + "\n"


def _image(image: Image.Image, top: int) -> str:
    stream = io.BytesIO()
    small = image.convert("RGB").resize((SIDE, SIDE))
    small.quantize(COLOURS_AN_IMAGE).save(stream, "PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode()
    return (
        f'<image x="{MARGIN}" y="{top}" width="{SIDE}" height="{SIDE}" '
        f'href="data:image/png;base64,{data}"/>'
    )


def _line(system: str, parts: list[tuple[str, bool | None]], y: int) -> str:
    left, ink = MARGIN + SIDE + GAP, COLOURS["ink"]
    marks = {True: TRUE, False: FALSE, None: f'fill="{ink}"'}
    words = "".join(f"<tspan {marks[verdict]}>{escape(part)}</tspan>" for part, verdict in parts)
    return (
        f'<text x="{left}" y="{y}" fill="{COLOURS["control"]}">{escape(system)}</text>'
        f'<text x="{left + LABEL}" y="{y}" xml:space="preserve">{words}</text>'
    )
