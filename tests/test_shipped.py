"""Shipped models are found by kind and name: in the checkout, as installed, and with none there."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from vizer_core import shipped as module
from vizer_core.shipped import GROUP, shipped, shipped_names
from vizer_lab.world.corpora import STYLE_SPLITS
from vizer_lab.world.vqa_items import drawn_prompt
from vizer_lab.zoo import load_drawn_clip
from vizer_lab.zoo.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
# a corpus has no weights, and a model that wants somebody else's wheel has no recipe in the table
TABLES = {
    "corpus": [f"drawn-{style}" for style in STYLE_SPLITS],
    "vlm": ["drawn-vlm-real"],
}
for each in MODELS.values():
    TABLES.setdefault(each.kind, []).append(each.name)


@pytest.fixture
def alone(monkeypatch):
    """The library without metadata and without a checkout around it."""
    monkeypatch.setattr(module, "declared", lambda group: ())


@pytest.mark.parametrize("kind", TABLES)
def test_everything_that_has_a_recipe_is_declared(kind):
    assert shipped_names(kind) == tuple(sorted(TABLES[kind]))


def test_a_name_gives_the_model_that_the_laboratory_loads():
    encoder = shipped("clip", "drawn-clip")("cpu")
    assert encoder.fingerprint == load_drawn_clip("drawn-clip").fingerprint
    assert shipped("language_model", "drawn-lm")("cpu").name == "drawn-lm"
    assert shipped("vlm", "drawn-vlm-plain")("cpu").name == "drawn-vlm-plain"
    assert shipped("captioner", "drawn-decap")() == MODELS["drawn-decap"].path()
    folder = shipped("adapter", "drawn-vlm-web-information")()
    assert (folder / "vizer.json").is_file()
    assert shipped("corpus", "drawn-away")(3).name == "drawn-away"
    drawn = shipped("corpus", "drawn-home")(3)
    assert drawn.image_ids[0] == "second_train-00000" and drawn.name == "drawn-home"
    assert shipped("vqa_prompt", "drawn-lm")() is drawn_prompt


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(
        ValueError, match="no shipped vlm 'x': wanted one of drawn-vlm-general, drawn-"
    ):
        shipped("vlm", "x")


def test_without_the_laboratory_nothing_is_shipped_and_the_error_says_so(alone):
    assert shipped_names("clip") == ()
    with pytest.raises(ImportError, match=r"no shipped clip is installed.* vizer_lab brings them"):
        shipped("clip", "drawn-clip")


def test_another_distribution_may_ship_models_too(monkeypatch):
    mine = EntryPoint("clip.mine", "builtins:dict", GROUP)
    monkeypatch.setattr(module, "entry_points", lambda group: (mine,))
    monkeypatch.setattr(module, "declared", module.declared.__wrapped__)
    assert shipped_names("clip") == (*sorted(TABLES["clip"]), "mine")


def test_what_an_older_installation_of_this_project_says_does_not_count(monkeypatch):
    old, mine = (EntryPoint(f"clip.{name}", "builtins:dict", GROUP) for name in ("old", "mine"))
    vars(old)["dist"] = SimpleNamespace(name="vizer-core")
    vars(mine)["dist"] = SimpleNamespace(name="mine")
    monkeypatch.setattr(module, "entry_points", lambda group: (old, mine))
    monkeypatch.setattr(module, "declared", module.declared.__wrapped__)
    assert shipped_names("clip") == (*sorted(TABLES["clip"]), "mine")


def test_the_pyproject_of_somebody_else_is_not_read(tmp_path):
    rows = '[project.entry-points."vizer_core.shipped"]\n"clip.other" = "a:b"\n'
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "other"\n{rows}')
    assert module._of_checkout(GROUP, tmp_path) == []
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "vizer-core"\n{rows}')
    assert [each.name for each in module._of_checkout(GROUP, tmp_path)] == ["clip.other"]


def test_every_declared_function_exists():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for group, rows in points.items():
        assert all(callable(EntryPoint(n, value, group).load()) for n, value in rows.items())


def test_looking_at_names_loads_no_model_code():
    code = (
        "import sys; from vizer_core.shipped import shipped_names as names; assert names('clip');"
        "print([m for m in ('torch', 'vizer_lab.zoo') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("first", ["vizer_lab.command", "vizer_core.cli"])
def test_the_command_of_the_laboratory_is_there_whichever_is_imported_first(first):
    code = (
        f"import {first}, vizer_core.cli as c; "
        "print([x.name for x in c.app.registered_commands].count('lab'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr
