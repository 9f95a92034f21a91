"""The study of real features: its numbers on planted gaps, and the stored file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from experiments.gap_real_clip import (
    FROM_REPORT,
    count,
    histograms,
    main,
    measure,
    mismatched_cosine,
    stand_ins,
)
from vizer_core.gap import measure_gap
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.world.synthetic import plant_gap

STORED = Path(__file__).resolve().parents[2] / "results" / "gap_real_clip.json"


@pytest.fixture(scope="module")
def pairs():
    planted = plant_gap(80, 64, generator=seeded(0), outliers={4: 0.5, 9: 0.4}, noise_std=0.05)
    return planted.image_features, planted.text_features


@pytest.fixture(scope="module")
def numbers(pairs):
    return measure(*pairs, 100.0)


def test_numbers_are_those_of_the_gap_report(pairs, numbers):
    report = measure_gap(*pairs)
    for name in (*FROM_REPORT, "gap_norm", "constant_share", "top2_share", "excess_kurtosis"):
        assert numbers[name].mean == pytest.approx(getattr(report, name), abs=1e-6), name
        assert numbers[name].low <= numbers[name].mean <= numbers[name].high
    cosine = numbers["pair_cosine_mean"].mean
    assert numbers["matched_noise_variance"].mean == pytest.approx((1 / cosine**2 - 1) / 64)
    assert numbers["ks_raw"].mean == pytest.approx(report.ks_raw)


def test_two_large_dimensions_are_what_bends_the_pool(numbers):
    """Planted: dimensions 4 and 9 hold nearly all of the constant vector, the rest is normal."""
    assert numbers["kurtosis_raw"].mean > 1 > abs(numbers["kurtosis_without_top2"].mean)
    assert abs(numbers["kurtosis_standardised"].mean) < 0.5
    assert numbers["ks_raw"].mean > 2 * numbers["ks_standardised"].mean


def test_stand_ins_are_moved_by_a_gap_that_they_are_not_part_of(pairs):
    image, text = pairs
    shown, found = stand_ins(image, text, 0.1)
    assert shown.equal(image[40:]) and found["text"].equal(text[40:])
    altered = text.clone()
    altered[40:] = unit_norm(torch.randn(40, 64, generator=seeded(9)))
    _, again = stand_ins(image, altered, 0.1)
    gap = (text[:40] - image[:40]).mean(dim=0)
    assert torch.allclose(found["moved"], unit_norm(text[40:] - gap), atol=1e-6)
    assert torch.allclose(again["moved"], unit_norm(altered[40:] - gap), atol=1e-6)
    assert float((found["noised"] * text[40:]).sum(dim=1).mean()) < 0.95


def test_mismatched_pairs_leave_out_the_own_caption():
    image, text = torch.eye(3), torch.eye(3).roll(1, 0)
    assert mismatched_cosine(image, text) == pytest.approx(0.5)


def test_every_entry_is_counted_once(pairs):
    image, text = pairs
    for name, stored in histograms(image, text).items():
        entries = {"gap_raw": 80 * 64, "gap_standardised": 80 * 64, "gap_without_top2": 80 * 62}
        assert sum(stored["counts"]) == entries.get(name, 80), name
    values = torch.tensor([-0.26, -0.25, 0.0, 0.24])
    assert count(values, 0.25) == {"start": -0.5, "width": 0.25, "counts": [1, 1, 2]}


def test_the_command_writes_real_and_shipped_models(tmp_path, monkeypatch):
    import numpy as np

    planted = plant_gap(60, 32, generator=seeded(0), noise_std=0.08)
    file = tmp_path / "mine.npy"
    np.save(file, torch.stack([planted.image_features, planted.text_features]).numpy())
    out = tmp_path / "out.json"
    monkeypatch.setattr("sys.argv", ["x", "--features", str(file), "--out", str(out)])
    main()
    record, stored = json.loads(out.read_text()), json.loads(STORED.read_text())
    assert record.keys() == stored.keys()
    keys = [{(row["system"], row["metric"]) for row in each["scores"]} for each in (record, stored)]
    assert keys[0] == keys[1] and {system for system, _ in keys[0]} >= {
        "real",
        "drawn-clip-50",
    }


def test_the_stored_file_holds_what_the_pages_say():
    record = json.loads(STORED.read_text(encoding="utf-8"))
    found = {(row["system"], row["metric"]): row for row in record["scores"]}
    real = {metric: row["mean"] for (system, metric), row in found.items() if system == "real"}
    assert real["kurtosis_raw"] > 30 and real["ks_raw"] > 2 * real["ks_without_top2"]
    assert record["dimensions"]["real"]["largest"][:2] == [442, 362]
    assert sum(record["histograms"]["real"]["gap_raw"]["counts"]) == 500 * 512
    assert "Weixin-Liang" in record["source"]["from"]
