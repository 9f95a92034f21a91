"""A sheet for diagrams: boxes, arrows and words as SVG that stays text, in light and in dark.

Colours are classes by role, the roles of `plots.style.COLOURS`. A style sheet inside the SVG gives
each role its two colours as CSS variables and follows `prefers-color-scheme`; where the SVG is
shown by `<img>`, browsers answer that with the `color-scheme` of the page around it, which the
book's theme sets by its data attribute. The ground is drawn too: a page that is dark without saying
so still shows dark ink on white.

A sheet is 400 wide, so that 12 units of text are about 11 px on a phone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape, unescape
from typing import TypeAlias

Length: TypeAlias = float | int  # the tests check types, and to them 13 is no float
# ink and tint of each role: on white, then on near-black; every ink has 4.5:1 on ground and tint
LIGHT = {
    "image": ("#00609A", "#E1EFF9"),
    "region": ("#00694D", "#E0F2EB"),
    "text": ("#A34400", "#FBEADD"),
    "accent": ("#8F3A6D", "#F6E5EF"),
    "control": ("#5C5C5C", "#EFEFEF"),
    "ink": ("#222222", "#F7F7F7"),
}
DARK = {
    "image": ("#7CC3F2", "#14324A"),
    "region": ("#5FD0A9", "#11372B"),
    "text": ("#F6A672", "#45260F"),
    "accent": ("#E9A8CC", "#43223A"),
    "control": ("#B4B8BD", "#2A2F36"),
    "ink": ("#E8E8E8", "#20262E"),
}
GROUND = ("#FFFFFF", "#14181E")
WIDE = 400
SCALE = 1.3  # of the size that a wide page shows it at
FONT = "system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
TEXT, SMALL, ROW = 13, 12, 15


def style_sheet() -> str:
    """Return the CSS of a diagram: variables for both schemes, and a class for each role.

    >>> "prefers-color-scheme: dark" in style_sheet()
    True
    """

    def variables(colours: dict[str, tuple[str, str]], ground: str) -> str:
        both = [f"--{role}:{ink};--{role}-tint:{tint}" for role, (ink, tint) in colours.items()]
        return f":root{{--ground:{ground};{';'.join(both)}}}"

    roles = "".join(f".{r}{{--c:var(--{r});--t:var(--{r}-tint)}}" for r in LIGHT)
    return (
        f"{variables(LIGHT, GROUND[0])}"
        f"@media (prefers-color-scheme: dark){{{variables(DARK, GROUND[1])}}}"
        f"{roles}.ground{{fill:var(--ground)}}.box{{fill:var(--t);stroke:var(--c)}}"
        ".open{fill:none;stroke:var(--c)}.full{fill:var(--c)}text{fill:var(--c)}"
    )


class Sketch:
    """A sheet that is drawn on from the back to the front; every method returns the sheet.

    `title` names the diagram; `words` say all that it shows, for people who cannot see it.
    """

    def __init__(self, high: Length, title: str, words: str, *, wide: Length = WIDE) -> None:
        self.wide, self.high = wide, high
        self.title, self.words = title, words
        self.parts: list[str] = []

    def box(
        self,
        x: Length,
        y: Length,
        wide: Length,
        high: Length,
        role: str,
        *lines: str,
        thick: Length = 1.6,
    ) -> Sketch:
        """Draw a box with its lines in the middle: the first is bold, the others small."""
        self.parts.append(
            f'<rect class="box {role}" x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}" '
            f'rx="6" stroke-width="{thick:g}"/>'
        )
        middle, first = x + wide / 2, y + high / 2 - (len(lines) - 1) * ROW / 2 + 4.5
        for row, line in enumerate(lines):
            self.text(
                middle,
                first + row * ROW,
                line,
                role if row == 0 else "ink",
                size=TEXT if row == 0 else SMALL,
                bold=row == 0,
            )
        return self

    def text(
        self,
        x: Length,
        y: Length,
        words: str,
        role: str = "ink",
        *,
        size: Length = SMALL,
        bold: bool = False,
        anchor: str = "middle",
    ) -> Sketch:
        """Write words at (x, y), the baseline of their middle, start or end."""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text class="{role}" x="{x:g}" y="{y:g}" font-size="{size:g}" '
            f'text-anchor="{anchor}"{weight}>{_lowered(words)}</text>'
        )
        return self

    def upward(self, x: Length, y: Length, words: str, role: str) -> Sketch:
        """Write words from below to above, their middle at (x, y)."""
        return self.shape(
            f'<text class="{role}" x="{x:g}" y="{y:g}" transform="rotate(-90 {x:g} {y:g})" '
            f'font-size="{SMALL}" font-weight="bold" text-anchor="middle">{_lowered(words)}</text>'
        )

    def arrow(
        self,
        points: Sequence[tuple[Length, Length]],
        role: str = "ink",
        *,
        dashed: bool = False,
        head: bool = True,
        thick: Length = 1.6,
    ) -> Sketch:
        """Draw a line through the points, with a head at its end."""
        way = " ".join(f"{x:g},{y:g}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        mark = f' marker-end="url(#head-{role})"' if head else ""
        self.parts.append(
            f'<polyline class="open {role}" points="{way}" stroke-width="{thick:g}" '
            f'stroke-linejoin="round"{dash}{mark}/>'
        )
        return self

    def shape(self, markup: str) -> Sketch:
        """Add an SVG element as it is: a circle, a curve. Its classes give its colours."""
        self.parts.append(markup)
        return self

    def scene(self, x: Length, y: Length, side: Length, role: str = "image") -> Sketch:
        """Draw a small image: a hill and a sun in a frame."""
        a, b, c = x + side * 0.08, y + side * 0.82, x + side * 0.92
        return self.shape(
            f'<rect class="box {role}" x="{x:g}" y="{y:g}" width="{side:g}" height="{side:g}" '
            f'rx="3" stroke-width="1.4"/><path class="full {role}" d="M{a:g} {b:g} '
            f"L{x + side * 0.4:g} {y + side * 0.42:g} L{x + side * 0.6:g} {y + side * 0.64:g} "
            f'L{x + side * 0.7:g} {y + side * 0.54:g} L{c:g} {b:g} z"/>'
            f'<circle class="full {role}" cx="{x + side * 0.74:g}" cy="{y + side * 0.26:g}" '
            f'r="{side * 0.1:g}"/>'
        )

    def svg(self) -> str:
        """Return the diagram as the text of an SVG file."""
        heads = "".join(
            f'<marker id="head-{role}" class="{role}" viewBox="0 0 8 8" refX="7" refY="4" '
            'markerWidth="6.5" markerHeight="6.5" orient="auto"><path class="full" '
            'd="M0,0 L8,4 L0,8 z"/></marker>'
            for role in LIGHT
        )
        return (
            "\n".join(
                [
                    f'<svg xmlns="http://www.w3.org/2000/svg" '
                    f'viewBox="0 0 {self.wide:g} {self.high:g}" '
                    f'width="{SCALE * self.wide:g}" height="{SCALE * self.high:g}" '
                    f'font-family="{FONT}" role="img" '
                    'aria-labelledby="title words">',
                    f'<title id="title">{escape(self.title)}</title>',
                    f'<desc id="words">{escape(self.words)}</desc>',
                    f"<style>{style_sheet()}</style>",
                    f"<defs>{heads}</defs>",
                    f'<rect class="ground" width="{self.wide:g}" height="{self.high:g}" rx="8"/>',
                    *self.parts,
                    "</svg>",
                ]
            )
            + "\n"
        )

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"{self.title}: {self.words}"


def words_of(svg: str) -> str:
    """Return what a diagram says of itself, from the text of its file.

    >>> words_of(Sketch(100, "Two boxes", "A box & another").svg())
    'A box & another'
    """
    return unescape(re.search(r"<desc[^>]*>(.*?)</desc>", svg, flags=re.DOTALL)[1])


def _lowered(words: str) -> str:
    """Set what follows an underscore as an index: "F_I" is F with a low I."""
    return re.sub(
        r"_(\w)(.?)",
        r'<tspan dy="3" font-size="75%">\1</tspan><tspan dy="-3">\2</tspan>',
        escape(words),
    )
