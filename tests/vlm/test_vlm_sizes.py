"""Sizes, FLOPs and memory by arithmetic, against the real modules."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from tiny_vlm import (
    noise_images,
    tiny_qwen,
    tiny_smol,
    tiny_smol_model,
    tiny_smol_processor,
)
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vizer_core.vlm import SmolVlm, published
from vizer_core.vlm.budget import (
    H100,
    T4,
    StepPlan,
    kv_bytes,
    least_seconds,
    naive_flops,
    step_flops,
    tower_flops,
)
from vizer_core.vlm.memory import (
    kept_bytes,
    largest_batch,
    layer_bytes,
    require_step_memory,
    step_memory,
)
from vizer_core.vlm.sizes import size_of

BASE = size_of(published.smolvlm_base_config())
SHAPES = {
    "smolvlm_base": (2_246_272_880, 412_987_248, 1_711_382_528, 36_175_872, 12_582_912),
    "smolvlm_500m": (507_482_304, 86_433_024, 361_944_000, 17_367_040, 6_553_600),
    "smolvlm_256m": (256_484_928, 86_433_024, 134_588_736, 9_768_960, 3_686_400),
    "qwen2_5_vl_3b": (3_754_622_976, 668_684_288, 3_085_938_688, 59_867_136, 14_745_600),
    "qwen2_vl_2b": (2_208_985_600, 665_271_296, 1_543_714_304, 36_929_536, 8_716_288),
}


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize("name", SHAPES)
def test_published_sizes_are_those_of_the_real_modules(name):
    import transformers

    config = getattr(published, f"{name}_config")()
    size = size_of(config)
    total, vision, text, lora, attention_lora = SHAPES[name]
    with torch.device("meta"):
        if name.startswith("qwen"):
            family = "Qwen2_5_VL" if "2_5" in name else "Qwen2VL"
            model = getattr(transformers, f"{family}ForConditionalGeneration")(config)
            tower = count(model.model.visual)
        else:
            model = transformers.Idefics3ForConditionalGeneration(config)
            tower = count(model.model.vision_model)
    merger = size.tower.connector_weights if name.startswith("qwen") else 0
    assert size.parameters == total == count(model)
    assert size.tower.parameters + merger == vision == tower
    assert size.text.parameters == text
    assert size.text.lora_parameters(32) == lora
    assert size.text.lora_parameters(32, ("q_proj", "k_proj", "v_proj", "o_proj")) == attention_lora


@pytest.mark.parametrize("vlm", [
    tiny_smol, lambda: tiny_smol("SmolVLM"), tiny_qwen, lambda: tiny_qwen("Qwen2_5_VL"),
])  # fmt: skip
def test_tiny_sizes_and_their_lora_are_counted_right(vlm):
    from peft import LoraConfig, get_peft_model

    vlm = vlm()
    size = size_of(vlm.base.config)
    assert size.parameters == count(vlm.base)
    assert size.text.parameters == count(vlm.text_model)
    adapted = get_peft_model(vlm.base, LoraConfig(r=4, target_modules=vlm.lora_targets))
    assert size.text.lora_parameters(4) == adapted.get_nb_trainable_parameters()[0]


def test_tokens_of_a_tile_are_those_of_the_model():
    vlm = tiny_smol()
    size = size_of(vlm.base.config)
    ids, _ = vlm.prompt_batch(vlm.encode_image(noise_images(1)), prompt="")
    assert size.tower.tokens == 4
    assert StepPlan(prompt_tokens=0).prefix_tokens(size) == ids.shape[1]
    assert (BASE.tower.patches, BASE.tower.tokens) == (729, 81)
    assert size_of(published.qwen2_vl_2b_config(), pixels=448 * 448).tower.tokens == 256


def test_an_unknown_family_has_no_sizes():
    with pytest.raises(ValueError, match="no sizes for 'llava': wanted one of idefics3, smolvlm"):
        size_of(SimpleNamespace(model_type="llava"))


def test_where_logits_are_counted():
    """The head's products, forward and back, and the KL's pass; what a loss of states has not."""
    plan = StepPlan(samples=2)
    plain, head, kl, only_kl = (
        step_flops(BASE, dataclasses.replace(plan, **more)).train
        for more in ({}, {"head": True}, {"head": True, "kl": True}, {"kl": True})
    )
    product = 2 * BASE.head_weights * plan.samples * plan.caption_tokens
    assert head - plain == 2 * product
    assert only_kl - plain == pytest.approx(kl - head + product)  # both models' logits are made
    assert kl - head == pytest.approx(step_flops(BASE, plan).train_forward, rel=0.1)
    merged = dataclasses.replace(plan, merged=True)
    more = step_memory(BASE, merged).generation - step_memory(BASE, plan).generation
    assert more == 2 * BASE.text.linear_weights


def test_the_towers_flops_are_those_that_torch_counts():
    vlm = tiny_smol(image_splitting=True)
    pixels, grid = vlm.preprocess(noise_images(2))
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):
        vlm.encode_pixels(pixels, grid)
    assert counted.get_total_flops() == len(pixels) * tower_flops(size_of(vlm.base.config))


def test_the_text_models_linear_flops_are_those_that_torch_counts():
    vlm = tiny_smol()
    size = size_of(vlm.base.config)
    captions = vlm.tokenize(["a red dog"] * 3)
    with FlopCounterMode(display=False) as counted:
        vlm.text_states(captions)
    by_kind = counted.get_flop_counts()["Global"]
    linear = sum(flops for kind, flops in by_kind.items() if "attention" not in str(kind))
    assert linear == 2 * size.text.linear_weights * 3 * (captions.ids.shape[1] + 1)


def test_training_costs_two_forward_passes_and_lora_three():
    from peft import LoraConfig, get_peft_model

    model = tiny_smol_model(num_hidden_layers=8)
    vlm = SmolVlm(model, tiny_smol_processor(), "deep")
    vlm.model = get_peft_model(vlm.base, LoraConfig(r=4, target_modules=vlm.lora_targets))
    vision = vlm.encode_image(noise_images(1))
    captions = vlm.tokenize(["a red dog on the boat near a cat"])
    plan = StepPlan(batch=1, prompt_tokens=0, caption_tokens=captions.ids.shape[1], rank=4)
    with FlopCounterMode(display=False) as counted:
        vlm.caption_states(vision, captions).sum().backward()
    size = size_of(vlm.base.config)
    tokens = plan.prefix_tokens(size) + plan.caption_tokens
    attention = 4 * size.text.layers * size.text.query_width * tokens**2 / 2
    wanted = step_flops(size, plan).train - 3 * attention  # torch counts none on a CPU
    # nothing below the lowest layer needs a gradient: its q, k and v save the backward pass
    saved = 2 * tokens * sum(a * b for a, b in list(size.text.projections.values())[:3])
    saved += 2 * tokens * 3 * 4 * size.text.width  # and so do the matrices A of their LoRA
    assert counted.get_total_flops() == wanted - saved


def test_flops_of_the_published_models_are_as_computed_before():
    """The brief arithmetic of 24 new tokens after 15 prompt tokens, in TFLOP an image."""
    wanted = {1: (0.67, 0.32, 0.08, 0.80, 1.87, 2.93), 13: (8.69, 3.66, 0.09, 7.48, 19.9, 32.4)}
    for tiles, row in wanted.items():
        plan = StepPlan(tiles=tiles)
        found = step_flops(BASE, plan)
        parts = (found.vision, found.prefill, found.decode, found.train, found.total)
        for value, expected in zip([*parts, naive_flops(BASE, plan)], row, strict=True):
            assert value / 1e12 == pytest.approx(expected, rel=0.05)


def test_captions_that_share_a_prompt_save_most_of_its_cost():
    plan = StepPlan(samples=8)
    assert naive_flops(BASE, plan) / step_flops(BASE, plan).total == pytest.approx(6.7, abs=0.2)
    one, two = (step_flops(BASE, StepPlan(samples=g)) for g in (1, 2))
    assert two.vision == one.vision and two.prefill == one.prefill
    assert two.decode == 2 * one.decode


@pytest.mark.parametrize(
    ("model", "adapters"),
    [(torch.bfloat16, True), (torch.bfloat16, False), (torch.float32, True)],
)
def test_what_autograd_keeps_is_counted_to_the_byte(model, adapters):
    from peft import LoraConfig, get_peft_model

    kept = []
    for layers in (1, 2):
        base = tiny_smol_model(num_hidden_layers=layers, num_key_value_heads=2).to(model)
        vlm = SmolVlm(base, tiny_smol_processor(), "kept")
        settings = LoraConfig(r=4, target_modules=vlm.lora_targets)
        vlm.model = get_peft_model(vlm.base, settings, autocast_adapter_dtype=adapters)
        kept.append(bytes_kept(vlm))
    plan = StepPlan(
        rank=4, model_bytes=model.itemsize, adapter_bytes=4 if adapters else model.itemsize
    )
    assert kept[1] - kept[0] == layer_bytes(size_of(vlm.base.config), plan)


def bytes_kept(vlm) -> float:
    """Run a forward pass and return the bytes a token that autograd holds, weights left out."""
    weights = {each.untyped_storage().data_ptr() for each in vlm.base.parameters()}
    held: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in weights:
            held[place] = tensor
        return tensor

    embeddings = torch.randn(2, 64, 32, dtype=vlm.embedding_table.dtype)
    mask = torch.ones(2, 64, dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        vlm.run_text(embeddings, mask, torch.arange(64).expand(2, -1))
    return sum(each.untyped_storage().nbytes() for each in held.values()) / (2 * 64)


def test_keys_and_values_take_what_the_cache_takes():
    vlm = tiny_smol()
    prefix = vlm.prefix(vlm.encode_image(noise_images(2)))
    cache = vlm.new_cache()
    vlm.run_text(prefix.embeddings, prefix.mask, prefix.positions, cache)
    held = sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values))
    assert held == prefix.mask.numel() * kv_bytes(size_of(vlm.base.config), model_bytes=4)
    assert kv_bytes(BASE) == 192 * 1024


def test_memory_of_a_step_grows_as_it_must():
    plan = StepPlan()
    memory = step_memory(BASE, plan)
    assert memory.weights == 2 * BASE.parameters
    assert memory.adapter == 16 * 36_175_872
    assert memory.peak == memory.weights + memory.adapter + memory.training
    assert memory.peak < 24e9 < step_memory(BASE, StepPlan(batch=8, tiles=13)).peak
    lean = StepPlan(batch=8, tiles=13, checkpointing=True)
    assert step_memory(BASE, lean).peak < 24e9
    for change in ({"batch": 16}, {"samples": 4}, {"tiles": 13}, {"caption_tokens": 48}):
        assert step_memory(BASE, dataclasses.replace(plan, **change)).peak > memory.peak
    assert kept_bytes(BASE, StepPlan(adapter_bytes=2)) < 0.7 * kept_bytes(BASE, plan)


def test_the_largest_batch_fits_and_one_more_does_not():
    plan, free = StepPlan(samples=4), int(18e9)
    best = largest_batch(BASE, plan, free)
    assert step_memory(BASE, dataclasses.replace(plan, batch=best)).beside_weights <= free
    assert step_memory(BASE, dataclasses.replace(plan, batch=best + 1)).beside_weights > free
    assert largest_batch(BASE, dataclasses.replace(plan, checkpointing=True), free) > 2 * best
    assert largest_batch(BASE, plan, 0) == 0


def test_a_step_that_does_not_fit_says_what_would():
    plan = StepPlan(batch=32, samples=4)
    require_step_memory(BASE, plan, int(200e9))
    best = largest_batch(BASE, plan, int(18e9))
    with pytest.raises(ValueError, match=rf" 16\.8 GiB are free\. Let at most {best} images"):
        require_step_memory(BASE, plan, int(18e9))
    with pytest.raises(ValueError, match="Not even one image fits: take fewer captions"):
        require_step_memory(BASE, plan, 1000)


def test_a_step_that_fits_with_recompute_alone_says_so():
    plan, free = StepPlan(batch=32, samples=4, head=True, kl=True), 2**30
    assert largest_batch(BASE, plan, free) == 0
    most = largest_batch(BASE, dataclasses.replace(plan, checkpointing=True), free)
    said = rf"free\. Let {most} images? through at once, with recompute \(--recompute --micro-batch"
    with pytest.raises(ValueError, match=rf"{said}-size {most}\): the step stays the same\."):
        require_step_memory(BASE, plan, free)


def test_a_step_cannot_be_faster_than_arithmetic_nor_than_memory():
    plan = StepPlan(batch=1)
    flops = step_flops(BASE, plan).total
    weights = 2 * (BASE.text.linear_weights + BASE.head_weights)
    seconds = least_seconds(BASE, plan, H100)
    assert seconds > flops / H100.flops
    assert seconds > plan.caption_tokens * weights / H100.bandwidth
    assert least_seconds(BASE, plan, T4) > 5 * seconds
    many = dataclasses.replace(plan, batch=64)
    assert least_seconds(BASE, many, H100) < 64 * seconds


def test_impossible_plans_are_refused():
    with pytest.raises(ValueError, match="wanted counts of at least 1"):
        StepPlan(samples=0)
    with pytest.raises(ValueError, match="wanted 2 or 4"):
        StepPlan(model_bytes=1)
