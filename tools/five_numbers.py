"""The five findings on the front page, with their numbers read from the files of results.

A sentence has its words here and its numbers from `results/`, so that neither can grow old alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.explorer_figures import GAP_MODEL, measured, moved_together, stored, unit_rows

BASE = "drawn-vlm-web"


def means(result: dict[str, Any], base: str | None = None) -> dict[tuple[str, str], float]:
    """Return the means of a study by system and metric, of one base if it has several.

    >>> means({"scores": [{"system": "a", "metric": "m", "mean": 0.5, "base": "b"}]}, "b")
    {('a', 'm'): 0.5}
    """
    return {
        (row["system"], row["metric"]): row["mean"]
        for row in result["scores"]
        if base is None or row.get("base") == base
    }


def _gap(root: Path) -> str:
    scenes = stored("scenes", root)
    pair = scenes["models"][GAP_MODEL]
    x, t = (unit_rows(pair[key], scenes["n"]) for key in ("x", "t"))
    before = measured(x, t)
    after = measured(*moved_together(x, t, before["gap"]))
    return (
        f"**The gap.** An image and its own caption have a cosine of {before['own']:.2f}, two "
        f"unrelated images {before['other']:.2f}. Moved together, own pairs reach "
        f"{after['own']:.2f}, but {after['first']:.0%} of images find their caption first, where "
        f"{before['first']:.0%} did before ([chapter 2](../notebooks/02_modality_gap.ipynb))."
    )


def _metrics(found: dict[tuple[str, str], float]) -> str:
    def costs(metric: str) -> list[float]:
        edits = ("more_true_detail", "wrong_count")
        return [-found[f"share_of_fall:{edit}", metric] for edit in edits]

    (detail, number), (clip_detail, clip_number) = costs("cider"), costs("clipscore")
    turn = "gains" if clip_detail < 0 else "loses"
    return (
        "**Metrics.** Take how far a score falls when a caption is exchanged for another image's. "
        f"For correct extra detail CIDEr loses {detail:.0%} of that, and CLIPScore {turn} "
        f"{abs(clip_detail):.0%}; for a wrong number they lose {number:.0%} and {clip_number:.0%} "
        "([chapter 5](../notebooks/05_which_metric.ipynb))."
    )


def _text_alone(found: dict[tuple[str, str], float]) -> str:
    names = ("clipcap", "capdec", "maccap", "maccap_global", "blind")
    pairs, capdec, maccap, whole, blind = (found[name, "object_f1"] for name in names)
    return (
        f"**Captions from text alone.** Object F1 is {pairs:.2f} for a captioner trained on images "
        f"with captions, {capdec:.2f} for CapDec, {maccap:.2f} for MacCap, {whole:.2f} for MacCap "
        f"with copies of the whole image in place of its regions, and {blind:.2f} without an image "
        "([chapter 7](../notebooks/07_zero_shot_captioning.ipynb))."
    )


def _without_labels(found: dict[tuple[str, str], float]) -> tuple[str, str]:
    names = ("base", "first_word", "beam", "beam_distillation", "vizer_g")
    base, word, beam, distilled, vizer = (found[name, "object_recall"] for name in names)
    return (
        f"**Without training.** A model with the habits of the web names {base:.0%} of the things "
        f"in an image. Begun with a word that was found without labels it names {word:.0%}, with a "
        f"beam search after that {beam:.0%} "
        "([chapter 15](../notebooks/15_improving_without_labels.ipynb)).",
        f"**Training without labels.** Trained on captions of that beam search, the same model "
        f"names {distilled:.0%} in one greedy pass; trained by ViZer's own objective, "
        f"{vizer:.0%} ([chapter 11](../notebooks/11_zero_label.ipynb)).",
    )


def five_numbers_markdown(root: Path) -> str:
    """Return the five findings as a list; a study that was not run yet has none."""

    def read(name: str, base: str | None = None) -> dict[tuple[str, str], float] | None:
        file = root / "results" / f"{name}.json"
        return means(json.loads(file.read_text(encoding="utf-8")), base) if file.is_file() else None

    lines = [_gap(root)]
    if found := read("metrics_drawn"):
        lines.append(_metrics(found))
    if found := read("maccap_drawn"):
        lines.append(_text_alone(found))
    if found := read("improvement", BASE):
        lines += _without_labels(found)
    return "\n".join(f"- {line}" for line in lines)
