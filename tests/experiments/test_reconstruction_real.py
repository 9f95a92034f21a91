"""The study of real captions on tiny models: cells, controls, and that a stopped run goes on."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
import transformers

from experiments import reconstruction_real as study
from tests.language.conftest import make_lm
from vizer_core.language import CausalLM, SentenceEncoder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "man", "on", "with", "of"]


def tiny_encoder(*_: object) -> SentenceEncoder:
    torch.manual_seed(0)
    tokenizer = transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)})
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    model = transformers.BertModel(config)
    return SentenceEncoder(model, tokenizer, "tiny", text_length=20)


def tiny_lm(*_: object) -> CausalLM:
    lm = make_lm("llama")
    lm.model.config.max_position_embeddings = 256  # the little tokenizer spells words out
    return lm


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    monkeypatch.setattr(study.SentenceEncoder, "from_pretrained", tiny_encoder)
    monkeypatch.setattr(study.CausalLM, "from_pretrained", tiny_lm)
    return argparse.Namespace(
        captions=40, n=6, seeds=1, variances=(0.0, 0.02), runs=tmp_path / "runs"
    )


def test_each_noise_is_read_from_the_own_caption_and_from_anothers(options):
    record = study.study(options)
    rows = {(row["system"], row["metric"]) for row in record["scores"]}
    systems = ("0:text", "0:another", "0.02:text", "0.02:another")
    assert rows == {(system, metric) for system in systems for metric in study.METRICS}
    pairs = {(row["system"], row["against"]) for row in record["differences"]}
    wanted = [("0:text", "0:another"), ("0.02:text", "0.02:another"), ("0.02:text", "0:text")]
    assert pairs == set(wanted)
    assert set(record["losses"]) == {"0", "0.02"} and len(record["examples"]) == 6
    assert {row["n"] for row in record["scores"]} == {6}


def test_finished_cells_are_not_run_again(options, monkeypatch):
    first = study.study(options)
    monkeypatch.setattr(study, "fit_text_only", lambda *_, **__: pytest.fail("trained again"))
    assert study.study(options)["scores"] == first["scores"]


def test_the_control_reads_another_captions_feature():
    encoder = tiny_encoder()
    features = encoder.encode_text([texts[0] for texts in study.test_records(4)])
    assert not features.equal(features.roll(1, dims=0))
    assert set(study.training_captions(50)).isdisjoint(texts[0] for texts in study.test_records(50))
