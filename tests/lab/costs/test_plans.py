"""Estimates against the real classes, against known figures, and against each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vizer_core.vlm.budget import H100, StepPlan, step_flops
from vizer_core.vlm.published import smolvlm_256m_config, smolvlm_base_config
from vizer_core.vlm.sizes import size_of
from vizer_lab.costs import (
    CLIP_B32,
    CLIP_L14,
    DEVICES,
    OPT_1B,
    OPT_125M,
    Phase,
    caption_plan,
    features_plan,
    mapper_plan,
    scale_row,
    text_only_plan,
    vlm_captions_plan,
    zero_label_plan,
)
from vizer_lab.costs.work import FLOPS_USED

BASE, SMALL = size_of(smolvlm_base_config()), size_of(smolvlm_256m_config())
STEP = StepPlan(batch=8, samples=4)
FAST, SLOW = DEVICES["H100 SXM"], DEVICES["T4"]


@pytest.mark.parametrize(("size", "name"), [(CLIP_B32, "ViT-B-32"), (CLIP_L14, "ViT-L-14")])
def test_clip_is_counted_as_open_clip_builds_it(size, name):
    import open_clip

    with torch.device("meta"):
        model = open_clip.create_model(name, load_weights=False, device="meta").eval()
    assert sum(p.numel() for p in model.parameters()) == size.parameters
    pixels = torch.zeros(1, 3, 224, 224, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.encode_image(pixels)
    assert counter.get_total_flops() == pytest.approx(size.image_flops, rel=0.03)


@pytest.mark.parametrize("lm", [OPT_125M, OPT_1B])
def test_opt_is_counted_as_transformers_builds_it(lm):
    from transformers import OPTConfig, OPTForCausalLM

    shape = lm.shape
    heads = {768: 12, 2048: 32}[shape.width]
    config = OPTConfig(
        hidden_size=shape.width, ffn_dim=shape.ffn, num_hidden_layers=shape.layers,
        num_attention_heads=heads, word_embed_proj_dim=shape.width, vocab_size=lm.vocabulary,
    )  # fmt: skip
    with torch.device("meta"):
        model = OPTForCausalLM(config)
    assert sum(p.numel() for p in model.parameters()) == lm.parameters


def test_a_phase_takes_as_long_as_its_slowest_part():
    assert Phase("a", flops=H100.flops * FLOPS_USED).seconds(FAST) == pytest.approx(1.0)
    assert Phase("a", flops=1.0, photos=1600).seconds(FAST) == pytest.approx(1.0)
    assert Phase("a", token_steps=100, layers=10).seconds(FAST) == Phase(
        "a", token_steps=100, layers=10
    ).seconds(SLOW)
    assert Phase("a", traffic=1e12).seconds(SLOW) > 5 * Phase("a", traffic=1e12).seconds(FAST)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: features_plan(CLIP_B32, n, 5 * n),
        lambda n: text_only_plan(CLIP_B32, OPT_1B, n),
        lambda n: caption_plan(CLIP_B32, OPT_1B, n),
        lambda n: vlm_captions_plan(BASE, n, step=STEP),
        lambda n: mapper_plan(BASE, n, step=STEP),
        lambda n: zero_label_plan(BASE, n, step=STEP),
    ],
)
def test_a_plan_grows_with_its_data_and_shrinks_with_the_device(make):
    small, large = make(6400), make(64_000)
    assert large.flops == pytest.approx(10 * small.flops)
    assert large.minutes(FAST) == pytest.approx(10 * small.minutes(FAST))
    assert small.minutes(SLOW) > small.minutes(FAST) > 0
    assert large.memory == small.memory and large.download == small.download > 10**8


def test_the_papers_phase_2_is_what_the_formulas_say():
    """40,000 images, one tile, one caption: 75 PFLOP and minutes of an H100 (arithmetic only)."""
    plan = zero_label_plan(BASE, 40_000, step=StepPlan(batch=32))
    assert plan.flops == pytest.approx(40_000 * step_flops(BASE, StepPlan(batch=32)).total)
    assert 60e15 < plan.flops < 90e15
    assert 3 < plan.minutes(FAST) < 30
    fits = replace(STEP, batch=4)
    assert zero_label_plan(BASE, 100, step=fits).memory < DEVICES["RTX 4090"].memory


def test_more_captions_and_larger_models_cost_more():
    one = zero_label_plan(BASE, 1000, step=replace(STEP, samples=1))
    assert zero_label_plan(BASE, 1000, step=STEP).minutes(FAST) > one.minutes(FAST)
    assert zero_label_plan(SMALL, 1000, step=STEP).flops < 0.3 * one.flops * 4
    greedy = caption_plan(CLIP_B32, OPT_1B, 1000, rows=1)
    assert caption_plan(CLIP_B32, OPT_1B, 1000).flops > 50 * greedy.flops
    both = greedy.minutes(FAST) + one.minutes(FAST)
    assert (greedy + one).minutes(FAST) == pytest.approx(both)


def test_what_is_kept_grows_with_the_images_and_a_bank_is_searched_in_proportion():
    small, large = (
        scale_row(n, clip=CLIP_B32, vlm=BASE, step=STEP, device=FAST) for n in (40_000, 10**9)
    )
    assert large.feature_bytes == 2 * 10**9 * 512 * 2 and large.shards == 100_000
    assert large.bank_bytes == 16 * large.bank_code_bytes
    assert large.bank_seconds == pytest.approx(25_000 * small.bank_seconds)
    assert large.features_hours == pytest.approx(25_000 * small.features_hours)
    with pytest.raises(ValueError, match="got 0 images"):
        scale_row(0, clip=CLIP_B32, vlm=BASE, step=STEP, device=FAST)
