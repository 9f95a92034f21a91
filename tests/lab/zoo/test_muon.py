"""Muon and AdamW as one optimizer: who trains what, and that a saved state goes on exactly."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from vizer_lab.zoo.clip_recipe import Stage
from vizer_lab.zoo.muon import REST_PACE, MuonAndAdamW, is_inner_matrix, muon_and_adamw
from vizer_lab.zoo.step_checkpoint import StepCheckpoint
from vizer_lab.zoo.vlm_model import DrawnVlmConfig, build_drawn_vlm
from vizer_lab.zoo.vlm_recipe import HEADS_FASTER, VlmStage

STAGE = VlmStage("tower", steps=40, batch=4, learning_rate=5e-3, method="muon")
INPUTS = torch.linspace(-1, 1, 48).view(6, 8)


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))


def run(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> float:
    for step in steps:
        STAGE.set_rate(optimizer, step)
        loss = (model(INPUTS) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def test_matrices_inside_are_muons_and_all_else_is_adamws() -> None:
    model = build_drawn_vlm(
        DrawnVlmConfig(vision_width=32, vision_layers=1, vision_ffn=64, width=32, layers=1, ffn=64)
    )
    names = {name for name, p in model.named_parameters() if is_inner_matrix(name, p)}
    assert "model.text_model.layers.0.self_attn.q_proj.weight" in names
    assert "model.connector.modality_projection.proj.weight" in names
    assert not any("embed" in name or "lm_head" in name or "norm" in name for name in names)
    heads = nn.Linear(2, 2)
    optimizer = STAGE.optimizer(model, heads=heads)
    assert isinstance(optimizer, MuonAndAdamW)
    paces = [group["pace"] for group in optimizer.param_groups]
    assert paces == pytest.approx([1.0, REST_PACE, REST_PACE * HEADS_FASTER])
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held}) == len(list(model.parameters())) + 2


def test_a_warm_up_reaches_the_groups_of_both() -> None:
    optimizer = STAGE.optimizer(small())
    STAGE.set_rate(optimizer, 0)
    assert [group["lr"] for part in optimizer.parts for group in part.param_groups] == (
        pytest.approx([5e-3 / 10, 5e-3 * REST_PACE / 10])
    )


def test_a_muon_step_does_not_shrink_with_the_gradient() -> None:
    """The direction is orthogonal: a gradient a thousand times smaller makes the same step."""
    moved = []
    for scale in (1.0, 1e-3):
        model = nn.Linear(6, 6)
        nn.init.zeros_(model.weight)
        optimizer = muon_and_adamw(model, rate=1e-2, weight_decay=0.0)
        model.weight.grad = scale * torch.eye(6) + scale * torch.ones(6, 6)
        optimizer.step()
        moved.append(model.weight.detach().clone())
    assert torch.allclose(*moved, rtol=0.02, atol=1e-5) and moved[0].abs().max() > 1e-3


def test_a_saved_run_goes_on_to_the_same_end(tmp_path) -> None:
    model, place = small(), StepCheckpoint(tmp_path / "x.safetensors", {"seed": 0}, every=5)
    optimizer = STAGE.optimizer(model)
    run(model, optimizer, range(5))
    place.save({"model": model}, optimizer, [0.0] * 5)
    whole = run(model, optimizer, range(5, 12))
    again = small()
    other = STAGE.optimizer(again)
    assert len(place.restore({"model": again}, other)) == 5
    assert run(again, other, range(5, 12)) == whole
    lost = small()
    lost.load_state_dict(deepcopy(again.state_dict()))
    assert run(lost, STAGE.optimizer(lost), range(5, 12)) != whole


def test_an_optimizer_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no optimizer 'adam': wanted one of"):
        VlmStage("tower", 10, 4, 1e-3, method="adam")
    with pytest.raises(ValueError, match="no optimizer 'adam'"):
        Stage("one object", 10, 4, 1e-3, method="adam")
    with pytest.raises(ValueError, match="wanted 'captions' or 'general'"):
        VlmStage("web", 10, 4, 1e-3, text="stories")
