"""Each cell of the field once, as small as it can be: what it returns, and its control."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from experiments import field_tasks, field_training, field_views
from experiments.field_captions import BARS, USED, bar_cell
from experiments.field_pairs import pair_cell, recall_of_reader, tower_cell
from experiments.field_tasks import (
    TEXT_SYSTEMS,
    difference_cell,
    question_cell,
    region_cell,
    set_cell,
    text_cell,
)
from experiments.field_training import rate_cell, reward_of, train_cell
from experiments.field_views import CLIPS, SYSTEMS, trained, view_cell, weight_cell
from experiments.field_world import BASES
from experiments.improvement_record import unpack_captions
from vizer_core.metrics.phrases import parts_of, statements_of

BASE, N = BASES[0], 4


def values_of(found):
    return [v for metrics in found.values() for values in metrics.values() for v in values]


def test_bars_are_tried_for_every_checking_system():
    (table,) = bar_cell(BASE, N).values()
    assert set(table) == set(BARS) == set(USED)
    for system, rows in table.items():
        assert [row["bar"] for row in rows] == list(BARS[system]) and USED[system] in BARS[system]
        recalls = [row["object_recall"] for row in rows]
        assert recalls == sorted(recalls, reverse=True), system  # a higher bar never names more


@pytest.mark.parametrize(
    ("cell", "systems"),
    [
        (question_cell, {"beam", "prompted", "prompted_shuffled", "no_caption"}),
        (region_cell, {"crop", "whole", "crop_shuffled"}),
        (difference_cell, {"spoken", "rated", "spoken_shuffled"}),
    ],
)
def test_a_task_has_a_number_an_item_for_each_system(cell, systems):
    found = cell(BASE, N)
    assert set(found) == systems
    assert all(len(values) == N for metrics in found.values() for values in metrics.values())
    assert min(values_of(found)) >= 0


def test_sets_that_differ_in_one_kind_are_told_apart_above_chance(monkeypatch):
    def at_random(clip, first, second, captions, *, top):
        said = [text for text in statements_of(captions) if parts_of(text) == (text,)]
        return [(said[int(i)], 0.5) for i in rng.permutation(len(said))[:top]]

    found = set_cell(n=12, trials=8, scenes=240)
    assert set(found) == {"ranked", "frequent"}
    assert all(len(rows) == 8 for metrics in found.values() for rows in metrics.values())
    assert all(a <= b for a, b in zip(found["ranked"]["top1"], found["ranked"]["top5"]))
    rng = np.random.default_rng(0)
    monkeypatch.setattr(field_tasks, "set_difference", at_random)
    chance = set_cell(n=12, trials=8, scenes=240)
    assert chance["frequent"] == found["frequent"]  # the same sets
    for metric in ("top1", "top5"):
        assert np.mean(found["ranked"][metric]) >= np.mean(chance["ranked"][metric]) + 0.25


@pytest.mark.parametrize("cell", [pair_cell, partial(tower_cell, steps=1)])
def test_every_way_of_cleaning_is_tested_on_the_same_scenes(cell):
    found = cell(seed=0, n=8, pairs=60)
    assert set(found) >= {"noisy", "filtered", "random_half", "paired_anew", "clean"}
    assert all(len(metrics["recall_at_1"]) == 8 for metrics in found.values())
    assert set(values_of(found)) <= {0.0, 1.0}


def test_a_reader_of_true_pairs_finds_images_and_one_of_wrong_pairs_does_not():
    words = ("cat", "dog", "hat", "car")
    texts = [f"a {word}" for word in words * 10]
    images = torch.eye(4).repeat(10, 1)
    shown, asked = torch.eye(4), [f"a {word}" for word in words]
    assert recall_of_reader(images, texts, shown, asked) == [1.0] * 4
    assert recall_of_reader(images, texts[1:] + texts[:1], shown, asked) == [0.0] * 4


@pytest.mark.parametrize("system", ["capdec", "concepts", "close"])
def test_a_captioner_of_texts_hears_the_image_that_it_is_given(system, monkeypatch):
    monkeypatch.setattr(field_tasks, "CORPUS_SCENES", 60)
    monkeypatch.setattr(field_tasks, "CLOSE_PAIRS", 40)
    short = replace(field_tasks.DRAWN_CAPDEC, epochs=1)
    monkeypatch.setattr(field_tasks, "DRAWN_CAPDEC", short)
    field_tasks._corpus.cache_clear()
    assert system in TEXT_SYSTEMS
    own, other = (
        unpack_captions(text_cell(system, N, shuffled=control)["captions"])
        for control in (False, True)
    )
    field_tasks._corpus.cache_clear()
    assert len(own) == len(other) == N and own != other
    assert own[N // 2 :] == other[: N // 2] or system == "close"  # the second half moves up


def test_a_trainer_captions_the_test_scenes(monkeypatch):
    found = train_cell(BASE, "mocha", 1e-3, N, images=8)
    assert len(unpack_captions(found["captions"])) == N
    assert set(found["record"]) == {"curve", "kl", "stopped"}
    with pytest.raises(ValueError, match="no reward 'magic': wanted one of clip_reward"):
        reward_of("magic", None, None, None, 0)
    assert field_training.STAGES == (32, 8, 2)


def test_a_rate_is_judged_on_validation_scenes():
    found = rate_cell(BASE, "human", 1e-3, N, images=8)
    assert set(found) == {"object_precision", "object_recall", "object_f1"} | {
        *("kl", "stopped", "sample")
    }
    broken = rate_cell(BASE, "human", 0.3, N, images=8)
    assert broken["object_f1"] < found["object_f1"]  # it learns at the rate that was asked for


def test_the_stages_of_a_curriculum_train_one_adapter(monkeypatch):
    seen = []

    def runs(vlm, part, reward, config, seed, **settings):
        seen.append((len(part), reward.negatives, config.learning_rate, settings["fresh"]))
        return {"kl": 0.0}

    monkeypatch.setattr(field_training, "run_training", runs)
    monkeypatch.setattr(field_training, "STAGES", (4, 2))
    train_cell(BASE, "bag_curriculum", 2e-3, N, images=12)
    assert seen == [(6, 4, 2e-3, True), (6, 2, 2e-3, False)]


@pytest.fixture
def small_memory(monkeypatch):
    monkeypatch.setattr(field_views, "MEMORY_SCENES", 20)


def test_views_are_measured_on_what_every_system_was_made_to(small_memory):
    found = view_cell(CLIPS[0], 4.0, N, pairs=64, steps=1)
    assert set(found) == set(SYSTEMS)
    for metrics in found.values():
        assert set(metrics) == {"kept", "f1", "moved_f1", "recall_at_1"}
        assert all(len(values) == N for values in metrics.values())
    assert set(view_cell(CLIPS[0], 4.0, N, seed=1, pairs=64, steps=1)) == set(SYSTEMS) - {"before"}
    mean = weight_cell(CLIPS[1], 4.0, N, pairs=64, steps=1)
    assert set(mean) == {"kept", "f1", "moved_f1", "recall_at_1"} and 0 <= mean["kept"] <= 1


def test_only_the_system_of_views_takes_their_weight():
    about = {"seed": 0, "pairs": 64, "steps": 2}
    weights = [
        {key: value.clone() for key, value in model.state_dict().items()}
        for system in ("augmented", "omniview")
        for model in (trained(CLIPS[0], system, weight=w, **about).model for w in (1.0, 50.0))
    ]
    same = [all(a[key].equal(b[key]) for key in a) for a, b in (weights[:2], weights[2:])]
    assert same == [True, False]
