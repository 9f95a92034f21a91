"""LoRA: on the language model only, the base untouched, saved as PEFT alone can load it."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.runtime import seeded
from vizer_core.vizer.lora import (
    VIZER_LORA,
    LoraSettings,
    add_lora,
    has_lora,
    load_adapter,
    lora_parameters,
    lora_targets,
    reset_lora,
    save_adapter,
)
from vizer_core.vlm.smolvlm import SmolVlm

SMALL = LoraSettings(rank=2, alpha=4)
TEXTS = ["a dog on the boat", "red ball"]


def states(vlm):
    vision = vlm.encode_image(noise_images(2))
    with torch.no_grad():
        return vlm.caption_states(vision, vlm.tokenize(TEXTS))


def perturbed(vlm, seed: int = 1):
    with torch.no_grad():
        for parameter in lora_parameters(vlm).values():
            parameter.normal_(std=0.1, generator=seeded(seed))
    return vlm


def test_a_fresh_adapter_is_the_base_and_alone_is_trained():
    vlm = tiny_smol()
    before = states(vlm)
    add_lora(vlm, SMALL, generator=seeded(0))
    assert torch.equal(states(vlm), before)
    trained = {name for name, p in vlm.model.named_parameters() if p.requires_grad}
    assert trained == set(lora_parameters(vlm))
    assert len(trained) == 2 * 7 * 2  # two layers, seven projections, A and B
    assert all("text_model" in name for name in trained)


def test_the_papers_rank_and_alpha():
    assert (VIZER_LORA.rank, VIZER_LORA.alpha, VIZER_LORA.dropout) == (32, 64, 0.0)


def test_the_seed_decides_the_adapter_and_reset_draws_another():
    one, two = tiny_smol(), tiny_smol()
    for vlm in (one, two):
        add_lora(vlm, SMALL, generator=seeded(3))
    first = {name: p.clone() for name, p in lora_parameters(one).items()}
    assert all(torch.equal(p, first[name]) for name, p in lora_parameters(two).items())
    reset_lora(perturbed(two), generator=seeded(3))
    assert all(torch.equal(p, first[name]) for name, p in lora_parameters(two).items())
    reset_lora(two, generator=seeded(4))
    differ = [n for n, p in lora_parameters(two).items() if not torch.equal(p, first[n])]
    assert differ and all(".lora_A." in name for name in differ)


def test_the_base_is_there_with_the_adapter_off():
    vlm = tiny_smol()
    before = states(vlm)
    add_lora(vlm, SMALL, generator=seeded(0))
    perturbed(vlm)
    assert not torch.allclose(states(vlm), before, atol=1e-3)
    with vlm.adapter_off():
        assert torch.equal(states(vlm), before)


def test_some_projections_only():
    vlm = tiny_smol()
    add_lora(vlm, LoraSettings(2, 4, projections=("q_proj", "v_proj")), generator=seeded(0))
    assert {name.split(".")[-4] for name in lora_parameters(vlm)} <= {"q_proj", "v_proj", "0", "1"}
    assert len(lora_parameters(vlm)) == 2 * 2 * 2


def test_a_half_precision_base_gets_a_float32_adapter():
    vlm = tiny_smol()
    vlm.model.to(torch.bfloat16)
    add_lora(vlm, SMALL, generator=seeded(0))
    assert {p.dtype for p in lora_parameters(vlm).values()} == {torch.float32}
    assert states(vlm).dtype == torch.bfloat16


def test_a_saved_adapter_comes_back_exactly(tmp_path):
    vlm = tiny_smol()
    add_lora(vlm, SMALL, generator=seeded(0))
    wanted = states(perturbed(vlm))
    save_adapter(vlm, tmp_path / "adapter", metadata={"images": 7})
    other = tiny_smol()
    record = load_adapter(other, tmp_path / "adapter")
    assert torch.equal(states(other), wanted)
    assert record["made_by"] == {"images": 7} and record["rank"] == 2
    assert not any(p.requires_grad for p in other.model.parameters())
    again = tiny_smol()
    load_adapter(again, tmp_path / "adapter", trainable=True)
    assert {n for n, p in again.model.named_parameters() if p.requires_grad} == set(
        lora_parameters(again)
    )


def test_peft_alone_can_load_it(tmp_path):
    from peft import PeftModel

    vlm = tiny_smol()
    add_lora(vlm, SMALL, generator=seeded(0))
    wanted = states(perturbed(vlm))
    save_adapter(vlm, tmp_path)
    other = tiny_smol()
    with warnings.catch_warnings():  # PEFT reads a property that transformers has renamed
        warnings.simplefilter("ignore", FutureWarning)
        PeftModel.from_pretrained(other.model, tmp_path)
    assert torch.equal(states(other), wanted)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == 2 and config["lora_alpha"] == 4 and config["inference_mode"] is True


def test_another_base_is_refused(tmp_path):
    vlm = tiny_smol()
    add_lora(vlm, SMALL, generator=seeded(0))
    save_adapter(vlm, tmp_path)
    with pytest.raises(ValueError, match=r"was trained on 'tiny-Idefics3'.*load that base instead"):
        load_adapter(tiny_smol(seed=1), tmp_path)


def test_a_damaged_or_half_written_folder_is_refused(tmp_path):
    vlm = tiny_smol()
    add_lora(vlm, SMALL, generator=seeded(0))
    save_adapter(vlm, tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(bytes(raw))
    with pytest.raises(ValueError, match=r"does not fit vizer\.json"):
        load_adapter(tiny_smol(), tmp_path)
    (tmp_path / "vizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"vizer\.json"):
        load_adapter(tiny_smol(), tmp_path)


class Misled(SmolVlm):
    """A model whose targets are what the test says."""

    wanted = ""

    @property
    def lora_targets(self) -> str:
        return self.wanted


def misled(targets: str) -> Misled:
    vlm = tiny_smol()
    vlm.__class__ = Misled
    vlm.wanted, vlm.name = targets, "misled"
    return vlm


def test_targets_that_match_nothing_or_the_vision_side_are_refused():
    with pytest.raises(ValueError, match=r"match none of the .* linear layers of misled"):
        lora_targets(misled("nothing"))
    with pytest.raises(ValueError, match=r"layers of the vision side, such as .*vision_model"):
        lora_targets(misled(r".*\.(q|v)_proj"))
    with pytest.raises(ValueError, match=r"vision side, such as .*connector"):
        lora_targets(misled(r".*connector.*|.*text_model.*q_proj"))


def test_twice_or_never_is_refused():
    vlm = tiny_smol()
    assert not has_lora(vlm)
    with pytest.raises(ValueError, match="carries no LoRA: call add_lora"):
        lora_parameters(vlm)
    add_lora(vlm, SMALL, generator=seeded(0))
    assert has_lora(vlm)
    with pytest.raises(ValueError, match="carries LoRA already: call reset_lora"):
        add_lora(vlm, SMALL, generator=seeded(0))
    with pytest.raises(ValueError, match="rank >= 1"):
        LoraSettings(rank=0)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("vizer.json", "[]", r"vizer\.json contains a list, wanted an object"),
        ("adapter_config.json", None, r"lacks adapter_config\.json: copy the whole folder"),
        ("adapter_model.safetensors", None, r"lacks adapter_model\.safetensors"),
        ("adapter_config.json", "{}", r"adapter_config\.json is no LoRA of this model"),
    ],
)
def test_a_folder_that_is_no_whole_adapter_is_named(name, text, said, tmp_path):
    vlm = tiny_smol()
    add_lora(vlm, SMALL, generator=seeded(0))
    save_adapter(vlm, tmp_path)
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        load_adapter(tiny_smol(), tmp_path)
