"""Start the jobs of `jobs.py` in two processes on the CPU, as a user's launcher would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}  # float32 sums in another order; seen: 1.4e-6


def environment() -> dict[str, str]:
    """Return the variables that the jobs need, one thread each."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "vlm")))
    return os.environ | {
        "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip


def torchrun(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Start two processes as `torchrun --standalone --nproc_per_node 2` does."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    worker = str(Path(__file__).parent / "jobs.py")
    return subprocess.run(
        [*launch, "--nproc_per_node", "2", worker, str(out), *words],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
