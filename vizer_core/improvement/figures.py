"""Figures of the page as SVG, drawn by hand: a page that needs no network has no library either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, ROW, LEFT = 480, 26, 178  # narrow, so that its letters can be read on a telephone
CURVE_HEIGHT = 120


def ladder_svg(rungs: Sequence[Mapping[str, Any]]) -> str:
    """Draw each rung's share of preferred captions with its interval; one half is marked."""
    height = ROW * len(rungs) + 34

    def at(share: float) -> float:
        return LEFT + share * (WIDTH - LEFT - 20)

    parts = [
        f'<line class="axis" x1="{at(share):.1f}" x2="{at(share):.1f}" y1="4" y2="{height - 24}"'
        f' stroke-dasharray="{dash}"/>'
        f'<text class="faint" x="{at(share):.1f}" y="{height - 8}" text-anchor="middle">{share:.0%}'
        "</text>"
        for share, dash in ((0.0, "0"), (0.5, "4 3"), (1.0, "0"))
    ]
    for index, rung in enumerate(rungs):
        y, share = ROW * index + ROW / 2 + 4, rung["agreement"]["preferred"]
        name = rung["way"]["name"]
        said = name if len(name) <= 27 else f"{name[:26]}…"
        parts.append(
            f'<text x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">{escape(said)}</text>'
            f'<line class="mark" stroke-width="2" x1="{at(share["low"]):.1f}" '
            f'x2="{at(share["high"]):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<circle class="mark" cx="{at(share["mean"]):.1f}" cy="{y:.1f}" r="4"/>'
        )
    label = "; ".join(
        f"{rung['way']['name']} {rung['agreement']['preferred']['mean']:.0%}" for rung in rungs
    )
    return _svg(height, "Share of images preferred to the model as it is: " + label, parts)


def curves_svg(curves: Mapping[str, Sequence[float | None]]) -> str:
    """Draw curves by step, one above the other, each on its own scale; None is left out.

    >>> "polyline" in curves_svg({"loss": [2.0, None, 1.0]}), "polyline" in curves_svg({"KL": []})
    (True, False)
    """
    parts = []
    for index, (name, values) in enumerate(curves.items()):
        known = [(step, value) for step, value in enumerate(values) if value is not None]
        if not known:
            continue
        low, high = min(v for _, v in known), max(v for _, v in known)
        top, last = index * (CURVE_HEIGHT + 24) + 20, max(len(values) - 1, 1)
        points = " ".join(
            f"{50 + step / last * (WIDTH - 70):.1f},"
            f"{top + (high - value) / (high - low or 1) * (CURVE_HEIGHT - 30):.1f}"
            for step, value in known
        )
        parts.append(
            f'<text x="50" y="{top - 6}">{escape(name)}</text>'
            f'<text class="faint" x="44" y="{top + 6}" text-anchor="end">{high:.2g}</text>'
            f'<text class="faint" x="44" y="{top + CURVE_HEIGHT - 26}" text-anchor="end">{low:.2g}'
            f'</text><polyline class="curve" points="{points}"/>'
        )
    height = len(curves) * (CURVE_HEIGHT + 24)
    return _svg(height, f"Curves of the training by step: {', '.join(curves)}", parts)


def _svg(height: int, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
