"""One look for every figure: fixed colours by meaning, text of 10 points and more, white ground.

A figure is `WIDE` at most, so that on a telephone, where it is shrunk to some 355 pixels, its
smallest letter is 8 pixels high. Plots are SVG, their words text; figures of images are PNG.

The hues are Okabe and Ito's, which stay apart under the common forms of colour blindness; each
also has its own marker or line, so that no figure depends on colour alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import ceil

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

DPI = 120
WIDE = 6.0  # inches
POINTS = 72  # to an inch

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
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 10.0,
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "legend.fontsize": 10.0,
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


SVG = {"svg.fonttype": "none", "svg.hashsalt": "book"}
# a machine without DejaVu Sans has Verdana, of the same widths, or a font that is narrower
FONTS = '<style type="text/css">text{font-family:"DejaVu Sans",Verdana,sans-serif}'
UNUSED = re.compile(r"font-family: 'DejaVu Sans'; | id=\"[A-Za-z.]+\d*_\d+\"")
TAG = re.compile(r"<[^>]*>")  # what is said between tags stays to the digit
LONG = re.compile(r"(?<![\w.#-])-?\d+\.\d{3,}(?![\w.])")


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the book's style inside a `with` block and leave matplotlib as it was.

    >>> with figure_style():
    ...     mpl.rcParams["legend.fontsize"]
    10.0
    """
    with mpl.rc_context(RC):
        yield


class BookFigure(Figure):
    """A figure that a notebook shows as the same bytes on every run, without pyplot."""

    def _repr_mimebundle_(self, **_: object) -> dict[str, str | bytes]:
        if any(axes.images for axes in self.axes):
            return {"image/png": png_bytes(self)}
        return {"image/svg+xml": svg_text(self)}


def new_figure(width: float, height: float) -> BookFigure:
    """Make an empty figure of the given size in inches, laid out so that no label is cut.

    Raises `ValueError` where it is wider than `WIDE`.

    >>> new_figure(6.0, 4.0).get_size_inches().tolist()
    [6.0, 4.0]
    """
    if width > WIDE:
        raise ValueError(
            f"got a figure {width:.1f} inches wide, wanted at most {WIDE:g}: on a telephone its "
            "letters would be too small. Put its panels below each other (`panel_grid`)."
        )
    return BookFigure(figsize=(width, height), dpi=DPI, layout="constrained")


def panel_grid(panels: int, most: int = 2) -> tuple[int, int]:
    """Return columns and rows for so many panels, `most` of them side by side.

    >>> panel_grid(3), panel_grid(1), panel_grid(5, most=3)
    ((2, 2), (1, 1), (3, 2))
    """
    columns = min(most, panels)
    return columns, ceil(panels / columns)


def legend_columns(names: Iterable[str], most: int = 3) -> int:
    """Return how many names of a legend fit beside each other in a figure, `most` at most.

    >>> legend_columns(["base", "first word"]), legend_columns(["base", "a name " * 6])
    (2, 1)
    """
    lengths = [len(name) for name in names]
    column = 0.65 + 0.085 * max(lengths)  # inches: a mark, and letters of 10 points
    return max(1, min(most, len(lengths), int(WIDE / column)))


def svg_text(figure: Figure) -> str:
    """Render as SVG whose words are text: no date, no maker's version, equal means equal.

    Places are rounded to a hundredth of a point. Parts that are `rasterized` are pixels.

    >>> svg_text(new_figure(1.0, 1.0))[:4]
    '<svg'
    """
    stream = io.StringIO()
    _read_dollars_as_dollars(figure)
    with figure_style(), mpl.rc_context(SVG):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", dpi=2 * POINTS, metadata=nothing)
    drawn = stream.getvalue()
    drawn = re.sub(r"\s*\n\s*", " ", drawn[drawn.index("<svg") :]).strip()  # a line in the JSON
    drawn = UNUSED.sub("", drawn).replace('<style type="text/css">', FONTS, 1)
    return TAG.sub(lambda tag: LONG.sub(_short, tag[0]), drawn)


def _short(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


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

    A comma or the words shuffled, random, another, null and control mark a control.

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
