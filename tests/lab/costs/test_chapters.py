"""The cost table of a chapter: from its notebook's own numbers, marked as an estimate."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vizer_lab.costs import DEVICES, chapter_table, full_profile
from vizer_lab.costs.chapters import (
    COCO_2014,
    COCO_2017,
    PAGE_MINUTES,
    bytes_words,
)

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
FAST, SLOW = DEVICES["H100 SXM"], DEVICES["T4"]


def chapter_of(path: Path) -> str:
    return path.stem.partition("_")[2]


def opened(path: Path) -> dict[str, int]:
    """Return the numbers that a notebook opens its study with, those of the full profile."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    found = re.search(r"(?:study = |opened = \[)open_\w+\(([^)]*)\)", code)
    assert found, f"{path.name} opens no study"
    numbers = {}
    for part in found[1].split(","):
        name, _, value = part.strip().rpartition("=")
        if number := re.search(r"(\d[\d_]*)$", value.strip()):  # of `a if DRAWN else b`, b
            numbers[name or "n"] = int(number[1].replace("_", ""))
    return numbers


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_is_priced_at_the_numbers_that_its_notebook_asks_for(path, monkeypatch):
    """The counts in `full_profile` are those in the notebook's call, whatever they are for."""
    from vizer_lab.costs import chapters

    asked: dict[str, int] = {}
    makers = ("_gap_chapter", "_reconstruction", "_zero_shot", "_questions", "_anatomy", "_mapper",
              "_trained")  # fmt: skip
    for name in makers:
        monkeypatch.setattr(chapters, name, lambda first, **rest: asked.update(rest, n=first))
    full_profile(chapter_of(path))
    if not asked:
        assert chapter_of(path) in ("which_metric", "the_field")
        return
    found = opened(path)
    first = found.get("test", found.get("n"))
    assert asked["n"] == first, f"{path.name} opens {found}"
    for name in ("train", "stream"):
        assert asked.get(name, 0) == found.get(name, 0), f"{path.name} opens {found}"
    assert asked.get("corpus", 0) == found.get("memory", 0)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_chapter_has_a_table_of_both_profiles(path):
    table = chapter_table(chapter_of(path), 30.0)
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| `micro` (default) | 2 CPU cores | about 1 |")
    if full_profile(chapter_of(path)) is None:
        assert lines[3].startswith("| `full`, the same |") and len(lines) == 4
        return
    assert [line.split(" | ")[1].split(",")[0] for line in lines[3:]] == list(DEVICES)
    assert all(line.startswith("| `full`, estimated |") for line in lines[3:])
    assert "an estimate" in table and "no run has replaced it yet" in table


def test_the_minutes_are_those_of_the_models_and_of_the_page():
    cost = full_profile("mapper")
    assert cost.minutes(FAST) == pytest.approx(cost.plan.minutes(FAST) + PAGE_MINUTES)
    assert cost.minutes(SLOW) > cost.minutes(FAST)
    assert "about 120 |" in chapter_table("mapper", 7200.0).splitlines()[2]


def test_what_does_not_fit_says_so(monkeypatch):
    from vizer_lab.costs import chapters

    small = {"GPU": SLOW.__class__(SLOW.hardware, 10**9, 2)}
    monkeypatch.setattr(chapters, "DEVICES", small)
    assert "| T4, 1 GB | does not fit |" in chapter_table("mapper", 1.0)


def test_memory_and_download_count_each_model_once():
    one, two = full_profile("clip_features"), full_profile("modality_gap")
    weights = one.download - sum(COCO_2017.values())
    assert two.download == one.download + weights
    assert two.ram == one.ram  # they are loaded one after the other
    assert set(COCO_2014) <= set(full_profile("vqa").fetched)
    vlm = full_profile("vlm_anatomy")
    assert vlm.plan.memory > vlm.fetched["SmolVLM-Base"]
    assert full_profile("zero_shot_captioning").before.minutes(SLOW) > 60


def test_an_unknown_chapter_is_refused_with_the_names():
    with pytest.raises(ValueError, match="no chapter '03': wanted one of ablations, clip_features"):
        full_profile("03")


def test_bytes_are_said_in_words():
    assert [bytes_words(x) for x in (1.5e15, 999e9, 12e6)] == ["1.5 PB", "999 GB", "12 MB"]
