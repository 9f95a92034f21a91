"""The study's file, read by base and system, and the paragraph made of it, whatever it says."""

from __future__ import annotations

import json
import re

import pytest

from vizer_lab.studies.clip_study import RESULTS
from vizer_lab.studies.improvement_study import (
    F1,
    PRECISION,
    RECALL,
    Measured,
    quotable,
    read_improvement,
)

MOST_WORDS = 60
QUALITY = {"base": 0.8, "first_word": 0.93, "beam": 0.96}


def score(base, system, metric, mean, **more):
    row = {"mean": mean, "low": mean - 0.02, "high": mean + 0.02, "n": 900, "seeds": 3}
    return {"base": base, "system": system, "metric": metric} | row | more


def tried(rate, f1, agreement, weight=0.0):
    return {"rate": rate, "weight": weight, F1: f1, "view_agreement": agreement}


def record(best="dpo", gains=(0.1, -0.1)):
    """Make a file of two bases; `gains` are those of `best` in precision over the first word."""
    scores, differences = [], []
    for base, gain in zip(("good", "poor"), gains):
        for system, mean in QUALITY.items():
            scores += [score(base, system, metric, mean) for metric in (PRECISION, RECALL, F1)]
        if best:
            scores.append(score(base, "beam_distillation", F1, 0.94))
            pair = {"against": "first_word"}
            differences += [score(base, "best", PRECISION, gain, **pair),
                            score(base, "best", RECALL, 0.01, **pair)]  # fmt: skip
    rates = {
        "dpo": tried(1e-4, 0.95, 6.0) | {"candidates": [tried(1e-4, 0.95, 6.0)]},
        "clip_reward": tried(1e-4, 0.99, 6.0) | {"candidates": [tried(1e-4, 0.99, 6.0)]},
        "raft": tried(1e-3, 0.9, 4.0)
        | {"candidates": [tried(1e-3, 0.9, 4.0), tried(1e-4, 0.7, 5.0)]},
    }
    curve = {"base": "good", "system": "dpo", "views": 1, "temperature": 0.7, "seeds": 1}
    return {
        "scores": scores,
        "differences": differences,
        "settings": {"n": 1000, "images": 640},
        "choices": {"best": best, "rates": rates if best else {}},
        "curve": [curve | {PRECISION: [0.5, 0.4, 0.6], RECALL: [0.3, 0.2, 0.4]}],
        "cost": [
            {"system": "base", "when": "decoding", "tower": 1, "written": 1, "read": 0},
            {"system": "beam", "when": "decoding", "tower": 1, "written": 4, "read": 0},
            {"system": "mbr", "when": "decoding", "tower": 1, "written": 8, "read": 72},
            {"system": "dpo", "when": "training", "tower": 9, "written": 9, "read": 9},
        ],
    }


@pytest.fixture
def study(tmp_path):
    def make(content):
        path = tmp_path / "study.json"
        path.write_text(json.dumps(content))
        return read_improvement(path)

    return make


def test_bases_come_in_the_files_order_and_what_was_not_run_is_absent(study):
    found = study(record())
    assert found.bases == ("good", "poor") and found.bases_with("best", "views_5") == ()
    assert found.column(F1, "beam")["poor"] == Measured(0.96, 0.94, 0.98, 900, 3)
    assert found.column(F1, "views_5") == {} and found.gains(F1, "best", "first_word") == {}
    assert found.trained() == ("dpo", "raft") and found.best == "dpo"


def test_an_outcome_counts_bases_whose_interval_is_clear_of_zero(study):
    found = study(record())
    assert found.outcome("best", "first_word") == (
        "precision up on 1, down on 1 of 2; recall not clear on 2"
    )
    assert found.outcome("best", "base") == "not run"


@pytest.mark.parametrize(
    ("system", "cost"),
    [
        ("base", "1 look, 1 caption"),
        ("dpo", "1 look, 1 caption"),  # trained: costs what its base does
        ("dpo_shuffled_views", "5 looks, 1 caption"),
        ("beam_views", "5 looks, 4 captions"),
        ("mbr", "1 look, 8 captions, 72 read"),
    ],
)
def test_a_caption_costs_what_decoding_costs(study, system, cost):
    assert study(record()).cost(system) == cost


def test_a_curve_of_the_best_is_its_trainers_and_a_search_is_one_greedy_point(study):
    rows = study(record()).curves({("best", 1): "a", ("beam", 1): "b", ("beam", 5): "c"})
    said = [(row["base"], row["system"], row["temperature"], row[RECALL][0]) for row in rows]
    assert said == [("good", "best", 0.7, 0.3), ("good", "beam", 0.0, 0.96),
                    ("poor", "beam", 0.0, 0.96)]  # fmt: skip


def test_a_choice_without_labels_is_compared_with_the_choice_by_labels(study):
    found = study(record()).chosen_blindly()
    assert (found["dpo"]["same"], found["dpo"]["loss"], found["dpo"]["settings"]) == (True, 0, 1)
    assert (found["raft"]["same"], found["raft"]["rate"]) == (False, 1e-4)
    assert found["raft"]["loss"] == pytest.approx(0.2)


def test_the_paragraph_follows_the_rows_and_stays_short(study):
    text = quotable(study(record()))
    assert "2 models, 900 fresh drawn scenes" in text and len(text.split()) <= MOST_WORDS
    assert ".80 as they are, .93 after a first word" in text and ".96 with beam search" in text
    assert "beam captions they reach .94 in one greedy pass (3 seeds)" in text
    untrained = quotable(study(record(best=None)))
    assert "Taught" not in untrained and "2 models" in untrained


def test_means_are_over_bases_that_have_every_row(study):
    content = record()
    content["scores"] = [
        row
        for row in content["scores"]
        if (row["base"], row["system"]) != ("poor", "beam_distillation")
    ]
    for row in content["scores"]:
        row["mean"] += 0.1 * (row["base"] == "poor")
    assert "One model" in quotable(study(content)) and ".80 as" in quotable(study(content))


def test_a_base_of_fewer_scenes_is_not_hidden(study):
    content = record()
    for row in content["scores"]:
        row["n"] = 120 if row["base"] == "poor" else 1000
    assert "2 models, 120 to 1,000 fresh drawn scenes" in quotable(study(content))


def test_every_number_of_the_real_paragraph_is_the_files():
    """Recompute, from the rows alone, each mean that the paragraph names."""
    content = json.loads((RESULTS / "improvement.json").read_text())
    text = quotable(read_improvement())
    assert len(text.split()) <= MOST_WORDS
    found: dict[str, dict[str, float]] = {}
    for row in content["scores"]:
        if row["metric"] == F1:
            found.setdefault(row["system"], {})[row["base"]] = row["mean"]
    named = [*QUALITY, *(["beam_distillation"] if "one greedy pass" in text else [])]
    bases = set.intersection(*(set(found[name]) for name in named))
    means = [sum(found[name][base] for base in bases) / len(bases) for name in named]
    assert re.findall(r"(?<![\w.])\.\d\d\b", text) == [f"{m:.2f}".lstrip("0") for m in means]
    seen = [r["n"] for r in content["scores"] if (r["system"], r["metric"]) == ("base", F1)
            and r["base"] in bases]  # fmt: skip
    assert f"{min(seen)} to {max(seen):,} fresh" in text


def test_what_cannot_be_read_is_refused(study, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no .*absent\.json: the results lie"):
        read_improvement(tmp_path / "absent.json")
    with pytest.raises(ValueError, match="no base has rows of base, first_word, beam"):
        quotable(study(record() | {"scores": [], "differences": []}))


def test_ablations_are_one_trainers_on_one_base_the_default_first(tmp_path):
    rows = [
        {"base": base, "system": system, "setting": setting, "value": 1}
        for base in ("drawn-vlm-web", "other")
        for system in ("vizer_g", "raft")
        for setting in ("rate", "default")
    ]
    (tmp_path / "a.json").write_text(json.dumps(record() | {"ablations": rows}))
    found = read_improvement(tmp_path / "a.json").ablations("vizer_g")
    assert [row["setting"] for row in found] == ["default", "rate"]
    assert {(row["base"], row["system"]) for row in found} == {("drawn-vlm-web", "vizer_g")}
    (tmp_path / "b.json").write_text(json.dumps(record()))
    assert read_improvement(tmp_path / "b.json").ablations("vizer_g") == []
