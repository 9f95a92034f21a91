"""The sentence encoder: mean pooling against a slow loop, and which folders it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from vizer_core.language import SentenceEncoder
from vizer_core.wheels import is_installed

WORDS = "a the cat dog sat on mat two red runs".split()  # noqa: SIM905
TEXTS = ["a cat", "two red dog runs on the mat", "the dog sat"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = transformers.BertTokenizerFast(
        vocab={word: i for i, word in enumerate([*special, *WORDS])}
    )
    tokenizer.save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=15,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    pool(tmp_path, "mean_tokens")
    return tmp_path


def pool(folder: Path, *kinds: str) -> None:
    rules = {"word_embedding_dimension": 16, "pooling_mode_max_tokens": False}
    rules |= {f"pooling_mode_{kind}": True for kind in kinds}
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(rules))


def test_a_vector_is_the_mean_of_a_texts_own_states(folder):
    encoder = SentenceEncoder.from_pretrained(folder)
    found = encoder.encode_text(TEXTS, batch_size=2)
    assert found.shape == (3, encoder.embed_dim) == (3, 16)
    for row, text in zip(found, TEXTS):
        alone = encoder.tokenizer([text], return_tensors="pt")  # no padding
        states = encoder.model(**alone).last_hidden_state[0].mean(dim=0)
        assert torch.allclose(row, states / states.norm(), atol=1e-6)
    assert not any(p.requires_grad for p in encoder.model.parameters())


def test_long_texts_are_cut_where_the_folder_says(folder):
    assert SentenceEncoder.from_pretrained(folder).text_length == 24
    whole = SentenceEncoder.from_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 4}')
    encoder = SentenceEncoder.from_pretrained(folder)
    assert encoder.text_length == 4 and encoder.fingerprint != whole.fingerprint
    assert encoder.encode_text(["a cat sat"]).equal(encoder.encode_text(["a cat runs on"]))


def test_what_it_cannot_take_is_named(folder):
    with pytest.raises(ValueError, match="wanted a list of texts, got 'a cat'"):
        SentenceEncoder.from_pretrained(folder).encode_text("a cat")
    pool(folder, "mean_tokens", "cls_token")
    with pytest.raises(ValueError, match="by pooling_mode_cls_token, pooling_mode_mean_tokens: wa"):
        SentenceEncoder.from_pretrained(folder)
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no 1_Pooling/config\.json, which says how"):
        SentenceEncoder.from_pretrained(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no config\.json: .* or all-minilm-l6-v2"):
        SentenceEncoder.from_pretrained(folder)


def test_missing_weights_are_never_made_up(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights, encoder\.layer\.1\.output\.dense"):
        SentenceEncoder.from_pretrained(folder)


@pytest.mark.skipif(
    not is_installed("all-minilm-l6-v2"), reason="all-minilm-l6-v2 is not installed: make real"
)
def test_minilm_knows_what_sentences_say():
    encoder = SentenceEncoder.from_pretrained("all-minilm-l6-v2")
    same, odd = (
        encoder.encode_text(
            ["A man rides a horse", "Someone on horseback", "A plate of fried rice"]
        )[1:]
        @ encoder.encode_text(["A man rides a horse"])[0]
    )
    assert encoder.embed_dim == 384 and encoder.text_length == 256
    assert float(same) > 0.5 > 0.2 > float(odd)
