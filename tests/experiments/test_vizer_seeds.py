"""Runs of the ViZer study by themselves: their names, their pairs, their rows."""

from __future__ import annotations

import pytest

from experiments.vizer_seeds import finished, group_pairs, run_name, run_rows, run_statistics
from vizer_core.evaluation import make_references
from vizer_core.files import write_json
from vizer_lab.world import MicroSplit

PLAIN = {
    "variant": "vizer_g", "base": "micro-vlm", "seed": 2, "shuffled": False,
    "random_mapper": False, "mapper_images": 10_000, "width": 256,
}  # fmt: skip


def test_runs_are_named_as_the_study_names_its_systems():
    assert run_name(PLAIN) == "vizer_g#2"
    assert run_name(PLAIN | {"shuffled": True}) == "vizer_g_shuffled#2"
    assert run_name(PLAIN | {"random_mapper": True}) == "vizer_g_random_mapper#2"
    assert run_name(PLAIN | {"base": "micro-vlm-hard"}) == "hard:vizer_g#2"
    small = PLAIN | {"mapper_images": 4000, "width": 64}
    assert run_name(small) == "ablation:vizer_g:m4000:w64#2"


def test_a_group_is_compared_with_control_base_and_middle_and_unfinished_controls_wait():
    groups = {
        name: [{}] * 3
        for name in (
            "a", "a_shuffled", "hard:a", "hard:a_shuffled",
            "ablation:a:m1000:w256", "ablation:a:m4000:w256",
        )
    } | {"base": [{}], "hard:base": [{}], "b": [{}] * 3, "b_shuffled": [{}] * 2}  # fmt: skip
    assert group_pairs(groups) == [
        ("a", "a_shuffled"), ("a", "base"), ("a_shuffled", "base"),
        ("hard:a", "hard:a_shuffled"), ("hard:a", "hard:base"),
        ("hard:a_shuffled", "hard:base"),
        ("ablation:a:m1000:w256", "ablation:a:m4000:w256"),
        ("ablation:a:m4000:w256", "base"),
        ("b", "base"), ("b_shuffled", "base"),
    ]  # fmt: skip


def test_a_run_of_right_captions_scores_one_and_what_it_recorded_stands_by_itself(tmp_path):
    split = MicroSplit("test", 12)
    right = [captions[0] for captions in split.captions]
    answer = {
        "greedy": right,
        "sampled": [right, ["stock image"] * 12],
        "record": {"mapper": {"cosine": 0.9}, "kl": [0.0, 0.25], "changed": 1.0},
    }
    write_json(tmp_path / "trial" / "x.json", {"cell": {"arguments": PLAIN}, "answer": answer})
    ((name, kept),) = finished(tmp_path)
    assert (name, kept) == ("vizer_g#2", answer)
    rows = {
        row["metric"]: row
        for row in run_rows(
            name, kept, run_statistics(kept, split, make_references(split.references))
        )
    }
    assert rows["object_f1"]["mean"] > 0.7 and rows["bleu1"]["mean"] == pytest.approx(1, abs=1e-4)
    assert rows["sampled_exact"]["mean"] == pytest.approx(rows["exact"]["mean"] / 2, abs=1e-4)
    assert rows["mapper_cosine"]["low"] == rows["mapper_cosine"]["high"] == 0.9
    assert rows["kl"]["mean"] == 0.25 and {row["system"] for row in rows.values()} == {name}
