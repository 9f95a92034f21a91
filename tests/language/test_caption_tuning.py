"""Tuning a language model on captions: it learns them, stays one of its kind, and is read back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from tests.language.conftest import FAMILIES, make_lm
from vizer_core.language import CausalLM, TextForm, caption_tuning, nats_per_token
from vizer_core.language.caption_tuning import CaptionTuning, save_tuned, tune_on_captions
from vizer_core.models import load_lm
from vizer_core.runtime import seeded

TEXTS = ["a small dog", "two dogs and a cat", "a cat on a house", "a red house"]
FEW = CaptionTuning(steps=25, batch_size=4, learning_rate=2e-2, max_tokens=30)


@pytest.mark.parametrize("family", FAMILIES)
def test_captions_become_likelier_and_the_model_stays_plain(family):
    lm = make_lm(family)
    before, layers = nats_per_token(lm, TEXTS), [type(part) for part in lm.model.modules()]
    losses = tune_on_captions(lm, TEXTS, FEW, generator=seeded(0))
    assert len(losses) == FEW.steps
    assert nats_per_token(lm, TEXTS) < before - 0.3
    assert losses[-1] < losses[0] - 0.3
    assert [type(part) for part in lm.model.modules()] == layers
    assert not any(p.requires_grad for p in lm.model.parameters()) and not lm.model.training
    assert not any("lora" in name for name in lm.model.state_dict())


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_stream_alone():
    first, second, other = make_lm("llama"), make_lm("llama"), make_lm("llama")
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    tune_on_captions(first, TEXTS, CaptionTuning(steps=3, batch_size=2), generator=seeded(1))
    assert torch.rand(3).equal(wanted)
    tune_on_captions(second, TEXTS, CaptionTuning(steps=3, batch_size=2), generator=seeded(1))
    tune_on_captions(other, TEXTS, CaptionTuning(steps=3, batch_size=2), generator=seeded(2))
    assert first.fingerprint == second.fingerprint != other.fingerprint


def test_sentences_are_tuned_on_with_their_full_stop():
    form = TextForm("<end>", sentences=True)
    plain = make_lm("llama")
    lm = CausalLM.from_model(plain.model, plain.tokenizer, "tiny", form=form)
    before = nats_per_token(lm, TEXTS)
    tune_on_captions(lm, [f"{text}." for text in TEXTS], FEW, generator=seeded(0))
    with_stop = nats_per_token(lm, TEXTS)
    bare = CausalLM.from_model(lm.model, lm.tokenizer, "tiny", form=TextForm("<end>"))
    assert with_stop < before and with_stop < nats_per_token(bare, TEXTS)


def test_a_saved_model_is_read_back_in_its_form(tmp_path):
    form = TextForm("<end>", sentences=True)
    plain = make_lm("llama")
    lm = CausalLM.from_model(plain.model, plain.tokenizer, "tiny", form=form)
    folder = save_tuned(lm, tmp_path / "tuned", metadata={"corpus": "mine"})
    again = load_lm(str(folder), device="cpu")
    assert again.form == form and again.bos_id == lm.bos_id
    batch = lm.tokenize(TEXTS)
    wanted = lm.logits(lm.embed(batch.ids), batch.mask)
    torch.testing.assert_close(again.logits(again.embed(batch.ids), batch.mask), wanted)
    made = json.loads((folder / "caption_tuning.json").read_text())
    assert made == {"kind": "caption-tuned", "language_model": "tiny", "corpus": "mine"}
    with pytest.raises(FileExistsError, match=r"tuned contains a model already: name another"):
        save_tuned(lm, folder, metadata={})


def test_a_broken_form_is_refused(tmp_path):
    lm = make_lm("llama")
    folder = save_tuned(lm, tmp_path, metadata={})
    (folder / "text_form.json").write_text('{"start": "x"}')
    with pytest.raises(ValueError, match=r"text_form.json has \['start'\]: wanted start_mark"):
        load_lm(str(folder), device="cpu")


def test_faults_are_said_before_anything_is_trained():
    lm = make_lm("llama")
    with pytest.raises(ValueError, match="got 3 captions, 1 different: wanted at least 2"):
        tune_on_captions(lm, ["a"] * 3, FEW, generator=seeded(0))
    with pytest.raises(ValueError, match="wanted at least 1 step"):
        CaptionTuning(steps=0)
    lm.unfreeze()
    with pytest.raises(ValueError, match="tiny-llama is being trained: tune a frozen model"):
        tune_on_captions(lm, TEXTS, FEW, generator=seeded(0))


def test_a_stopped_tuning_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    few = CaptionTuning(steps=6, batch_size=2)
    whole, cut, file = make_lm("llama"), make_lm("llama"), tmp_path / "run.safetensors"
    wanted = tune_on_captions(whole, TEXTS, few, generator=seeded(1))

    def stopped(*arguments, **options):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(1)
        return log_probs(*arguments, **options)

    calls, log_probs = [], caption_tuning.token_log_probs
    with monkeypatch.context() as patch:
        patch.setattr(caption_tuning, "token_log_probs", stopped)
        with pytest.raises(KeyboardInterrupt, match="step 4 of 6"):
            tune_on_captions(cut, TEXTS, few, generator=seeded(1), checkpoint=file)
    again, kept = make_lm("llama"), file.read_bytes()
    assert tune_on_captions(again, TEXTS, few, generator=seeded(1), checkpoint=file) == wanted
    assert again.fingerprint == whole.fingerprint
    for texts, config, seed in (
        (TEXTS[:3], few, 1),
        (TEXTS, replace(few, learning_rate=2e-3), 1),
        (TEXTS, few, 2),
    ):
        file.write_bytes(kept)
        with pytest.raises(ValueError, match="belongs to another run"):
            tune_on_captions(
                make_lm("llama"), texts, config, generator=seeded(seed), checkpoint=file
            )


def test_a_write_that_is_killed_leaves_no_folder_that_loads_as_a_model(tmp_path, monkeypatch):
    lm = make_lm("llama")
    monkeypatch.setattr(caption_tuning, "save_form", lambda *_: (_ for _ in ()).throw(OSError("x")))
    with pytest.raises(OSError, match="x"):
        save_tuned(lm, tmp_path / "tuned", metadata={})
    assert not (tmp_path / "tuned" / "config.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["tuned"]
    monkeypatch.undo()
    assert load_lm(str(save_tuned(lm, tmp_path / "tuned", metadata={})), device="cpu")
