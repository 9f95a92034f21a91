"""The study of the field: its plan, what it compares, verdicts, and a miniature of each part."""

from __future__ import annotations

import pytest

from experiments.field import (
    BASES,
    CHOICES,
    PARTS,
    cells_of,
    importance,
    read_options,
    run_one_by_one,
)
from experiments.field_captions import CONTROLLED, SYSTEMS, bar_cell, caption
from experiments.field_claims import claim_rows
from experiments.field_report import (
    RIVALS,
    TRAINED,
    WRITTEN,
    bar_rows,
    choice_rows,
    chosen,
    colour_spread,
    even,
    pairs_of,
    task_statistics,
)
from experiments.field_tasks import _asked_for
from experiments.field_training import RATES, TRAINERS
from experiments.field_views import CLIPS
from experiments.field_views import SYSTEMS as VIEW_SYSTEMS
from experiments.grid import Cell
from vizer_core.files import write_json
from vizer_lab.studies.field_systems import FIELD

N = 4


def options(*words: str):
    return read_options(list(words))


PICKED = {(BASES[0], system): 1e-3 for system in TRAINERS}
PICKED |= {(clip, "omniview"): 4.0 for clip in CLIPS}


def test_every_cell_has_its_own_name_and_the_first_base_comes_first():
    cells = [cell for part in PARTS for cell in cells_of(part, options(), PICKED)]
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    ordered = sorted(cells, key=importance)
    assert ordered[0].arguments["base"] == BASES[0]
    first = [c.name for c in ordered if c.arguments.get("seed", 0) == 0]
    later = [c.name for c in ordered if c.arguments.get("seed", 0) > 0]
    assert names and later and ordered[-1].name not in first[:20]


def test_every_system_of_the_table_is_compared_as_the_table_says():
    for system in FIELD:
        if system.row is None or system.study != "field":
            continue
        name, against, _ = system.row
        task = next((t for t in RIVALS if name.startswith(f"{t}_")), "")
        names = [f"{task}_{s}" for s in RIVALS[task]] if task else [name]
        assert name in names or name in WRITTEN or name in TRAINED
        assert (name, against) in pairs_of([against, name]), system.name


def test_all_that_caption_have_a_cost_and_controls_are_of_systems():
    assert set(SYSTEMS) == set(WRITTEN) and set(CONTROLLED) <= set(SYSTEMS)
    assert set(TRAINERS) == set(TRAINED)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.3, "holds"), (-0.3, -0.1, "does not hold"), (-0.1, 0.1, "does not hold")],
)
def test_verdicts_follow_the_intervals(low, high, verdict):
    row = {"system": "checked", "against": "beam", "metric": "statement_precision"}
    row |= {"mean": (low + high) / 2, "low": low, "high": high}
    (found,) = claim_rows([row | {"base": base} for base in "ab"])
    assert found["verdict"] == verdict and "a, minus beam" in found["evidence"]
    assert found["gate"].startswith("2 bases, 0 with a control")
    (alone,) = claim_rows([row | {"base": "a"}])
    assert alone["verdict"] == "not testable here"  # one base tells nothing of another
    control = row | {"against": "checked_shuffled", "mean": 0.0, "low": -0.1, "high": 0.1}
    (beside,) = claim_rows([each | {"base": base} for base in "ab" for each in (row, control)])
    assert beside["verdict"] == "does not hold"  # what the control gains too is not the method's
    assert claim_rows([]) == []


def test_changes_are_scored_by_precision_and_recall():
    found = task_statistics({"exact": [1, 0], "right": [1, 1], "told": [1, 3], "there": [1, 1]})
    assert found["precision"].score == 0.5 and found["recall"].score == 1.0
    assert set(found) == {"exact", "precision", "recall"}


def test_a_question_chooses_the_caption_that_shares_its_words():
    pool = ["a cat", "two dogs and a cat", "a hat"]
    assert _asked_for(pool, "how many dogs are there?") == pool[1]
    assert _asked_for(pool, "where is this?") == pool[0]


@pytest.mark.parametrize("system", ["first_word", "checked", "clip_ranked", "best_of_nine"])
def test_a_system_captions_every_scene(system):
    found = caption(BASES[0], system, n=N)
    assert len(found) == N and all(found)
    if system in CONTROLLED:
        assert len(caption(BASES[0], system, n=N, shuffled=True)) == N


def test_seeds_are_paired_and_a_single_run_stands_for_all():
    runs = {"a": [{}, {}, {}], "b": [{}, {}], "c": [{}]}
    assert [len(own) for own in even(runs, ("a", "b")).values()] == [2, 2]
    assert [len(own) for own in even(runs, ("b", "c")).values()] == [2, 1]


def test_colours_that_are_named_are_spread_from_none_to_all():
    assert colour_spread(["a red crown", "a blue hat"] * 3) == pytest.approx(1.0)
    assert colour_spread(["a red crown"] * 5) == 0.0 == colour_spread(["a crown"] * 9)
    assert 0 < colour_spread(["a red crown"] * 5 + ["a blue crown"]) < 0.9


def test_what_is_trained_has_three_seeds_and_a_control_at_what_was_chosen():
    for part in CHOICES:
        assert cells_of(part, options()) == []  # nothing was chosen yet
    cells = cells_of("trainers", options(), PICKED)
    assert {cell.arguments["rate"] for cell in cells} == {1e-3}
    for base in BASES[:2]:
        for system in TRAINERS:
            own = [c.arguments for c in cells if f"{base}-{system}" in c.name]
            own = [about for about in own if about["system"] == system]
            assert [a["seed"] for a in own if not a["shuffled"]] == [0, 1, 2]
            assert [a["seed"] for a in own if a["shuffled"]] == [0]
    assert all(len(rates) >= 2 for rates in RATES.values())
    views = cells_of("views", options(), PICKED)
    assert len(views) == 3 * len(CLIPS) and {c.arguments["weight"] for c in views} == {4.0}
    assert set(RIVALS["views"]["omniview"]) == set(VIEW_SYSTEMS) - {"omniview"}


def test_the_best_rate_is_chosen_once_all_were_tried(tmp_path):
    cells = [
        Cell(f"rates/{rate:g}", works, {"base": "b", "system": "mocha", "rate": rate})
        for rate in (1e-4, 1e-3, 1e-2)
    ]
    for cell, f1 in zip(cells, (0.5, 0.7, 0.6), strict=True):
        assert chosen(cells, tmp_path) == {}
        record = {"cell": cell.signature, "cpu_seconds": 1.0, "answer": {"object_f1": f1}}
        write_json(cell.path(tmp_path), record)
    assert chosen(cells, tmp_path) == {("b", "mocha"): 1e-3}
    run = Cell("trainers/b-mocha-0", works, cells[1].arguments | {"seed": 0, "shuffled": False})
    planned = {cell.name: cell for cell in (*cells, run)}
    rows = choice_rows(planned, {"rates/0.001": {"object_f1": 0.7}}, "rates", "trainers")
    assert rows == [cells[1].arguments | {"used": True, "object_f1": 0.7}]
    (other,) = choice_rows(planned, {"rates/0.01": {}}, "rates", "trainers")
    assert other["used"] is False


def test_bars_say_which_is_used():
    cells = {"bars/x": Cell("bars/x", bar_cell, {"base": "x", "n": 3})}
    answer = {"bars": {"verified": [{"bar": 0.8, "object_f1": 0.5}, {"bar": 0.9}]}}
    first, second = bar_rows(cells, {"bars/x": answer})
    assert not first["used"] and second["used"] and first["base"] == "x"
    assert bar_rows(cells, {}) == []


def fails() -> None:
    raise RuntimeError("no such luck")


def works() -> int:
    return 7


def test_a_cell_that_fails_stops_no_other(tmp_path, capsys):
    cells = [Cell("bars/a", fails, {}), Cell("bars/b", works, {})]
    with pytest.raises(RuntimeError, match="1 of 2 cells failed: bars/a"):
        run_one_by_one(cells, tmp_path, 1)
    assert (tmp_path / "bars" / "b.json").is_file() and "no such luck" in capsys.readouterr().err
