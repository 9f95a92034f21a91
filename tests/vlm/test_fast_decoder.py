"""Fast decoding: the captions of the model itself, in fewer operations and waits."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from tiny_vlm import (
    noise_images,
    tiny_qwen,
    tiny_smol,
    tiny_smol_model,
    tiny_smol_processor,
)

from vizer_core.decoding import Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.vizer import LoraSettings, add_lora, lora_parameters
from vizer_core.vlm import Qwen2Vl, SmolVlm, compiled_decoder, published
from vizer_core.vlm.counting import operations_per_token
from vizer_core.vlm.fast_decoder import Norm, merged_weight, supports

FAMILIES = {
    "Idefics3": tiny_smol,
    "SmolVLM": lambda: tiny_smol("SmolVLM"),
    "Qwen2VL": tiny_qwen,
    "Qwen2_5_VL": lambda: tiny_qwen("Qwen2_5_VL"),
}
IMAGES = noise_images(5)
ROOT = Path(__file__).resolve().parents[2]


def with_lora(vlm, std: float = 0.2):
    """Add LoRA that changes captions."""
    add_lora(vlm, LoraSettings(4, 8), generator=seeded(0))
    with torch.no_grad():
        for index, weight in enumerate(lora_parameters(vlm).values()):
            weight.copy_(torch.randn(weight.shape, generator=seeded(index)) * std)
    return vlm


def both(vlm, vision, rule, samples: int = 1):
    """Generate by the model itself, and fast."""
    found = []
    for fast in (False, True):
        vlm.fast = fast
        found.append(vlm.generate(vision, decoding=rule, samples=samples, generator=seeded(1)))
    return found


@pytest.mark.parametrize("rule", [Greedy(20), Sample(max_tokens=20)], ids=["greedy", "sample"])
@pytest.mark.parametrize("adapted", [False, True], ids=["base", "lora"])
@pytest.mark.parametrize("family", FAMILIES)
def test_captions_are_those_of_the_model_itself(family, adapted, rule):
    """Some rows end early, so that the batch shrinks on the way."""
    vlm = FAMILIES[family]()
    vlm = with_lora(vlm) if adapted else vlm
    vlm.tokens.eos_ids = tuple(range(3, 90, 9))
    slow, fast = both(vlm, vlm.encode_image(IMAGES), rule, samples=3)
    assert torch.equal(slow.ids, fast.ids) and slow.texts == fast.texts
    assert isinstance(rule, Greedy) or len(set(slow.mask.sum(dim=1).tolist())) > 1


def test_lora_is_merged_into_a_copy():
    vlm = with_lora(tiny_smol())
    linear = vlm.text_model.layers[0].mlp.up_proj
    before = linear.base_layer.weight.clone()
    x = torch.randn(3, 32, generator=seeded(0))
    assert torch.allclose(x @ merged_weight(linear).T, linear(x), atol=1e-5)
    assert torch.equal(linear.base_layer.weight, before)
    with vlm.adapter_off():
        assert merged_weight(linear) is linear.base_layer.weight
        base, fast = both(vlm, vlm.encode_image(IMAGES), Greedy(8))
    assert base.texts == fast.texts != both(vlm, vlm.encode_image(IMAGES), Greedy(8))[1].texts


def test_what_it_cannot_read_goes_through_the_model():
    biased = SmolVlm(tiny_smol_model(attention_bias=True), tiny_smol_processor(), "biased")
    assert supports(tiny_smol().text_model) and not supports(biased.text_model)
    other = SmolVlm(tiny_smol_model(hidden_act="gelu"), tiny_smol_processor(), "gelu")
    assert not supports(other.text_model)
    slow, fast = both(biased, biased.encode_image(IMAGES), Greedy(8))
    assert slow.texts == fast.texts


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_a_norm_in_half_precision_rounds_where_transformers_does(half):
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    theirs = LlamaRMSNorm(576, eps=1e-5).to(half)
    theirs.weight.data = torch.rand(576, generator=seeded(0)).to(half) + 0.5
    norm = Norm(theirs.weight.data, 1e-5)
    for rows in (5, 3, 5):
        x = (torch.randn(rows, 576, generator=seeded(rows)) * 3).to(half)
        with torch.no_grad():
            mine, other = norm(x), theirs(x)
        assert mine.dtype == half and torch.allclose(mine, other, rtol=2e-3)
        # torch's own rms_norm rounds once, and differs in a quarter of bfloat16's values
        assert float((mine != other).float().mean()) < (0.01 if half == torch.float16 else 1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("adapted", [False, True], ids=["base", "lora"])
def test_a_token_of_24_layers_takes_less_than_500_operations(adapted, dtype):
    model = tiny_smol_model(num_hidden_layers=24).to(dtype)
    vlm = SmolVlm(model, tiny_smol_processor(), "deep")
    vlm = with_lora(vlm, std=0.01) if adapted else vlm
    vlm.tokens.eos_ids = (9999,)  # never
    vision = vlm.encode_image(IMAGES[:2])
    before = operations_per_token(vlm, vision)
    vlm.fast = True
    after = operations_per_token(vlm, vision)
    assert before["operations"] > (2000 if adapted else 1000) and before["waits"] >= 1
    assert after["operations"] <= 500 and after["waits"] <= 1 / 8


@pytest.mark.parametrize("rule", [Greedy(12), Sample(max_tokens=12)], ids=["greedy", "sample"])
@pytest.mark.parametrize("family", ["Idefics3", "Qwen2VL"])
def test_a_step_of_fixed_shapes_writes_the_same_captions(family, rule, monkeypatch):
    """The step as the compiler gets it; the compiler has a test of its own, a slow one."""
    monkeypatch.setattr(torch, "compile", lambda step, backend, dynamic: step)
    vlm = with_lora(FAMILIES[family]())
    vlm.tokens.eos_ids = tuple(range(3, 90, 9))
    vision = vlm.encode_image(IMAGES)
    plain, _ = both(vlm, vision, rule, samples=2)
    vlm.fast, vlm.compiled = False, True
    compiled = vlm.generate(vision, decoding=rule, samples=2, generator=seeded(1))
    assert compiled.texts == plain.texts and len(set(plain.mask.sum(dim=1).tolist())) > 1


class Played:
    """A CUDA graph on a CPU: what was recorded runs again, on the arguments' own memory."""

    def replay(self):
        recording = self.recording
        recording.returned.copy_(self.function(*recording.arguments))


@pytest.mark.parametrize("rule", [Greedy(12), Sample(max_tokens=12)], ids=["greedy", "sample"])
def test_a_recorded_step_writes_the_same_captions(rule, monkeypatch):
    """The recording itself is a stand-in: no GPU is here. What it is given must not move."""
    graphs, init = [], compiled_decoder.Recording.__init__

    def noted(self, function, arguments):
        init(self, function, arguments)
        self.graph.recording, self.graph.function = self, function
        graphs.append(self.graph)

    class Stream:
        def wait_stream(self, other): ...

    monkeypatch.setattr(compiled_decoder.Recording, "__init__", noted)
    monkeypatch.setattr(compiled_decoder, "records", lambda device: True)
    for name, stand_in in {
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda stream: nullcontext(),
        "graph": lambda graph: nullcontext(),
        "CUDAGraph": Played,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    vlm = with_lora(tiny_smol())
    vlm.tokens.eos_ids = tuple(range(3, 90, 9))
    vision = vlm.encode_image(IMAGES)
    plain, _ = both(vlm, vision, rule, samples=2)
    vlm.fast, vlm.compiled = False, True
    recorded = vlm.generate(vision, decoding=rule, samples=2, generator=seeded(1))
    assert recorded.texts == plain.texts and len(graphs) == 1


def test_what_cannot_be_compiled_is_refused():
    vlm = SmolVlm(tiny_smol_model(attention_bias=True), tiny_smol_processor(), "biased")
    vlm.compiled = True
    with pytest.raises(ValueError, match="biased: its language model cannot be compiled here"):
        vlm.generate(vlm.encode_image(IMAGES), decoding=Greedy(2))


COMPILED = """
import torch, test_fast_decoder as tests
vlm = tests.with_lora(tests.tiny_smol())
vlm.tokens.eos_ids = tuple(range(3, 90, 9))
vision = vlm.encode_image(tests.IMAGES)
plain = vlm.generate(vision, decoding=tests.Greedy(12))
vlm.compiled = True
assert vlm.generate(vision, decoding=tests.Greedy(12)).texts == plain.texts
tests.compiled_decoder.BACKEND = "no such backend"
try:
    vlm.generate(vision, decoding=tests.Greedy(12))
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.slow
def test_a_compiled_step_writes_the_same_captions():
    """In a process of its own: the compiler cannot read through the checks of types in tests."""
    path = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPILED],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "InvalidBackend\n"  # so it was compiled before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smolvlm_base", "smolvlm_256m", "qwen2_vl_2b"])
def test_captions_are_the_same_at_true_width(name):
    """Two layers of the published width, random weights, LoRA of the paper's size on top."""
    vlm = with_lora(true_width(name), std=0.02)
    grid = torch.tensor([[1, 0, 0]] * 3 if "smol" in name else [[1, 16, 16]] * 3)
    size = vlm.base.config.vision_config
    shape = (3, 3, size.image_size, size.image_size) if "smol" in name else (768, 1176)
    vision = vlm.encode_pixels(torch.rand(shape, generator=seeded(0)) * 2 - 1, grid)
    for rule in (Greedy(16), Sample(max_tokens=16)):
        slow, fast = both(vlm, vision, rule, samples=2)
        assert torch.equal(slow.ids, fast.ids) and len(slow.ids.unique(dim=0)) > 1


def true_width(name: str, layers: int = 2):
    """Build a model of a published width, and put a tiny tokenizer beside it."""
    import transformers
    from tiny_vlm import VOCABULARY, tiny_qwen_processor

    config = getattr(published, f"{name}_config")()
    config.text_config.num_hidden_layers = layers
    if name.startswith("qwen"):
        config.vision_config.depth = layers
        for mark in ("image", "video"):
            setattr(config, f"{mark}_token_id", VOCABULARY.index(f"<|{mark}_pad|>"))
        config.vision_start_token_id = VOCABULARY.index("<|vision_start|>")
        model = transformers.Qwen2VLForConditionalGeneration(config)
        return Qwen2Vl(model, tiny_qwen_processor(), name, default_prompt="a photo of")
    config.vision_config.num_hidden_layers = layers
    config.image_token_id = VOCABULARY.index("<image>")
    processor = tiny_smol_processor()
    side = config.vision_config.image_size // config.vision_config.patch_size
    processor.image_seq_len = (side // config.scale_factor) ** 2
    return SmolVlm(transformers.Idefics3ForConditionalGeneration(config), processor, name)
