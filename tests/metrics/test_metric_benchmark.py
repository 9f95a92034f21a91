"""The benchmark runs, and on a small set our metrics are faster and equal."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "metrics.py"


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("pycocoevalcap") is None or shutil.which("java") is None,
    reason="needs pycocoevalcap, and a java on the PATH for its wrapper",
)
def test_quick_benchmark_prints_its_figures_last():
    command = [sys.executable, str(SCRIPT), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["pipeline_speedup"] >= 10
    assert figures["cider_speedup"] >= 5
    assert figures["max_abs_diff"] <= 1e-9
    assert figures["same_tokens_share"] >= 0.999
