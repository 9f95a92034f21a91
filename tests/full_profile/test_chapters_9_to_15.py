"""Every chapter from 9 to 15 runs on the full profile, with a miniature of either family.

`DRAWN` names the shipped drawn models that a chapter opens on this profile too, on purpose and
saying so: where only drawn scenes have an exact truth. Everything else is the user's own.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.full_profile.chapters import run_chapter
from tests.full_profile.disk import save_other_vlm

DRAWN: dict[str, set[str]] = {}
RECORDED = {  # chapters that show recorded runs: they are the drawn world's, and say so
    "11_zero_label",
    "12_rewards",
    "13_ablations",
    "14_does_the_loss_see",
    "15_improving_without_labels",
}
CHAPTERS = (
    "09_vlm_anatomy",
    "10_mapper",
    "11_zero_label",
    "12_rewards",
    "13_ablations",
    "14_does_the_loss_see",
    "15_improving_without_labels",
)
BOTH_FAMILIES = CHAPTERS[:3]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_runs_on_the_full_profile(name, full_environment, tmp_path: Path):
    ran = run_chapter(name, full_environment, tmp_path)
    model = full_environment["VIZER_VLM"]
    assert f"full profile: {model} on the first " in ran.text
    assert "micro profile: shows" not in ran.text
    assert ran.drawn_models == DRAWN.get(name, set())
    if name in RECORDED:
        assert re.search("(micro|drawn) world", ran.text)


@pytest.mark.slow
@pytest.mark.parametrize("name", BOTH_FAMILIES)
def test_a_chapter_runs_with_a_model_of_the_other_family(name, full_environment, tmp_path: Path):
    model = str(save_other_vlm(tmp_path / "qwen2-vl"))
    half = {"VIZER_VLM": model, "VIZER_DTYPE": "bfloat16"}
    ran = run_chapter(name, full_environment | half, tmp_path / "run")
    assert f"full profile: {model} on the first " in ran.text
    assert ran.drawn_models == set()
