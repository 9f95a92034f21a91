"""Training learns, changes the prefix network only, goes on after a kill (pitfalls 9, 13 to 15)."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.textonly.tiny_models import CLIP_WIDTH, EOS, WIDTH, HashEncoder, tiny_language_model
from vizer_core.runtime import seeded
from vizer_core.textonly import train
from vizer_core.textonly.loss import caption_loss, release_loss
from vizer_core.textonly.noise import GaussianNoise, NoNoise
from vizer_core.textonly.pairs import TrainingPairs
from vizer_core.textonly.prefix_network import (
    MLPConfig,
    PrefixConfig,
    PrefixDecoder,
    SingleTokenMLP,
)
from vizer_core.textonly.presets import MACCAP_RELEASE, TextOnlyConfig
from vizer_core.textonly.run_state import Checkpoint
from vizer_core.textonly.schedule import WarmupCosine
from vizer_core.textonly.train import fit_text_only

CAPTIONS = (
    "a red dog runs", "the cat sits", "a big blue bird", "the tree", "a dog", "the red cat runs",
    "a blue dog sits", "the big bird runs", "a cat", "the blue tree",
)  # fmt: skip
CONFIG = TextOnlyConfig(
    tokens=2, noise=GaussianNoise(0.001), batch_size=4, epochs=2, learning_rate=3e-3,
    schedule=WarmupCosine(warmup=2),
)  # fmt: skip


def pairs(captions=CAPTIONS) -> TrainingPairs:
    return TrainingPairs(HashEncoder().encode_text(captions), captions)


def new_prefix_network(dropout: float = 0.1) -> PrefixDecoder:
    torch.manual_seed(0)
    sizes = PrefixConfig(
        CLIP_WIDTH, WIDTH, queries=3, heads=4, feedforward=32, dropout=dropout, norm_first=True
    )
    return PrefixDecoder(sizes)


def weights(module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(a[key].equal(b[key]) for key in a)


def test_it_overfits_one_batch():
    prefix_network, model = new_prefix_network(dropout=0.0), tiny_language_model()
    config = replace(CONFIG, noise=NoNoise(), epochs=120, learning_rate=1e-2)
    history = fit_text_only(prefix_network, model, pairs(CAPTIONS[:4]), config, generator=seeded(0))
    assert history.loss[0] > 3.0 and history.mean_loss(5) < 0.9
    assert len(history.loss) == 120 and history.steps_per_epoch == 1


def test_three_steps_change_the_prefix_network_and_nothing_else():
    prefix_network, model = new_prefix_network(), tiny_language_model()
    before, frozen = weights(prefix_network), model.fingerprint
    features = HashEncoder().encode_text(CAPTIONS)
    given = TrainingPairs(features.clone(), CAPTIONS)
    fit_text_only(prefix_network, model, given, replace(CONFIG, epochs=1), generator=seeded(0))
    after = prefix_network.state_dict()
    moved = {key for key in before if not before[key].equal(after[key])}
    assert {name for name, _ in prefix_network.named_parameters()} == moved
    assert model.fingerprint == frozen and given.features.equal(features)
    assert not any(p.requires_grad or p.grad is not None for p in model.model.parameters())
    assert not prefix_network.training and not model.model.training


def in_two_paces(model, *, rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """SGD of which one half stands still: its pace is 0."""
    first, *rest = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.SGD([{"params": [first]}, {"params": rest, "pace": 0.0}], lr=rate)


def test_another_optimizer_steps_and_a_group_keeps_its_pace():
    prefix_network, model = new_prefix_network(), tiny_language_model()
    before = weights(prefix_network)
    config = replace(CONFIG, optimizer=in_two_paces)
    fit_text_only(prefix_network, model, pairs(), config, generator=seeded(0))
    after = weights(prefix_network)
    assert [name for name in before if not before[name].equal(after[name])] == ["queries"]
    assert config.to_dict()["optimizer"] == "in_two_paces"
    assert "optimizer" not in CONFIG.to_dict()  # manifests from before there was a choice


def test_a_language_model_is_trained_when_asked():
    prefix_network, model = new_prefix_network(), tiny_language_model()
    frozen = model.fingerprint
    config = replace(CONFIG, epochs=1, train_language_model=True)
    fit_text_only(prefix_network, model, pairs(), config, generator=seeded(0))
    assert model.fingerprint != frozen
    assert not any(p.requires_grad for p in model.model.parameters())


def test_equal_seeds_train_equal_prefix_networks():
    found = []
    for seed in (1, 1, 2):
        prefix_network = new_prefix_network()
        torch.manual_seed(len(found))  # whatever was drawn before plays no part
        history = fit_text_only(
            prefix_network, tiny_language_model(), pairs(), CONFIG, generator=seeded(seed)
        )
        found.append((weights(prefix_network), history.loss))
    assert same(found[0][0], found[1][0]) and found[0][1] == found[1][1]
    assert found[0][1] != found[2][1]


def test_the_global_stream_is_left_alone():
    prefix_network, model = new_prefix_network(), tiny_language_model()
    before = torch.random.get_rng_state()
    fit_text_only(prefix_network, model, pairs(), CONFIG, generator=seeded(1))
    assert torch.random.get_rng_state().equal(before)


class Killed(Exception):
    """Stands in for a SIGKILL."""


def killing_after(steps: int, monkeypatch) -> None:
    left, real = iter(range(steps)), train.region_noise

    def guarded(*args, **kwargs):
        if next(left, None) is None:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(train, "region_noise", guarded)


@pytest.mark.parametrize("changes", [{}, {"standardise": True}, {"train_language_model": True}])
def test_a_killed_run_goes_on_to_the_same_weights(changes, tmp_path: Path, monkeypatch):
    config = replace(CONFIG, epochs=3, **changes)  # 9 steps: the third epoch starts at step 6
    whole, whole_model = new_prefix_network(), tiny_language_model()
    wanted = fit_text_only(whole, whole_model, pairs(), config, generator=seeded(3))
    for every, kill in ((4, 6), (3, 8)):
        run = Checkpoint(tmp_path / f"run-{every}.safetensors", every=every)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killing_after(kill, patch)
            fit_text_only(
                new_prefix_network(), tiny_language_model(), pairs(), config,
                generator=seeded(3), checkpoint=run,
            )  # fmt: skip
        prefix_network, model = new_prefix_network(), tiny_language_model()
        found = fit_text_only(
            prefix_network, model, pairs(), config, generator=seeded(3), checkpoint=run
        )
        assert same(weights(prefix_network), weights(whole)) and found.loss == wanted.loss
        assert model.fingerprint == whole_model.fingerprint
        assert found.learning_rate == wanted.learning_rate


def test_a_finished_run_is_read_back(tmp_path: Path):
    run = Checkpoint(tmp_path / "run.safetensors")
    first, again = new_prefix_network(), new_prefix_network()
    model = tiny_language_model()
    done = fit_text_only(first, model, pairs(), CONFIG, generator=seeded(0), checkpoint=run)
    read = fit_text_only(again, model, pairs(), CONFIG, generator=seeded(0), checkpoint=run)
    assert same(weights(first), weights(again)) and read.loss == done.loss


@pytest.mark.parametrize(
    ("change", "named"),
    [({"learning_rate": 1e-3}, "config"), ({"noise": NoNoise()}, "config"), ({}, "seed")],
)
def test_a_checkpoint_of_another_run_is_refused(change, named, tmp_path: Path):
    run = Checkpoint(tmp_path / "run.safetensors")
    model = tiny_language_model()
    fit_text_only(new_prefix_network(), model, pairs(), CONFIG, generator=seeded(0), checkpoint=run)
    with pytest.raises(ValueError, match=f"belongs to another run: it differs in {named}"):
        fit_text_only(
            new_prefix_network(), model, pairs(), replace(CONFIG, **change),
            generator=seeded(0 if change else 1), checkpoint=run,
        )  # fmt: skip


def test_a_checkpoint_before_another_language_model_is_refused(tmp_path: Path):
    run = Checkpoint(tmp_path / "run.safetensors")
    for seed in (0, 1):
        model = tiny_language_model(seed=seed)
        refused = pytest.raises(ValueError, match="differs in language_model") if seed else None
        with refused or nullcontext():
            fit_text_only(
                new_prefix_network(), model, pairs(), CONFIG, generator=seeded(0), checkpoint=run
            )


def test_dropout_is_back_on_after_somebody_evaluates():
    prefix_network, seen = new_prefix_network(), []

    def watching(logits, tokens):
        seen.append(prefix_network.training)
        if len(seen) == 3:  # the last step of epoch 1
            prefix_network.eval()
        return caption_loss(logits, tokens)

    model = tiny_language_model()
    fit_text_only(
        prefix_network, model, pairs(), replace(CONFIG, loss=watching), generator=seeded(0)
    )
    assert seen == [True] * 6 and not model.model.training


def test_the_language_model_stays_in_evaluation_mode():
    model, modes = tiny_language_model(), []
    real = model.logits
    model.logits = lambda *args: (modes.append(model.model.training), real(*args))[1]
    fit_text_only(new_prefix_network(), model, pairs(), CONFIG, generator=seeded(0))
    assert modes == [False] * 6


def test_captions_are_tokenised_once_and_keep_their_end():
    model, calls = tiny_language_model(), []
    real = model.tokenize
    model.tokenize = lambda *args, **kwargs: (calls.append(kwargs), real(*args, **kwargs))[1]
    ends = []

    def watching(logits, tokens):
        ends.append((tokens.ids == EOS).sum(1))
        return caption_loss(logits, tokens)

    config = replace(CONFIG, max_tokens=4, loss=watching)
    fit_text_only(new_prefix_network(), model, pairs(), config, generator=seeded(0))
    assert calls == [{"max_tokens": 4}]
    assert torch.cat(ends).eq(1).all() and torch.cat(ends).numel() == 20


def test_the_release_pads_to_a_fixed_length():
    widths = []

    def release(logits, tokens):
        widths.append(tokens.ids.shape[1])
        return release_loss(logits, tokens)

    config = replace(MACCAP_RELEASE, loss=release, batch_size=4, epochs=1)
    fit_text_only(new_prefix_network(), tiny_language_model(), pairs(), config, generator=seeded(0))
    assert widths == [25] * 3


def test_half_precision_learns_too():
    model, prefix_network = (
        tiny_language_model(dtype=torch.float16),
        new_prefix_network(dropout=0.0),
    )
    config = replace(CONFIG, noise=NoNoise(), epochs=60, learning_rate=1e-2, batch_size=10)
    history = fit_text_only(prefix_network, model, pairs(), config, generator=seeded(0))
    assert all(p.dtype == torch.float32 for p in prefix_network.parameters())
    assert history.mean_loss(5) < history.loss[0] - 1.0


def test_a_half_precision_model_is_not_trained():
    model = tiny_language_model(dtype=torch.float16)
    with pytest.raises(ValueError, match=r"is in torch\.float16 and is to be trained"):
        fit_text_only(
            new_prefix_network(), model, pairs(), replace(CONFIG, train_language_model=True),
                      generator=seeded(0))  # fmt: skip


def test_the_single_token_prefix_network_trains_on_single_tokens():
    torch.manual_seed(0)
    prefix_network = SingleTokenMLP(MLPConfig(CLIP_WIDTH, WIDTH))
    history = fit_text_only(
        prefix_network, tiny_language_model(), pairs(),
        replace(CONFIG, tokens=1, noise=NoNoise(), epochs=60, learning_rate=1e-2),
        generator=seeded(0),
    )  # fmt: skip
    assert history.mean_loss(3) < history.loss[0] - 0.5


def test_statistics_are_those_of_the_noised_tokens():
    prefix_network = new_prefix_network()
    config = replace(CONFIG, standardise=True, noise=GaussianNoise(0.1), epochs=1)
    fit_text_only(
        prefix_network, tiny_language_model(), pairs(CAPTIONS * 40), config, generator=seeded(0)
    )
    clean = pairs().features.mean(0)
    shrunk = (prefix_network.input_scale.mean @ clean) / (clean @ clean)
    assert shrunk == pytest.approx(config.noise.expected_cosine(CLIP_WIDTH), abs=0.06)


def test_a_loss_that_is_not_a_number_is_named():
    with pytest.raises(
        ValueError, match="the loss is nan at step 0 of 3: the prefix network is spoilt"
    ):
        fit_text_only(
            new_prefix_network(), tiny_language_model(), pairs(),
            replace(CONFIG, epochs=1, loss=lambda logits, tokens: logits.sum() * float("nan")),
            generator=seeded(0),
        )  # fmt: skip


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="wanted tokens, batch_size and epochs of at least 1"):
        replace(CONFIG, tokens=0)
    with pytest.raises(ValueError, match=r"learning_rate is 0\.0: wanted more than 0"):
        replace(CONFIG, learning_rate=0.0)
    with pytest.raises(ValueError, match="set pad_to_longest=False"):
        replace(CONFIG, loss=release_loss)
    with pytest.raises(ValueError, match="a checkpoint every 0 steps"):
        Checkpoint(Path("run"), every=0)
