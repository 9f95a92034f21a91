"""Two gloo processes on the CPU do what one does with the same batches, to within rounding."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.processes.jobs import rl_job, run_jobs, text_job, zero_job
from vizer_core.processes import gather_items, my_share, pieces, process_rank, share

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}  # float32 sums in another order; seen: 1.4e-6


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return run_jobs(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Start two processes as `torchrun --standalone --nproc_per_node 2` does."""
    out = tmp_path_factory.mktemp("two")
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "vlm")))
    environment = os.environ | {
        "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    worker = str(Path(__file__).parent / "jobs.py")
    done = subprocess.run(
        [*launch, "--nproc_per_node", "2", worker, str(out)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [load_file(out / f"rank{rank}.safetensors") for rank in (0, 1)]


def test_both_processes_end_with_the_same_bits(two):
    assert two[0].keys() == two[1].keys()
    assert [name for name in two[0] if not two[0][name].equal(two[1][name])] == []


@pytest.mark.parametrize(
    "name",
    ["text", "text_loss", "zero", "zero_seen", "rl", "rl_seen", "retrieval", "retrieval_seen",
     "mapper", "states"],
)  # fmt: skip
def test_two_processes_train_what_one_trains(name, one, two):
    torch.testing.assert_close(two[0][name], one[name], **TOLERANCE)


@pytest.mark.parametrize("name", ["captions", "mapper_captions"])
def test_captions_do_not_depend_on_who_writes_them(name, one, two):
    assert two[0][name].equal(one[name])


@pytest.mark.parametrize(
    ("job", "at_once"), [(text_job, 2), (zero_job, 1), (zero_job, 2), (rl_job, 2)]
)
def test_gradient_accumulation_is_the_same_step(job, at_once, one):
    for name, found in job(at_once).items():
        torch.testing.assert_close(found, one[name], **TOLERANCE)


def test_alone_a_process_has_everything():
    assert process_rank() == (0, 1) and my_share(5) == range(5)
    assert gather_items(["a"]) == ["a"]


def test_shares_cover_every_item_once():
    for count in (0, 1, 5, 8):
        parts = [share(count, rank, 3) for rank in range(3)]
        assert [place for part in parts for place in part] == list(range(count))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [place for part in pieces(range(3, 9), 4) for place in part] == list(range(3, 9))
    with pytest.raises(ValueError, match="got process 2 of 2"):
        share(5, 2, 2)
