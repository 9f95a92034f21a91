"""The findings on the front page say what the files of results say."""

from __future__ import annotations

import json
import shutil

from built_book import ROOT

from tools.five_numbers import BASE, five_numbers_markdown


def test_a_number_on_the_front_page_changes_with_its_file(tmp_path):
    for name in ("results", "book"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("seeds"))
    before = five_numbers_markdown(tmp_path).splitlines()
    file = tmp_path / "results" / "improvement.json"
    result = json.loads(file.read_text(encoding="utf-8"))
    for row in result["scores"]:
        place = (row.get("base"), row["system"], row["metric"])
        if place == (BASE, "base", "object_recall"):
            row["mean"] = 0.123
    file.write_text(json.dumps(result), encoding="utf-8")
    after = five_numbers_markdown(tmp_path).splitlines()
    assert len(after) == 5
    assert [a == b for a, b in zip(after, before)] == [True, True, True, False, True]
    assert "names 12% of the things" in after[3]


def test_what_is_worse_is_not_said_to_gain():
    said = five_numbers_markdown(ROOT)
    found = json.loads((ROOT / "results" / "metrics_drawn.json").read_text(encoding="utf-8"))
    (detail,) = (
        row["mean"]
        for row in found["scores"]
        if (row["system"], row["metric"]) == ("share_of_fall:more_true_detail", "clipscore")
    )
    assert ("CLIPScore gains" in said) == (detail > 0)
