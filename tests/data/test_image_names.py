"""One image under several names meets itself, and no other."""

from __future__ import annotations

import json

import pytest

from vizer_core.data.coco import read_file_names, read_results_for, write_results
from vizer_core.data.image_names import meet_images

VAL = "COCO_val2014_{:012d}.jpg"


@pytest.mark.parametrize(
    ("given", "there", "met"),
    [
        (["7", 8], {7: "7", "8": "8"}, {"7": 7, 8: "8"}),
        ([VAL.format(7)], {7: "7"}, {VAL.format(7): 7}),
        (["val2014/" + VAL.format(7)], {7: "7"}, {"val2014/" + VAL.format(7): 7}),
        ([7], {VAL.format(7): VAL.format(7)}, {7: VAL.format(7)}),
        ([VAL.format(7)], {1: "000000000007.jpg", 7: "000000000001.jpg"}, {VAL.format(7): 1}),
        (["a.jpg"], {1: "more/a.jpg"}, {"a.jpg": 1}),
        (["a.jpg"], {1: "more/a.jpg", 2: "less/a.jpg"}, {}),
        (["less/a.jpg"], {1: "more/a.jpg", 2: "less/a.jpg"}, {"less/a.jpg": 2}),
        (["7.jpg"], {7: "7"}, {}),
        (["b.jpg"], {1: "a.jpg"}, {}),
    ],
)
def test_ids_file_names_and_numbers_meet(given, there, met):
    assert meet_images(given, there) == met


def test_two_names_of_one_image_are_refused():
    with pytest.raises(ValueError, match=r"'7' and 'COCO_.*7\.jpg' both mean image 7"):
        meet_images(["7", VAL.format(7)], {7: "7"})


def files(folder, names, images=True):
    content = {"annotations": [{"image_id": i, "caption": "a cat"} for i in (7, 8)]}
    if images:
        content["images"] = [{"id": 7, "file_name": "cat.jpg"}, {"id": 8, "file_name": "dog.jpg"}]
    (folder / "refs.json").write_text(json.dumps(content))
    write_results(folder / "r.json", dict.fromkeys(names, "a cat"))
    return folder / "r.json", folder / "refs.json"


@pytest.mark.parametrize("names", [("cat.jpg", "dog.jpg"), ("photos/cat.jpg", 8), ("dog.jpg", "7")])
def test_results_come_under_the_references_numbers(names, tmp_path, caplog):
    assert read_results_for(*files(tmp_path, names)).keys() == {7, 8}
    assert "name their images differently" in caplog.text


def test_ids_that_fit_are_left_as_they_are(tmp_path, caplog):
    assert list(read_results_for(*files(tmp_path, (8, 7)))) == [8, 7]
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            True,
            r"1 of 2 captions in .*r\.json are of .*'bird\.jpg'; .*refs\.json has 7 \(cat\.jpg\)",
        ),
        (False, r"2 of 2 captions .*refs\.json has 7\. Neither ids nor file names meet"),
    ],
)
def test_what_does_not_meet_is_shown_from_both_sides(images, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_results_for(*files(tmp_path, ("cat.jpg", "bird.jpg"), images))


def test_images_without_a_name_or_an_id_are_left_out(tmp_path):
    content = {"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8}, 9, {"file_name": "b.jpg"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert read_file_names(tmp_path / "a.json") == {7: "a.jpg"}
    (tmp_path / "a.json").write_text("[]")
    assert read_file_names(tmp_path / "a.json") == {}
