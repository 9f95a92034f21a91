"""Measured runs: kept one per chapter and device, shown beside the estimate with their ratio."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from vizer_lab.costs import (
    DEVICES,
    MeasuredCost,
    chapter_table,
    full_profile,
    measured,
)
from vizer_lab.costs.chapters import measured_row
from vizer_lab.costs.measured import measured_costs, peak_memory, record_cost

ROW = MeasuredCost(
    what="umap", device="Tesla T4, 2 CPU cores", minutes=8.0, ram=4 * 10**9, vram=2 * 10**9,
    commit="abc", date="2026-01-02", versions={"torch": "2.14"}, sizes={"opened": "n=1000"},
)  # fmt: skip


def test_rows_come_back_as_they_were_kept(tmp_path):
    path = tmp_path / "costs" / "full.json"
    assert measured_costs(path) == ()
    others = [ROW, replace(ROW, what="mapper"), replace(ROW, device="NVIDIA H100, 16 CPU cores")]
    for row in others:
        record_cost(path, row)
    assert set(map(repr, measured_costs(path))) == set(map(repr, others))


def test_a_later_run_takes_the_place_of_the_same_work_on_the_same_device(tmp_path):
    path = tmp_path / "full.json"
    for minutes in (8.0, 5.0):
        record_cost(path, replace(ROW, minutes=minutes))
    (found,) = measured_costs(path)
    assert found.minutes == 5.0


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "full.json"
    record_cost(path, ROW)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        record_cost(path, replace(ROW, what="mapper", minutes=float("inf")))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_odd_rows_are_refused_by_name(tmp_path):
    path = tmp_path / "full.json"
    record_cost(path, ROW)
    rows = json.loads(path.read_text())
    del rows["rows"][0]["commit"]
    path.write_text(json.dumps(rows))
    with pytest.raises(ValueError, match="row 0: commit missing or unknown"):
        measured_costs(path)
    with pytest.raises(ValueError, match=r"got 0\.0 minutes"):
        replace(ROW, minutes=0.0)


def test_without_a_row_the_table_is_an_estimate_and_with_one_it_shows_both():
    plain = chapter_table("umap", 30.0)
    assert "no run has replaced it yet" in plain and "measured on" not in plain
    assert chapter_table("umap", 30.0, measured=[replace(ROW, what="mapper")]) == plain
    table = chapter_table("umap", 30.0, measured=[ROW])
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert lines[:-1] == [line for line in plain.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert lines[-1].startswith("| `full`, measured on 2026-01-02 | Tesla T4, 2 CPU cores | 8.0 (")
    assert "no run has replaced it" not in table and "are what runs really took" in " ".join(
        table.split()
    )


def test_the_ratio_is_measured_over_estimated_on_the_same_device():
    cost, device = full_profile("umap"), DEVICES["T4"]
    twice = replace(ROW, minutes=2 * cost.minutes(device), vram=int(cost.plan.memory / 2))
    _, minutes, _, memory, models = measured_row(twice)
    assert minutes.endswith("(2 x)") and memory.endswith("(0.5 x)") and models == "as estimated"


@pytest.mark.parametrize(
    "row",
    [
        replace(ROW, device="NVIDIA A100, 8 CPU cores"),  # no estimate for this device
        replace(ROW, what="vizer enhance"),  # nor for this work
        replace(ROW, models={"CLIP": "my-own"}),  # another model than the estimate is for
        replace(ROW, sizes={measured.CUT: "64"}),  # fewer images
    ],
)
def test_there_is_no_ratio_where_nothing_of_the_kind_was_estimated(row):
    assert " x)" not in " ".join(measured_row(row))
    if row.models:
        assert measured_row(row)[-1] == "other models: CLIP my-own"
    if measured.CUT in row.sizes:
        assert measured_row(row)[-1] == "images, at most 64"


def test_devices_are_known_by_the_names_that_torch_gives():
    names = {"Tesla T4": "T4", "NVIDIA H100 80GB HBM3": "H100 SXM",
             "NVIDIA GeForce RTX 4090": "RTX 4090"}  # fmt: skip
    for given, wanted in names.items():
        assert replace(ROW, device=f"{given}, 4 CPU cores").estimated_for == DEVICES[wanted]
    assert replace(ROW, device="NVIDIA T400, 4 CPU cores").estimated_for is None


def test_the_peak_is_that_of_this_process_and_stays(monkeypatch, tmp_path):
    before = peak_memory()
    held = torch.ones(3 * 10**7)  # 120 MB
    after = peak_memory()
    del held
    slack = 2**23  # Linux counts pages a thread late
    assert after.ram >= before.ram - slack > 50 * 2**20
    assert peak_memory().ram >= after.ram - slack
    assert (before.vram is None) == (not torch.cuda.is_available())
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t    2048 kB\n")
    monkeypatch.setattr(measured, "STATUS", status)
    assert peak_memory().ram == 2048 * 1024
    status.unlink()
    assert peak_memory().ram > 50 * 2**20  # by the system's own count
