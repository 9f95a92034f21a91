"""The study of unlabelled images: records, decoders, plan, verdicts, a miniature run."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import improvement_decoders as decoders
from experiments.grid import Cell
from experiments.improvement import (
    RUNS,
    Study,
    can_run,
    main,
    order,
    read_options,
    run,
)
from experiments.improvement_ablations import (
    ABLATIONS,
    DEFAULT,
    ablation_cell,
    ablation_cells,
    ablation_rows,
    changed,
)
from experiments.improvement_claims import LABELLED, gain, moonshot, verdict_of
from experiments.improvement_confirm import CONFIRMED, confirm_rows, confirm_trials
from experiments.improvement_cost import DECODING, TRAINING
from experiments.improvement_record import pack, rates_in, record_of, statistics_of, unpack
from experiments.improvement_report import (
    best_trainer,
    chosen_rates,
    correlation_rows,
    not_run,
    pairs_of,
    success_rows,
)
from experiments.improvement_training import RATES, REWARDS, SETTINGS, TRAINERS
from experiments.improvement_views import VIEW_CELLS, averaged_after, diagonal
from experiments.improvement_world import FRESH, Trial, is_there, load_once, scenes_of, seen
from vizer_core.files import read_json
from vizer_core.metrics.stats import mean_statistics
from vizer_core.vizer.sampled import grounding_statistics
from vizer_lab.world import drawn_lexicon
from vizer_lab.zoo.noisy_captions import caption_draw, exact_caption

BASE, N = "drawn-vlm-web", 6
SPLIT = scenes_of(BASE, "test", N)
GOOD = [exact_caption(s, caption_draw("second_test", s.index, 0)) for s in SPLIT.scenes]


def test_a_packed_record_says_of_captions_what_they_themselves_say():
    captions = [*GOOD[:-2], "untitled", "a ufo and two robots"]
    found = statistics_of(record_of(captions, SPLIT, before=GOOD), SPLIT)
    truths, lexicon = [s.truth for s in SPLIT.scenes], drawn_lexicon("second")
    wanted = grounding_statistics([[text] for text in captions], truths, lexicon=lexicon)
    for name, statistics in wanted.items():
        assert found[name].score == pytest.approx(statistics.score, nan_ok=True), name
        assert found[name].rows == pytest.approx(statistics.rows), name
    assert found["changed"].score == pytest.approx(2 / N)
    few = rates_in(record_of(captions[:3], SPLIT), SPLIT)
    assert set(few) == {"object_precision", "object_recall", "object_f1", "vague", "length"}


def test_packing_loses_nothing_below_256_and_takes_little_room():
    columns = {"a": np.arange(1000) % 5, "b": np.arange(1000) % 2}
    packed = pack(columns)
    assert all((unpack(packed)[name] == column).all() for name, column in columns.items())
    assert len(packed["packed"]) < 200


def test_scenes_are_fresh_and_a_trials_name_tells_all_settings():
    assert SPLIT.scenes[0].index == FRESH and SPLIT.name == "second_test"
    with pytest.raises(ValueError, match="no part 'train'"):
        scenes_of(BASE, "train", 2)
    plain = Trial(BASE, "information")
    changed = {
        "base": "drawn-vlm-general",
        "system": "dpo",
        "seed": 1,
        "shuffled": True,
        "rate": 1e-3,
        "weight": 0.5,
        "part": "validation",
    }
    names = {replace(plain, **{key: value}).name for key, value in changed.items()}
    assert len(names | {plain.name}) == len(changed) + 1
    assert not is_there("drawn-vlm-nowhere")


def test_one_group_decoded_stepwise_is_greedy_decoding():
    vlm, (one, five) = load_once(BASE), seen(BASE, "test", N)
    wanted = decoders.greedy(vlm, one, "a")
    assert decoders.stepwise(vlm, [one], decoders.mean_log_p, word="a")[0] == wanted
    assert decoders.mean_over_views(vlm, [one, one], "a") == wanted
    assert decoders.greedy(vlm, five, "a") != wanted
    assert all(text.startswith("a ") for text in wanted)


def test_guidance_of_no_strength_is_greedy_and_stays_plausible():
    log_p = torch.tensor([[[0.6, 0.35, 0.05]], [[0.9, 0.0999, 0.0001]]]).log()
    assert decoders.guided(log_p, strength=0.0).tolist() == [[0], [0]]
    assert decoders.guided(log_p, strength=1.0).tolist() == [[1], [1]]
    # the third word's ratio is by far the largest, and it is not plausible


def test_diverse_groups_say_different_things_where_they_may():
    vlm, (one, _) = load_once(BASE), seen(BASE, "test", N)
    rows = decoders.diverse_rows(vlm, one, "a")
    assert [row[0] for row in rows] == decoders.greedy(vlm, one, "a")
    assert max(len(set(row)) for row in rows) > 1


def test_an_unknown_decoder_is_refused():
    with pytest.raises(ValueError, match="no decoder 'oracle': wanted one of base"):
        decoders.decode("oracle", None, None, "", reward=None)


def test_averaging_at_the_tower_is_averaging_what_it_says():
    part = torch.nn.Linear(2, 2)
    stacked = torch.randn(6, 3, 2)  # three views of two images
    with averaged_after(part, 3):
        found = part(stacked)
    assert torch.allclose(found[:2], part(stacked).unflatten(0, (3, 2)).mean(dim=0), atol=1e-6)
    assert torch.equal(found[:2], found[4:]) and not torch.allclose(part(stacked), found)
    assert len(diagonal(3)) == 5 and diagonal(3)[0] == (0, 0)


def test_every_trainer_has_rates_and_a_price():
    assert set(RATES) == set(TRAINERS) == set(TRAINING) and set(REWARDS) <= set(TRAINERS)
    assert set(LABELLED) <= set(TRAINERS) and {"views_5", "base"} <= set(DECODING)
    assert not can_run("drawn-vlm-other-web", "clip_reward")


def test_the_core_bases_come_first_and_nothing_is_left_out():
    bases = [BASE, "drawn-vlm-general", "drawn-vlm-qwen", "drawn-vlm-plain"]
    plan = order(bases, 5)
    assert len(plan) == len(set(plan))
    first = {base: min(i for i, row in enumerate(plan) if row[1] == base) for base in bases}
    assert max(first[base] for base in bases[:2]) < min(first[base] for base in bases[2:])
    for kind in ("trainers", "controls"):
        assert {(b, s) for k, b, s in plan if k == kind} == {
            (base, seed) for base in bases[:3] for seed in range(5)
        }
    assert {b for k, b, _ in plan if k == "cheap"} == set(bases)


def planned(**answers: list[str]) -> tuple[dict[str, Cell], dict[str, dict]]:
    cells, found = {}, {}
    for name, texts in answers.items():
        system, _, rate = name.partition("__")
        trial = Trial(BASE, system, rate=float(rate or 0) / 1e4, part="validation", n=N)
        split = scenes_of(BASE, "validation", N)
        cells[trial.name] = Cell(trial.name, record_of, asdict(trial))
        found[trial.name] = {
            "greedy": {"one": record_of(texts, split, before=texts)},
            "agreement": {"one": {"mean": 0.0}},
        }
    return cells, found


def test_a_rate_is_chosen_by_greedy_f1_and_the_best_trainer_reads_no_label():
    scenes = scenes_of(BASE, "validation", N).scenes
    good = [exact_caption(s, caption_draw("second_validation", s.index, 0)) for s in scenes]
    cells, found = planned(
        base=good,
        dpo__1=good[:2] + ["untitled"] * 4,
        dpo__5=good[:4] + ["untitled"] * 2,
        clip_reward__2=good,
    )
    assert chosen_rates(cells, found, "drawn-vlm-qwen") == {}  # each base chooses for itself
    rates = chosen_rates(cells, found, BASE)
    assert set(rates) == {"dpo", "clip_reward"} and rates["dpo"]["rate"] == 5e-4
    assert len(rates["dpo"]["candidates"]) == 2 and best_trainer(rates) == "dpo"
    assert best_trainer({}) is None
    assert not_run(cells, {}) == [f"{BASE}: rates, 4 cells"]


def test_where_few_trainers_were_not_run_they_are_named():
    def cell(system: str, seed: int) -> Cell:
        about = {"base": BASE, "part": "test", "system": system, "rate": 1e-4, "seed": seed}
        return Cell(f"{BASE}/test-{system}-{seed}", dict, about)

    some = [cell(system, 0) for system in ("dpo", "raft")]
    many = [cell(f"trainer {i}", 1) for i in range(9)]
    planned = {one.name: one for one in (*some, *many)}
    assert not_run(planned, {}) == [
        f"{BASE}: seed 0, 2 cells (dpo, raft)",
        f"{BASE}: seed 1, 9 cells",
    ]


def run_of(precision: float, recall: float, n: int = 40) -> dict:
    return {
        "object_precision": mean_statistics([precision] * n),
        "object_recall": mean_statistics([recall] * n),
    }


def test_success_is_counted_seed_by_seed():
    found = {
        "first_word": [run_of(0.5, 0.5)],
        "dpo": [run_of(0.6, 0.6), run_of(0.6, 0.4), run_of(0.7, 0.7)],
    }
    (row,) = success_rows(found, ["dpo", "raft"])
    assert (row["seeds"], row["both_above"], row["both_clear"]) == (3, 2, 2)
    assert row["recall"] == pytest.approx([0.1, -0.1, 0.2])


def test_systems_meet_their_rivals_and_their_control():
    found = {
        name: [run_of(0.5, 0.5)]
        for name in (
            *("base", "first_word", "views_5", "dpo"),
            *("dpo_shuffled", "dpo_views"),
            "dpo_shuffled_views",
        )
    }
    pairs = pairs_of(found)
    assert {("dpo", "base"), ("dpo", "first_word"), ("dpo", "dpo_shuffled")} <= set(pairs)
    assert {("dpo_views", "views_5"), ("dpo_views", "dpo"), ("views_5", "first_word")} <= set(pairs)
    assert ("base", "base") not in pairs and not any("shuffled_views" in a for a, _ in pairs)
    assert {b for a, b in pairs if a == "dpo_shuffled"} == {"base"}


def difference(base: str, mean: float, metric: str, seeds: int = 3) -> dict:
    return {
        "base": base,
        "system": "raft",
        "against": "base",
        "metric": metric,
        "mean": mean,
        "low": mean - 0.1,
        "high": mean + 0.1,
        "n": N,
        "seeds": seeds,
    }


@pytest.mark.parametrize(
    ("means", "seeds", "verdict"),
    [
        ((0.2, 0.2), 3, "holds"),
        ((0.2, 0.05), 3, "does not hold"),
        ((0.2, 0.2), 2, "not testable here"),
        ((0.2,), 3, "not testable here"),
    ],
)
def test_a_gain_holds_on_every_base_or_not_at_all(means, seeds, verdict):
    rows = [
        difference(f"base{i}", mean if metric == "object_recall" else 0.2, metric, seeds)
        for i, mean in enumerate(means)
        for metric in ("object_precision", "object_recall")
    ]
    keyed = {(r["base"], r["system"], r["against"], r["metric"]): r for r in rows}
    found = gain(keyed, "raft", "base", "Raft raises both")
    assert found["verdict"] == verdict and "base0" in found["evidence"]
    assert verdict_of([], [], 1) == "not testable here"


def test_a_base_with_fewer_seeds_is_told_and_not_judged():
    rows = [
        difference(base, mean, metric, seeds)
        for base, mean, seeds in (("a", 0.2, 3), ("b", 0.2, 3), ("c", -0.2, 1))
        for metric in ("object_precision", "object_recall")
    ]
    keyed = {(r["base"], r["system"], r["against"], r["metric"]): r for r in rows}
    found = gain(keyed, "raft", "base", "Raft raises both")
    assert found["verdict"] == "holds" and "c, 1 seeds" in found["evidence"]
    without = {key: row for key, row in keyed.items() if key[0] != "a"}
    assert gain(without, "raft", "base", "The same")["verdict"] == "not testable here"


def test_the_moonshot_wants_most_seeds_of_two_bases_and_no_label():
    def row(system: str, base: str, clear: int, seeds: int = 5) -> dict:
        return {
            "system": system,
            "base": base,
            "seeds": seeds,
            "both_clear": clear,
            "both_above": clear,
        }

    won = [row("raft", "a", 3), row("raft", "b", 4)]
    assert moonshot(won, "raft")["verdict"] == "holds"
    assert moonshot([won[0], row("dpo", "b", 5)], "raft")["verdict"] == "does not hold"
    assert moonshot([row("clip_reward", b, 5) for b in "ab"], None)["verdict"] == (
        "not testable here"
    )
    assert moonshot([row("raft", b, 2, 2) for b in "ab"], "raft")["verdict"] == "not testable here"


def test_correlations_are_those_of_ranks():
    rows = [
        {
            "base": BASE,
            "kind": "decoder",
            "mean": float(i),
            "object_precision": -float(i),
            "object_recall": float(i) ** 3,
            "object_f1": float(i),
        }
        for i in range(6)
    ]
    found = {(r["kind"], r["metric"]): r["rho"] for r in correlation_rows(rows)}
    assert found["all", "object_recall"] == pytest.approx(1)
    assert found["decoder", "object_precision"] == pytest.approx(-1)
    assert ("trained", "object_f1") not in found


def test_an_ablation_changes_one_setting_and_nothing_else():
    plain = Trial(BASE, "vizer_g", rate=3e-4)
    assert changed(plain, DEFAULT, 0) == (plain, SETTINGS)
    for _, trainer, setting, values in ABLATIONS:
        found = [changed(replace(plain, system=trainer), setting, value) for value in values]
        if setting != DEFAULT:
            assert len({*found, (replace(plain, system=trainer), SETTINGS)}) == len(values) + 1
    trial, settings = changed(plain, "images", 2560)
    assert trial.images * settings.passes == plain.images * SETTINGS.passes
    assert changed(plain, "max_kl", 0.1)[0].rate > plain.rate
    with pytest.raises(ValueError, match="no setting 'mood': wanted one of default, images"):
        changed(plain, "mood", 1)


def test_rows_of_ablations_are_compared_with_their_trainers_default():
    rates = {"vizer_g": {"rate": 5e-3, "weight": 0.0}}
    plain = Trial(BASE, "base", n=N, images=8, mapper_images=16)
    planned = {c.name: c for cells in ablation_cells(rates, [BASE], plain) for c in cells}
    assert len(planned) == sum(
        len(values) for b, t, _, values in ABLATIONS if (b, t) == (BASE, "vizer_g")
    )
    assert not ablation_cells(rates, ["drawn-vlm-qwen"], plain)
    some = [f"{BASE}/ablation-vizer_g-{what}" for what in ("default-0", "rate-2e-05")]
    answers = {name: ablation_cell(**planned[name].arguments) for name in some}
    default, slow = ablation_rows(planned, answers)
    assert (default["setting"], default["value"], default["rate"]) == (DEFAULT, 0, 5e-3)
    assert default["object_f1_difference"] == [0, 0, 0] and default["changed"] > slow["changed"]
    assert slow["object_f1"][0] - default["object_f1"][0] == pytest.approx(
        slow["object_f1_difference"][0], abs=2e-4
    )
    assert slow["rate"] == 2e-5 and slow["mapper_cosine"] == default["mapper_cosine"]
    assert not ablation_rows(planned, {some[1]: answers[some[1]]})  # nothing to compare with
    assert not_run(planned, {}) == [f"{BASE}: ablation, {len(planned)} cells"]


WORDS = [
    *("--n", "6", "--validation", "6", "--images", "8", "--mapper-images", "16", "--seeds", "1"),
    *("--bases", BASE, "--decoders", "base", "first_word"),
    *("--trainers", "self_training_once", "consensus", "--views", "one_shift"),
]


def test_a_miniature_study_is_written_whole_and_collected_again(tmp_path, monkeypatch, capsys):
    out, runs = tmp_path / "improvement.json", tmp_path / "cells"
    words = [*WORDS, "--runs", str(runs), "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["improvement", *words])
    main()
    found = read_json(out)
    assert found["not_run"] == [] and found["choices"]["best"] in (
        "self_training_once",
        "consensus",
    )
    systems = {row["system"] for row in found["scores"]}
    assert {
        "base",
        "first_word",
        "views_5",
        "consensus",
        "consensus_shuffled",
        "best",
        "consensus_views",
    } <= systems
    assert {row["base"] for row in found["scores"]} == {BASE}
    assert {row["temperature"] for row in found["curve"]} == {0.0, 0.3, 0.7, 1.0}
    assert found["views"][0]["what"] == "one_shift" and found["claims"]
    assert found["confirm"] == []  # neither of its trainers was asked for
    assert {"kl", "curve", "samples"} <= set(
        next(row for row in found["runs"] if row["system"] == "consensus")
    )
    assert "not run: nothing" in capsys.readouterr().out
    again = Study(read_options([*words, "--collect"]))
    collected = run(again)
    assert collected["scores"] == found["scores"] and collected["claims"] == found["claims"]
    with pytest.raises(ValueError, match="Delete it, or name another folder"):
        run(Study(read_options([*words, "--collect", "--images", "9"])))


def test_stored_cells_are_those_of_the_plan(monkeypatch):
    """What is committed was made with the settings that the study has now."""
    if not RUNS.is_dir():
        pytest.skip("no cell is stored yet")
    study = Study(read_options(["--collect"]))
    # the plan alone: intervals of hundreds of runs take minutes
    monkeypatch.setattr("experiments.improvement.report", lambda *parts: {})
    run(study)  # an answer to other arguments raises
    names = {str(path.relative_to(RUNS).with_suffix("")) for path in Path(RUNS).rglob("*.json")}
    assert names <= set(study.planned), sorted(names - set(study.planned))[:3]
    assert set(VIEW_CELLS) == set(study.options.views)


def test_the_studys_page_types_no_number():
    page = (Path(__file__).parents[2] / "book" / "results_improvement.md").read_text()
    for name in ("views_5", "F1", "[chapter 13](../notebooks/13_ablations.ipynb)"):
        page = page.replace(name, "")
    assert not any(sign.isdigit() for sign in page)


def test_what_confirms_is_trained_on_every_core_base_and_looks_at_scenes_of_its_own():
    words = {BASE: "a", "drawn-vlm-qwen": "a"}
    rates = {name: {"rate": 1e-3} for name in CONFIRMED}
    trials = confirm_trials(Trial("", "base", n=N), words, rates, 2)
    assert [(t.system, t.seed) for t in trials] == [
        ("first_word", 0),
        *((name, seed) for seed in (0, 1) for name in CONFIRMED),
    ]
    assert {t.base for t in trials} == {BASE} and {t.n for t in trials} == {3 * N}
    others = {scenes_of(BASE, part, 5000).scenes[-1].index for part in ("test", "validation")}
    assert max(others) < scenes_of(BASE, "confirm", 1).scenes[0].index


def test_a_trainer_is_clear_where_both_its_intervals_are():
    n = 60
    split = scenes_of(BASE, "confirm", n)
    true = [exact_caption(s, caption_draw("second_test", s.index, 0)) for s in split.scenes]
    half = ["untitled" if i % 2 else "a robot" for i in range(n)]
    both = [f"{text} and a robot" for text in true]  # finds all that truth finds, and claims more

    def run(system: str, texts: list[str], seed: int) -> tuple[Trial, dict]:
        trial = Trial(BASE, system, part="confirm", n=n, seed=seed, rate=system != "first_word")
        return trial, {"greedy": {"one": record_of(texts, split, before=texts)}}

    rows = confirm_rows(
        [
            run("first_word", half, 0),
            run("beam", true, 1),
            run("beam", half, 0),
            run("dpo", both, 0),
        ]
    )
    (beam, dpo) = rows
    assert (beam["system"], beam["seeds"], beam["both_clear"], beam["n"]) == ("beam", 2, 1, n)
    assert beam["precision"][0] == beam["recall"][0] == [0.0, 0.0, 0.0]  # seed 0 is the rival
    assert beam["recall"][1][1] > 0.5 and beam["over_seeds"]["recall"][1] < 0.1
    assert dpo["both_clear"] == 1 and dpo["precision"][0][0] < beam["precision"][1][0]
    assert confirm_rows([run("dpo", both, 0)]) == []  # no rival, no row
    said = moonshot([row | {"base": base} for row in rows for base in "xy"], "beam")
    assert said["verdict"] == "not testable here" and f"{n} scenes" in said["evidence"]
