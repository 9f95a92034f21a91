"""What noise costs and gives: cells by multiple, and what the stored file has to show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments import reconstruction_drawn as study
from experiments.maccap_cells import Run
from vizer_core.files import write_json

ROOT = Path(__file__).resolve().parents[2]


def test_each_multiple_is_read_three_ways_by_its_own_network():
    run = Run("runs", variance=0.5)
    cells = study.read_cells(run, 3.0, 5, 2)
    assert [cell.name for cell in cells][:2] == [
        "reconstruct/x3-text-5-0",
        "reconstruct/x3-text-5-1",
    ]
    assert {cell.arguments["recipe"] for cell in cells} == {"multi_noise"}
    assert {c.arguments["recipe"] for c in study.read_cells(run, 0.0, 5, 1)} == {"multi_clean"}
    assert {cell.arguments["reading"] for cell in cells} == set(study.READINGS)


def test_quarters_are_averaged_over_the_trainings_that_kept_them(tmp_path: Path):
    run = Run(str(tmp_path), variance=0.5)
    for seed, answer in enumerate(({"quarters": [4.0, 2.0]}, {}, {"quarters": [2.0, 1.0]})):
        name = Run(str(tmp_path), variance=0.5, seed=seed).prefix_network_path("multi_noise").stem
        write_json(tmp_path / "train" / f"{name}.json", {"answer": answer})
    found = study.training_of(run, 1.0, 4)
    assert found == {"trainings": 2, "quarters": [3.0, 1.5]}
    assert study.training_of(run, 0.0, 1) == {"trainings": 0, "quarters": []}


def stored() -> dict:
    path = ROOT / "results" / "reconstruction_drawn.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_stored_trainings_hardly_fall_at_their_end():
    """One pass over the captions: the last quarter's fall is a small part of the first's."""
    kept = [row["quarters"] for row in stored()["training"].values() if row["quarters"]]
    assert kept
    for first, second, third, last in kept:
        assert first > second > third > last
        assert third - last < 0.05 and (third - last) < 0.35 * (first - second)


@pytest.mark.parametrize("metric", ["object_f1", "cider"])
def test_images_gain_by_noise_and_their_control_does_not(metric):
    rows = {r["system"]: r for r in stored()["scores"] if r["metric"] == metric}
    assert rows["x1:image"]["low"] > rows["x0:image"]["high"]
    assert rows["x1:another"]["high"] < rows["x1:image"]["low"]
    assert rows["x10:text"]["high"] < rows["x0:text"]["low"]
