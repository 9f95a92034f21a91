"""The benchmark runs on the drawn VLM: faster than the naive step, and equal to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "vizer.py"


@pytest.mark.slow
def test_quick_benchmark_prints_its_figures_last():
    command = [sys.executable, str(SCRIPT), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["step_speedup"] >= 2
    assert figures["loss_difference"] <= 1e-5 and figures["gradient_difference"] <= 1e-3
    assert figures["mapper_seconds"] > 0
