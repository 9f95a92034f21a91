"""The systems of the field: each function is there, and verdicts say what the intervals say."""

from __future__ import annotations

import importlib

import pytest

from vizer_core.files import write_json
from vizer_lab.figures.field_map import draw_field_map, placed
from vizer_lab.studies.field_entry import CHANGES, NEEDS, FieldSystem
from vizer_lab.studies.field_study import read_field, unfinished, verdict
from vizer_lab.studies.field_systems import FIELD, field_named
from vizer_lab.studies.improvement_study import Measured


@pytest.mark.parametrize("system", FIELD, ids=lambda system: system.name)
def test_every_function_is_there(system):
    module, _, name = system.function.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


def row(system, against=None, metric="object_f1", mean=0.1):
    found = {"base": "b", "system": system, "metric": metric, "mean": mean}
    found |= {"low": mean - 0.05, "high": mean + 0.05, "n": 9, "seeds": 1}
    return found | ({"against": against} if against else {})


def test_a_half_finished_file_is_read_as_it_is(tmp_path):
    file = tmp_path / "field.json"
    name, against, metric = field_named("fuse").row
    write_json(
        file,
        {
            "scores": [row(name), row("base")],
            "differences": [
                row(name, against, metric),
                row(name, f"{name}_shuffled", metric, -0.2),
            ],
        },
    )
    study = read_field(file)
    assert study.bases == ("b",) and study.score("b", name, "object_f1").mean == 0.1
    assert study.gains(field_named("fuse"))["b"].clear == 1
    assert study.control(field_named("fuse"))["b"].clear == -1
    assert study.gains(field_named("crops")) == {} == study.gains(field_named("arena"))
    assert "fuse" not in unfinished(study) and "crops" in unfinished(study)
    found = {line["system"]: line["found"] for line in study.table()}
    assert found["fuse"].startswith("up on 1 of 1") and found["crops"] == "not run"


def test_verdicts_count_sides():
    up, down, flat = (Measured(m, m - 0.1, m + 0.1, 9, 1) for m in (0.5, -0.5, 0.0))
    assert verdict({"a": up, "b": down}).startswith("up on 1, down on 1 of 2")
    assert verdict({"a": flat}).startswith("not clear on any of 1")


def test_a_row_of_another_study_is_read_from_the_file_beside_it(tmp_path):
    system = field_named("preference pairs")
    name, against, metric = system.row
    assert system.study == "improvement"
    write_json(tmp_path / "field.json", {"scores": [row("base")], "differences": []})
    assert read_field(tmp_path / "field.json").gains(system) == {}
    there = [row(name, against, metric, 0.3), row(name, f"{name}_shuffled", metric, -0.3)]
    write_json(tmp_path / "improvement.json", {"scores": [row(name)], "differences": there})
    study = read_field(tmp_path / "field.json")
    assert study.gains(system)["b"].mean == 0.3 and study.control(system)["b"].mean == -0.3
    found = {line["system"]: line for line in study.table()}["preference pairs"]
    assert found["found"].endswith("above its control on 0 of 1")
    assert found["measured"].endswith("study of improvement")


def test_errors_by_message(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"python -m experiments\.field"):
        read_field(tmp_path / "field.json")
    with pytest.raises(ValueError, match="no system 'magic'"):
        field_named("magic")
    with pytest.raises(ValueError, match="changes 'nothing'"):
        FieldSystem("x", "", "", "nothing", "labels", "training", "")
    with pytest.raises(ValueError, match="costs 'a fortune'"):
        FieldSystem("x", "", "", "data", "labels", "a fortune", "")


def test_the_map_writes_every_name_once():
    entries = [(s.name, s.changes, s.needs) for s in FIELD]
    fields = placed(entries, CHANGES, NEEDS)
    assert sorted(name for names in fields.values() for name in names) == sorted(
        name for name, _, _ in entries
    )
    figure = draw_field_map(entries, CHANGES, NEEDS, marks={"crops": "+"})
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == len(FIELD) and "+ crops" in texts
    with pytest.raises(ValueError, match="wanted one of"):
        placed([("x", "weather", "labels")], CHANGES, NEEDS)
