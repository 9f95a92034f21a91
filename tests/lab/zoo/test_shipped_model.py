"""What all shipped models share: files against manifests, checks that name a score, one list."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from typer.testing import CliRunner

from vizer_core.cli import app
from vizer_lab.command import listing
from vizer_lab.zoo.registry import MODELS, shipped_model
from vizer_lab.zoo.shipped_model import ShippedModel, Trained, by_name, fp16, named, thinned


@dataclass(frozen=True)
class Doubling:
    """A recipe for a model of one number."""

    start: float

    def to_dict(self) -> dict[str, Any]:
        return {"start": self.start}


@dataclass(frozen=True)
class Number(ShippedModel):
    """The smallest kind of model: a number, twice what it starts from; its score is itself."""

    kind: ClassVar[str] = "number"
    off: float = 0.0

    @property
    def work(self) -> str:
        return "1 number"

    @property
    def cpu_seconds(self) -> float:
        return 120.0

    def train(self, folder: Path, *, device: str, progress: bool) -> Trained:
        self.run_file(folder).write_text("half way")
        state = fp16({"x": torch.tensor([2 * self.recipe.start])})
        return Trained(float(state["x"]), {"hardware": "an abacus", "parameters": 1}, state)

    def wrap(self, state: Mapping[str, torch.Tensor], device: str) -> float:
        return float(state["x"])

    def score(self, model: float) -> dict[str, float]:
        return {"value": model + self.off, "mean_length": model + 3 * self.off}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    Number("two", Doubling(1.0)).build(folder=tmp_path)
    return tmp_path


def test_building_writes_weights_manifest_and_facts_and_clears_the_run(made: Path):
    model = Number("two", Doubling(1.0))
    manifest = model.manifest(made)
    assert model.load(folder=made) == 2 and model.check(made) == {"value": 2, "mean_length": 2}
    assert sorted(file.name for file in made.iterdir()) == [
        "two.safetensors",
        "two.safetensors.json",
    ]
    assert manifest["name"] == "two" and manifest["recipe"] == {"start": 1.0}
    assert manifest["command"] == "vizer lab --rebuild --only two"
    assert manifest["parameters"] == 1 and manifest["hardware"] == "an abacus"  # the kind knows
    assert model.size(made) == model.path(made).stat().st_size > 0


def test_a_score_that_is_off_by_more_than_rounding_is_named(made: Path):
    assert Number("two", Doubling(1.0), off=0.009).check(made)["value"] == pytest.approx(2.009)
    with pytest.raises(ValueError, match=r"two: value is 2\.0200 here, but 2\.0000 .*--only two"):
        Number("two", Doubling(1.0), off=0.02).check(made)


def test_every_fault_of_the_files_is_said(made: Path):
    model = Number("two", Doubling(1.0))
    assert model.fault(made) is None
    assert Number("three", Doubling(1.5)).fault(made) == "not there"
    assert replace(model, recipe=Doubling(9.0)).fault(made) == "made by another recipe"
    Number("four", Doubling(2.0)).build(folder=made)
    shutil.copy(made / "four.safetensors", made / "two.safetensors")
    assert model.fault(made) == "not the weights of its manifest"
    (made / "two.safetensors.json").unlink()
    assert model.fault(made) == "without its manifest"


def test_the_cost_is_one_sentence():
    assert Number("two", Doubling(1.0)).cost == (
        "two: 1 number, about 2 minutes of one CPU core, 2 GiB of memory. A stopped run goes on "
        "where it was."
    )


def test_names_are_unique_and_an_unknown_one_lists_those_there_are():
    two = Number("two", Doubling(1.0))
    with pytest.raises(ValueError, match=r"two models have one name among \['two', 'two'\]"):
        by_name(two, two)
    with pytest.raises(ValueError, match=r"no shipped number 'six': wanted one of \['two'\]"):
        named(by_name(two), "six")
    with pytest.raises(ValueError, match=r"no shipped model 'six': wanted one of \['drawn-capdec'"):
        shipped_model("six")


def test_a_model_stands_below_those_that_it_starts_from():
    order = list(MODELS)
    for name, model in MODELS.items():
        recipe = model.recipe
        for needed in (getattr(recipe, "parent", None), getattr(recipe, "base", None)):
            assert needed is None or order.index(needed) < order.index(name), name


def test_all_models_are_made_within_six_core_hours():
    assert sum(model.cpu_seconds for model in MODELS.values()) < 6 * 3600


@pytest.mark.parametrize("name", MODELS)
def test_the_files_of_each_shipped_model_are_those_of_its_manifest(name: str):
    model = MODELS[name]
    assert model.fault() is None
    assert model.record()["command"] == model.command and model.record()["scores"]


def test_losses_are_thinned_to_means():
    assert thinned([float(k) for k in range(1000)])["every"] == 10
    assert thinned([1.0, 2.0]) == {"every": 1, "mean": [1.0, 2.0]}


def test_the_listing_has_a_row_a_model_and_names_what_is_missing(tmp_path: Path):
    rows = listing([MODELS["drawn-lm"], MODELS["drawn-vlm-web-information"]]).splitlines()
    assert rows[0].split() == ["name", "kind", "size", "training", "files"]
    assert rows[1].split("  ", 1)[0] == "drawn-lm" and "1.3 MB" in rows[1] and "8 min" in rows[1]
    assert rows[2].endswith("as in the manifest") and "1.3 MB" in rows[2]
    assert listing([MODELS["drawn-lm"]], tmp_path).endswith("0.0 MB     8 min  not there")


def test_the_command_lists_without_running_and_refuses_to_do_both():
    done = CliRunner().invoke(app, ["lab", "--list", "--only", "drawn-clip", "--only", "drawn-lm"])
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "name",
        "drawn-clip",
        "drawn-lm",
    ]
    both = CliRunner().invoke(app, ["lab", "--list", "--rebuild"])
    assert both.exit_code == 1 and "--list trains nothing" in both.output
