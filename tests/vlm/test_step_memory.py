"""The memory of a step at a published width: measured on a CPU, beside the estimate."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_fast_decoder import true_width

from vizer_core.decoding import Sample
from vizer_core.runtime import seeded
from vizer_core.vizer import add_lora
from vizer_core.vizer.rollout import Rollout
from vizer_core.vlm.budget import StepPlan
from vizer_core.vlm.counting import most_bytes
from vizer_core.vlm.memory import step_memory
from vizer_core.vlm.sizes import size_of

IMAGES, SAMPLES, TOKENS = 2, 2, 16


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_the_peak_of_the_pass_with_gradient_is_what_the_estimate_says(dtype):
    """SmolVLM-256M's width, two layers: a loss of states, one of logits, one with the KL's pass."""
    vlm = true_width("smolvlm_256m")
    vlm.base.to(dtype)
    vlm.tokens.eos_ids = (10**6,)  # captions do not end
    add_lora(vlm, generator=seeded(0))
    side = vlm.base.config.vision_config.image_size
    pixels = torch.rand(IMAGES, 3, side, side, generator=seeded(1)) * 2 - 1
    vision = vlm.encode_pixels(pixels, torch.tensor([[1, 0, 0]] * IMAGES))
    captions = vlm.generate(
        vision, decoding=Sample(max_tokens=TOKENS), samples=SAMPLES, generator=seeded(2)
    )
    size = size_of(vlm.base.config)
    plan = StepPlan(
        batch=IMAGES, samples=SAMPLES, caption_tokens=TOKENS, model_bytes=dtype.itemsize,
    )  # fmt: skip
    marks = vlm.prefix(vision).mask.shape[1] - replace(plan, prompt_tokens=0).prefix_tokens(size)
    plan = replace(plan, prompt_tokens=marks)

    def step(head: bool, kl: bool) -> None:
        rollout = Rollout(vlm, vision, captions)
        loss = -rollout.log_probs.sum() if head else rollout.states.float().pow(2).mean()
        if kl:
            with torch.no_grad():
                rollout.kl_from_base()
        del rollout
        loss.backward()
        vlm.model.zero_grad()

    measured = []
    for head, kl in ((False, False), (True, False), (True, True)):
        measured.append(most_bytes(lambda: step(head, kl)))  # noqa: B023
        estimate = step_memory(size, replace(plan, head=head, kl=kl)).training
        assert 0.75 <= estimate / measured[-1] <= 1.25
    assert measured[2] > 3 * measured[0]  # what was left out
