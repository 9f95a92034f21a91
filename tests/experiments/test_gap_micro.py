"""The gap study: its grid, its arithmetic, its verdicts, and the file it has written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments import gap_micro, gap_models
from experiments.gap_claims import CLAIMS, SCALED, Table, verdicts
from experiments.gap_measure import World, _covered, measure
from experiments.gap_models import GapModel, grid, missing
from tools.results_pages import made_markdown
from vizer_core.files import read_json, save_tensors
from vizer_core.gap import Interval
from vizer_lab.world.world import Scene, SceneObject
from vizer_lab.zoo import load_micro_clip

RESULTS = Path("results/gap_micro.json")


def test_the_grid_has_parents_first_and_no_model_twice() -> None:
    models = list(grid())
    assert len(set(models)) == len(models) == 24
    for model in models:
        if model.parent:
            assert models.index(model.parent) < models.index(model)
    assert len({m.path for m in models}) == 24


def test_seeds_see_other_scenes_and_children_see_scenes_their_parents_did_not() -> None:
    spans = {}
    for model in grid():
        first = model.recipe.first_scene
        spans.setdefault(model.seed, []).append((first, first + model.recipe.samples))
    assert max(end for _, end in spans[1]) < min(start for start, _ in spans[2])
    parent, child = GapModel("cls", None, 1).recipe, GapModel("cls", 100, 1).recipe
    assert child.first_scene >= parent.first_scene + parent.samples


def test_a_model_made_by_another_recipe_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(gap_models, "FOLDER", tmp_path)
    model = GapModel("cls", None, 1)
    assert missing([model]) == [model]
    save_tensors(model.path, {"x": torch.zeros(1)}, {"recipe": {"seed": 9}})
    with pytest.raises(ValueError, match="another recipe"):
        gap_models.load(model)


def test_the_envelope_is_never_narrower_than_a_seed() -> None:
    seeds = [Interval(0.5, 0.4, 0.6), Interval(0.9, 0.7, 1.0)]
    found = gap_micro.envelope(seeds)
    assert found == Interval(0.7, 0.4, 1.0)


def table_where(**changes: float) -> Table:
    """A table in which every claim's numbers are 0.5, but for `system__metric=value`."""
    keys = {key for claim in CLAIMS for key in claim.evidence}
    keys |= {(s, m) for s in (*SCALED, "patch_mean", "cls_8_layers")
             for m in ("gap_norm", "gap_norm_null", "separability_held_out", "constant_share",
                       "patch_closer", "patch_closer_other_image", "paper_mix_gain",
                       "paper_mix_mean_token_gain", "pooled_mean", "pooled_std")}  # fmt: skip
    rows = {key: Interval(0.5, 0.5, 0.5) for key in keys}
    for name, value in changes.items():
        system, metric = name.split("__")
        rows[system, metric] = Interval(value, value - 0.01, value + 0.01)
    return Table(rows, n=10, seeds=3)


def verdict_of(words: str, table: Table) -> str:
    found = [v for v in verdicts(table) if words in v["claim"]]
    assert len(found) == 1, words
    return found[0]["verdict"]


@pytest.mark.parametrize(
    ("words", "true", "false"),
    [
        ("constant part", {"cls_scale100__constant_share": 0.05},
         {"cls_scale100__constant_share": 0.7}),
        ("For a third", {"cls__patch_closer": 0.4, "cls_8_layers__patch_closer": 0.3},
         {"cls__patch_closer": 0.01}),
        ("patches themselves", {"patch_mean__patch_closer": 0.6,
                                "patch_mean__patch_closer_other_image": 0.05},
         {"patch_mean__patch_closer": 0.6, "patch_mean__patch_closer_other_image": 0.3}),
        ("raises the pair cosine", {"patch_mean__paper_mix_gain": 0.1},
         {s + "__paper_mix_gain": -0.1
          for s in ("cls", "cls_scale100", "cls_8_layers", "patch_mean")}),
        ("widens the gap",
         {s + "__gap_norm": 0.1 + 0.1 * k for k, s in enumerate(SCALED)},
         {s + "__gap_norm": 0.1 + 0.1 * (k % 3) for k, s in enumerate(SCALED)}),
    ],
)  # fmt: skip
def test_a_verdict_follows_its_rule_both_ways(words: str, true: dict, false: dict) -> None:
    assert verdict_of(words, table_where(**true)) == "holds"
    assert verdict_of(words, table_where(**false)) == "does not hold"


def test_covered_patches_are_those_under_a_named_object() -> None:
    ball = SceneObject("basketball", 0.25, 0.25, 0.3, False)
    dog = SceneObject("dog", 0.75, 0.75, 0.3, False)
    covered = _covered(Scene("test", 0, (ball, dog), "snow", 0), frozenset({"basketball"}), (7, 7))
    assert covered[1, 1] == 1 and covered[5, 5] == 0 and 0 < covered.mean() < 0.2


def test_measuring_a_shipped_model_gives_every_number_that_the_claims_read() -> None:
    numbers = measure(load_micro_clip("micro-clip"), World.draw(150))
    read = {metric for claim in CLAIMS for _, metric in claim.evidence}
    assert read <= set(numbers)
    for name, row in numbers.items():
        assert row.low - 1e-9 <= row.estimate <= row.high + 1e-9, name
    assert numbers["gap_norm"].estimate > 10 * numbers["gap_norm_null"].estimate * 0.5


def test_the_stored_results_follow_from_the_stored_rows() -> None:
    """The verdicts in the file are recomputed from the scores in the file."""
    stored = read_json(RESULTS)
    rows = {
        (r["system"], r["metric"]): Interval(r["mean"], r["low"], r["high"])
        for r in stored["scores"]
    }
    table = Table(rows, n=stored["scores"][0]["n"], seeds=stored["scores"][0]["seeds"])
    assert verdicts(table) == stored["claims"]
    assert {c["verdict"] for c in stored["claims"]} <= {
        "holds", "does not hold", "not testable here",
    }  # fmt: skip
    assert table.n >= 2000 and table.seeds >= 3


def test_stored_evidence_would_change_with_the_numbers() -> None:
    stored = read_json(RESULTS)
    rows = {
        (r["system"], r["metric"]): Interval(r["mean"] + 0.1, r["low"] + 0.1, r["high"] + 0.1)
        for r in stored["scores"]
    }
    assert verdicts(Table(rows, n=2000, seeds=3)) != stored["claims"]


def test_the_file_says_what_its_intervals_are_and_the_page_repeats_it() -> None:
    stored = read_json(RESULTS)
    assert stored["interval"] == gap_micro.INTERVAL
    page = made_markdown("gap_micro", stored)
    assert "the range over seeds (not a 95% interval)" in page
    assert "Intervals:" not in made_markdown(
        "x", {k: v for k, v in stored.items() if k != "interval"}
    )
