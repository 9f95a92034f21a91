"""Policy gradient: log-probabilities by the long way, a learned reward, exact resumption."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from tests.cli.kills import Killed
from vizer_core.decoding import Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.vizer.adapter_run import POLICY_GRADIENT
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vizer.policy_gradient import PolicyGradient, group_mean, group_rewards, rloo, scst
from vizer_core.vizer.rollout import Rollout
from vizer_core.vizer.targets import shuffled
from vizer_core.vizer.train import train_adapter
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch

FAST = replace(
    POLICY_GRADIENT,
    learning_rate=2e-2,
    images_per_step=4,
    decoding=Sample(max_tokens=3),
    save_every=2,
)


@dataclass
class SaysCat:
    """A reward that wants one word; it may fail on purpose, as a killed run does."""

    name: str = "says_cat"
    fails_at: int = 10**6
    seen: list[int] = field(default_factory=list)

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> torch.Tensor:
        if len(self.seen) == self.fails_at:
            raise Killed
        self.seen.append(len(captions))
        return torch.tensor([1.0 * ("cat" in text.split()) for text in captions.texts])


def ready(seed: int = 0):
    """Make a tiny model with a fresh adapter, and its images."""
    vlm = tiny_smol()
    vision = vlm.encode_image(noise_images(8))
    add_lora(vlm, LoraSettings(rank=4, alpha=8), generator=seeded(seed))
    return vlm, vision


def drawn(vlm, vision, config, *, generator) -> CaptionBatch:
    """Draw captions as a step does."""
    return vlm.generate(
        vision, decoding=config.decoding, samples=config.samples, generator=generator
    )


def many(vision: VisionBatch, times: int) -> VisionBatch:
    return VisionBatch.concatenate([vision] * times)


@pytest.fixture(scope="module")
def trained():
    """Train on 96 images, and keep what was there before."""
    vlm, vision = ready()
    base = vlm.generate(vision, decoding=Greedy(max_tokens=3)).texts
    features = [each.clone() for each in vision.image_embeddings]
    frozen = {n: p.clone() for n, p in vlm.model.named_parameters() if "lora_" not in n}
    reward = SaysCat()
    history = train_adapter(vlm, many(vision, 12), reward, FAST, generator=seeded(1))
    return vlm, vision, history, reward, (base, features, frozen)


def test_the_reward_is_learned(trained):
    _, _, history, reward, _ = trained
    assert len(history.reward) == 24 and set(reward.seen) == {16}  # 4 images, 4 captions each
    start, end = sum(history.reward[:4]) / 4, sum(history.reward[-4:]) / 4
    assert start < 0.3 and end > 0.8, (start, end)


def test_the_run_says_what_it_did_to_the_captions(trained):
    _, _, history, _, _ = trained
    assert history.kl[0] == pytest.approx(0.0, abs=1e-6) and history.kl[-1] > 0.2
    assert history.spread[0] > 0 and all(1 <= length <= 3 for length in history.length)
    assert history.top1[-1] > history.top1[0] and history.stopped is None


def test_only_the_adapter_moves_and_without_it_the_base_is_back(trained):
    vlm, vision, _, _, (base, features, frozen) = trained
    assert vlm.generate(vision, decoding=Greedy(max_tokens=3)).texts != base
    with vlm.adapter_off():
        assert vlm.generate(vision, decoding=Greedy(max_tokens=3)).texts == base
    now = {n: p for n, p in vlm.model.named_parameters() if "lora_" not in n}
    assert all(torch.equal(now[name], value) for name, value in frozen.items())
    again = vlm.encode_image(noise_images(8))
    assert all(torch.equal(a, b) for a, b in zip(again.image_embeddings, features))


def test_log_probabilities_equal_those_of_one_caption_at_a_time():
    vlm, vision = ready()
    config = replace(FAST, samples=3, decoding=Sample(max_tokens=5, temperature=0.7))
    captions = drawn(vlm, vision, config, generator=seeded(2))
    found = Rollout(vlm, vision, captions, temperature=0.7).log_probs.detach()
    for row in range(0, len(captions), 5):
        one = captions.select([row])
        length = int(one.mask.sum())
        one = CaptionBatch(one.ids[:, :length], one.mask[:, :length], one.texts)
        states = vlm.caption_states(vision.select([row // 3]), one)
        table = (vlm.token_logits(states[:, :-1]) / 0.7).log_softmax(dim=-1)
        wanted = table.gather(2, one.ids[:, :, None])[0, :, 0]
        assert torch.allclose(found[row, :length], wanted, atol=1e-5)
        assert float(found[row, length:].abs().sum()) == 0


def test_the_gradient_is_that_of_the_log_probability_times_the_advantage():
    """A step on one caption that did well makes it likelier, on one that did badly rarer."""
    vlm, vision = ready()
    captions = drawn(vlm, vision.select([0]), FAST, generator=seeded(3))
    for sign in (1.0, -1.0):
        log_probs = Rollout(vlm, vision.select([0]), captions).log_probs.sum(dim=1)
        parameters = lora_parameters(vlm)
        gradients = torch.autograd.grad(sign * log_probs[1], list(parameters.values()))
        with torch.no_grad():
            for parameter, gradient in zip(parameters.values(), gradients):
                parameter += 0.05 * gradient
        moved = Rollout(vlm, vision.select([0]), captions).log_probs.sum(dim=1)
        assert sign * (moved - log_probs)[1].item() > 0


def test_a_killed_run_goes_on_to_the_same_end(tmp_path):
    ends = []
    for kill in (None, 3):
        vlm, vision = ready()
        path = tmp_path / f"{kill}.safetensors"
        arguments = (vlm, many(vision, 3))
        if kill:
            with pytest.raises(Killed):
                train_adapter(*arguments, SaysCat(fails_at=kill), FAST, generator=seeded(4),
                         checkpoint=path)  # fmt: skip
            vlm, _ = ready(seed=9)  # other weights: all must come from the file
            arguments = (vlm, many(vision, 3))
        reward = SaysCat()
        history = train_adapter(*arguments, reward, FAST, generator=seeded(4), checkpoint=path)
        assert len(reward.seen) == (4 if kill else 6)
        ends.append((history, {n: p.detach().clone() for n, p in lora_parameters(vlm).items()}))
    (whole, weights), (resumed, others) = ends
    assert whole == resumed
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    vlm, vision = ready()
    path = tmp_path / "run.safetensors"
    train_adapter(vlm, vision, SaysCat(), FAST, generator=seeded(5), checkpoint=path)
    control = shuffled(vision, generator=seeded(6))
    for source, config, reward, odd in (
        (vision, replace(FAST, samples=2), SaysCat(), "config"),
        (vision, FAST, SaysCat(name="other"), "reward"),
        (control, FAST, SaysCat(), "source"),
    ):
        with pytest.raises(ValueError, match=f"another run: {odd} differ"):
            train_adapter(vlm, source, reward, config, generator=seeded(5), checkpoint=path)


def test_dropout_is_off_whatever_mode_the_model_came_in():
    ends = []
    for training in (False, True):
        vlm, vision = tiny_smol(), tiny_smol().encode_image(noise_images(8))
        add_lora(vlm, LoraSettings(rank=4, alpha=8, dropout=0.5), generator=seeded(0))
        vlm.model.train(training)
        train_adapter(vlm, vision, Constant(torch.arange(16.0)), FAST, generator=seeded(1))
        ends.append([p.detach().clone() for p in lora_parameters(vlm).values()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_the_greedy_baseline_asks_for_a_greedy_caption_an_image():
    vlm, vision = ready()
    reward = SaysCat()
    config = replace(FAST, samples=2)
    train_adapter(vlm, vision, PolicyGradient(reward, scst), config, generator=seeded(7))
    assert reward.seen == [8, 4, 8, 4]


def test_a_run_stops_when_it_is_too_far_from_the_base():
    vlm, vision = ready()
    config, objective = replace(FAST, max_kl=0.01, warmup_steps=0), PolicyGradient(SaysCat(), rloo)
    history = train_adapter(vlm, many(vision, 6), objective, config, generator=seeded(1))
    assert history.stopped and history.stopped.startswith("KL 0.") and len(history.kl) < 12
    assert max(history.kl[:-1]) <= 0.01 < history.kl[-1]


def test_the_anchor_holds_the_model_back():
    ends = []
    for weight in (0.0, 5.0):
        vlm, vision = ready()
        config, objective = replace(FAST, kl_weight=weight), PolicyGradient(SaysCat(), group_mean)
        ends.append(train_adapter(vlm, many(vision, 8), objective, config, generator=seeded(1)))
    assert ends[1].kl[-1] < 0.5 * ends[0].kl[-1]


def test_a_plain_function_trains_as_an_object_does(tmp_path):
    def says_cat(images, captions):
        return [1.0 * ("cat" in text.split()) for text in captions.texts]

    ends = []
    for reward in (SaysCat(), says_cat):
        vlm, vision = ready()
        path = tmp_path / "run.safetensors"
        history = train_adapter(vlm, vision, reward, FAST, generator=seeded(4), checkpoint=path)
        ends.append((history, {n: p.detach().clone() for n, p in lora_parameters(vlm).items()}))
    (one, weights), (two, others) = ends
    assert one == two and all(torch.equal(weights[name], others[name]) for name in weights)
    with pytest.raises(ValueError, match="belongs to another run: reward differ"):
        train_adapter(vlm, vision, lambda images, captions: [0.0] * len(captions), FAST,
                 generator=seeded(4), checkpoint=path)  # fmt: skip


def test_errors_by_message():
    vlm, vision = ready()
    captions = drawn(vlm, vision, FAST, generator=seeded(0))
    for wrong in (torch.full((32,), float("nan")), torch.zeros(8)):
        with pytest.raises(ValueError, match="wanted one finite number per caption"):
            group_rewards(Constant(wrong), vision, captions)
    for rule in (Sample(top_p=0.9), Greedy()):
        with pytest.raises(ValueError, match="not be drawn from the policy"):
            config = replace(FAST, decoding=rule)
            train_adapter(vlm, vision, SaysCat(), config, generator=seeded(0))
    with pytest.raises(ValueError, match="wanted a positive learning rate"):
        replace(FAST, learning_rate=0.0)
    with pytest.raises(ValueError, match="at least 1 image per step, 1 sample"):
        replace(FAST, samples=0)
    with pytest.raises(ValueError, match="the rollout has no advantages"):
        PolicyGradient(SaysCat())(Rollout(vlm, vision, captions))
    with pytest.raises(ValueError, match="a group baseline needs at least 2"):
        train_adapter(vlm, vision, SaysCat(), replace(FAST, samples=1), generator=seeded(0))


@dataclass
class Constant:
    """A reward that gives what it was given."""

    scores: torch.Tensor
    name: str = "constant"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> torch.Tensor:
        return self.scores
