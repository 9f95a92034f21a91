"""The benchmark on a small model: it runs, and the gradients agree."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_oneDNNs_gradient_agrees_with_torchs():
    done = subprocess.run(
        [sys.executable, "benchmarks/frozen_lm.py", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    assert 0 < figures["onednn_float32_gradient_error"] < 1e-4
    assert figures["onednn_float32_gradient_cosine"] > 0.9999
    assert figures["torch_bfloat16_gradient_error"] > figures["onednn_float32_gradient_error"]
