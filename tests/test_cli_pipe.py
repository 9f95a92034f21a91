"""`vizer ... | head`: a reader that goes away is no error of ours, and no result is lost by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest


def read_nothing(*words):
    """Run a command whose stdout nobody reads; return its status and what it said on stderr."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "vizer_core", *map(str, words)]
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=240)
    finally:
        os.close(write)
    return done.returncode, done.stderr


@pytest.fixture
def commands(tmp_path):
    pairs = np.random.default_rng(0).normal(size=(2, 8, 4)).astype(np.float32)
    np.save(tmp_path / "pairs.npy", pairs / np.linalg.norm(pairs, axis=-1, keepdims=True))
    said = [{"image_id": 1, "caption": "a dog"}]
    (tmp_path / "said.json").write_text(json.dumps(said))
    (tmp_path / "wanted.json").write_text(json.dumps({"annotations": said}))
    return {
        "gap": ["gap", "--features", tmp_path / "pairs.npy", "--resamples", 40],
        "evaluate": ["evaluate", "--captions", tmp_path / "said.json", "--references",
                     tmp_path / "wanted.json", "--metrics", "bleu"],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["gap", "evaluate"])
def test_a_closed_pipe_ends_a_command_quietly_after_its_file(name, commands, tmp_path):
    out = tmp_path / "out.json"
    status, said = read_nothing(*commands[name], "--json", out)
    assert (status, said) == (1, "")
    assert json.loads(out.read_text()), "the file is written before the lines"


def test_help_into_a_closed_pipe_is_quiet():
    assert read_nothing("caption", "--help")[1] == ""
