"""COCO captions and files in COCO's formats: what is read, and what each wrong file says."""

from __future__ import annotations

import importlib.util
import json

import pytest

from vizer_core.data.coco import coco2014, read_annotations, read_results, write_results

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("pycocoevalcap") is None, reason="needs pycocoevalcap"
)


def saved(path, content) -> object:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@needs_package
def test_val2014_is_the_known_set():
    records = coco2014("val")
    assert len(records) == 40_504
    assert sum(len(record.captions) for record in records) == 202_654
    assert all(len(record.captions) >= 5 for record in records)
    assert [int(r.id) for r in records] == sorted(int(r.id) for r in records)
    by_id = {record.id: record for record in records}
    assert "A bicycle replica with a clock as the front wheel." in by_id["203564"].captions


def test_unknown_split_is_named():
    with pytest.raises(ValueError, match="no split 'test' of COCO 2014: wanted 'train' or 'val'"):
        coco2014("test")


def test_without_the_package_the_install_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"pip install \"vizer-core\[java\]\""):
        coco2014("val")


def test_round_trip(tmp_path):
    captions = {7: "a cat", 3: "ein Hund — schön"}
    write_results(tmp_path / "r.json", captions)
    assert read_results(tmp_path / "r.json") == captions


def test_annotations_keep_all_references_and_ignore_other_fields(tmp_path):
    rows = [
        {"image_id": "a", "id": 1, "caption": "x"},
        {"image_id": "b", "caption": "y"},
        {"image_id": "a", "caption": "z"},
    ]
    path = saved(tmp_path / "a.json", {"info": {}, "images": [], "annotations": rows})
    assert read_annotations(path) == {"a": ["x", "z"], "b": ["y"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, "contains a dict, wanted a list"),
        ([], "contains no captions"),
        ([{"image_id": 1}], r"row 0: got \['image_id'\], wanted \"image_id\" and \"caption\""),
        (["a cat"], "row 0: got str"),
        ([{"image_id": 1, "caption": None}], "image 1: its caption is None, wanted text"),
        ([{"image_id": 1, "caption": ["a"]}], r"image 1: its caption is \['a'\], wanted text"),
        ([{"image_id": 1.5, "caption": "a"}], "image_id 1.5 is no number and no text"),
        ([{"image_id": True, "caption": "a"}], "image_id True is no number and no text"),
        (
            [{"image_id": 1, "caption": "a"}, {"image_id": 1, "caption": "b"}],
            "more than one caption for image 1",
        ),
        (
            [{"image_id": 1, "caption": "a"}, {"image_id": "1", "caption": "b"}],
            "names image 1 both as a number and as text",
        ),
    ],
)
def test_wrong_results_files(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_results(saved(tmp_path / "r.json", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"image_id": 1, "caption": "a"}], 'has no "annotations"'),
        ({"annotations": {}}, 'contains a dict, wanted "annotations" to be a list'),
        ({"annotations": []}, "contains no captions"),
        ({"annotations": [{"image_id": 1, "caption": 5}]}, "its caption is 5, wanted text"),
    ],
)
def test_wrong_annotation_files(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_annotations(saved(tmp_path / "a.json", content))


def test_missing_file_broken_json_and_wrong_encoding(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*none\.json"):
        read_results(tmp_path / "none.json")
    broken = tmp_path / "broken.json"
    broken.write_text("[{")
    with pytest.raises(ValueError, match="not valid UTF-8 JSON"):
        read_results(broken)
    latin = tmp_path / "latin.json"
    latin.write_bytes('[{"image_id": 1, "caption": "café"}]'.encode("latin-1"))
    with pytest.raises(ValueError, match="not valid UTF-8 JSON"):
        read_results(latin)
