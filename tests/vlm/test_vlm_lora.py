"""LoRA touches the language model only, and can be switched off without a trace."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_vlm import noise_images, tiny_qwen, tiny_smol

from vizer_core.decoding import Greedy
from vizer_core.vlm import ATTENTION_PROJECTIONS, SmolVlm, language_targets

FAMILIES = {
    "idefics3": lambda: tiny_smol("Idefics3"),
    "smolvlm": lambda: tiny_smol("SmolVLM"),
    "qwen2": lambda: tiny_qwen("Qwen2VL"),
    "qwen2.5": lambda: tiny_qwen("Qwen2_5_VL"),
}
IMAGES = noise_images(3)


@pytest.fixture(params=FAMILIES)
def vlm(request):
    return FAMILIES[request.param]()


def with_lora(vlm, targets=None):
    """Add LoRA with PEFT as a user would, B not zero so that it matters."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, lora_alpha=8, target_modules=targets or vlm.lora_targets)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        vlm.model = get_peft_model(vlm.model, config)
        with torch.no_grad():
            for name, weight in vlm.base.named_parameters():
                if "lora_B" in name:
                    weight.normal_(std=0.1)
    return vlm


def adapted(vlm) -> list[str]:
    return [name for name, _ in vlm.base.named_modules() if name.endswith("lora_A.default")]


def test_the_pattern_matches_every_projection_of_the_language_model_and_nothing_else(vlm):
    names = adapted(with_lora(vlm))
    assert len(names) == 2 * 7
    assert all(f".{vlm.lora_stem}.layers." in name for name in names)


def test_some_projections_can_be_chosen(vlm):
    names = adapted(with_lora(vlm, vlm.lora_targets_for(("q_proj", "v_proj"))))
    assert len(names) == 2 * 2
    assert {name.split(".")[-3] for name in names} == {"q_proj", "v_proj"}


def test_a_list_of_names_would_have_reached_the_vision_tower():
    names = adapted(with_lora(tiny_smol(), ["q_proj", "v_proj"]))
    assert any("vision_model" in name for name in names)


def test_a_text_model_of_another_depth_is_matched_whole():
    import re

    pattern = language_targets("text_model", ATTENTION_PROJECTIONS)
    assert re.fullmatch(pattern, "model.text_model.layers.23.self_attn.o_proj")
    assert re.fullmatch(pattern, "text_model.layers.0.self_attn.q_proj")
    for other in (
        "model.text_model.layers.0.mlp.up_proj",
        "model.vision_model.encoder.layers.0.self_attn.q_proj",
        "model.connector.modality_projection.proj",
        "not_text_model.layers.0.self_attn.q_proj",
        "lm_head",
    ):
        assert not re.fullmatch(pattern, other), other


def test_an_unknown_projection_is_refused():
    with pytest.raises(ValueError, match=r"\['fc1'\]: wanted one or more of"):
        language_targets("text_model", ("fc1",))
    with pytest.raises(ValueError, match="wanted one or more of"):
        language_targets("text_model", ())


def test_with_the_adapter_off_the_base_speaks_bit_for_bit(vlm):
    vision = vlm.encode_image(IMAGES)
    captions = vlm.generate(vision, decoding=Greedy(4))
    before = vlm.caption_states(vision, captions)
    with_lora(vlm)
    assert not torch.equal(vlm.caption_states(vision, captions), before)
    with vlm.adapter_off():
        assert torch.equal(vlm.caption_states(vision, captions), before)
    assert not torch.equal(vlm.caption_states(vision, captions), before)


def test_switching_off_keeps_what_is_trained_and_what_is_not(vlm):
    with_lora(vlm)
    frozen = [weight for name, weight in vlm.base.named_parameters() if "lora_A" in name]
    for weight in frozen:
        weight.requires_grad_(False)
    before = [weight.requires_grad for weight in vlm.base.parameters()]
    with pytest.raises(RuntimeError, match="stop"), vlm.adapter_off():
        raise RuntimeError("stop")
    assert [weight.requires_grad for weight in vlm.base.parameters()] == before
    with vlm.adapter_off(), vlm.adapter_off():
        pass
    assert [weight.requires_grad for weight in vlm.base.parameters()] == before


def test_a_model_without_adapters_may_be_asked_to_switch_them_off(vlm):
    vision = vlm.encode_image(IMAGES[:1])
    before = vlm.generate(vision, decoding=Greedy(4)).ids
    with vlm.adapter_off():
        assert torch.equal(vlm.generate(vision, decoding=Greedy(4)).ids, before)


def test_the_base_is_frozen_and_only_lora_gets_gradients(vlm):
    assert not any(weight.requires_grad for weight in vlm.base.parameters())
    with_lora(vlm)
    vision = vlm.encode_image(IMAGES)
    captions = vlm.generate(vision, decoding=Greedy(4))
    vlm.caption_states(vision, captions)[:, :-1].square().mean().backward()
    with_gradient = {name for name, w in vlm.base.named_parameters() if w.grad is not None}
    assert with_gradient == {name for name, _ in vlm.base.named_parameters() if ".lora_" in name}
    assert all(bool((w.grad != 0).any()) for w in vlm.base.parameters() if w.grad is not None)


def test_sharing_a_prefix_gives_the_gradient_of_separate_runs(vlm):
    with_lora(vlm)
    vision = vlm.encode_image(IMAGES)
    captions = vlm.tokenize(["a dog", "the red cat", "boat", "a", "on the boat", "red ball"])
    weights = [w for w in vlm.base.parameters() if w.requires_grad]
    real = torch.cat([torch.ones_like(captions.mask[:, :1]), captions.mask], dim=1)

    def gradient(images) -> torch.Tensor:
        loss = vlm.caption_states(images, captions)[real].sin().sum()
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])

    shared, apart = gradient(vision), gradient(vision.select([0, 0, 1, 1, 2, 2]))
    torch.testing.assert_close(shared, apart, atol=1e-4, rtol=1e-3)


def test_vision_is_bit_equal_before_and_after_training(vlm):
    before = vlm.encode_image(IMAGES)
    mark = vlm.fingerprint
    with_lora(vlm)
    captions = vlm.tokenize(["a dog", "cat", "boat"])
    optimizer = torch.optim.AdamW([w for w in vlm.base.parameters() if w.requires_grad], lr=0.05)
    states = vlm.caption_states(before, captions).detach()
    for _ in range(3):
        optimizer.zero_grad()
        vlm.caption_states(before, captions).mean().backward()
        optimizer.step()
    assert not torch.equal(vlm.caption_states(before, captions), states)
    after = vlm.encode_image(IMAGES)
    assert torch.equal(before.image_features, after.image_features)
    for one, other in zip(before.image_embeddings, after.image_embeddings, strict=True):
        assert torch.equal(one, other)
    del vlm.fingerprint
    assert vlm.fingerprint == mark


def test_an_adapter_that_peft_already_put_on_is_kept(vlm):
    with_lora(vlm)
    again = type(vlm)(vlm.model, vlm.processor, "again")
    trained = {name for name, w in again.base.named_parameters() if w.requires_grad}
    assert trained == {name for name, _ in again.base.named_parameters() if ".lora_" in name}
    assert again.base is vlm.base


def test_a_model_of_another_family_is_refused():
    vlm = tiny_qwen()
    with pytest.raises(ValueError, match="wanted Idefics3ForConditionalGeneration or SmolVLM"):
        SmolVlm(copy.copy(vlm.base), vlm.processor, "wrong")
    smol = tiny_smol()
    with pytest.raises(ValueError, match="wanted Qwen2VLForConditionalGeneration or"):
        type(vlm)(smol.base, smol.processor, "wrong")
