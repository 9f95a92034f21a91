"""The forecast: a score that tells images apart, one at chance, and a rule fitted on ends."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.decoding import Greedy
from vizer_core.runtime import seeded
from vizer_core.vizer.forecast import (
    ContextCosine,
    ForecastInputs,
    ForecastRule,
    accuracy,
    auc,
    fit_rule,
    leave_one_out,
    length_bias,
    mapper_leak,
    measure_forecast_inputs,
    with_mapper,
)
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vizer.mapper import MapperConfig, random_mapper
from vizer_core.vizer.objectives import ImageContext, StraightThrough
from vizer_core.vizer.phase_two import forecast
from vizer_core.vizer.policy_gradient import PolicyGradient
from vizer_core.vizer.rewards import ReadBackReward
from vizer_core.vizer.targets import centre
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch

VLM = tiny_smol()
VISION = VLM.encode_image(noise_images(6))


def seen(value: float, **rest: float) -> ForecastInputs:
    return ForecastInputs(9, **({"auc": value, "spread": 1.0, "generic": 0.2} | rest))


@dataclass
class AtChance:
    """Scores the image, whatever is said of it."""

    name: str = "at_chance"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> torch.Tensor:
        k = len(captions) // len(vision)
        return vision.image_features[:, 0].repeat_interleave(k)


@dataclass
class Loud:
    """Scores an image's captions 0, 1, 0, 1, by their place."""

    name: str = "loud"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> torch.Tensor:
        return torch.arange(len(captions)).float() % 2


def test_auc_is_the_share_of_right_orders():
    own, other = torch.tensor([3.0, 3.0, 1.0, 2.0]), torch.tensor([1.0, 3.0, 2.0, 0.0])
    assert auc(own, other) == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert auc(own, other) + auc(other, own) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"got \(4,\) and \(2,\) scores"):
        auc(own, other[:2])


def test_a_score_that_does_not_tell_images_apart_is_at_chance():
    measured = measure_forecast_inputs(VLM, VISION, AtChance(), generator=seeded(0))
    assert (measured.auc, measured.spread, measured.n) == (0.5, 0.0, 6)
    assert not ForecastRule(0.4).helps(measured)
    assert "captions of an image score alike" in ForecastRule(0.4).say(measured)


def test_the_listener_tells_its_own_captions_apart():
    reward = InformationReward(VLM)
    measured = measure_forecast_inputs(VLM, VISION, reward, generator=seeded(0), samples=8)
    assert measured.auc > 0.55 and measured.spread > 0.1 and 0 < measured.generic <= 1
    with pytest.raises(ValueError, match="6 images with 1 captions"):
        measure_forecast_inputs(VLM, VISION, reward, samples=1, generator=seeded(0))


def test_the_context_cosine_is_that_of_the_states_after_the_image():
    shape = MapperConfig(VLM.lm_width, VISION.image_features.shape[1], width=8)
    fitted = random_mapper(shape, centre(VISION.image_features), generator=seeded(1))
    captions = VLM.tokenize(["a cat", "the dog", "a red ball", "a boat", "photo", "itap"])
    states = VLM.caption_states(VISION, captions)
    wanted = fitted.cosines(states, captions.mask, VISION.image_features)
    assert torch.allclose(ContextCosine(VLM, fitted)(VISION, captions), wanted, atol=1e-5)
    read = VLM.generate(VISION, decoding=Greedy())
    answers = fitted.mapper.read(VLM.caption_states(VISION, read), read.mask)
    assert answers.shape == (6, fitted.mapper.config.out_width)
    assert -1 <= mapper_leak(VLM, fitted, VISION) <= 1
    told = with_mapper(seen(0.9), fitted, leak=0.4)
    assert told.leak == 0.4 and told.mapper_gain == 0.0
    assert not ForecastRule(0.5).helps(told) and "the score leaks" in ForecastRule().say(told)


def test_an_adapter_is_switched_off_while_the_base_is_looked_at():
    vlm = tiny_smol()
    shape = MapperConfig(vlm.lm_width, VISION.image_features.shape[1], width=8)
    fitted = random_mapper(shape, centre(VISION.image_features), generator=seeded(1))

    def look() -> tuple[ForecastInputs, float]:
        found = measure_forecast_inputs(vlm, VISION, Loud(), generator=seeded(0), samples=2)
        return found, mapper_leak(vlm, fitted, VISION)

    before = look()
    add_lora(vlm, LoraSettings(rank=2, alpha=64), generator=seeded(0))
    with torch.no_grad():
        for weight in lora_parameters(vlm).values():
            weight.fill_(0.5)
    assert look() == before


def test_the_spread_is_that_of_a_images_captions_about_their_mean():
    found = measure_forecast_inputs(VLM, VISION, Loud(), generator=seeded(0), samples=2)
    assert found.spread == pytest.approx(0.5)  # scores 0 and 1: half away from their mean


@dataclass
class Brief:
    """Scores a caption by how short it is."""

    name: str = "brief"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> torch.Tensor:
        return -captions.mask.sum(dim=1).float()


def test_a_score_that_wants_short_captions_is_found_out():
    measured = measure_forecast_inputs(VLM, VISION, Brief(), generator=seeded(0), samples=8)
    assert measured.length_bias == pytest.approx(-1.0)
    told = seen(0.9, length_bias=-0.8)
    assert not ForecastRule(0.5, -0.5).helps(told) and ForecastRule(0.5, -0.9).helps(told)
    said = ForecastRule(0.5, -0.5).say(told)
    assert "wants short captions" in said and "-0.80, wanted at least -0.50" in said
    assert "wanted at least 50" not in said  # its AUC is enough


def test_length_bias_is_the_mean_correlation_with_length():
    scores, lengths = (
        torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]),
        torch.tensor([[2, 4, 6]] * 2),
    )
    assert length_bias(scores, lengths) == pytest.approx(1.0)  # the second image says nothing
    both = torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    assert length_bias(both, lengths) == pytest.approx(0.0)
    assert length_bias(scores, torch.full((2, 3), 4)) == 0.0
    with pytest.raises(ValueError, match=r"got \(2, 3\) scores and \(1, 3\) lengths"):
        length_bias(scores, lengths[:1])


def test_both_thresholds_are_fitted():
    measurements = [
        seen(0.5),
        seen(0.7, length_bias=-0.9),
        seen(0.7, length_bias=-0.1),
        seen(0.8, length_bias=-0.8),
    ]
    rule = fit_rule(measurements, [False, False, True, False])
    assert (rule.auc, rule.length_bias) == pytest.approx((0.6, -0.45))


def test_a_base_that_is_left_out_has_no_say():
    bad, good = ([seen(0.9)], [False]), ([seen(0.3)], [True])
    assert leave_one_out({"bad": bad, "good": good}) == {"bad": 0.0, "good": 0.0}


def test_of_equal_thresholds_the_middle_one_is_taken():
    measurements = [seen(value) for value in (0.5, 0.55, 0.7, 0.8)]
    assert fit_rule(measurements, [False, True, False, True]).auc == pytest.approx(0.75)


def test_a_rule_is_fitted_on_ends_and_judged_on_a_base_that_it_has_not_seen():
    values, ends = [0.5, 0.55, 0.7, 0.8], [False, False, True, True]
    measurements = [seen(value) for value in values]
    rule = fit_rule(measurements, ends)
    assert rule.auc == pytest.approx(0.625) and accuracy(rule, measurements, ends) == 1.0
    never = fit_rule(measurements, [False] * 4)
    assert not any(never.helps(each) for each in measurements)
    assert "training may help" in rule.say(seen(0.7)) and "62.5%" in rule.say(seen(0.5))
    groups = {"a": (measurements, ends), "b": ([seen(0.52), seen(0.9)], [False, True]),
              "odd": ([seen(0.9)], [False])}  # fmt: skip
    found = leave_one_out(groups)
    assert found["b"] == 1.0 and found["odd"] == 0.0
    with pytest.raises(ValueError, match="got 1 groups"):
        leave_one_out({"a": groups["a"]})
    with pytest.raises(ValueError, match="4 forecasts and 1 ends"):
        fit_rule(measurements, [True])


def test_a_forecast_asks_what_the_objective_would_be_trained_on():
    shape = MapperConfig(VLM.lm_width, VISION.image_features.shape[1], 16)
    fitted = random_mapper(shape, centre(VISION.image_features), generator=seeded(5))
    told = {
        name: forecast(VLM, VISION, objective, seed=0)[1]
        for name, objective in {
            "reward": PolicyGradient(ReadBackReward(VLM, fitted)),
            "words": StraightThrough(fitted),
            "image": ImageContext(fitted),
            "at_chance": PolicyGradient(AtChance()),
        }.items()
    }
    assert told["reward"] == told["words"] != told["image"]  # the words alone, or with the image
    assert "all captions of an image score alike" in told["at_chance"]
    good, line = forecast(VLM, VISION, lambda rollout: rollout.states.sum(), seed=0)
    assert not good and line.startswith("warning: no forecast for a loss without a mapper")
    assert forecast(VLM, VISION.select([0]), ImageContext(fitted), seed=0)[0] is False


def test_a_score_whose_favourites_fit_no_better_than_the_mean_is_refused():
    helps, collapses = seen(0.9, picks=1.1), seen(0.9, picks=-0.04)
    assert ForecastRule().helps(helps) and ForecastRule().helps(seen(0.9))
    assert not ForecastRule().helps(collapses)
    assert "it pays for a habit, and training would collapse" in ForecastRule().say(collapses)


def test_random_weights_are_refused():
    assert ForecastRule().helps(seen(0.9, flat=0.2))
    assert "the model has random weights" in ForecastRule().say(seen(0.9, flat=0.99))
    measured = measure_forecast_inputs(VLM, VISION, Loud(), generator=seeded(0))
    assert 0.7 < measured.flat < 0.9  # tiny models have random weights, large ones at that


def test_picks_are_those_of_the_score_measured_by_the_yardstick():
    class Backwards(Loud):
        def __call__(self, vision, captions):
            return -super().__call__(vision, captions)

    for yardstick, wanted in ((Loud(), 1.0), (Backwards(), -1.0)):
        measured = measure_forecast_inputs(
            VLM, VISION, Loud(), generator=seeded(0), yardstick=yardstick
        )
        assert measured.picks == pytest.approx(wanted)
    assert measure_forecast_inputs(VLM, VISION, Loud(), generator=seeded(0)).picks is None


def test_a_prior_that_never_read_captions_is_found_out():
    """The study's collapse: log p(y | I) less log p(y) of a language model without alt text."""
    import vizer_core as vc
    from vizer_core.language.scoring import sequence_log_probs
    from vizer_core.vizer.information import log_likelihood
    from vizer_lab.world.data import DrawnSplit
    from vizer_lab.zoo import encode_images

    vlm, lm = vc.load_vlm("drawn-vlm-web"), vc.load_lm("drawn-lm")

    @torch.no_grad()
    def wrong(images, captions):
        bare = torch.zeros(len(captions), 0, lm.width)
        prior = sequence_log_probs(lm, bare, list(captions.texts))
        return log_likelihood(vlm, images, captions) - 0.7 * prior

    vision = encode_images(vlm, DrawnSplit("second_test", 64).images)
    good, said = forecast(vlm, vision, PolicyGradient(wrong), seed=0)
    assert not good and "it pays for a habit" in said
    good, said = forecast(vlm, vision, PolicyGradient(InformationReward(vlm, 0.7)), seed=0)
    assert good and "training may help" in said


def test_an_image_that_is_left_alone_in_the_last_batch_is_not_counted(monkeypatch):
    monkeypatch.setattr(
        "vizer_core.vizer.forecast.vision_batches",
        lambda source: iter([source.select([0, 1, 2, 3, 4]), source.select([5])]),
    )
    assert measure_forecast_inputs(VLM, VISION, Loud(), generator=seeded(0)).n == 5
