"""Records, folders, captions files and shards."""

from __future__ import annotations

import json
import logging

import pytest
from PIL import Image

from vizer_core.data import (
    Record,
    plan_shards,
    read_captions,
    read_folder,
    require_images,
    require_unique_ids,
    shards_of_process,
)
from vizer_core.data.records import records_digest
from vizer_core.files import files_digest


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    (root / "more").mkdir(parents=True)
    for name in ("b.jpg", "a.PNG", "more/c.webp", ".hidden.jpg"):
        Image.new("RGB", (4, 4)).save(root / name)
    (root / "notes.txt").write_text("not an image")
    return root


def written(tmp_path, content, name="captions.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_folder_alone_lists_its_images_sorted(folder):
    records = read_folder(folder)
    assert [record.id for record in records] == ["a.PNG", "b.jpg", "more/c.webp"]
    assert records[2].image == folder / "more" / "c.webp" and records[2].captions == ()


MAPPING = {"b.jpg": ["a dog", "a dog runs"], "a.PNG": "a cat"}
LINES = (
    '{"file_name": "b.jpg", "caption": "a dog"}\n\n'
    '{"file": "a.PNG", "text": "a cat"}\n'
    '{"file_name": "b.jpg", "captions": ["a dog runs"]}\n'
)
COCO = {
    "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.PNG"}],
    "annotations": [
        {"image_id": 7, "caption": "a dog"},
        {"image_id": 3, "caption": "a cat"},
        {"image_id": 7, "caption": "a dog runs"},
    ],
}


@pytest.mark.parametrize(
    ("content", "name"), [(MAPPING, "c.json"), (LINES, "c.jsonl"), (COCO, "c.json")]
)
def test_three_shapes_of_captions_give_the_same_records(folder, tmp_path, caplog, content, name):
    with caplog.at_level(logging.WARNING):
        records = read_folder(folder, written(tmp_path, content, name))
    assert [(record.id, record.captions) for record in records] == [
        ("a.PNG", ("a cat",)),
        ("b.jpg", ("a dog", "a dog runs")),
    ]
    assert "1 images" in caplog.text and "more/c.webp" in caplog.text


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ('{"b.jpg": ["x"], "b.jpg": ["y"]}', "c.json", "names 'b.jpg' twice"),
        ({"b.jpg": 3}, "c.json", "wanted a string or a list"),
        ({"b.jpg": []}, "c.json", "an empty caption"),
        ({"b.jpg": ["  "]}, "c.json", "an empty caption"),
        ({}, "c.json", "contains no captions"),
        (["x"], "c.json", "contains a list, wanted an object"),
        ("{oh", "c.json", "not valid UTF-8 JSON"),
        ('{"file_name": "b.jpg"}', "c.jsonl", "line 1: wanted"),
        ('{"file_name": "b.jpg", "caption": "x"}\n{oh', "c.jsonl", "line 2 is not JSON"),
        ('["b.jpg", "x"]', "c.jsonl", "line 1: wanted"),
        ('{"file_name": "b.jpg", "caption": "x"}\n{oh', "c.json", "line 2 is not JSON"),
        ({"../photos/b.jpg": "x"}, "c.json", "outside the folder"),
        (COCO | {"annotations": [{"image_id": 9, "caption": "x"}]}, "c.json", "first 9"),
        (COCO | {"annotations": [{"image_id": 7}]}, "c.json", "lacks 'caption'"),
        (COCO | {"images": COCO["images"] * 2}, "c.json", "wanted each once"),
    ],
)
def test_wrong_captions_files_are_refused(folder, tmp_path, content, name, message):
    with pytest.raises(ValueError, match=message):
        read_folder(folder, written(tmp_path, content, name))


@pytest.mark.parametrize("name", ["c.json", "c.ndjson", "captions"])
def test_json_lines_are_told_by_what_is_in_them(folder, tmp_path, name):
    wanted = {"b.jpg": ["a dog", "a dog runs"], "a.PNG": ["a cat"]}
    assert read_captions(written(tmp_path, LINES, name)) == wanted
    one = {"file_name": "b.jpg", "caption": "a dog"}
    for content in (json.dumps(one), json.dumps(one, indent=1), f"\n{json.dumps(one)}\n\n"):
        assert read_captions(written(tmp_path, content, name)) == {"b.jpg": ["a dog"]}
    narrative = {"image_id": "b", "caption": "a dog", "timed_caption": []}
    assert read_captions(written(tmp_path, narrative, name)) == {"b": ["a dog"]}


def test_a_line_separator_inside_a_caption_is_no_new_line(folder, tmp_path):
    """JSON allows U+2028 and U+0085 unescaped; only a line feed ends a line of JSONL."""
    line = json.dumps({"file_name": "b.jpg", "caption": "a\u2028dog\x85"}, ensure_ascii=False)
    captions = read_captions(written(tmp_path, line + "\r\n", "c.jsonl"))
    assert captions == {"b.jpg": ["a dog"]}


def test_missing_things_are_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"captions for 1 files that are not in .*gone.jpg"):
        read_folder(folder, written(tmp_path, {"gone.jpg": "x", "b.jpg": "y"}))
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no captions file"):
        read_captions(tmp_path / "nothing.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no images under"):
        read_folder(tmp_path / "empty")


def test_records_refuse_nonsense(folder):
    with pytest.raises(ValueError, match="without an id"):
        Record("", None, ())
    with pytest.raises(ValueError, match=r"captions \[1\] are empty"):
        Record("a", None, ("x", " "))
    with pytest.raises(ValueError, match="first 'a': wanted one id"):
        require_unique_ids([Record("a", None, ()), Record("b", None, ()), Record("a", None, ())])
    with pytest.raises(ValueError, match="1 of 1 records have no image"):
        require_images([Record("a", None, ())])
    with pytest.raises(FileNotFoundError, match=r"1 of 1 image files are missing: .*gone"):
        require_images([Record("a", folder / "gone.jpg", ())])


def test_the_digest_follows_ids_captions_order_and_content(folder):
    one, two = read_folder(folder)[:2]
    base = records_digest([one, two])
    assert base == records_digest([one, two])
    assert base != records_digest([two, one])
    assert base != records_digest([one])
    assert base != records_digest([one, Record(two.id, two.image, ("x",))])
    content = two.image.read_bytes()
    two.image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # as large as before
    assert base != records_digest([one, two])
    two.image.write_bytes(content)
    assert base == records_digest([one, two])


@pytest.mark.parametrize("place", [0, 20_000, 99_999])
def test_a_file_counts_with_all_its_bytes(tmp_path, place):
    file = tmp_path / "large"
    file.write_bytes(bytes(100_000))
    before = files_digest({"large": file})
    assert before == files_digest({"large": file}) != files_digest({"other": file})
    file.write_bytes(bytes(place) + b"x" + bytes(99_999 - place))
    assert files_digest({"large": file}) != before


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_each_item_lies_in_one_shard_of_one_process(world):
    shards = plan_shards(23, 4)
    dealt = [shard for rank in range(world) for shard in shards_of_process(shards, rank, world)]
    items = sorted(item for shard in dealt for item in range(shard.start, shard.stop))
    assert items == list(range(23))
    assert [len(shard) for shard in shards] == [4, 4, 4, 4, 4, 3]


def test_impossible_shards_are_refused():
    with pytest.raises(ValueError, match="got 0 items in shards of 4"):
        plan_shards(0, 4)
    with pytest.raises(ValueError, match="got process 2 of 2"):
        shards_of_process(plan_shards(4, 1), 2, 2)


def test_line_breaks_in_captions_become_spaces(tmp_path):
    content = json.dumps({"a.jpg": ["a cat\n sleeps\r\n", "two\tcats"]})
    captions = read_captions(written(tmp_path, content, "c.json"))
    assert captions == {"a.jpg": ["a cat sleeps", "two cats"]}
