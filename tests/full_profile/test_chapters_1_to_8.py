"""Every chapter from 1 to 8 runs on the full profile, on miniature checkpoints with random weights.

`MICRO` names the shipped micro models that a chapter opens on this profile too, on purpose and
saying so: where only drawn scenes have an exact truth.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.full_profile.chapters import run_chapter

MICRO = {
    "01_clip_features": {"micro-clip", "micro-clip-100"},
    "02_modality_gap": {"micro-clip", "micro-clip-100"},
    "05_which_metric": {"micro-clip-100"},
}
ALONE = {"05_which_metric"}  # asks what metrics do to edits of known scenes: micro on both profiles
CHAPTERS = (
    "01_clip_features",
    "02_modality_gap",
    "03_gap_histograms",
    "04_umap",
    "05_which_metric",
    "06_text_reconstruction",
    "07_zero_shot_captioning",
    "08_vqa",
)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_runs_on_the_full_profile(name, full_environment, tmp_path: Path):
    ran = run_chapter(name, full_environment, tmp_path)
    if name in ALONE:
        assert "micro profile: shows" in ran.text
    else:
        assert "full profile:" in ran.text and "micro profile: shows" not in ran.text
    assert ran.micro_models == MICRO.get(name, set())
