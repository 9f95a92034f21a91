"""Trained VLMs cast to bfloat16: our captions are transformers' own, letter by letter.

With random weights the best two words lie so near that bfloat16's rounding parts any two orders of
the same sums. A trained model is clear about most words, so here the whole path is compared: pixels
by the processor and `generate`, one image at a time, against cached features, a batch of unequal
lengths and our own loop. It shows that no step of ours rounds where transformers does not. It does
not show that bfloat16 is as good as float32: it writes other captions for some of these images.
"""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from vizer_core.decoding import Beam, Decoding, Greedy
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo import load_drawn_vlm

RULES = (Greedy(32), Beam(4, max_tokens=32))


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    return [Image.fromarray(p) for p in DrawnSplit("second_test", 24, first=20_000).images]


def captions_of_transformers(vlm, image: Image.Image, rule: Decoding) -> str:
    """Caption one image by the model's processor and its own `generate`."""
    if vlm.lora_stem == "text_model":
        options = {"do_image_splitting": vlm.image_splitting}
    else:
        options = {"size": {"shortest_edge": 16 * 16, "longest_edge": vlm.max_pixels}}
    inputs = vlm.processor(
        images=[image], text=[vlm.default_prompt], return_tensors="pt", **options
    )
    half = {k: v.bfloat16() if v.is_floating_point() else v for k, v in inputs.items()}
    written = vlm.base.generate(
        **half,
        **rule.generate_options(),
        suppress_tokens=[vlm.image_token_id],
        eos_token_id=list(vlm.tokens.eos_ids),
        pad_token_id=vlm.tokens.pad,
    )
    return vlm.decode(written[:, half["input_ids"].shape[1] :])[0]


@pytest.mark.parametrize("name", ["drawn-vlm-web", "drawn-vlm-poor", "drawn-vlm-qwen"])
def test_captions_in_bfloat16_are_those_of_transformers(name, images):
    vlm = load_drawn_vlm(name)
    whole = vlm.generate(vlm.encode_image(images), decoding=Greedy(32)).texts
    vlm.base.to(torch.bfloat16)
    vision = vlm.encode_image(images)
    for rule in RULES:
        ours = vlm.generate(vision, decoding=rule).texts
        assert list(ours) == [captions_of_transformers(vlm, image, rule) for image in images]
    greedy = vlm.generate(vision, decoding=Greedy(32)).texts
    assert greedy != whole, "bfloat16 rounds nothing away here: the test shows nothing"
