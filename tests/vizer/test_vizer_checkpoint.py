"""Mappers on disk belong to one model; a run's file is whole, or it is the one before."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_vlm import tiny_smol

from vizer_core import run_state
from vizer_core.files import load_manifest
from vizer_core.run_state import Run, load_run, save_run
from vizer_core.runtime import seeded
from vizer_core.vizer.checkpoint import load_mapper, save_mapper
from vizer_core.vizer.mapper import MapperConfig, random_mapper
from vizer_core.vizer.targets import Whitening, whiten
from vizer_core.vizer.text_states import ground_truth_states
from vizer_core.vizer.train_mapper import FitConfig, fit_mapper

WORDS = ["a", "the", "dog", "cat", "red", "blue", "ball", "boat"]
TEXTS = [f"{a} {b} {c}" for a in WORDS[:2] for b in WORDS for c in WORDS]
SHAPE = MapperConfig(32, 24, 16, layer_norm=True, pool="last_read")


@pytest.fixture(scope="module")
def vlm():
    return tiny_smol()


@pytest.fixture(scope="module")
def fitted(vlm):
    features = torch.randn(len(TEXTS), 24, generator=seeded(0))
    config = FitConfig(batch=16, held_out=20)
    states = ground_truth_states(vlm, TEXTS)
    return fit_mapper(states, features, shape=SHAPE, config=config, generator=seeded(1))


def test_a_mapper_comes_back_exactly_with_its_history(tmp_path, vlm, fitted):
    path = tmp_path / "mapper.safetensors"
    save_mapper(path, fitted, vlm, metadata={"captions": "own, sampled"})
    loaded = load_mapper(path, vlm)
    states = torch.randn(3, 5, 32, generator=seeded(2))
    mask = torch.ones(3, 4, dtype=torch.bool)
    assert torch.equal(loaded.mapper.read(states, mask), fitted.mapper.read(states, mask))
    assert torch.equal(loaded.space.mean, fitted.space.mean)
    assert loaded.history == fitted.history and loaded.mapper.config == SHAPE
    assert not any(p.requires_grad for p in loaded.mapper.parameters())
    metadata = load_manifest(path)["made_by"]
    assert metadata["seed"] == 1 and len(metadata["data"]) == 16
    assert metadata["captions"] == "own, sampled" and metadata["config"]["loss"] == "cosine_loss"


def test_a_whitened_space_comes_back_too(tmp_path, vlm):
    space = whiten(torch.randn(50, 24, generator=seeded(0)))
    save_mapper(tmp_path / "m.safetensors", random_mapper(SHAPE, space, generator=seeded(1)), vlm)
    loaded = load_mapper(tmp_path / "m.safetensors", vlm)
    assert isinstance(loaded.space, Whitening) and torch.equal(loaded.space.matrix, space.matrix)


def test_another_model_is_refused(tmp_path, vlm, fitted):
    save_mapper(tmp_path / "m.safetensors", fitted, vlm)
    with pytest.raises(ValueError, match=r"reads states of 'tiny-Idefics3'.*fit a mapper for it"):
        load_mapper(tmp_path / "m.safetensors", tiny_smol(seed=1))


def parameters_of(seed: int):
    weight = torch.nn.Parameter(torch.randn(3, 2, generator=seeded(seed)))
    bias = torch.nn.Parameter(torch.randn(2, generator=seeded(seed + 1)))
    return {"weight": weight, "bias": bias}


def stepped(parameters, optimizer, generator, steps: int):
    for _ in range(steps):
        drawn = torch.randn(4, 3, generator=generator)
        loss = (drawn @ parameters["weight"] + parameters["bias"]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_a_run_goes_on_as_if_it_had_never_stopped(tmp_path):
    whole, generator = parameters_of(0), seeded(5)
    optimizer = torch.optim.AdamW(whole.values(), lr=0.1)
    stepped(whole, optimizer, generator, 3)
    save_run(
        tmp_path / "run.safetensors",
        Run.capture(whole, optimizer, {"made_by": {"x": 1}, "step": 3}, generator=generator),
    )
    stepped(whole, optimizer, generator, 4)
    other, fresh = parameters_of(7), seeded(99)
    again = torch.optim.AdamW(other.values(), lr=0.1)
    run = load_run(tmp_path / "run.safetensors", {"x": 1})
    assert run.record["step"] == 3
    run.restore(other, again, generator=fresh)
    stepped(other, again, fresh, 4)
    assert all(torch.equal(other[name], whole[name]) for name in whole)


def test_a_kill_while_writing_leaves_the_state_before(tmp_path, monkeypatch):
    parameters = parameters_of(0)
    optimizer = torch.optim.AdamW(parameters.values())
    stepped(parameters, optimizer, seeded(0), 1)
    path = tmp_path / "run.safetensors"
    save_run(path, Run.capture(parameters, optimizer, {"made_by": {}, "step": 1}))

    def dies(tensors, name, metadata):
        save_file(tensors, name, metadata)
        raise KeyboardInterrupt

    monkeypatch.setattr(run_state, "save_file", dies)
    with pytest.raises(KeyboardInterrupt):
        save_run(path, Run.capture(parameters, optimizer, {"made_by": {}, "step": 2}))
    assert load_run(path, {}).record["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]


def test_no_file_is_no_run_and_a_strange_file_is_refused(tmp_path):
    assert load_run(tmp_path / "none.safetensors", {}) is None
    save_file({"x": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="is no checkpoint of a run: it has no record"):
        load_run(tmp_path / "other.safetensors", {})
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(ValueError, match="is not a readable checkpoint"):
        load_run(tmp_path / "torn.safetensors", {})
    record = json.dumps({"made_by": {"seed": 1, "data": "a"}})
    save_file({"x": torch.ones(1)}, tmp_path / "run.safetensors", metadata={"record": record})
    with pytest.raises(ValueError, match="belongs to another run: seed differ"):
        load_run(tmp_path / "run.safetensors", {"seed": 2, "data": "a"})


def test_parameters_of_another_model_are_refused():
    parameters = parameters_of(0)
    optimizer = torch.optim.AdamW(parameters.values())
    stepped(parameters, optimizer, seeded(0), 1)
    run = Run.capture(parameters, optimizer, {"made_by": {}})
    with pytest.raises(ValueError, match="not this model's: 1 differ, such as bias"):
        run.restore({"weight": parameters["weight"]}, optimizer)
