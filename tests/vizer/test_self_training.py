"""Learning from chosen captions: where they come from, both losses by hand, kill and go on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.decoding import Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.vizer import (
    GivenCaptions,
    PreferencePairs,
    Raft,
    Rollout,
    SelfTraining,
    shuffled,
    train_adapter,
)
from vizer_core.vizer.adapter_run import TrainConfig
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vizer.self_training import DirectPreference, cross_entropy

IMAGES = noise_images(6)
CONFIG = TrainConfig(
    learning_rate=2e-2, images_per_step=3, samples=4, warmup_steps=0, decoding=Sample(max_tokens=4)
)


def model():
    vlm = tiny_smol()
    add_lora(vlm, LoraSettings(2, 4), generator=seeded(0))
    return vlm


def long(images, captions):
    """A reward that wants many tokens."""
    return captions.mask.sum(dim=1).float()


@pytest.fixture(scope="module")
def vision():
    return tiny_smol().encode_image(IMAGES)


def run(vlm, source, objective, **options):
    return train_adapter(vlm, source, objective, CONFIG, generator=seeded(7), **options)


def learned(vlm) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in lora_parameters(vlm).items()}


def test_the_teacher_is_the_frozen_base_with_its_first_word_chosen(vision):
    vlm = model()
    run(vlm, vision, GivenCaptions([["red red red"]] * 6))  # the adapter now says something else
    teacher = SelfTraining(opening=("boat",))
    found = teacher.captions(vlm, vision, CONFIG, generator=seeded(0))
    with vlm.adapter_off():
        wanted = vlm.generate(vision, decoding=Greedy(4), opening=("boat",))
    assert found.texts == wanted.texts
    assert all(text.startswith("boat") for text in found.texts)


def test_self_training_makes_its_captions_likelier_from_the_default_prompt(vision):
    vlm = model()
    teacher = SelfTraining(opening=("boat",))
    captions = teacher.captions(vlm, vision, CONFIG, generator=seeded(0))
    before = cross_entropy(Rollout(vlm, vision, captions)).detach()
    history = run(vlm, vision, teacher)
    assert len(history.loss) == 2 and not history.reward
    after = cross_entropy(Rollout(vlm, vision, captions)).detach()
    assert float(after) < float(before) - 0.1


def test_cross_entropy_is_the_mean_over_captions_of_the_mean_over_tokens(vision):
    vlm = model()
    captions = vlm.tokenize(["a dog", "the red boat"])
    some = vision.select([0, 1])
    states = vlm.caption_states(some, captions).detach()
    logs = vlm.token_logits(states).log_softmax(-1)
    rows = [
        [float(logs[i, j, token]) for j, token in enumerate(captions.ids[i]) if captions.mask[i, j]]
        for i in range(2)
    ]
    wanted = -sum(sum(row) / len(row) for row in rows) / 2
    rollout = Rollout(vlm, some, captions, temperature=0.3)  # what they were drawn at is no matter
    assert float(cross_entropy(rollout).detach()) == pytest.approx(wanted, abs=1e-4)


def test_raft_keeps_the_best_and_dpo_the_best_and_the_worst(vision):
    vlm = model()
    drawn = vlm.generate(
        vision, decoding=CONFIG.decoding, samples=4, opening=("a",), generator=seeded(3)
    )
    lengths = long(vision, drawn).reshape(6, 4)
    best = Raft(long, opening=("a",)).captions(vlm, vision, CONFIG, generator=seeded(3))
    pairs = PreferencePairs(long, opening=("a",)).captions(vlm, vision, CONFIG, generator=seeded(3))
    assert len(best) == 6 and len(pairs) == 12
    assert torch.equal(long(vision, best), lengths.amax(dim=1))
    ends = torch.stack([lengths.amax(dim=1), lengths.amin(dim=1)], dim=1)
    assert torch.equal(long(vision, pairs).reshape(6, 2), ends)


def test_the_preference_loss_is_that_of_the_paper(vision):
    vlm = model()
    some, captions = vision.select([0]), vlm.tokenize(["a dog", "the red boat"])
    untrained = DirectPreference(0.5)(Rollout(vlm, some, captions))
    assert float(untrained.detach()) == pytest.approx(0.6931, abs=1e-3)  # nothing has moved: ln 2
    with torch.no_grad():
        for weight in lora_parameters(vlm).values():
            weight.normal_(std=0.3, generator=torch.Generator().manual_seed(0))

    def log_p() -> torch.Tensor:
        return Rollout(vlm, some, captions).log_probs.sum(dim=1).detach()

    now = log_p()
    with vlm.adapter_off():
        base = log_p()
    margin = (now - base)[0] - (now - base)[1]
    wanted = -torch.nn.functional.logsigmoid(0.5 * margin)
    found = DirectPreference(0.5)(Rollout(vlm, some, captions))
    torch.testing.assert_close(found.detach(), wanted, atol=1e-4, rtol=1e-3)
    assert abs(float(margin)) > 1e-3


def test_preference_pairs_make_the_better_likelier_than_the_worse(vision):
    vlm = model()
    given = GivenCaptions([["the red boat", "a dog"]] * 6, loss=DirectPreference(0.5))
    pairs = given.captions(vlm, vision, CONFIG, generator=seeded(0))

    def margin() -> float:
        found = Rollout(vlm, vision, pairs).log_probs.sum(dim=1).reshape(-1, 2)
        return float((found[:, 0] - found[:, 1]).mean().detach())

    before = margin()
    run(vlm, vision, given)
    assert margin() > before + 0.1


@pytest.mark.parametrize(
    "objective",
    [
        SelfTraining(opening=("a",)),
        Raft(long),
        PreferencePairs(long),
        GivenCaptions([["a dog"]] * 6),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_killed_run_goes_on_to_the_same_weights(objective, vision, tmp_path):
    whole = model()
    run(whole, vision, objective)
    stopped = model()
    checkpoint = tmp_path / "run.safetensors"

    class Killed(Exception):
        pass

    class Dies:
        """The same, but its second step never comes to its end."""

        def __init__(self):
            self.steps = 0

        def __getattr__(self, name):
            return getattr(objective, name)

        def rule(self, config):
            return objective.rule(config)

        def samples(self, config):
            return objective.samples(config)

        def captions(self, *args, **named):
            return objective.captions(*args, **named)

        def __call__(self, rollout):
            self.steps += 1
            if self.steps == 2:
                raise Killed
            return objective(rollout)

    Dies.__name__ = type(objective).__name__
    config = replace(CONFIG, save_every=1)
    with pytest.raises(Killed):
        train_adapter(stopped, vision, Dies(), config, generator=seeded(7), checkpoint=checkpoint)
    again = model()
    train_adapter(again, vision, objective, config, generator=seeded(7), checkpoint=checkpoint)
    for name, weight in learned(whole).items():
        torch.testing.assert_close(learned(again)[name], weight, msg=name)


def test_other_captions_are_another_run(vision, tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    run(model(), vision, GivenCaptions([["a dog"]] * 6), checkpoint=checkpoint)
    with pytest.raises(ValueError, match="another run"):
        run(model(), vision, GivenCaptions([["a cat"]] * 6), checkpoint=checkpoint)


def test_in_the_control_the_captions_are_those_of_the_other_image(vision):
    texts = [[word] for word in ["dog", "cat", "red", "blue", "ball", "boat"]]
    control = shuffled(vision, generator=seeded(0))
    found = GivenCaptions(texts).captions(
        tiny_smol(), control.select([0, 1, 2]), CONFIG, generator=seeded(0)
    )
    assert list(found.texts) == [texts[int(control.order[i])][0] for i in range(3)]
    teacher = SelfTraining().captions(tiny_smol(), control.select([2]), CONFIG, generator=seeded(0))
    other = vision.select([int(control.order[2])])
    assert teacher.texts == tiny_smol().generate(other, decoding=Greedy(4)).texts


def test_bad_requests_say_what_is_wrong(vision):
    with pytest.raises(ValueError, match="2 rows of \\[1, 2\\] captions"):
        GivenCaptions([["a dog"], ["a cat", "a boat"]])
    with pytest.raises(ValueError, match="wanted a row of as many"):
        GivenCaptions(["a dog", "a cat"])
    with pytest.raises(ValueError, match="image 3 of the source, and captions of 2 images"):
        run(model(), vision, GivenCaptions([["a dog"]] * 2))
    with pytest.raises(ValueError, match="1 caption per image: wanted at least 2"):
        Raft(long).captions(model(), vision, replace(CONFIG, samples=1), generator=seeded(0))
    with pytest.raises(ValueError, match="beta is 0"):
        DirectPreference(0.0)
    with pytest.raises(ValueError, match="1 captions per image: wanted 2"):
        DirectPreference()(Rollout(model(), vision, tiny_smol().tokenize(["a"] * 6)))


def test_the_base_is_asked_once_an_image_unless_it_draws(vision, monkeypatch):
    vlm, asked = model(), []
    generate = type(vlm).generate
    monkeypatch.setattr(
        type(vlm),
        "generate",
        lambda self, images, **how: (
            asked.append(images.index.tolist()) or generate(self, images, **how)
        ),
    )
    teacher = SelfTraining(opening=("boat",))
    first = teacher.captions(vlm, vision.select([0, 1, 2]), CONFIG, generator=seeded(0))
    again = teacher.captions(vlm, vision.select([2, 4, 0]), CONFIG, generator=seeded(0))
    assert asked == [[0, 1, 2], [4]]
    assert (again.texts[0], again.texts[2]) == (first.texts[2], first.texts[0])
    for row, known in ((0, 2), (2, 0)):
        assert again.ids[row][again.mask[row]].equal(first.ids[known][first.mask[known]])
    whole = SelfTraining(opening=("boat",)).captions(vlm, vision, CONFIG, generator=seeded(0))
    assert whole.select([2, 4, 0]).texts == again.texts
    others = vision.select([5, 3]).numbered([0, 1])  # another source has other images in its rows
    teacher.captions(vlm, others, CONFIG, generator=seeded(0))
    assert asked[-1] == [0, 1]
    drawing = SelfTraining(decoding=Sample(max_tokens=4))
    for _ in range(2):
        drawing.captions(vlm, vision.select([0]), CONFIG, generator=seeded(0))
    assert asked[-2:] == [[0], [0]]
