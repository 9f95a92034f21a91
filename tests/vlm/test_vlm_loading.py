"""Checkpoints on disk load offline; everything that can be wrong with one is said."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest
import torch
from tiny_vlm import (
    noise_images,
    tiny_qwen,
    tiny_qwen_processor,
    tiny_smol,
    tiny_smol_model,
    tiny_smol_processor,
)

from tests.hub_answer import http_answer
from vizer_core import hub_errors as hub
from vizer_core.decoding import Greedy
from vizer_core.runtime import seeded
from vizer_core.vizer import LoraSettings, add_lora, lora_parameters
from vizer_core.vlm import Qwen2Vl, SmolVlm, load_vlm
from vizer_core.vlm.pretrained import WHOLE, auto_dtype, keep_layout

NOWHERE = "nobody/no-such-model"


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    """Make the hub unreachable the way an offline machine does."""
    monkeypatch.setattr(hub, "reachable", lambda name: False)


def saved(folder, vlm, processor):
    vlm.base.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["Idefics3", "SmolVLM"])
def test_a_saved_smolvlm_loads_and_captions_as_before(family, tmp_path):
    vlm = tiny_smol(family)
    folder = saved(tmp_path, vlm, tiny_smol_processor())
    loaded = load_vlm(folder, device="cpu", image_splitting=True)
    assert isinstance(loaded, SmolVlm) and loaded.image_splitting
    assert type(loaded.base) is type(vlm.base) and loaded.fingerprint == vlm.fingerprint
    images = noise_images(2)
    loaded.image_splitting = False
    assert loaded.caption(images, decoding=Greedy(5)) == vlm.caption(images, decoding=Greedy(5))


def test_a_saved_qwen_loads_and_captions_as_before(tmp_path):
    vlm = tiny_qwen()
    folder = saved(tmp_path, vlm, tiny_qwen_processor())
    loaded = load_vlm(folder, device="cpu")
    assert isinstance(loaded, Qwen2Vl) and loaded.max_pixels == 448 * 448
    images, rule = noise_images(2, size=(32, 32)), Greedy(5)
    loaded.max_pixels = vlm.max_pixels
    assert loaded.caption(images, decoding=rule, prompt="a photo of") == vlm.caption(
        images, decoding=rule
    )


def test_the_dtype_can_be_chosen(tmp_path):
    folder = saved(tmp_path, tiny_smol(), tiny_smol_processor())
    assert load_vlm(folder, device="cpu").embedding_table.dtype == torch.float32
    half = load_vlm(folder, device="cpu", dtype=torch.bfloat16)
    assert half.embedding_table.dtype == torch.bfloat16
    assert half.caption(noise_images(1), decoding=Greedy(3))


@pytest.mark.parametrize(("native", "wanted"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_gets_the_half_precision_that_it_computes_in(native, wanted, monkeypatch):
    """A T4 only imitates bfloat16, and torch calls that support unless it is told not to."""
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: native or including_emulation,
    )
    assert auto_dtype(torch.device("cuda:1")) == wanted
    assert auto_dtype(torch.device("cpu")) == torch.float32


def test_a_name_that_is_not_cached_says_that_the_hub_is_out_of_reach():
    with pytest.raises(FileNotFoundError, match="The hub is out of reach here"):
        load_vlm(NOWHERE)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"contains no config\.json"):
        load_vlm(tmp_path)


def test_a_lora_folder_is_not_a_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="has a LoRA adapter, not a model"):
        load_vlm(tmp_path)


def test_another_kind_of_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match=r"is a 'bert': wanted one of \['idefics3'"):
        load_vlm(tmp_path)
    with pytest.raises(ValueError, match="SmolVlm wants one of"):
        SmolVlm.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="Qwen2Vl wants one of"):
        Qwen2Vl.from_pretrained(tmp_path)


def test_qwen_has_no_image_splitting(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_vl"}))
    with pytest.raises(ValueError, match="it has no image splitting"):
        load_vlm(tmp_path, image_splitting=True)


def test_missing_weights_are_an_error_and_not_random(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = saved(tmp_path, tiny_smol(), tiny_smol_processor())
    weights = load_file(folder / "model.safetensors")
    del weights["model.connector.modality_projection.proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"1 weights are missing .* first model\.connector"):
        load_vlm(folder, device="cpu")


def test_a_folder_without_weights_is_an_error(tmp_path):
    folder = saved(tmp_path, tiny_smol(), tiny_smol_processor())
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="was not found in its folder"):
        load_vlm(folder, device="cpu")


def test_a_folder_without_a_processor_is_an_error(tmp_path):
    tiny_smol().base.save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="has no processor that loads"):
        load_vlm(tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("Qwen2_5_VLImageProcessor", r"does not have: write Qwen2VLImageProcessor, its name since"),
        ("NextYearsImageProcessor", r"which transformers \S+ does not have: wanted one of its own"),
    ],
)
def test_an_image_processor_of_another_transformers_is_named(kind, advice, tmp_path):
    folder = saved(tmp_path, tiny_qwen(), tiny_qwen_processor())
    (folder / "processor_config.json").unlink()
    settings = {"image_processor_type": kind, "patch_size": 4}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=advice):
        load_vlm(folder, device="cpu")


def test_a_model_larger_than_the_memory_is_not_tried(tmp_path, monkeypatch):
    folder = saved(tmp_path, tiny_smol(), tiny_smol_processor())
    monkeypatch.setattr(hub, "free_bytes", lambda device: 1000)
    with pytest.raises(ValueError, match="the weights alone need"):
        load_vlm(folder, device="cpu")


def test_free_memory_is_read_or_unknown(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 8 kB\nMemAvailable:  3 kB\n")
    monkeypatch.setattr(hub, "MEMORY_FILE", meminfo)
    assert hub.free_bytes(torch.device("cpu")) == 3 * 1024
    monkeypatch.setattr(hub, "MEMORY_FILE", tmp_path / "none")
    assert hub.free_bytes(torch.device("cpu")) is None


def test_a_gated_model_asks_for_a_login(monkeypatch):
    import transformers
    from huggingface_hub.errors import GatedRepoError

    def refuse(name, **_):
        answer = http_answer(403)
        raise OSError("gated") from GatedRepoError("gated", response=answer)

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", refuse)
    with pytest.raises(ValueError, match="is gated: accept its licence"):
        load_vlm(NOWHERE)


def test_a_model_the_hub_does_not_know_is_named(monkeypatch):
    import transformers
    from huggingface_hub.errors import RepositoryNotFoundError

    def refuse(name, **_):
        answer = http_answer(404)
        raise OSError("404") from RepositoryNotFoundError("404", response=answer)

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", refuse)
    with pytest.raises(FileNotFoundError, match="the hub has no model 'nobody/no-such-model'"):
        load_vlm(NOWHERE)


def test_the_hub_is_not_asked_for_folders_nor_when_offline(tmp_path, monkeypatch):
    monkeypatch.undo()
    assert not hub.reachable(tmp_path)
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    assert not hub.reachable(NOWHERE)


@pytest.mark.parametrize("family", [tiny_smol, tiny_qwen])
def test_only_the_language_model_is_kept_in_four_bits(family):
    """By transformers' own rule: what captions are compared with comes from the vision side."""
    rules = pytest.importorskip("transformers.quantizers.quantizers_utils")
    vlm = family()
    linear = {n for n, part in vlm.base.named_modules() if isinstance(part, torch.nn.Linear)}
    chosen = {name for name in linear if rules.should_convert_module(name, list(WHOLE))}
    inside = {name for name in linear if f".{vlm.lora_stem}." in name}
    assert chosen == inside and 0 < len(inside) < len(linear) - 1


def test_bitsandbytes_may_not_lay_out_weights_anew():
    class Linear4bit(torch.nn.Linear):
        support_avx512bf16_for_cpu = True

    model = torch.nn.Sequential(Linear4bit(2, 2), torch.nn.Linear(2, 2))
    keep_layout(model)
    assert model[0].support_avx512bf16_for_cpu is False
    assert not hasattr(model[1], "support_avx512bf16_for_cpu")


@pytest.mark.filterwarnings("ignore")  # bitsandbytes' own
def test_four_bits_have_one_fingerprint_and_the_gradient_of_their_weights(tmp_path):
    """After a caption too: LoRA below four-bit layers learns what it would below their values."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    tiny_smol_model().save_pretrained(tmp_path)
    tiny_smol_processor().save_pretrained(tmp_path)
    images, found = noise_images(2), []
    for four_bit in (True, False):
        vlm = load_vlm(tmp_path, device="cpu", dtype=torch.float32, four_bit=four_bit)
        if four_bit:
            kept = {}
            for name, part in vlm.text_model.named_modules():
                if isinstance(part, bitsandbytes.nn.Linear4bit):
                    weight = part.weight
                    kept[name] = bitsandbytes.functional.dequantize_4bit(
                        weight.data, weight.quant_state
                    )
            assert len(kept) == 14 and vlm.reading == {"four_bit": True}
            vlm.caption(images, decoding=Greedy(2))
            again = load_vlm(tmp_path, device="cpu", dtype=torch.float32, four_bit=True)
            assert vlm.fingerprint == again.fingerprint
        else:
            for name, weight in kept.items():
                vlm.text_model.get_submodule(name).weight.data.copy_(weight)
        add_lora(vlm, LoraSettings(4, 8), generator=seeded(0))
        with torch.no_grad():
            for index, weight in enumerate(lora_parameters(vlm).values()):
                weight.copy_(torch.randn(weight.shape, generator=seeded(index)) * 0.1)
        states = vlm.caption_states(vlm.encode_image(images), vlm.tokenize(["a cat", "the dog"]))
        (states * torch.randn(states.shape, generator=seeded(9))).sum().backward()
        found.append(torch.cat([w.grad.flatten() for w in lora_parameters(vlm).values()]))
    assert float((found[0] - found[1]).norm() / found[1].norm()) < 1e-3
