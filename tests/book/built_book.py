"""Build a checkout's book the way a person does, and say why if it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build_book(root: Path, output: Path) -> Path:
    """Build the book of a checkout with its own tools; return the folder of the HTML."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.book", "--output", str(output)],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"the book did not build:\n{done.stdout}\n{done.stderr}"
    return output / "_build" / "html"
