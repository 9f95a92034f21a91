"""The gap study: its grid, its arithmetic, its verdicts, and the file it has written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments import gap_drawn, gap_models, gap_seeds
from experiments.gap_claims import CLAIMS, SCALED, Table, verdicts
from experiments.gap_measure import World, _covered, measure
from experiments.gap_models import GapModel, grid, missing
from tools.results_pages import made_markdown
from vizer_core.files import read_json, save_tensors
from vizer_core.gap import Interval
from vizer_lab.names import sentence_in_words
from vizer_lab.world.world import Scene, SceneObject
from vizer_lab.zoo import CLIPS, load_drawn_clip

RESULTS = Path("results/gap_drawn.json")


def test_the_grid_has_parents_first_and_no_model_twice() -> None:
    models = list(grid((0, 1, 2)))
    assert len(set(models)) == len(models) == 18
    for model in models:
        if model.parent:
            assert models.index(model.parent) < models.index(model)
    assert len({m.path for m in models}) == 18
    assert {m.shipped for m in models} == {None, *gap_models.SHIPPED.values()}


def test_seed_0_is_the_shipped_models_and_the_others_are_trained_on_half_of_the_batches() -> None:
    for system, name in gap_models.SHIPPED.items():
        here, later = (next(m for m in grid((s,)) if m.system == system) for s in (0, 1))
        assert here.shipped == name and here.recipe == CLIPS[name].recipe
        assert here.path == CLIPS[name].path() and here.path.is_file()
        assert later.shipped is None and later.recipe.seed == 1
        assert later.recipe.samples == pytest.approx(here.recipe.samples / 2, rel=0.01)


def test_seeds_see_other_scenes_and_children_see_scenes_their_parents_did_not() -> None:
    spans = {}
    for model in grid((0, 1)):
        first = model.recipe.first_scene
        spans.setdefault(model.seed, []).append((first, first + model.recipe.samples))
    assert max(end for _, end in spans[0]) < min(start for start, _ in spans[1])
    parent, child = GapModel("cls", None, 1).recipe, GapModel("cls", 100, 1).recipe
    assert child.first_scene >= parent.first_scene + parent.samples


def test_a_model_made_by_another_recipe_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(gap_models, "FOLDER", tmp_path)
    model = GapModel("cls", None, 1)
    assert missing([model]) == [model]
    save_tensors(model.path, {"x": torch.zeros(1)}, {"recipe": {"seed": 9}})
    with pytest.raises(ValueError, match="another recipe"):
        gap_models.load(model)


def test_a_record_counts_for_its_own_recipe_weights_and_scenes_only(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(gap_models, "FOLDER", tmp_path)
    model = GapModel("cls", None, 1)
    save_tensors(model.path, {"x": torch.zeros(1)}, {"recipe": model.recipe.to_dict(),
                                                     "hardware": "CPU"})  # fmt: skip
    record = gap_seeds.make_record(model, {"gap_norm": Interval(0.5, 0.4, 0.6)}, n=9)
    kept = {"cls#1": record, "cls#7": record}
    gap_seeds.write_records(kept, [model], tmp_path / "seeds.json")
    kept = gap_seeds.read_records(tmp_path / "seeds.json")
    assert list(kept) == ["cls#1", "cls#7"]  # of a seed that was not asked for: kept too
    found = gap_seeds.record_of(model, kept, 9)
    assert gap_seeds.numbers_of(found) == {"gap_norm": Interval(0.5, 0.4, 0.6)}
    assert gap_seeds.record_of(model, kept, 10) is None
    assert gap_seeds.record_of(GapModel("cls", None, 2), kept, 9) is None
    altered = {"cls#1": record | {"recipe": {"seed": 9}}}
    assert gap_seeds.record_of(model, altered, 9) is None
    model.path.unlink()  # the weights need not be kept
    assert gap_seeds.record_of(model, kept, 9) == found
    save_tensors(model.path, {"x": torch.ones(1)}, {"recipe": model.recipe.to_dict()})
    assert gap_seeds.record_of(model, kept, 9) is None


def test_only_what_has_neither_record_nor_weights_is_trained_and_its_parent(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(gap_models, "FOLDER", tmp_path)
    trained: list[GapModel] = []
    monkeypatch.setattr(gap_drawn, "train", lambda model, device: trained.append(model))
    models = list(grid((1,)))
    lone = [model for model in models if model.system == "patch_mean"]
    done = {
        gap_seeds.name_of(m): {"n": 9, "recipe": m.recipe.to_dict(), "sha256": ""}
        for m in models
        if m not in lone
    }
    monkeypatch.setattr(gap_drawn, "read_records", lambda: done)
    gap_drawn.train_missing(models, 9, "cpu")
    assert [model.system for model in trained] == ["cls", "patch_mean"]


def test_the_envelope_is_never_narrower_than_a_seed() -> None:
    seeds = [Interval(0.5, 0.4, 0.6), Interval(0.9, 0.7, 1.0)]
    found = gap_drawn.envelope(seeds)
    assert found == Interval(0.7, 0.4, 1.0)


def table_where(**changes: float) -> Table:
    """A table in which every claim's numbers are 0.5, but for `system__metric=value`."""
    keys = {key for claim in CLAIMS for key in claim.evidence}
    keys |= {(s, m) for s in (*SCALED, "patch_mean")
             for m in ("gap_norm", "gap_norm_null", "separability_held_out", "constant_share",
                       "patch_closer", "patch_closer_other_image", "paper_mix_gain",
                       "paper_mix_mean_token_gain", "pooled_mean", "pooled_std")}  # fmt: skip
    rows = {key: Interval(0.5, 0.5, 0.5) for key in keys}
    for name, value in changes.items():
        system, metric = name.split("__")
        rows[system, metric] = Interval(value, value - 0.01, value + 0.01)
    return Table(rows, n=10, seeds={system: 3 for system, _ in rows})


def verdict_of(words: str, table: Table) -> str:
    found = [v for v in verdicts(table) if words in v["claim"]]
    assert len(found) == 1, words
    return found[0]["verdict"]


@pytest.mark.parametrize(
    ("words", "true", "false"),
    [
        ("constant part", {"cls_scale100__constant_share": 0.05},
         {"cls_scale100__constant_share": 0.7}),
        ("For a third", {"cls__patch_closer": 0.4}, {"cls__patch_closer": 0.01}),
        ("patches themselves", {"patch_mean__patch_closer": 0.6,
                                "patch_mean__patch_closer_other_image": 0.05},
         {"patch_mean__patch_closer": 0.6, "patch_mean__patch_closer_other_image": 0.3}),
        ("raises the pair cosine", {"patch_mean__paper_mix_gain": 0.1},
         {s + "__paper_mix_gain": -0.1
          for s in ("cls", "cls_scale100", "patch_mean")}),
        ("widens the gap",
         {s + "__gap_norm": 0.1 + 0.1 * k for k, s in enumerate(SCALED)},
         {s + "__gap_norm": 0.1 + 0.1 * (k % 3) for k, s in enumerate(SCALED)}),
    ],
)  # fmt: skip
def test_a_verdict_follows_its_rule_both_ways(words: str, true: dict, false: dict) -> None:
    assert verdict_of(words, table_where(**true)) == "holds"
    assert verdict_of(words, table_where(**false)) == "does not hold"


def test_a_claim_whose_model_was_not_measured_is_not_judged() -> None:
    table = table_where()
    rows = {key: row for key, row in table.rows.items() if key[0] != "cls_scale5"}
    judged = {v["claim"]: v for v in verdicts(Table(rows, n=10, seeds=table.seeds))}
    one = judged["A lower temperature (a higher logit scale) widens the gap"]
    assert one["verdict"] == "not testable here"
    assert one["evidence"].endswith("; not measured: cls_scale5")
    assert judged["A gap separates images and texts"]["verdict"] != "not testable here"


def test_covered_patches_are_those_under_a_named_object() -> None:
    ball = SceneObject("basketball", 0.25, 0.25, 0.3, False)
    dog = SceneObject("dog", 0.75, 0.75, 0.3, False)
    covered = _covered(
        Scene("second_test", 0, (ball, dog), "snow", 0), frozenset({"basketball"}), (7, 7)
    )
    assert covered[1, 1] == 1 and covered[5, 5] == 0 and 0 < covered.mean() < 0.2


def test_measuring_a_shipped_model_gives_every_number_that_the_claims_read() -> None:
    numbers = measure(load_drawn_clip("drawn-clip"), World.draw(150))
    read = {metric for claim in CLAIMS for _, metric in claim.evidence}
    assert read <= set(numbers)
    for name, row in numbers.items():
        assert row.low - 1e-9 <= row.estimate <= row.high + 1e-9, name
    assert numbers["gap_norm"].estimate > 10 * numbers["gap_norm_null"].estimate * 0.5


def stored_table(stored: dict, shift: float = 0.0) -> Table:
    """The table that a file's scores were written from, moved by a number."""
    ends = ("mean", "low", "high")
    rows = {
        (r["system"], r["metric"]): Interval(*(r[end] + shift for end in ends))
        for r in stored["scores"]
    }
    seeds = {r["system"]: r["seeds"] for r in stored["scores"]}
    return Table(rows, n=stored["scores"][0]["n"], seeds=seeds)


def test_the_stored_results_follow_from_the_stored_rows_and_these_from_the_models() -> None:
    """The verdicts are recomputed from the scores in the file, those from the file of models."""
    stored = read_json(RESULTS)
    table = stored_table(stored)
    assert verdicts(table) == stored["claims"]
    assert {c["verdict"] for c in stored["claims"]} <= {
        "holds", "does not hold", "not testable here",
    }  # fmt: skip
    assert table.n >= 2000
    models = list(grid())
    found = gap_drawn.by_run(models, gap_seeds.read_records())
    assert gap_drawn.as_rows(found, table.n) == table
    assert gap_drawn.differences(found, table.n) == stored["differences"]


def test_stored_evidence_would_change_with_the_numbers() -> None:
    stored = read_json(RESULTS)
    assert verdicts(stored_table(stored, 0.1)) != stored["claims"]


def test_the_file_says_what_was_cut_by_name() -> None:
    stored, models = read_json(RESULTS), list(grid())
    records = gap_seeds.read_records()
    assert stored["cut"] == gap_drawn.what_was_cut(models, records)
    lacking = gap_drawn.what_was_cut(models, {})[-1]
    assert lacking.startswith("not trained yet: cls#0, ") and lacking.endswith("cls_scale5#1")


def test_the_file_says_what_its_intervals_are_and_the_page_repeats_it() -> None:
    stored = read_json(RESULTS)
    assert stored["interval"] == gap_drawn.INTERVAL
    page = made_markdown("gap_drawn", stored)
    assert "the range over seeds (not a 95% interval)" in page
    said = [sentence_in_words(part, "gap_drawn") for part in stored["cut"]]
    assert all(part in page for part in said) and "Cut: seed 0 is" in page
    bare = {k: v for k, v in stored.items() if k not in ("interval", "cut")}
    assert not {"Intervals:", "Cut:"} & set(made_markdown("x", bare).split())
