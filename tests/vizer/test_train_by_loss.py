"""Phase 2: only LoRA moves, the same run repeats and survives a kill, one batch is learned."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from sys import modules

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from tests.cli.kills import Killed
from vizer_core.decoding import Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.vizer.adapter_run import VIZER_PAPER, VIZER_SMALL, TrainConfig
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vizer.mapper import MapperConfig, random_mapper
from vizer_core.vizer.objectives import ImageContext, StraightThrough
from vizer_core.vizer.rollout import Rollout
from vizer_core.vizer.targets import centre, shuffled
from vizer_core.vizer.text_states import ImageSource
from vizer_core.vizer.train import as_objective, train_adapter

IMAGES = noise_images(11)
CONFIG = TrainConfig(
    learning_rate=1e-2, images_per_step=4, warmup_steps=1, decoding=Sample(max_tokens=4)
)


def model(seed: int = 0):
    vlm = tiny_smol()
    add_lora(vlm, LoraSettings(2, 4), generator=seeded(seed))
    return vlm


@pytest.fixture(scope="module")
def vision():
    return tiny_smol().encode_image(IMAGES)


@pytest.fixture(scope="module")
def fitted(vision):
    config = MapperConfig(32, 24, 16)
    return random_mapper(config, centre(vision.image_features), generator=seeded(5))


def weights(vlm):
    return {name: p.detach().clone() for name, p in vlm.model.named_parameters()}


def run(vlm, source, config, objective, **options):
    return train_adapter(vlm, source, objective, config, generator=seeded(7), **options)


@pytest.mark.parametrize("reading", [ImageContext, StraightThrough])
def test_only_the_adapter_moves_and_the_base_is_still_there(reading, vision, fitted):
    vlm = model()
    captions = vlm.tokenize(["a dog", "the red boat"])
    with torch.no_grad():
        base = vlm.caption_states(vision.select([0, 1]), captions)
    before, mapper_before = weights(vlm), weights_of_module(fitted.mapper)
    history = run(vlm, vision, CONFIG, reading(fitted))
    after, moved = weights(vlm), set(lora_parameters(vlm))
    assert len(history.loss) == 3  # 11 images in steps of 4
    for name, value in after.items():
        assert torch.equal(value, before[name]) is (name not in moved), name
    assert all(
        torch.equal(v, mapper_before[n]) for n, v in weights_of_module(fitted.mapper).items()
    )
    again = vlm.encode_image(IMAGES)
    assert torch.equal(again.image_features, vision.image_features)
    for one, two in zip(again.image_embeddings, vision.image_embeddings, strict=True):
        assert torch.equal(one, two)
    with torch.no_grad(), vlm.adapter_off():
        assert torch.equal(vlm.caption_states(vision.select([0, 1]), captions), base)


def weights_of_module(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_a_run_repeats_and_another_seed_does_not(vision, fitted):
    first = run(model(), vision, CONFIG, ImageContext(fitted))
    again = run(model(), vision, CONFIG, ImageContext(fitted))
    other = train_adapter(model(), vision, ImageContext(fitted), CONFIG, generator=seeded(8))
    assert first == again and first.loss != other.loss


def test_dropout_is_off_whatever_mode_the_model_came_in(vision, fitted):
    """The caption that is read again must meet the model that wrote it."""
    runs = []
    for training in (False, True):
        vlm = tiny_smol()
        add_lora(vlm, LoraSettings(2, 4, dropout=0.5), generator=seeded(0))
        vlm.model.train(training)
        runs.append(run(vlm, vision, CONFIG, ImageContext(fitted)))
    assert runs[0] == runs[1]


def test_images_encoded_in_their_turn_give_the_same_run(vision, fitted):
    before = run(model(), vision, CONFIG, ImageContext(fitted))
    vlm = model()
    turn = run(vlm, ImageSource(vlm, IMAGES), CONFIG, ImageContext(fitted))
    assert turn.length == before.length
    assert turn.loss == pytest.approx(before.loss, abs=1e-5)


def test_vision_runs_once_a_step_and_never_on_what_was_encoded(vision, fitted, monkeypatch):
    vlm, calls = model(), []
    tower = vlm.model.model.vision_model
    tower.register_forward_hook(lambda *_: calls.append(1))
    run(vlm, vision, CONFIG, ImageContext(fitted))
    assert calls == []
    run(vlm, ImageSource(vlm, IMAGES), CONFIG, ImageContext(fitted))
    assert len(calls) == 3


def test_every_image_is_seen_once_an_epoch(vision, fitted):
    class Counting:
        def __init__(self):
            self.seen = []

        def __len__(self):
            return 11

        def select(self, indices):
            self.seen.append(list(indices))
            return vision.select(indices)

    source = Counting()
    run(model(), source, replace(CONFIG, epochs=2), ImageContext(fitted))
    assert [len(part) for part in source.seen] == [4, 4, 3, 4, 4, 3]
    first, second = (list(chain(*source.seen[i : i + 3])) for i in (0, 3))
    assert sorted(first) == sorted(second) == list(range(11)) and first != second


@pytest.mark.parametrize("steps_done", [1, 2, 4, 6])
@pytest.mark.parametrize("reading", [ImageContext, StraightThrough])
def test_a_killed_run_goes_on_to_the_same_end(
    steps_done: int, reading, tmp_path: Path, vision, fitted
):
    class Mortal:
        """A source that dies when asked for once too often."""

        def __init__(self, lives):
            self.lives = lives

        def __len__(self):
            return len(vision)

        def select(self, indices):
            if not self.lives:
                raise Killed
            self.lives -= 1
            return vision.select(indices)

    config = replace(CONFIG, epochs=2, save_every=2, kl_every=2)
    whole, one = model(), reading(fitted)
    history = run(whole, vision, config, one)
    path = tmp_path / "enhance.run.safetensors"
    if steps_done < 6:
        with pytest.raises(Killed):
            lives = 1 + steps_done  # the first is a look at what the images are
            run(model(), Mortal(lives), config, one, checkpoint=path)
        assert path.is_file() is (steps_done >= 2)
    else:
        run(model(), vision, config, one, checkpoint=path)
    resumed = model(seed=99)  # its own start does not matter: the checkpoint holds the weights
    if steps_done < 2:
        resumed = model()
    after = run(resumed, vision, config, one, checkpoint=path)
    assert after == history
    ours, theirs = weights(resumed), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_checkpoint_of_another_run_is_refused(tmp_path, vision, fitted):
    path = tmp_path / "enhance.run.safetensors"
    run(model(), vision, CONFIG, ImageContext(fitted), checkpoint=path)
    with pytest.raises(ValueError, match="belongs to another run: config differ"):
        run(
            model(),
            vision,
            replace(CONFIG, learning_rate=1e-3),
            ImageContext(fitted),
            checkpoint=path,
        )
    with pytest.raises(ValueError, match="objective differ"):
        run(model(), vision, CONFIG, StraightThrough(fitted), checkpoint=path)
    control = shuffled(vision, generator=seeded(3))
    with pytest.raises(ValueError, match="source differ"):
        run(model(), control, CONFIG, ImageContext(fitted), checkpoint=path)
    with pytest.raises(ValueError, match="order differ"):
        train_adapter(
            model(), vision, ImageContext(fitted), CONFIG, generator=seeded(8), checkpoint=path
        )


def test_one_batch_is_learned(vision, fitted):
    four = vision.select([0, 1, 2, 3])
    config = replace(CONFIG, epochs=80, decoding=Greedy(4), kl_every=0)
    history = run(model(), four, config, ImageContext(fitted))
    assert len(history.loss) == 80 and history.kl == [None] * 80
    assert history.loss[-1] < 0.5 * history.loss[0]


def test_a_shuffled_run_aims_elsewhere(vision, fitted):
    right = run(model(), vision, CONFIG, ImageContext(fitted))
    source = shuffled(vision, generator=seeded(3))
    wrong = run(model(), source, CONFIG, ImageContext(fitted))
    assert right.length[0] == wrong.length[0]  # the same images are captioned
    assert right.loss[0] != pytest.approx(wrong.loss[0], abs=1e-3)


def test_the_anchor_holds_the_model_back(vision, fitted):
    four, config = vision.select([0, 1, 2, 3]), replace(CONFIG, epochs=25, kl_every=1)
    free = run(model(), four, config, ImageContext(fitted))
    held = run(model(), four, replace(config, kl_weight=50.0), ImageContext(fitted))
    assert free.kl[0] == pytest.approx(0.0, abs=1e-6) and len(free.kl) == 25
    assert held.kl[-1] < 0.5 * free.kl[-1]


def test_a_run_that_goes_too_far_stops_and_says_so(tmp_path, vision, fitted):
    config = replace(CONFIG, epochs=25, kl_every=1, max_kl=1e-3)
    path = tmp_path / "enhance.run.safetensors"
    history = run(model(), vision, config, ImageContext(fitted), checkpoint=path)
    assert history.stopped.startswith("KL 0.0") and "> 0.001 after step" in history.stopped
    assert len(history.loss) < 75
    again = run(model(), vision, config, ImageContext(fitted), checkpoint=path)
    assert again == history


def test_the_rate_warms_up(vision, fitted, monkeypatch):
    module, rates = modules["vizer_core.vizer.train"], []
    real = module._record

    def note(*what, **options):
        real(*what, **options)
        rates.append(optimizers[0].param_groups[0]["lr"])

    optimizers = []
    adamw = torch.optim.AdamW

    def keep(*args, **options):
        optimizers.append(adamw(*args, **options))
        return optimizers[-1]

    monkeypatch.setattr(module, "_record", note)
    monkeypatch.setattr(module.torch.optim, "AdamW", keep)
    run(model(), vision, replace(CONFIG, warmup_steps=2), ImageContext(fitted))
    assert rates == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2])
    assert optimizers[0].param_groups[0]["weight_decay"] == 0.01


def test_the_named_settings():
    assert (VIZER_PAPER.weight_decay, VIZER_PAPER.epochs, VIZER_PAPER.kl_weight) == (0.01, 1, 0.0)
    assert isinstance(VIZER_SMALL.decoding, Sample) and VIZER_SMALL.decoding.temperature == 1.0


def test_errors_say_what_is_wrong(vision, fitted):
    with pytest.raises(ValueError, match="carries no LoRA: call add_lora"):
        run(tiny_smol(), vision, CONFIG, ImageContext(fitted))
    with pytest.raises(ValueError, match="source contains no image"):
        run(model(), ImageSource(model(), []), CONFIG, ImageContext(fitted))
    with pytest.raises(ValueError, match="at least 1 image per step"):
        replace(CONFIG, images_per_step=0)
    with pytest.raises(ValueError, match="positive learning rate"):
        replace(CONFIG, learning_rate=0.0)
    with pytest.raises(ValueError, match="needs kl_every > 0"):
        replace(CONFIG, max_kl=1.0, kl_every=0)


def test_a_plain_function_of_a_rollout_is_a_loss(vision, fitted):
    given = ImageContext(fitted)

    def plain(rollout):
        return given(rollout)

    assert as_objective(plain) is plain and as_objective(given) is given
    one, two = model(), model()
    assert run(one, vision, CONFIG, plain) == run(two, vision, CONFIG, given)
    ours, theirs = weights(one), weights(two)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_reward_is_told_from_a_loss_by_what_it_needs():
    def with_an_option(images, captions, *, scale=1.0): ...
    def loss(rollout, scale=1.0): ...

    assert as_objective(loss) is loss
    for reward in (lambda images, captions: 0, with_an_option, lambda *both: 0):
        assert as_objective(reward).reward is reward


def test_several_captions_an_image_are_compared_with_their_own(vision, fitted):
    """A, A, B, B: the loss of k captions is the mean of the losses of each alone."""
    vlm, objective = model(), ImageContext(fitted)
    two = vision.select([0, 1])
    rule = Sample(max_tokens=4)
    drawn = vlm.generate(two, decoding=rule, samples=2, generator=seeded(3))
    with torch.no_grad():
        parts = [
            float(objective(Rollout(vlm, vision.select([row // 2]), drawn.select([row]))))
            for row in range(4)
        ]
        whole = float(objective(Rollout(vlm, two, drawn)))
    assert whole == pytest.approx(sum(parts) / 4, abs=1e-5)
    history = run(model(), vision, replace(CONFIG, samples=2), objective)
    assert len(history.loss) == 3 and history.reward == history.spread == []


def test_the_history_of_a_loss_says_what_was_measured(vision, fitted):
    history = run(model(), vision, replace(CONFIG, kl_every=2), ImageContext(fitted))
    assert [value is None for value in history.kl] == [False, True, False]
    assert len(history.top1) == 3 and all(0 < share <= 1 for share in history.top1)


def test_a_loss_that_is_not_a_number_stops_the_run(vision, fitted):
    broken = replace(fitted, space=replace(fitted.space, mean=torch.full((24,), float("nan"))))
    with pytest.raises(ValueError, match=r"step 1: loss nan.*look for NaN in the image features"):
        run(model(), vision, CONFIG, ImageContext(broken))
