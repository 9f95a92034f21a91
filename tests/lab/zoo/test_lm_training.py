"""The drawn LM's training: it learns, it repeats, a killed run ends where it would have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vizer_core.decoding import Greedy, Sample
from vizer_core.language import no_prefix, sequence_log_probs
from vizer_core.runtime import seeded
from vizer_lab.zoo import language_models
from vizer_lab.zoo.language_models import (
    LANGUAGE_MODELS,
    ShippedLM,
    load_drawn_lm,
    score_drawn_lm,
)
from vizer_lab.zoo.lm_corpus import make_rows
from vizer_lab.zoo.lm_model import DrawnLMConfig, build_drawn_lm
from vizer_lab.zoo.lm_recipe import LMRecipe
from vizer_lab.zoo.lm_train import row_loss, train_drawn_lm
from vizer_lab.zoo.tokenizer import split_words, vocabulary

SHIPPED = LANGUAGE_MODELS["drawn-lm"]
TINY = LMRecipe(
    DrawnLMConfig(width=32, layers=1, heads=2), steps=6, batch=2, learning_rate=1e-3, warmup_steps=2
)


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


def test_a_run_repeats_and_another_seed_does_not():
    first, losses = train_drawn_lm(TINY)
    again, same = train_drawn_lm(TINY)
    other, _ = train_drawn_lm(replace(TINY, seed=1))
    assert losses == same and equal(first, again) and not equal(first, other)
    assert not first.training


def test_every_step_reads_rows_of_its_own(monkeypatch):
    asked = []

    def watched(start: int, count: int, length: int, world: str):
        asked.append((start, count, length))
        return make_rows(start, count, length, world)

    monkeypatch.setattr("vizer_lab.zoo.lm_train.make_rows", watched)
    train_drawn_lm(replace(TINY, first_row=7))
    assert asked == [(7 + 2 * step, 2, 128) for step in range(6)]


@pytest.mark.parametrize("stop_at", [1, 2, 5])
def test_a_killed_run_goes_on_to_the_same_end(stop_at: int, tmp_path: Path, monkeypatch):
    whole, losses = train_drawn_lm(TINY)
    calls = []

    def dies(*args):
        calls.append(1)
        if len(calls) > stop_at:
            raise KeyboardInterrupt
        return row_loss(*args)

    checkpoint = tmp_path / "run.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr("vizer_lab.zoo.lm_train.row_loss", dies)
        with pytest.raises(KeyboardInterrupt):
            train_drawn_lm(TINY, checkpoint=checkpoint, save_every=2)
    resumed, after = train_drawn_lm(TINY, checkpoint=checkpoint, save_every=2)
    assert after == losses and equal(whole, resumed)


def test_a_run_of_another_recipe_is_not_continued(tmp_path: Path):
    checkpoint = tmp_path / "run.safetensors"
    train_drawn_lm(TINY, checkpoint=checkpoint, save_every=2)
    with pytest.raises(ValueError, match="another recipe"):
        train_drawn_lm(replace(TINY, learning_rate=2e-3), checkpoint=checkpoint)


def test_it_learns_two_rows_by_heart():
    model, rows = build_drawn_lm(TINY.model), make_rows(0, 2, 96)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        loss = row_loss(model, rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.5


def test_only_what_is_to_be_predicted_counts():
    model, rows = build_drawn_lm(TINY.model).eval(), make_rows(0, 2, 96)
    logits = model(input_ids=rows.ids).logits[:, :-1].log_softmax(-1)
    each = -logits.gather(-1, rows.ids[:, 1:, None]).squeeze(-1)
    wanted = each[rows.predicted[:, 1:]].mean()
    assert float(row_loss(model, rows).detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)


def test_the_rate_warms_up_and_ends_at_zero():
    recipe = LMRecipe(TINY.model, steps=100, batch=2, learning_rate=1.0, warmup_steps=10)
    rates = [recipe.rate(step) for step in range(100)]
    assert rates[:10] == pytest.approx([k / 10 for k in range(1, 11)])
    assert rates[-1] < 0.001 and rates[10:] == sorted(rates[10:], reverse=True)


def test_wrong_recipes_and_names_are_refused():
    with pytest.raises(ValueError, match="wanted steps >= 1 and batch >= 1"):
        replace(TINY, steps=0)
    with pytest.raises(ValueError, match="no shipped language model 'lm': wanted one of"):
        load_drawn_lm(name="lm")


def test_the_cost_is_said_before_training_starts():
    assert SHIPPED.cost.startswith(
        "drawn-lm: 5,734,400 tokens, about 8 minutes of one CPU core, 1 G"
    )


def test_building_writes_weights_that_load_and_a_manifest_that_says_how(
    tmp_path: Path, monkeypatch
):
    tiny = ShippedLM("tiny", TINY)
    monkeypatch.setattr(language_models, "HELD_OUT", 10)
    manifest = tiny.build(folder=tmp_path)
    assert manifest["recipe"]["model"]["width"] == 32 and manifest["tokens"] == 6 * 2 * 128
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "tiny.safetensors",
        "tiny.safetensors.json",
    ]
    assert manifest["command"] == "vizer lab --rebuild --only tiny"
    assert tiny.check(tmp_path) == manifest["scores"]


def test_the_shipped_model_scores_what_its_manifest_says():
    stored = SHIPPED.manifest()
    found = score_drawn_lm(load_drawn_lm())
    for metric, value in stored["scores"].items():
        assert found[metric] == pytest.approx(value, abs=SHIPPED.tolerance), metric
    assert stored["recipe"] == SHIPPED.recipe.to_dict(), "the recipe changed: run make lab"
    assert found["tagged_nats"] < 0.5 * found["home_nats"], "words before BOS have to tell"
    assert found["answers"] > found["answers_blind"] + 0.1


def test_shipped_weights_are_small():
    assert SHIPPED.size() < 2.5e6


def test_it_writes_captions_from_bos_and_what_the_words_before_bos_say():
    lm = load_drawn_lm()
    generated = lm.generate(no_prefix(lm, 20), decoding=Sample(max_tokens=60), generator=seeded(0))
    assert all(bool((row == lm.eos_id).any()) for row in generated.ids)
    known = set(vocabulary()) - {"<unk>", "<start>", "<pad>"}
    assert {word for text in generated.texts for word in split_words(text)} <= known
    ids = torch.tensor([lm.tokenizer.convert_tokens_to_ids(["dogs", "beach", "two"])])
    assert lm.generate(lm.embed(ids), decoding=Greedy()).texts == ("two dogs on a beach",)


def test_unfreezing_one_copy_leaves_the_next_as_shipped():
    first = load_drawn_lm()
    shipped = first.fingerprint
    first.unfreeze()
    sequence_log_probs(first, no_prefix(first, 1), ["a dog"]).backward()
    torch.optim.SGD(first.model.parameters(), lr=0.1).step()
    assert load_drawn_lm().fingerprint == shipped != first.fingerprint


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_retraining_from_nothing_reaches_the_shipped_scores(tmp_path: Path):
    remade = SHIPPED.build(folder=tmp_path)["scores"]
    shipped = SHIPPED.manifest()["scores"]
    for metric in ("home_nats", "away_nats", "tagged_nats", "answers"):
        assert remade[metric] == pytest.approx(shipped[metric], abs=SHIPPED.remade_tolerance), (
            metric
        )
