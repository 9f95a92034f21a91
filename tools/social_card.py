"""What is shown of the book where somebody links to it: an image, and the words of each page.

The image shows the same two clouds as the first explorer: 200 images and their captions along the
gap, from the explorer's data. It is drawn at each build into `book/_generated/static/social.png`.
"""

from __future__ import annotations

import re
from html import escape, unescape
from pathlib import Path

import numpy as np

from tools.explorer_figures import GAP_MODEL, stored, unit_rows
from vizer_lab.figures.sketch import LIGHT

FILE = Path("static", "social.png")
TITLE = "Captions across the gap"
LINES = (
    "The modality gap of CLIP.",
    "Captions from text alone.",
    "Better captions without labels.",
)
SIZE, DPI = (1200, 630), 100  # what pages that show links ask for
LONGEST = 200  # letters of a description


def clouds(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images and captions in the plane of the gap: along it, and across it, [n, 2] each."""
    scenes = stored("scenes", root)
    pair = scenes["models"][GAP_MODEL]
    x, t = (unit_rows(pair[key], scenes["n"]) for key in ("x", "t"))
    gap = t.mean(axis=0) - x.mean(axis=0)
    along = gap / np.linalg.norm(gap)
    spread = np.concatenate([x - x.mean(axis=0), t - t.mean(axis=0)])
    off = spread - np.outer(spread @ along, along)
    across = np.linalg.svd(off, full_matrices=False)[2][0]
    plane = np.stack([along, across], axis=1)
    return x @ plane, t @ plane


def write_social_card(root: Path, folder: Path) -> Path:
    """Draw the image into `folder`; return the file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=tuple(side / DPI for side in SIZE), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0.52, 0.08, 0.46, 0.84))
    for points, role, mark in zip(clouds(root), ("image", "text"), ("o", "^")):
        axes.scatter(*points.T, s=34, marker=mark, color=LIGHT[role][0], alpha=0.6, linewidths=0)
    axes.set_aspect("equal", "datalim")
    axes.axis("off")
    figure.text(0.05, 0.72, TITLE.replace(" across ", "\nacross "), size=40, weight="bold")
    for row, line in enumerate(LINES):
        figure.text(0.05, 0.52 - 0.085 * row, line, size=22, color=LIGHT["control"][0])
    figure.text(0.05, 0.14, "● images", size=20, color=LIGHT["image"][0], weight="bold")
    figure.text(0.2, 0.14, "▲ captions", size=20, color=LIGHT["text"][0], weight="bold")
    file = folder / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=DPI)
    return file


def first_words(html: str) -> str:
    """Return the first paragraph of a page in plain words, or nothing if it has a formula.

    >>> first_words("<article><h1>A</h1><p>Why is <em>that</em> so?\\nRead on.</p></article>")
    'Why is that so? Read on.'
    """
    article = html.partition("<article")[2]
    for inner in re.findall(r"<p>(.*?)</p>", article, flags=re.DOTALL):
        words = " ".join(unescape(re.sub(r"<[^>]+>", "", inner)).split())
        if len(words) < 20:
            continue
        if "\\(" in words or "\\[" in words:
            return ""
        return words if len(words) <= LONGEST else words[:LONGEST].rsplit(" ", 1)[0] + " …"
    return ""


def with_card(html: str, depth: int, address: str | None) -> str:
    """Give a page its own title and description, and the book's image, for whoever links to it.

    `address` is where the book can be read; without one the image is named by its path, which a
    page `depth` folders down can show and other sites cannot.

    >>> page = '<meta content="Book" property="og:title" /><title>Gap &#8212; Book</title>'
    >>> print(with_card(page, 1, "https://a.b/").replace("><", ">\\n<"))
    <meta content="Gap" property="og:title" />
    <meta content="https://a.b/_static/social.png" property="og:image" />
    <meta content="summary_large_image" name="twitter:card" />
    <title>Gap &#8212; Book</title>
    """
    title = re.search(r"<title>(.*?)(?: &#8212;[^<]*)?</title>", html)
    if not title or 'property="og:title"' not in html:
        return html
    where = address.rstrip("/") + "/" if address else "../" * depth
    image = f'<meta content="{where}_static/social.png" property="og:image" />'
    image += '<meta content="summary_large_image" name="twitter:card" />'
    html = re.sub(
        r'<meta content="[^"]*" property="og:title" />',
        lambda _: f'<meta content="{title[1]}" property="og:title" />{image}',
        html,
    )
    if words := escape(first_words(html)):
        for name in (r'lang="en" name="description"', r'property="og:description"'):
            html = re.sub(
                rf'<meta content="[^"]*" {name}',
                lambda found: f'<meta content="{words}" {found[0].split(chr(34), 2)[2].strip()}',
                html,
            )
    return html
