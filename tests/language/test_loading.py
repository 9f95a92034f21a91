"""Loading a language model: what works offline, and what each failure says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.hub_answer import http_answer
from vizer_core import hub_errors as hub
from vizer_core.language import CausalLM
from vizer_core.language.loading import load_causal_lm


@pytest.fixture
def folder(opt: CausalLM, tmp_path: Path) -> Path:
    opt.model.save_pretrained(tmp_path / "opt")
    opt.tokenizer.save_pretrained(tmp_path / "opt")
    return tmp_path / "opt"


def test_a_folder_gives_the_same_model_again(opt: CausalLM, folder: Path):
    loaded = CausalLM.from_pretrained(folder)
    assert loaded.fingerprint == opt.fingerprint and loaded.name == str(folder)
    tokens = opt.tokenize(["a small dog"])
    assert torch.equal(loaded.tokenize(["a small dog"]).ids, tokens.ids)
    found = loaded.logits(loaded.embed(tokens.ids), tokens.mask)
    assert torch.equal(found, opt.logits(opt.embed(tokens.ids), tokens.mask))
    assert loaded.frozen and not any(p.requires_grad for p in loaded.model.parameters())


def test_the_dtype_is_the_one_asked_for(folder: Path):
    assert load_causal_lm(folder, dtype=torch.bfloat16).model.dtype == torch.bfloat16
    assert load_causal_lm(folder).model.dtype == torch.float32


def test_a_file_is_no_model(tmp_path: Path):
    file = tmp_path / "opt.bin"
    file.write_bytes(b"weights")
    with pytest.raises(ValueError, match=r"opt\.bin is a file, and none of GGUF's: wanted a"):
        load_causal_lm(str(file))


def test_a_missing_folder_is_not_taken_for_a_hub_name(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*nowhere\. A hub name looks"):
        load_causal_lm(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"has no config\.json and no GGUF file: wanted"):
        load_causal_lm(tmp_path)


def test_a_hub_name_without_a_network_says_what_to_do(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match=r"hub is out of reach here\. Run this once"):
        load_causal_lm("no-one/no-model")


def test_models_of_other_kinds_are_refused(folder: Path, tmp_path: Path):
    bert = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, architectures=["BertForMaskedLM"],
    )  # fmt: skip
    bert.save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match=r"contains BertForMaskedLM, a model of type 'bert'"):
        load_causal_lm(tmp_path / "bert")
    t5 = transformers.T5Config(architectures=["T5ForConditionalGeneration"])
    t5.save_pretrained(tmp_path / "t5")
    with pytest.raises(ValueError, match="T5ForConditionalGeneration, a model of type 't5'"):
        load_causal_lm(tmp_path / "t5")


def test_weights_that_are_not_there_are_never_made_up(folder: Path):
    weights = load_file(folder / "model.safetensors")
    del weights["model.decoder.layers.1.fc1.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=r"lacks 1 of the weights that \w+ needs, model\.decoder\.layers\.1\.fc1"
    ):
        load_causal_lm(folder)


def test_a_folder_without_weights_says_so(folder: Path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="was not found in its folder"):
        load_causal_lm(folder)


def test_a_gated_model_asks_for_a_login(monkeypatch):
    from huggingface_hub.errors import GatedRepoError

    def refuse(name, **_):
        answer = http_answer(403)
        raise OSError("gated") from GatedRepoError("gated", response=answer)

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", refuse)
    with pytest.raises(ValueError, match="no-one/model is gated: accept its licence"):
        load_causal_lm("no-one/model")


def test_a_model_larger_than_the_memory_is_not_tried(folder: Path, monkeypatch):
    monkeypatch.setattr(hub, "free_bytes", lambda device: 1000)
    with pytest.raises(ValueError, match=r"alone need .* cpu has 0\.0 GiB free\. Take a"):
        load_causal_lm(folder)
