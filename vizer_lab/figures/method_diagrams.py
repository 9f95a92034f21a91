"""The book's seven diagrams: how a method is built, and the path that its gradient takes.

======================  ======================================================================
clip_towers             CLIP's two towers, the table of cosines, what the loss wants of it
two_caps                images and captions as two caps on a sphere, before and after a shift
maccap                  MacCap in training, on text alone, and at test, on an image
captioners              what carries an image to words in seven captioners, and what is trained
vision_language_model   the parts of a VLM, and where F_I is read
vizer_phases            ViZer's two phases, and where the gradient ends in each
three_scores            image in context, read-back and information: what each score reads
======================  ======================================================================

Each is a function without arguments that returns a `Sketch`; `python -m tools.diagrams` writes all
of them to book/_static/diagrams, from where chapters show them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin

from vizer_lab.figures.sketch import Length, Sketch
from vizer_lab.figures.vlm_diagrams import (
    three_scores,
    vision_language_model,
    vizer_phases,
)


def clip_towers() -> Sketch:
    """Draw CLIP's two towers and the table of cosines that its loss reads."""
    sheet = Sketch(
        356,
        "CLIP: two towers and one table",
        "Four images go through the image tower and give the rows x1 to x4; their four captions "
        "go through the text tower and give the columns t1 to t4. Each cell of the table is the "
        "cosine of a row and a column. The loss raises the diagonal, where image and caption "
        "belong together, over the rest of its row and of its column.",
    )
    left, top, cell = 206, 112, 45
    sheet.text(left + 2 * cell, 20, "their 4 captions", "text", bold=True)
    sheet.box(left, 30, 4 * cell, 38, "text", "text tower")
    for k in range(4):
        middle = left + (k + 0.5) * cell
        sheet.arrow([(middle, 68), (middle, 84)], "text")
        sheet.text(middle, 102, f"t{'₁₂₃₄'[k]}", "text", size=14, bold=True)
        row = top + (k + 0.5) * cell
        sheet.scene(10, row - 15, 30)
        sheet.arrow([(44, row), (58, row)], "image")
        sheet.arrow([(154, row), (168, row)], "image")
        sheet.text(187, row + 5, f"x{'₁₂₃₄'[k]}", "image", size=14, bold=True)
    sheet.box(60, top, 92, 4 * cell, "image")
    sheet.text(106, top + 2 * cell - 3, "image", "image", size=13, bold=True)
    sheet.text(106, top + 2 * cell + 14, "tower", "image", size=13, bold=True)
    sheet.text(25, top - 8, "4 images", "image", bold=True, anchor="start")
    for i in range(4):
        for j in range(4):
            x, y, own = left + j * cell, top + i * cell, i == j
            frame = "box region" if own else "box control"
            sheet.shape(
                f'<rect class="{frame}" x="{x + 1.5:g}" y="{y + 1.5:g}" width="{cell - 3}" '
                f'height="{cell - 3}" rx="4" stroke-width="{2 if own else 0}"/>'
            )
            label = f"x{'₁₂₃₄'[i]}·t{'₁₂₃₄'[j]}"
            sheet.text(
                x + cell / 2, y + cell / 2 + 4, label, "region" if own else "control", bold=own
            )
    sheet.text(200, 314, "The loss: softmax along each row and each column.", "ink", size=13)
    sheet.text(
        200, 334, "It raises the diagonal, and so lowers the rest.", "region", size=13, bold=True
    )
    return sheet


def two_caps() -> Sketch:
    """Draw images and captions as two caps on a sphere, as trained and moved together."""
    sheet = Sketch(
        286,
        "Two caps on a sphere",
        "Two spheres. On the first, as trained, images fill one cap and captions another; the "
        "arrow Delta leads from the mean image to the mean caption, and a dashed line joins an "
        "image with its own caption. On the second both caps were moved by half of Delta and lie "
        "on one another: own pairs are nearer, and so are all other pairs.",
    )
    for middle, spread, name in ((102, 1.24, "as trained"), (298, 0.16, "moved by ½ Δ each")):
        _sphere(sheet, middle, 146, spread)
        sheet.text(middle, 24, name, "ink", size=14, bold=True)
    sheet.shape('<circle class="full image" cx="96" cy="270" r="5"/>')
    sheet.text(106, 274, "images", "image", anchor="start", bold=True)
    sheet.shape('<path class="full text" d="M190 275 l5 -10 l5 10 z"/>')
    sheet.text(206, 274, "captions", "text", anchor="start", bold=True)
    return sheet


def _sphere(sheet: Sketch, x: Length, y: Length, spread: Length) -> None:
    """Draw one sphere: a cap of images to the left of the top, one of captions to the right."""
    radius = 90
    sheet.shape(
        f'<circle class="box ink" cx="{x}" cy="{y}" r="{radius}" stroke-width="1.4"/>'
        f'<ellipse class="open control" cx="{x}" cy="{y}" rx="{radius}" ry="24" '
        'stroke-dasharray="3 4"/>'
    )
    means = {}
    for role, side in (("image", -1), ("text", 1)):
        angle = -pi / 2 + side * spread / 2
        means[role] = (x + radius * 0.66 * cos(angle), y + radius * 0.66 * sin(angle))
        mx, my = means[role]
        tilt = side * spread * 90 / pi
        sheet.shape(
            f'<ellipse class="box {role}" cx="{mx:g}" cy="{my:g}" rx="30" ry="24" '
            f'transform="rotate({tilt:g} {mx:g} {my:g})" stroke-width="1.4" fill-opacity="0.7"/>'
        )
    for k in range(9):  # a spiral of nine pairs: the same places in both caps
        dx, dy = 21 * (k / 9) ** 0.5 * cos(2.4 * k), 15 * (k / 9) ** 0.5 * sin(2.4 * k)
        (ax, ay), (bx, by) = means["image"], means["text"]
        ax, ay, bx, by = ax + dx, ay + dy, bx - dy, by + dx * 0.7
        if k == 8:
            sheet.arrow([(ax, ay), (bx, by)], "ink", dashed=True, head=False, thick=1.2)
        sheet.shape(f'<circle class="full image" cx="{ax:g}" cy="{ay:g}" r="3.2"/>')
        sheet.shape(f'<path class="full text" d="M{bx - 3.6:g} {by + 3:g} l3.6 -7 l3.6 7 z"/>')
    if spread > 0.5:
        (ax, ay), (bx, by) = means["image"], means["text"]
        low = 42
        sheet.arrow([(ax, ay + low), (bx, by + low)], "accent", thick=2.4)
        sheet.text(x, ay + low + 20, "Δ, the gap", "accent", size=13, bold=True)
    else:
        sheet.text(x, y + 44, "own pairs are nearer,", "ink", size=12)
        sheet.text(x, y + 61, "all others too", "ink", size=12)


def maccap() -> Sketch:
    """Draw MacCap in training, on captions alone, and at test, on an image."""
    sheet = Sketch(
        436,
        "MacCap in training and at test",
        "Left, training, text only: a caption goes through CLIP's text tower; noise is added to "
        "its feature t, several times. Right, at test: an image goes through CLIP's image tower, "
        "which gives the feature x and ten region features r; each is added to x, with noise. Both "
        "enter the same prefix network, the only part that is trained, and the same frozen "
        "language model. In training it writes the caption back; at test it writes several "
        "captions, and CLIP keeps the nearest to the image.",
    )
    left, right, wide = 26, 214, 178
    sheet.text(left + wide / 2, 20, "training: captions alone", "text", size=13.5, bold=True)
    sheet.text(right + wide / 2, 20, "at test: an image", "image", size=13.5, bold=True)
    sheet.box(left, 32, wide, 34, "text", "“two dogs in the snow”")
    sheet.scene(right + wide / 2 - 17, 32, 34)
    for x, role in ((left, "text"), (right, "image")):
        middle = x + wide / 2
        sheet.arrow([(middle, 66), (middle, 84)], role)
        sheet.box(x, 86, wide, 40, "control", f"CLIP, {role} tower", "frozen")
        sheet.arrow([(middle, 126), (middle, 144)], role)
    sheet.box(left, 146, wide, 46, "text", "t + noise", "sampled anew each time")
    sheet.box(right, 146, wide, 46, "image", "x + r₁ … x + r₁₀", "regions, and noise again")
    for x, role in ((left, "text"), (right, "image")):
        sheet.arrow([(x + wide / 2, 192), (x + wide / 2, 212)], role)
    sheet.box(
        26,
        214,
        366,
        48,
        "region",
        "prefix network: trained",
        "on the left, used on the right",
        thick=2.6,
    )
    for x, role in ((left, "text"), (right, "image")):
        sheet.arrow([(x + wide / 2, 262), (x + wide / 2, 280)], role)
    sheet.box(26, 282, 366, 34, "control", "language model: frozen")
    for x, role in ((left, "text"), (right, "image")):
        sheet.arrow([(x + wide / 2, 316), (x + wide / 2, 336)], role)
    sheet.box(left, 338, wide, 52, "text", "the same caption", "word by word")
    sheet.box(right, 338, wide, 52, "image", "several captions", "CLIP keeps the nearest")
    sheet.arrow([(26, 364), (12, 364), (12, 238), (24, 238)], "accent", dashed=True, thick=2)
    sheet.upward(9, 300, "gradient", "accent")
    sheet.text(200, 412, "The network learns on text features and meets image", "ink", size=12.5)
    sheet.text(200, 428, "features: noise and regions are there to hide the gap.", "ink", size=12.5)
    return sheet


_CAPTIONERS = (
    ("CLIPRe", "nearest caption of a memory", "", "nothing"),
    ("Socratic", "CLIP names what it sees", "LM makes captions", "nothing"),
    ("MAGIC", "at each word LM proposes,", "CLIP votes", "nothing"),
    ("ZeroCap", "at each word CLIP bends", "the LM’s memory", "nothing"),
    ("DeCap", "mean of a memory’s captions", "prefix, LM", "on captions"),
    ("CapDec", "one feature, noise in training", "prefix, LM", "on captions"),
    ("MacCap", "feature + regions, noise", "prefix, LM, CLIP keeps one", "on captions"),
)


def captioners() -> Sketch:
    """Draw seven captioners below one another: how an image gets to words, and what is trained."""
    row, top = 50, 62
    sheet = Sketch(
        top + row * len(_CAPTIONERS) + 34,
        "Seven captioners side by side",
        "A table. "
        + " ".join(
            f"{name}: {f'{first} {then}'.strip()}; trained: {trained}."
            for name, first, then, trained in _CAPTIONERS
        )
        + " Apart from CLIP, none has seen an image with its caption.",
    )
    sheet.scene(96, 8, 30)
    sheet.text(136, 28, "from image to words", "image", anchor="start", bold=True, size=13)
    sheet.text(394, 28, "trained", "region", anchor="end", bold=True, size=13)
    for k, (name, first, then, trained) in enumerate(_CAPTIONERS):
        y, role = top + k * row, "region" if trained != "nothing" else "control"
        sheet.text(6, y + 25, name, role, size=13.5, bold=True, anchor="start")
        sheet.arrow([(78, y + 21), (96, y + 21)], role)
        sheet.box(98, y, 208, row - 8, role)
        if then:
            sheet.text(202, y + 17, first, "ink", size=12)
            sheet.text(202, y + 33, then, "ink", size=12)
        else:
            sheet.text(202, y + 25, first, "ink", size=12)
        sheet.text(394, y + 25, trained, role, anchor="end", size=12.5, bold=role == "region")
    sheet.text(
        200,
        sheet.high - 12,
        "None was trained on an image with its caption.",
        "ink",
        size=13,
        bold=True,
    )
    return sheet


DIAGRAMS: dict[str, Callable[[], Sketch]] = {
    "clip_towers": clip_towers,
    "two_caps": two_caps,
    "maccap": maccap,
    "captioners": captioners,
    "vision_language_model": vision_language_model,
    "vizer_phases": vizer_phases,
    "three_scores": three_scores,
}


def draw_method(name: str) -> Sketch:
    """Draw one of the book's diagrams by its name.

    Raises `ValueError` for a name that has none.

    >>> draw_method("two_caps").title
    'Two caps on a sphere'
    """
    if name not in DIAGRAMS:
        raise ValueError(f"no diagram {name!r}: wanted one of {', '.join(DIAGRAMS)}")
    return DIAGRAMS[name]()
