"""Phase 1: the mapper finds a planted relation, a shuffled one it does not, and runs repeat."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.vizer.losses import info_nce
from vizer_core.vizer.mapper import MapperConfig
from vizer_core.vizer.targets import Whitening, shuffled_targets, uncentred, whiten
from vizer_core.vizer.text_states import TokenStates
from vizer_core.vizer.train_mapper import FitConfig, data_hash, fit_mapper

SHAPE = MapperConfig(12, 8, 32)
CONFIG = FitConfig(epochs=12, batch=32, held_out=100, learning_rate=5e-3)


def planted(n: int = 900, common: float = 3.0):
    """Image features are a turned copy of the states, plus a part that all images share."""
    states = torch.randn(n, 12, generator=seeded(0))
    turn = torch.linalg.qr(torch.randn(12, 12, generator=seeded(1))).Q[:, :8]
    return states, states @ turn + common


STATES, FEATURES = planted()


def test_a_planted_relation_is_found_on_pairs_never_trained_on():
    fitted = fit_mapper(STATES, FEATURES, shape=SHAPE, config=CONFIG, generator=seeded(2))
    last = fitted.history.held_out[-1]
    assert last.n == 100 and last.cosine > 0.95 and last.retrieval_r1 > 0.9
    assert last.constant_cosine < 0.2 and last.effective_rank > 6
    assert not any(p.requires_grad for p in fitted.mapper.parameters())
    assert len(fitted.history.loss) == 12 * math.ceil(800 / 32)
    assert fitted.history.steps[-1] == len(fitted.history.loss)


def test_without_centring_a_constant_scores_as_well():
    config = replace(CONFIG, space=uncentred, epochs=1)
    fitted = fit_mapper(STATES, FEATURES, shape=SHAPE, config=config, generator=seeded(2))
    # F = m + e: a constant scores about sqrt(|m|^2 / (|m|^2 + E|e|^2)), here 9 against 9 + 1
    assert fitted.history.held_out[-1].constant_cosine == pytest.approx(math.sqrt(0.9), abs=0.02)


def test_shuffled_images_leave_nothing_to_find():
    features = shuffled_targets(FEATURES, generator=seeded(3))
    fitted = fit_mapper(STATES, features, shape=SHAPE, config=CONFIG, generator=seeded(2))
    last = fitted.history.held_out[-1]
    assert abs(last.cosine) < 0.15 and last.retrieval_r1 < 0.1


def test_held_out_pairs_touch_neither_weights_nor_the_mean():
    spoilt = FEATURES.clone()
    spoilt[800:] = 100.0 * torch.randn(100, 8, generator=seeded(9))
    one = fit_mapper(STATES, FEATURES, shape=SHAPE, config=CONFIG, generator=seeded(2))
    two = fit_mapper(STATES, spoilt, shape=SHAPE, config=CONFIG, generator=seeded(2))
    assert one.history.loss == two.history.loss
    assert torch.equal(one.space.mean, two.space.mean)
    assert one.history.held_out[-1].cosine > two.history.held_out[-1].cosine + 0.5


@pytest.mark.parametrize("options", [{"loss": info_nce}, {"space": whiten}])
def test_other_losses_and_spaces_find_it_too(options):
    config = replace(CONFIG, **options)
    fitted = fit_mapper(STATES, FEATURES, shape=SHAPE, config=config, generator=seeded(2))
    assert fitted.history.held_out[-1].retrieval_r1 > 0.9
    assert isinstance(fitted.space, Whitening) is ("space" in options)
    assert fitted.metadata["config"]["loss"] == config.loss.__name__


def test_a_mapper_of_tokens_finds_it_through_the_mean():
    spread = torch.randn(900, 4, 12, generator=seeded(4)) * 0.3
    tokens = STATES[:, None] + spread - spread.mean(dim=1, keepdim=True)
    whole = torch.cat([torch.full((900, 1, 12), 7.0), tokens], dim=1)  # state 0 has read nothing
    states = TokenStates(whole, torch.ones(900, 4, dtype=torch.bool))
    shape = replace(SHAPE, per_token=True)
    fitted = fit_mapper(states, FEATURES, shape=shape, config=CONFIG, generator=seeded(2))
    assert fitted.history.held_out[-1].cosine > 0.9


def test_a_run_repeats_and_another_seed_does_not():
    runs = [
        fit_mapper(STATES, FEATURES, shape=SHAPE, config=CONFIG, generator=seeded(seed))
        for seed in (2, 2, 5)
    ]
    assert runs[0].history.loss == runs[1].history.loss != runs[2].history.loss


@pytest.mark.parametrize("looks_done", [1, 4, 10])
def test_a_killed_run_goes_on_to_the_same_end(looks_done, tmp_path, monkeypatch):
    from sys import modules

    module = modules["vizer_core.vizer.train_mapper"]
    arguments = {"shape": SHAPE, "config": CONFIG}
    whole = fit_mapper(STATES, FEATURES, generator=seeded(2), **arguments)
    arguments["checkpoint"] = tmp_path / "mapper.run.safetensors"
    saved, real = [], module.save_run

    def dies(path, run):
        real(path, run)
        saved.append(1)
        if len(saved) == looks_done:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_run", dies)
        with pytest.raises(KeyboardInterrupt):
            fit_mapper(STATES, FEATURES, generator=seeded(2), **arguments)
    resumed = fit_mapper(STATES, FEATURES, generator=seeded(2), **arguments)
    assert resumed.history == whole.history
    for name, value in whole.mapper.state_dict().items():
        assert torch.equal(resumed.mapper.state_dict()[name], value)
    with pytest.raises(ValueError, match="belongs to another run: seed differ"):
        fit_mapper(STATES, FEATURES, generator=seeded(3), **arguments)
    with pytest.raises(ValueError, match="belongs to another run: data differ"):
        fit_mapper(STATES, FEATURES + 1, generator=seeded(2), **arguments)


def test_the_data_hash_sees_values_shapes_and_order():
    base = data_hash(STATES, FEATURES)
    assert base == data_hash(STATES.clone(), FEATURES.clone()) and len(base) == 16
    assert base != data_hash(STATES.flip(0), FEATURES)
    assert base != data_hash(STATES, FEATURES * (1 + 1e-6))


@pytest.mark.parametrize(
    ("states", "shape", "message"),
    [
        (STATES[:5], SHAPE, "got 5 states and 900 image features"),
        (STATES[:, :6], SHAPE, "states are 6 wide and features 8, the mapper's shape is 12 to 8"),
        (STATES, replace(SHAPE, per_token=True), "per_token=True got Tensor"),
    ],
)
def test_errors_say_what_is_wrong(states, shape, message):
    features = FEATURES
    with pytest.raises(ValueError, match=message):
        fit_mapper(states, features, shape=shape, config=CONFIG, generator=seeded(0))


def test_settings_are_checked():
    with pytest.raises(ValueError, match="held_out >= 2"):
        FitConfig(held_out=0)
    with pytest.raises(ValueError, match="at least 902 so that 900"):
        config = FitConfig(held_out=900)
        fit_mapper(STATES, FEATURES, shape=SHAPE, config=config, generator=seeded(0))
