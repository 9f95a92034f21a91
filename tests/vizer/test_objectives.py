"""Two readings of the zero-label loss: what each may see, and where its gradient goes."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.decoding import Sample
from vizer_core.runtime import seeded
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vizer.mapper import MapperConfig, random_mapper
from vizer_core.vizer.objectives import ImageContext, Objective, StraightThrough, straight_through
from vizer_core.vizer.rollout import Rollout
from vizer_core.vizer.targets import centre
from vizer_core.vlm.protocol import VisionBatch

ALL = (ImageContext, StraightThrough)


def trained_a_little(seed: int = 1):
    """Make a model whose adapter is not zero, so that gradient reaches A as well as B."""
    vlm = tiny_smol()
    add_lora(vlm, LoraSettings(2, 4), generator=seeded(0))
    with torch.no_grad():
        for parameter in lora_parameters(vlm).values():
            parameter.normal_(std=0.1, generator=seeded(seed))
    return vlm


@pytest.fixture
def vlm():
    return trained_a_little()


def rollout_of(vlm, images=None) -> Rollout:
    vision = images if images is not None else vlm.encode_image(noise_images(6))
    captions = vlm.generate(vision, decoding=Sample(max_tokens=5), generator=seeded(2))
    return Rollout(vlm, vision, captions)


def mapper_of(vision: VisionBatch, **options):
    config = MapperConfig(32, 24, 16, **options)
    return random_mapper(config, centre(vision.image_features), generator=seeded(5))


@pytest.mark.parametrize("reading", ALL)
@pytest.mark.parametrize("per_token", [False, True])
def test_gradient_reaches_the_whole_adapter_and_nothing_else(vlm, reading, per_token):
    rollout = rollout_of(vlm)
    objective = reading(mapper_of(rollout.vision, per_token=per_token))
    assert isinstance(objective, Objective)
    objective(rollout).backward()
    adapter = lora_parameters(vlm)
    for name, parameter in adapter.items():
        assert parameter.grad is not None and float(parameter.grad.norm()) > 0, name
    rest = [p for name, p in vlm.model.named_parameters() if name not in adapter]
    rest += list(objective.fitted.mapper.parameters())
    assert all(p.grad is None for p in rest)


def test_the_paper_s_reading_is_one_minus_the_cosine_of_the_states_after_the_image(vlm):
    rollout = rollout_of(vlm)
    fitted = mapper_of(rollout.vision)
    states = vlm.caption_states(rollout.vision, rollout.captions)
    cosines = fitted.cosines(states, rollout.captions.mask, rollout.vision.image_features)
    loss = ImageContext(fitted)(rollout)
    assert torch.allclose(loss, 1 - cosines.mean(), atol=1e-6)


def other_images(vlm, vision: VisionBatch) -> VisionBatch:
    """Swap what the LM sees and keep what the loss aims at."""
    swapped = vision.select([1, 2, 3, 4, 5, 0])
    return VisionBatch(vision.image_features, swapped.image_embeddings, vision.grid)


@pytest.mark.parametrize(("reading", "sees"), [(ImageContext, True), (StraightThrough, False)])
def test_only_the_image_context_reading_sees_the_image(vlm, reading, sees):
    rollout = rollout_of(vlm)
    swapped = Rollout(vlm, other_images(vlm, rollout.vision), rollout.captions)
    objective = reading(mapper_of(rollout.vision))
    with torch.no_grad():
        right, wrong = float(objective(rollout)), float(objective(swapped))
    assert (right != pytest.approx(wrong, abs=1e-5)) is sees


def test_the_straight_through_reader_is_the_frozen_base(vlm):
    rollout = rollout_of(vlm)
    fitted = mapper_of(rollout.vision)
    loss = StraightThrough(fitted)(rollout).detach()
    with vlm.adapter_off():
        states = vlm.text_states(rollout.captions)
    cosines = fitted.cosines(states, rollout.captions.mask, rollout.vision.image_features)
    assert torch.allclose(loss, 1 - cosines.mean(), atol=1e-5)
    states = vlm.text_states(rollout.captions)  # with the adapter on
    cosines = fitted.cosines(states, rollout.captions.mask, rollout.vision.image_features)
    assert not torch.allclose(loss, (1 - cosines.mean()).detach(), atol=1e-3)


def test_straight_through_has_the_tokens_value_and_the_expected_embedding_s_gradient(vlm):
    rollout = rollout_of(vlm)
    out = straight_through(rollout, temperature=0.7)
    assert torch.allclose(out, vlm.embed(rollout.captions.ids), atol=1e-6)
    weights = torch.randn(out.shape, generator=seeded(8))
    parameters = list(lora_parameters(vlm).values())
    ours = torch.autograd.grad((out * weights).sum(), parameters, retain_graph=True)
    states = vlm.caption_states(rollout.vision, rollout.captions)[:, :-1]
    table = vlm.model.get_input_embeddings().weight
    expected = (vlm.token_logits(states) / 0.7).softmax(dim=-1) @ table
    kept = rollout.captions.mask[..., None]
    theirs = torch.autograd.grad((expected * weights * kept).sum(), parameters)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))


def test_the_paper_s_reading_makes_no_logits(vlm, monkeypatch):
    rollout = rollout_of(vlm)

    def refuse(*args):
        raise AssertionError("logits were made")

    monkeypatch.setattr(type(vlm), "token_logits", refuse)
    ImageContext(mapper_of(rollout.vision))(rollout).backward()
    with pytest.raises(AssertionError, match="logits were made"):
        StraightThrough(mapper_of(rollout.vision))(rollout)


@pytest.mark.parametrize("reading", ALL)
def test_keys_and_values_are_not_kept_while_training(vlm, reading):
    """These models keep them by default, and nobody would read them here."""
    rollout, kept = rollout_of(vlm), []
    vlm.text_model.register_forward_pre_hook(
        lambda _, args, options: kept.append(options["use_cache"]), with_kwargs=True
    )
    reading(mapper_of(rollout.vision))(rollout).backward()
    assert kept and not any(kept)


def test_kl_is_zero_without_change_and_its_gradient_reaches_the_adapter():
    fresh = tiny_smol()
    add_lora(fresh, LoraSettings(2, 4), generator=seeded(0))
    assert float(rollout_of(fresh).kl_from_base().detach()) == pytest.approx(0.0, abs=1e-6)
    moved = trained_a_little()
    kl = rollout_of(moved).kl_from_base()
    assert float(kl.detach()) > 1e-3
    kl.backward()
    assert all(float(p.grad.norm()) > 0 for p in lora_parameters(moved).values())


def test_a_temperature_of_zero_is_refused(vlm):
    fitted = mapper_of(vlm.encode_image(noise_images(2)))
    with pytest.raises(ValueError, match=r"temperature is 0\.0: wanted more than 0"):
        StraightThrough(fitted, temperature=0.0)
