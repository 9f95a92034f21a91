"""The study of real language models on tiny ones: rows, controls, stopped runs that go on."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import zero_shot_real_lm as study
from tests.language.conftest import make_lm
from vizer_core.captioners import Magic, Socratic, ZeroCap
from vizer_core.language import CausalLM
from vizer_lab.zoo.language_models import load_drawn_lm


def tiny_lm(*_: object, **__: object) -> CausalLM:
    lm = make_lm("llama")
    lm.model.config.max_position_embeddings = 512  # the little tokenizer spells words out
    return lm


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    monkeypatch.setattr(study.CausalLM, "from_pretrained", tiny_lm)
    monkeypatch.setattr(study, "load_lm", tiny_lm)
    monkeypatch.setattr(study, "HELD_OUT", 5)
    monkeypatch.setattr(study, "COMPLETIONS", 2)
    monkeypatch.setattr(study, "MAGIC", replace(study.MAGIC, candidates=3, max_tokens=3))
    monkeypatch.setattr(
        study, "ZEROCAP", replace(study.ZEROCAP, candidates=4, max_tokens=2, steps=1)
    )
    study.language_model.cache_clear()
    few = (
        ("socratic", "plain", "notes"),
        ("socratic", "plain", "completion"),
        ("magic", "plain", ""),
        ("magic", "tuned", ""),
        ("zerocap", "plain", "Image of a"),
    )
    assert set(few) <= set(study.ROWS)
    monkeypatch.setattr(study, "ROWS", few)
    yield argparse.Namespace(
        n=3, captions=30, steps=2, methods=["socratic", "magic", "zerocap"], runs=tmp_path
    )
    study.language_model.cache_clear()


def test_every_row_has_its_controls_and_tuning_is_told(options):
    record = study.study(options)
    names = {study.row_name(*row) for row in study.ROWS}
    systems = {row["system"] for row in record["scores"]}
    wanted = {name + control for name in names for control in ("", "|blind", "|another")}
    assert systems == wanted and set(record["seconds_an_image"]) == names
    pairs = {(row["system"], row["against"]) for row in record["differences"]}
    assert ("magic:tuned:none", "magic:plain:none") in pairs
    assert ("socratic:plain:completion", "socratic:plain:notes") in pairs
    assert record["tuning"]["settings"]["steps"] == 2
    assert set(record["tuning"]["held_out_nats"]) == {"plain", "tuned"}
    assert (options.runs / "tuned" / "text_form.json").is_file()


def test_finished_rows_are_not_written_again(options, monkeypatch):
    first = study.study(options)
    monkeypatch.setattr(study, "captioner_of", lambda *_: pytest.fail("captioned again"))
    monkeypatch.setattr(study, "tune_on_captions", lambda *_, **__: pytest.fail("tuned again"))
    assert study.study(options)["scores"] == first["scores"]


def test_each_method_gets_its_prompt_and_settings():
    lm = load_drawn_lm(name="drawn-lm")
    found = {row[0]: study.captioner_of(row[0], lm, row[2]) for row in study.ROWS}
    assert {type(captioner) for captioner in found.values()} == {Socratic, Magic, ZeroCap}
    magic = study.captioner_of("magic", lm, "A photo of")
    assert magic.prompt == "A photo of" and magic.config == study.MAGIC
    zerocap = study.captioner_of("zerocap", lm, "Image of a")
    assert zerocap.prompt == "Image of a" and zerocap.config == study.ZEROCAP
    socratic = study.captioner_of("socratic", lm, "completion")
    assert socratic.prompting == study.PROMPTINGS["completion"]
    assert [words.name for words in socratic.lists] == ["objects", "place"]
