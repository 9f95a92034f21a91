"""Every chapter from 1 to 8 runs on the full profile, on miniature checkpoints with random weights.

`DRAWN` names the shipped drawn models that a chapter opens on this profile too, on purpose and
saying so: where only drawn scenes have an exact truth.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.full_profile.chapters import run_chapter
from tests.full_profile.disk import train_prefix_networks

DRAWN = {
    "01_clip_features": {"drawn-clip", "drawn-clip-100"},
    "02_modality_gap": {"drawn-clip", "drawn-clip-100"},
    "05_which_metric": {"drawn-clip-100"},
}
ALONE = {"05_which_metric"}  # asks what metrics do to edits of known scenes: micro on both profiles
RECORDED = {  # chapters that show recorded runs: they are the drawn world's, and say so
    "02_modality_gap",
    "06_text_reconstruction",
    "07_zero_shot_captioning",
    "08_vqa",
}
CHAPTERS = (
    "01_clip_features",
    "02_modality_gap",
    "03_gap_histograms",
    pytest.param("04_umap", marks=pytest.mark.slow),
    pytest.param("05_which_metric", marks=pytest.mark.slow),
    "06_text_reconstruction",
    pytest.param("07_zero_shot_captioning", marks=pytest.mark.slow),
    "08_vqa",
)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_runs_on_the_full_profile(name, full_environment, tmp_path: Path):
    ran = run_chapter(name, full_environment, tmp_path)
    if name in ALONE:
        assert "micro profile: shows" in ran.text
    else:
        assert "full profile:" in ran.text and "micro profile: shows" not in ran.text
    assert ran.drawn_models == DRAWN.get(name, set())
    if name in RECORDED:
        assert re.search("recorded runs, (micro|drawn) world", ran.text)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_prefix_networks_and_chapter_in_half_precision(full_environment, tmp_path: Path):
    root = Path(full_environment["VIZER_LM"]).parent
    prefix_networks = train_prefix_networks(
        root, tmp_path / "prefix networks", "--dtype", "bfloat16"
    )
    half = {"VIZER_PREFIX_NETWORKS": str(prefix_networks), "VIZER_DTYPE": "bfloat16"}
    ran = run_chapter("06_text_reconstruction", full_environment | half, tmp_path / "run")
    assert "full profile:" in ran.text and not ran.drawn_models
