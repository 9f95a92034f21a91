"""The still figures that stand where an explorer starts: for GitHub, Colab, JupyterLab and print.

Drawn from the data of the explorers themselves: a still figure shows what a reader finds when the
explorer opens.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vizer_lab.figures.sketch import Sketch

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path("book", "_static", "explorers")
GAP_MODEL = "drawn-clip-100"
TYPED = "a robot in the sea"


def stored(name: str, root: Path = ROOT) -> dict[str, Any]:
    """Return the data of an explorer as they are in its file."""
    text = (root / FOLDER / f"{name}_data.js").read_text(encoding="utf-8")
    return json.loads(text.split(" = ", 1)[1].rstrip().rstrip(";"))


def unit_rows(packed: str, count: int) -> np.ndarray:
    """Return packed features as rows of length 1, [n, d].

    >>> unit_rows("AwQ=", 1).round(2).tolist()
    [[0.6, 0.8]]
    """
    whole = np.frombuffer(base64.b64decode(packed), dtype=np.int8)
    rows = whole.reshape(count, -1).astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def moved_together(x: np.ndarray, t: np.ndarray, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return images and captions, both moved by half of delta along the gap, of length 1 again."""
    gap = t.mean(axis=0) - x.mean(axis=0)
    step = delta / 2 * gap / np.linalg.norm(gap)
    found = [x + step, t - step]
    x, t = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in found)
    return x, t


def measured(x: np.ndarray, t: np.ndarray) -> dict[str, float]:
    """Return what the tiles of the gap explorer say of features."""
    cosines = x @ t.T
    own = np.diagonal(cosines)
    return {
        "gap": float(np.linalg.norm(t.mean(axis=0) - x.mean(axis=0))),
        "own": float(own.mean()),
        "other": float((x * np.roll(x, -1, axis=0)).sum(axis=1).mean()),
        "first": float((cosines <= own[:, None]).all(axis=1).mean()),
    }


def gap_figure() -> Sketch:
    """Draw images and captions along the gap, as trained and moved together."""
    scenes = stored("scenes")
    pair = scenes["models"][GAP_MODEL]
    x, t = (unit_rows(pair[key], scenes["n"]) for key in ("x", "t"))
    before = measured(x, t)
    closed = moved_together(x, t, before["gap"])
    after = measured(*closed)
    along = (t.mean(axis=0) - x.mean(axis=0)) / before["gap"]
    middle = float((x.mean(axis=0) + t.mean(axis=0)) @ along / 2)
    both = np.concatenate([x - x.mean(axis=0), t - t.mean(axis=0)])
    across = np.linalg.svd(both - np.outer(both @ along, along), full_matrices=False)[2][0]
    sheet = Sketch(
        366,
        "Images and captions along the gap",
        f"{scenes['n']} images and their captions by {GAP_MODEL}. As trained the two clouds lie "
        f"apart: the gap is {before['gap']:.2f} long, an image and its own caption have a cosine "
        f"of {before['own']:.2f}, two unrelated images {before['other']:.2f}, and "
        f"{before['first']:.0%} of images find their caption first. Moved together the own cosine "
        f"is {after['own']:.2f}, and {after['first']:.0%} find their caption first.",
    )
    panels = (("as trained", (x, t), before), ("moved together", closed, after))
    for place, (name, (images, captions), found) in enumerate(panels):
        centre = 100 + 200 * place
        sheet.text(centre, 20, name, size=14, bold=True)
        sheet.box(centre - 94, 30, 188, 190, "ink", thick=0)
        for rows, role in ((images, "image"), (captions, "text")):
            points = np.stack([rows @ along - middle, rows @ across], axis=1) * (130, 135)
            dots = "".join(
                f'<circle class="full {role}" cx="{centre + a:.1f}" cy="{125 - b:.1f}" r="1.8"/>'
                for a, b in points
            )
            sheet.shape(f'<g fill-opacity="0.6">{dots}</g>')
        lines = (
            (f"{found['own']:.2f}", "image, own caption"),
            (f"{found['other']:.2f}", "two unrelated images"),
            (f"{found['first']:.0%}", "find their caption"),
        )
        for row, (value, words) in enumerate(lines):
            y = 246 + row * 26
            sheet.text(centre - 48, y, value, "image", size=16, bold=True, anchor="end")
            sheet.text(centre - 42, y, words, anchor="start", size=11.5)
    sheet.text(150, 340, "● images", "image", bold=True)
    sheet.text(250, 340, "● captions", "text", bold=True)
    return sheet


def clip_figure() -> Sketch:
    """Draw what the live CLIP puts first for the caption that its explorer starts with."""
    from tools.explorer_data import LIVE, contact_sheet, webp
    from vizer_lab.studies.clip_study import open_drawn

    scenes = stored("scenes")
    study = open_drawn(LIVE, n=scenes["n"])
    x = unit_rows(scenes["models"][LIVE]["x"], scenes["n"])
    typed = study.encoder.encode_text([TYPED])[0].detach().numpy()
    cosines = x @ typed
    first = np.argsort(-cosines)[:6]
    images = [study.images[i].convert("RGB") for i in first]
    names = [", ".join(thing.name for thing in study.scenes[i].objects) for i in first]
    sheet = Sketch(
        316,
        "A caption and the images that a CLIP puts first",
        f"The caption “{TYPED}”, and the six of {scenes['n']} images with the highest cosine by "
        f"{LIVE}: " + "; ".join(f"{n} ({cosines[i]:.2f})" for n, i in zip(names, first)) + ".",
    )
    sheet.text(200, 26, f"“{TYPED}”", "text", size=16, bold=True)
    side = 118
    address = webp(contact_sheet(images, 6).convert("RGB"))
    for place, i in enumerate(first):
        left, top = 14 + place % 3 * (side + 9), 42 + place // 3 * (side + 18)
        row = f'<image href="{address}" id="six" width="672" height="112"/>'
        again = '<use href="#six"/>'
        sheet.shape(
            f'<svg x="{left}" y="{top}" width="{side}" height="{side}" '
            f'viewBox="{place * 112} 0 112 112">{again if place else row}</svg>'
        )
        sheet.text(left + side / 2, top + side + 13, f"{cosines[i]:.2f}", "text", bold=True)
    return sheet


def words_figure() -> Sketch:
    """Draw how many nats the words of each caption of one image owe to it."""
    data = stored("words")
    captions = data["images"][0]
    said = ["".join(part for part, _ in caption["parts"]) for caption in captions]
    owed = [sum(caption["none"]) - sum(caption["right"]) for caption in captions]
    order = np.argsort(owed)[::-1]
    sheet = Sketch(
        74 + 46 * len(captions),
        "What words owe to the image",
        f"Captions of one image, by how many nats likelier {data['model']} finds each with the "
        f"image than without one. From the most to the least: {'; '.join(said[i] for i in order)}.",
    )
    sheet.text(8, 22, "nats that the words owe to the image", "region", anchor="start", bold=True)
    address = data["sheet"]
    n = len(data["images"])
    sheet.shape(
        '<svg x="308" y="8" width="84" height="84" viewBox="0 0 112 112">'
        f'<image href="{address}" width="{112 * n}" height="112"/></svg>'
    )
    scale = 200 / max(abs(value) for value in owed)
    for row, i in enumerate(order):
        y = 48 + 46 * row
        sheet.text(8, y, said[i], "text", anchor="start", size=12.5)
        role = "region" if owed[i] > 0 else "control"
        wide = max(abs(owed[i]) * scale, 1.0)
        sheet.shape(
            f'<rect class="full {role}" x="8" y="{y + 6}" width="{wide:.1f}" height="12" rx="3"/>'
        )
        value = f"{owed[i]:.1f}".replace("-", "\u2212")
        sheet.text(14 + wide, y + 17, value, role, anchor="start", bold=True)
    return sheet


EDITS_SHOWN = ("unedited", "more_true_detail", "style_change", "wrong_count", "wrong_background")
FIRST_SCENE = 0  # what the explorer starts with


def metrics_figure() -> Sketch:
    """Draw one caption, four changes of it, and what three scores make of each."""
    from tools.explorer_data import LIVE, webp
    from tools.explorer_metrics import KINDS
    from vizer_core.metrics.cider import cider, document_frequency
    from vizer_core.metrics.clipscore import clipscores
    from vizer_core.metrics.statements import count_statements
    from vizer_core.metrics.tokenize import tokenize, tokenize_captions
    from vizer_lab.studies.clip_study import open_drawn
    from vizer_lab.world.perturbations import statements

    data, study = stored("metrics"), open_drawn(LIVE, n=1)
    names = {"unedited": "as it was"} | {k: v for kind in KINDS.values() for k, v in kind.items()}
    said = [data["scenes"][FIRST_SCENE]["said"][name][0] for name in EDITS_SHOWN]
    own = [tokenize_captions(data["references"][FIRST_SCENE])] * len(said)
    frequency = document_frequency("all", [tokenize_captions(r) for r in data["references"]])
    ciders = cider([tokenize(text) for text in said], own, df=frequency)
    image = study.encoder.image_states(study.images).image_features.expand(len(said), -1)
    clips = clipscores(image, study.encoder.encode_text(said)).tolist()
    counts = [count_statements(statements(text, study.scenes[FIRST_SCENE])) for text in said]
    told = [f"{c.true} of {c.said}" for c in counts]
    sheet = Sketch(
        128 + 54 * len(said),
        "One caption, changed, and three scores of it",
        "; ".join(
            f"{names[name]}, “{text}”: CIDEr {a:.2f}, CLIPScore {b:.2f}, {c} statements true"
            for name, text, a, b, c in zip(EDITS_SHOWN, said, ciders, clips, told)
        )
        + ".",
    )
    sheet.shape(
        f'<image href="{webp(study.images[0].convert("RGB"))}" x="8" y="8" width="104" '
        'height="104"/>'
    )
    bars = (("CIDEr", "text", 5.0), ("CLIPScore", "image", 2.2), ("true", "region", 1.0))
    for place, (words, role, _) in enumerate(bars):
        sheet.text(118 + 100 * place, 108, words, role, anchor="start", size=11.5, bold=True)
    for row, (name, text) in enumerate(zip(EDITS_SHOWN, said)):
        y = 142 + 54 * row
        sheet.text(8, y, text, anchor="start", size=12.5, bold=row == 0)
        sheet.text(8, y + 20, names[name], "control", anchor="start", size=11.5)
        shares = (float(ciders[row]), clips[row], counts[row].true / counts[row].said)
        shown = (f"{ciders[row]:.2f}", f"{clips[row]:.2f}", told[row])
        for place, ((_, role, full), share, value) in enumerate(zip(bars, shares, shown)):
            x, wide = 118 + 100 * place, max(46 * min(share / full, 1.0), 1.0)
            sheet.shape(
                f'<rect class="full {role}" x="{x}" y="{y + 10}" width="{wide:.1f}" height="12" '
                'rx="3"/>'
            )
            sheet.text(x + 50, y + 20, value, role, anchor="start", size=11.5)
    return sheet


FIGURES: dict[str, Callable[[], Sketch]] = {
    "gap": gap_figure,
    "clip": clip_figure,
    "words": words_figure,
    "metrics": metrics_figure,
}


def place(name: str, folder: str = "../book") -> str:
    """Return the Markdown that starts an explorer, with its still figure inside."""
    from vizer_lab.figures.sketch import words_of

    words = words_of((ROOT / FOLDER / f"{name}.svg").read_text(encoding="utf-8"))
    figure = f"![{words}]({folder}/_static/explorers/{name}.svg)"
    return f'<div data-explorer="{name}">\n\n{figure}\n\n</div>'
