"""Two processes that keep half of a frozen model each train and write what one process does."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.processes.jobs import beam_job, run_jobs, unequal_job
from tests.processes.launched import ROOT, TOLERANCE, torchrun
from tests.textonly.tiny_models import tiny_language_model
from vizer_core import sharding
from vizer_core.sharding import HeldBytes, blocks_of, held_bytes, shard_blocks, sharding_asked

FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    found = run_jobs(tmp_path_factory.mktemp("one")) | beam_job() | unequal_job()
    same = {"zero_recomputed": "zero"} | {f"{x}_piecewise": x for x in ("text", "zero", "rl")}
    return found | {name: found[as_in] for name, as_in in same.items()}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    out = tmp_path_factory.mktemp("sharded")
    done = torchrun(out, "sharded")
    assert done.returncode == 0, done.stderr[-3000:]
    return [load_file(out / f"rank{rank}.safetensors") for rank in (0, 1)]


def test_both_processes_end_with_the_same_bits(two):
    assert two[0].keys() == two[1].keys()
    assert [name for name in two[0] if not two[0][name].equal(two[1][name])] == []


@pytest.mark.parametrize(
    "name",
    ["text", "text_loss", "text_piecewise", "zero", "zero_seen", "zero_piecewise",
     "zero_recomputed", "rl", "rl_seen", "rl_piecewise", "retrieval", "mapper", "states",
     "unequal"],
)  # fmt: skip
def test_a_cut_model_trains_what_a_whole_one_does(name, one, two):
    torch.testing.assert_close(two[0][name], one[name], **TOLERANCE)


@pytest.mark.parametrize("name", ["captions", "mapper_captions", "beams"])
def test_a_cut_model_writes_what_a_whole_one_does(name, one, two):
    assert two[0][name].equal(one[name])


def test_each_process_keeps_half_of_the_blocks(two):
    whole = tiny_language_model().model
    blocks = sum(weight.nbytes for weight in blocks_of(whole)[1].parameters())
    here, there = two[0]["held"][0].tolist()
    assert there == held_bytes(whole).whole == held_bytes(whole).here
    assert here == there - blocks // 2


def test_unequal_passes_with_gradient_end_in_an_error(tmp_path):
    done = torchrun(tmp_path, "sharded", "unequal")
    assert done.returncode != 0
    assert "1 of 2 processes pass a sharded model with gradient and 1 do not" in done.stderr


def test_only_several_processes_share_and_only_frozen_weights(monkeypatch):
    model = tiny_language_model()
    with pytest.raises(ValueError, match="one process has nobody to share with"):
        model.shard(torch.device("cpu"))
    with pytest.raises(ValueError, match="2 weights are trained, weight first"):
        shard_blocks(nn.Linear(2, 2), torch.device("cpu"))
    with pytest.raises(ValueError, match="Linear has no list of blocks"):
        blocks_of(nn.Linear(2, 2))


def test_a_sharded_model_keeps_its_fingerprint_and_stays_frozen(monkeypatch):
    model = tiny_language_model()
    before = model.fingerprint
    kept = HeldBytes(here=1, whole=2)
    monkeypatch.setattr("vizer_core.language.causal_lm.shard_blocks", lambda cut, device: kept)
    model.shard(torch.device("cpu"))
    next(model.model.parameters()).data.zero_()  # as if most of it lay elsewhere
    assert model.fingerprint == before
    with pytest.raises(ValueError, match="is sharded, and stays frozen"):
        model.unfreeze()


def test_sharding_is_asked_for_by_accelerate_launch(monkeypatch):
    assert not sharding_asked()
    for name, value in FSDP.items():
        monkeypatch.setenv(name, value)
    assert not sharding_asked()  # alone there is nobody to share with
    monkeypatch.setattr(sharding, "process_rank", lambda: (0, 2))
    assert sharding_asked()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FSDP_VERSION", "1", "fsdp_version is 1: wanted 2"),
        ("FSDP_RESHARD_AFTER_FORWARD", "false", "fsdp_reshard_after_forward: false"),
        ("FSDP_OFFLOAD_PARAMS", "true", "fsdp_offload_params: true has not been tried"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "use --recompute"),
        ("ACCELERATE_MIXED_PRECISION", "bf16", "mixed_precision: use --dtype"),
        ("FSDP_AUTO_WRAP_POLICY", "NO_WRAP", "only TRANSFORMER_BASED_WRAP"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(name, value, message, monkeypatch):
    for key, given in (FSDP | {name: value}).items():
        monkeypatch.setenv(key, given)
    with pytest.raises(ValueError, match=message):
        sharding_asked()


def test_the_configuration_that_is_shipped_asks_for_what_is_done():
    import yaml

    given = yaml.safe_load((ROOT / "configs" / "accelerate" / "fsdp.yaml").read_text())
    assert given["distributed_type"] == "FSDP"
    settings = given["fsdp_config"]
    assert settings["fsdp_version"] == 2 and settings["fsdp_reshard_after_forward"] is True
