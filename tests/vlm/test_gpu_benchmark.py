"""The script for a GPU, rehearsed on a CPU: parts run, fail and are skipped alone."""

from __future__ import annotations

import json
import time

import pytest
import torch

from benchmarks import gpu


def bench(seconds: float = 600.0) -> gpu.Bench:
    return gpu.Bench(torch.device("cpu"), tiny=True, ends=time.monotonic() + seconds)


def test_parts_are_written_as_they_come(tmp_path):
    out = tmp_path / "gpu.json"
    record = gpu.run(bench(), ["equality", "decoding", "resume"], out)
    assert json.loads(out.read_text()) == record
    parts = record["parts"]
    assert parts["equality"]["float32_plain"] == parts["equality"]["float32_fast"] == 1.0
    assert parts["decoding"]["lora, fast"] > 0
    assert parts["resume"]["largest_difference"] == 0.0


def test_a_part_that_fails_or_is_late_costs_no_other(monkeypatch, tmp_path):
    def broken(asked: gpu.Bench) -> dict:
        raise MemoryError("full")

    monkeypatch.setitem(gpu.PARTS, "memory", broken)
    monkeypatch.setitem(gpu.PARTS, "features", lambda asked: {"rate": 1.0})
    parts = gpu.run(bench(), ["memory", "features"], None)["parts"]
    assert parts["memory"]["skipped"] == "MemoryError: full" and parts["features"]["rate"] == 1.0
    late = gpu.run(bench(0.0), ["features"], tmp_path / "late.json")["parts"]
    assert late["features"]["skipped"] == "the time was over"


@pytest.mark.slow
def test_every_part_runs_on_a_cpu():
    parts = gpu.run(bench(), list(gpu.PARTS), None)["parts"]
    assert not [name for name, found in parts.items() if "skipped" in found]
    assert all(0.5 < row["ratio"] < 2 for n, row in parts["memory"].items() if n != "seconds")
