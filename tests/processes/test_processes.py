"""Two gloo processes on the CPU do what one does with the same batches, to within rounding."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from tests.processes.jobs import rl_job, run_jobs, text_job, zero_job
from tests.processes.launched import TOLERANCE, torchrun
from vizer_core.distributed import (
    even_micro_batches,
    gather_items,
    micro_batches,
    my_share,
    process_rank,
    share,
)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return run_jobs(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    out = tmp_path_factory.mktemp("two")
    done = torchrun(out)
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
        assert [index for part in parts for index in part] == list(range(count))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [index for part in micro_batches(range(3, 9), 4) for index in part] == list(range(3, 9))
    with pytest.raises(ValueError, match="got process 2 of 2"):
        share(5, 2, 2)


def test_every_process_has_as_many_micro_batches(monkeypatch):
    for world, count, size in ((2, 5, 1), (3, 2, None), (2, 3, 2), (4, 9, 2)):
        monkeypatch.setattr("vizer_core.distributed.process_rank", lambda n=world: (0, n))
        parts = [
            even_micro_batches(share(count, rank, world), size, count) for rank in range(world)
        ]
        assert len({len(part) for part in parts}) == 1
        own = [
            index for part in parts for micro_batch, mine in part if mine for index in micro_batch
        ]
        assert own == list(range(count))
        assert all(
            len(micro_batch) == 1 for part in parts for micro_batch, mine in part if not mine
        )
