"""The ViZer study's bookkeeping: names, the choice, half-finished grids, map and verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.grid import Cell
from experiments.vizer_bases import (
    BASES,
    MADE,
    OTHER_BASES,
    SHIPPED,
    bases_cost,
    first_tower,
    home_of,
)
from experiments.vizer_study import Study, read_options, try_later
from experiments.vizer_study_cells import READERS, SETUPS, VARIANTS
from experiments.vizer_study_forecast import to_row
from experiments.vizer_study_report import (
    choose,
    claims,
    drawn_statistics,
    ends_of,
    ends_of_map,
    exam_of,
    forecast_input_rows,
    forecast_rows,
    map_rows,
    rates,
    statistics,
    surprisal,
    system_of,
)
from experiments.vizer_study_world import FRESH, Trial, scenes_of
from vizer_core.metrics.stats import bootstrap
from vizer_core.vizer.forecast import ForecastInputs
from vizer_lab.zoo.noisy_captions import caption_draw, exact_caption

N = 8
TRIAL = Trial("runs", "middling", "read_back", n=N, samples=1)
SPLIT = scenes_of("test", "home", N)
GOOD = [exact_caption(scene, caption_draw("test", scene.index, 0)) for scene in SPLIT.scenes]
CONSENSUS = replace(TRIAL, variant="consensus")  # chosen, and not among these trials
VAGUE, WRONG = ["untitled"] * N, ["a ufo and a ufo"] * N


def answer(texts: list[str], **record: float) -> dict:
    return {"greedy": texts, "sampled": [texts], "record": {"kl": 0.1} | record}


def test_every_variant_has_a_setup_and_every_base_a_recipe():
    assert set(SETUPS) == set(VARIANTS) and set(READERS) <= set(VARIANTS)
    assert {*BASES, *OTHER_BASES} == {*MADE, *SHIPPED}
    seeds = [recipe.seed for recipe in MADE.values()]
    assert len(set(seeds)) == len(seeds) and not set(seeds) & {0, 1}  # the shipped ones'
    assert bases_cost("nowhere", list(SHIPPED)) == 0 < bases_cost("nowhere", ["weak"])


def test_the_scenes_are_fresh_and_a_trials_name_tells_all_settings():
    assert SPLIT.scenes[0].index == FRESH and scenes_of("test", "away", 2).name == "away_test"
    with pytest.raises(ValueError, match="no part 'train'"):
        scenes_of("train", "home", 2)
    changed = {"base": "hard", "variant": "residual", "seed": 1, "shuffled": True, "place": "away",
               "mapper_images": 5, "images": 7, "learning_rate": 1e-3, "part": "validation",
               "n": 9}  # fmt: skip
    names = {replace(TRIAL, **{key: value}).name for key, value in changed.items()}
    assert len(names | {TRIAL.name}) == len(changed) + 1
    best = replace(TRIAL, variant="consensus", shuffled=True)
    assert system_of(best, best) == "middling:home:best_shuffled"
    assert system_of(TRIAL, best) == "middling:home:read_back"


def test_the_choice_is_the_largest_smaller_gain():
    plain = replace(TRIAL, part="validation")
    trials = [replace(plain, variant=name) for name in ("residual", "regions", "consensus")]
    split = scenes_of("validation", "home", N)
    good = [exact_caption(s, caption_draw("validation", s.index, 0)) for s in split.scenes]
    base = [Cell(f"baseline/{name}", choose, {}) for name in ("base", "primed")]
    answers = {cell.name: answer(VAGUE[:-1] + good[-1:]) for cell in base}
    answers |= {trials[0].name: answer(WRONG), trials[1].name: answer(good)}
    found = choose(trials, base, answers, N)  # the third candidate is not finished
    assert found["best"]["variant"] == "regions"
    assert [row["variant"] for row in found["candidates"]] == ["regions", "residual"]
    assert found["best"]["scores"]["sampled_object_recall"] == 1.0


def test_the_map_holds_finished_pairs_only():
    trials = [replace(TRIAL, seed=seed, shuffled=mixed) for seed in (0, 1) for mixed in (0, 1)]
    trials = [replace(trial, shuffled=bool(trial.shuffled)) for trial in trials]
    answers = {"baseline/middling-home-test8-base": answer(VAGUE[:-1] + GOOD[-1:])}
    answers |= {trials[0].name: answer(GOOD), trials[1].name: answer(WRONG[:-1] + GOOD[-1:])}
    answers |= {trials[2].name: answer(GOOD)}  # its control is missing
    (row,) = map_rows(trials, answers, replace(TRIAL, variant="consensus"))
    assert (row["seeds"], row["variant"], row["n"]) == (1, "read_back", N)
    gain = row["sampled_object_f1_gain"]
    assert gain["low"] <= gain["mean"] <= gain["high"] and gain["mean"] > 0.5
    assert row["sampled_object_precision_over_base"]["mean"] == pytest.approx(0, abs=0.6)
    assert "sampled_object_f1_over_primed" not in row
    answers["baseline/middling-home-test8-primed"] = answer(GOOD)
    (row,) = map_rows(trials, answers, replace(TRIAL, variant="consensus"))
    assert row["sampled_object_f1_over_primed"]["mean"] == pytest.approx(0)
    assert map_rows(trials, {}, TRIAL) == []


def test_surprisal_sums_over_draws_and_rises_with_broken_words():
    good, broken = surprisal([GOOD, GOOD]), surprisal([[t[::-1] for t in GOOD]])
    once = surprisal([GOOD])
    assert good.rows == pytest.approx(2 * once.rows)

    means = [bootstrap(found, resamples=1).mean for found in (good, once, broken)]
    assert means[0] == pytest.approx(means[1]) and means[0] < 2.5 < means[2]


def difference(system: str, against: str, metric: str, mean: float, seeds: int = 3) -> dict:
    return {"system": system, "against": against, "metric": metric, "mean": mean,
            "low": mean - 0.1, "high": mean + 0.1, "n": N, "seeds": seeds}  # fmt: skip


def test_the_outlook_is_judged_on_bases_that_it_has_not_seen():
    trials = [replace(TRIAL, base=base) for base in ("hard", "middling", "easy")]
    rows, answers = [], {}
    for trial, seen, gain in zip(trials, (0.5, 0.7, 0.8), (0.0, 0.2, 0.3), strict=True):
        system = f"{trial.base}:home:read_back"
        rows.append(difference(system, f"{system}_shuffled", "sampled_object_f1", gain))
        rows.append(difference(system, f"{trial.base}:home:base", "sampled_object_f1", 0.3))
        measured = ForecastInputs(9, auc=seen, spread=1.0, generic=0.1)
        answers[f"forecast/{trial.base}-read_back"] = to_row(measured)
    found = forecast_input_rows(forecast_rows(ends_of(trials, rows, CONSENSUS), answers))
    assert [row["helped"] for row in found["rows"]] == [False, True, True]
    assert found["accuracy"] == 1.0 and found["n"] == 3 and 0.5 < found["rule"]["separation"] < 0.7
    assert set(found["by_base"]) == {"hard", "middling", "easy"}


def test_the_outlook_counts_the_map_and_wants_a_gain_over_the_base_as_well():
    system = "hard:home:read_back"
    rows = [difference(system, f"{system}_shuffled", "sampled_object_f1", 0.3)]
    rows += [difference(system, "hard:home:base", "sampled_object_f1", 0.05)]  # not clear of zero
    seen = to_row(ForecastInputs(9, auc=0.7, spread=1.0, generic=0.1))
    answers = {"forecast/hard-read_back": seen, "forecast/easy-read_back-m500": seen}
    ends = {f"sampled_object_f1_{label}": {"mean": 0.2, "low": 0.1} for label in
            ("gain", "over_base")}  # fmt: skip
    mapped = [{"base": "easy", "variant": "read_back", "mapper_images": 500,
               "learning_rate": rate} | ends for rate in (2e-4, 8e-4)]  # fmt: skip
    ended = ends_of([replace(TRIAL, base="hard")], rows, CONSENSUS) | ends_of_map(mapped)
    found = forecast_rows(ended, answers)
    assert [(r["base"], r["variant"], r["helped"]) for r in found] == [
        ("hard", "read_back", False),
        ("easy", "read_back-m500", True),
    ]


def test_the_plan_has_every_part(tmp_path):
    study = Study(read_options(["--runs", str(tmp_path), "--map-n", "6", "--n", "8"]))
    best = replace(study.trial, variant="information_70", learning_rate=5e-4)
    core = study.compared("home", best)
    assert not any(t.shuffled for t in core if t.variant == "information_0")
    assert {t.learning_rate for t in core if t.variant == "information_0"} == {5e-4}
    assert {t.variant for t in study.compared("away", best)} == {"information_70"}
    mapped = study.mapped(best)
    assert {t.n for t in mapped} == {6} and "qwen" not in {t.base for t in mapped}
    assert len({t.mapper_images for t in mapped if t.variant == "read_back"}) == 2
    (cell, *_), (plain, *_) = study.cells(mapped), study.cells(core)
    assert cell.arguments["cool"] is False and "cool" not in plain.arguments
    other = study.compared("other", best)
    assert {t.base for t in other} == set(OTHER_BASES) and {t.place for t in other} == {"other"}
    assert {t.variant for t in other} == {t.variant for t in core}
    names = [cell.name for cell in study.measurements(best, (*BASES, *OTHER_BASES))]
    assert len(names) == len(set(names)) and "forecast/weak-read_back-m500" in names
    assert not any("hard-read_back-m" in name for name in names)
    assert "forecast/other_a-literal" in names
    assert "forecast/other_a-read_back-m500" in names


def test_the_rule_is_judged_in_the_other_world_as_it_was_fitted_at_home():
    def row(base: str, auc: float, helped: bool) -> dict:
        seen = to_row(ForecastInputs(9, auc=auc, spread=1.0, generic=0.1))
        return {"base": base, "variant": "best", "helped": helped, "gain": 0.0} | seen

    home = [row("hard", 0.5, False), row("easy", 0.7, True)]
    away = [row("other_a", 0.9, True), row("other_b", 0.8, False)]
    found = forecast_input_rows(home, away)
    assert found["n"] == 2 and found["accuracy"] == 1.0  # neither is fitted on
    assert [each["foretold"] for each in found["other"]["rows"]] == [True, True]
    assert found["other"]["accuracy"] == found["other"]["always_yes"] == 0.5
    assert "other" not in forecast_input_rows(home)


def test_the_other_world_is_scored_by_its_own_words_and_without_a_judge():
    exam = exam_of("test", "other", N)
    truth = [exact_caption(s, caption_draw(s.split, s.index, 0)) for s in exam.split.scenes]
    found = statistics(answer(truth), exam, truth)
    assert bootstrap(found["object_f1"]).mean == 1.0 and bootstrap(found["changed"]).mean == 0.0
    assert "cider" in found and not {"clipscore", "surprise"} & set(found)
    blind = rates(answer(truth), SPLIT)  # at home nobody knows these things
    assert blind["object_recall"].rows[:, 0].sum() == 0


def test_a_cooler_draw_keeps_the_metrics_of_drawn_captions_alone():
    exam = exam_of("test", "home", N)
    some = answer(GOOD) | {"sampled": [GOOD[1:] + GOOD[:1]]}
    whole, drawn = statistics(some, exam, GOOD), drawn_statistics(some, exam)
    assert list(drawn) == [name for name in whole if name.startswith("sampled_")]
    assert all((drawn[name].rows == whole[name].rows).all() for name in drawn)
    assert "sampled_surprise" in drawn and "sampled_object_f1" in drawn


def test_bases_of_the_other_world_have_its_words_and_come_after_their_tower(tmp_path):
    assert [home_of(base) for base in ("hard", "other_b")] == ["home", "other"]
    assert all(MADE[base].model.world == "other" for base in OTHER_BASES)
    assert MADE["other_a"].seed != MADE["other_b"].seed
    assert first_tower(tmp_path, "other_a") == {} and first_tower(tmp_path, "weak")
    with pytest.raises(FileNotFoundError, match="tower of other_a: make that base first"):
        first_tower(tmp_path, "other_b")


def test_later_candidates_do_not_change_the_choice(tmp_path):
    study = Study(read_options(["--runs", str(tmp_path), "--candidates", "residual"]))
    choices = {"best": {"variant": "x"}, "candidates": [{"variant": "residual",
               "learning_rate": 2e-4}]}  # fmt: skip
    assert try_later(study, choices) == choices


def test_a_claim_needs_both_metrics_both_rivals_and_three_seeds():
    metrics = ("sampled_object_precision", "sampled_object_recall")
    rivals = ("hard:home:base", "hard:home:best_shuffled")

    def verdict(**changes: float) -> str:
        rows = [
            difference("hard:home:best", rival, metric, changes.get(metric, 0.2),
                       int(changes.get("seeds", 3)))
            for rival in rivals for metric in metrics
        ]  # fmt: skip
        (found,) = claims(rows)
        return found["verdict"]

    rival = [difference("hard:home:best", "hard:home:primed", m, gain) for m, gain in
             zip(metrics, (0.2, 0.05), strict=True)]  # fmt: skip
    (found,) = claims(rival)
    assert found["verdict"] == "does not hold" and "T = 1 (hard)" in found["claim"]
    assert verdict() == "holds"
    assert verdict(sampled_object_recall=0.05) == "does not hold"
    assert verdict(seeds=2) == "does not hold"
    assert claims([difference("hard:home:best", rivals[0], metrics[0], 0.2)]) == []
