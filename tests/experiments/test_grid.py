"""The grid runner: finished cells are skipped, a kill costs one, other arguments are refused."""

from __future__ import annotations

import json
import os

import pytest

from experiments.grid import Cell, answer_of, cost, open_cells, run_grid, seconds_spent


def square(x: int) -> dict[str, int]:
    return {"square": x * x}


def who(x: int) -> int:
    return os.getpid()


def breaks(x: int) -> int:
    raise ValueError(f"no answer for {x}")


def cells(run=square, count=3):
    return [Cell(f"cell-{i}", run, {"x": i}, seconds=60.0 * (i + 1)) for i in range(count)]


def test_answers_come_by_name_and_finished_cells_are_not_run_again(tmp_path):
    assert run_grid(cells(), tmp_path, workers=1)["cell-2"] == {"square": 4}
    before = (tmp_path / "cell-2.json").stat().st_mtime_ns
    (tmp_path / "cell-1.json").unlink()
    assert open_cells(cells(), tmp_path) == cells()[1:2]
    run_grid(cells(), tmp_path, workers=1)
    assert (tmp_path / "cell-2.json").stat().st_mtime_ns == before


def test_two_workers_give_what_one_gives(tmp_path):
    alone = run_grid(cells(), tmp_path / "one", workers=1)
    assert run_grid(cells(), tmp_path / "two", workers=2) == alone
    assert os.getpid() not in run_grid(cells(who), tmp_path / "pids", workers=2).values()


def test_one_broken_cell_costs_the_others_nothing(tmp_path):
    mixed = [*cells(), Cell("broken", breaks, {"x": 7})]
    with pytest.raises(RuntimeError, match=r"1 of 4 cells failed: broken.*no answer for 7"):
        run_grid(mixed, tmp_path, workers=2)
    assert open_cells(mixed, tmp_path) == mixed[3:]


def test_an_answer_to_other_arguments_is_refused(tmp_path):
    run_grid(cells(), tmp_path, workers=1)
    with pytest.raises(ValueError, match=r"cell-0.json answers .*'x': 0.*wanted .*'x': 9"):
        answer_of(Cell("cell-0", square, {"x": 9}), tmp_path)


def test_longest_first_and_the_cost_says_what_is_left(tmp_path):
    assert [cell.name for cell in open_cells(cells(), tmp_path)] == ["cell-2", "cell-1", "cell-0"]
    assert "0 of 3 cells are done; the other 3 take about 3 minutes" in cost(cells(), tmp_path, 2)
    run_grid(cells(count=1), tmp_path, workers=1)
    assert "1 of 3 cells are done; the other 2" in cost(cells(), tmp_path, 2)


def test_what_finished_cells_took_is_added_up_whatever_else_lies_there(tmp_path):
    (tmp_path / "made").mkdir()
    for name, record in {
        "a": {"cell": {}, "cpu_seconds": 1.5, "answer": None},
        "made/b": {"cell": {}, "cpu_seconds": 2.0, "answer": None},
        "manifest": {"sha256": "x"},
        "captions": ["a cat"],
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    assert seconds_spent(tmp_path) == 3.5


def test_names_are_unique_and_workers_positive(tmp_path):
    with pytest.raises(ValueError, match="cells of one name: cell-0"):
        open_cells([*cells(), cells()[0]], tmp_path)
    with pytest.raises(ValueError, match="workers is 0"):
        run_grid(cells(), tmp_path, workers=0)
