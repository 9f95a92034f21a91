"""Karpathy's splits and Flickr30k's own file: what is read, and what each wrong file says."""

from __future__ import annotations

import copy
import json

import pytest
from PIL import Image

from vizer_core.data.flickr30k import read_flickr30k, read_flickr30k_tokens
from vizer_core.data.karpathy import KARPATHY_IMAGES, one_line, read_karpathy


def sentences(*raws: str) -> list[dict]:
    return [{"raw": raw, "tokens": raw.split(), "sentid": i} for i, raw in enumerate(raws)]


def coco_image(number: int, split: str, *raws: str) -> dict:
    folder = "train2014" if split == "train" else "val2014"
    return {
        "filepath": folder,
        "filename": f"COCO_{folder}_{number:012d}.jpg",
        "imgid": number,
        "cocoid": number,
        "split": split,
        "sentences": sentences(*raws),
    }


FIVE = tuple(f"a cat number {i}" for i in range(5))
COCO = {
    "dataset": "coco",
    "images": [
        coco_image(9, "train", *FIVE),
        coco_image(42, "restval", *FIVE),
        coco_image(7, "val", *FIVE),
        coco_image(8, "test", *FIVE, "a sixth\ncaption of it "),
    ],
}
FLICKR = {
    "dataset": "flickr30k",
    "images": [
        {"filename": "36979.jpg", "split": "train", "imgid": 0, "sentences": sentences(*FIVE)},
        {"filename": "65567.jpg", "split": "test", "imgid": 1, "sentences": sentences(*FIVE)},
    ],
}


def saved(tmp_path, content, name="k.json"):
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    return tmp_path / name


def test_restval_is_in_training_only_when_asked_for(tmp_path):
    path = saved(tmp_path, COCO)
    without = read_karpathy(path, None, "train", restval=False)
    with_it = read_karpathy(path, None, "train", restval=True)
    assert [r.id for r in without] == ["9"]
    assert [r.id for r in with_it] == ["9", "42"]
    assert [r.id for r in read_karpathy(path, None, "val", restval=False)] == ["7"]
    with pytest.raises(TypeError, match="restval"):
        read_karpathy(path, None, "train")


def test_all_captions_are_kept_and_line_breaks_become_spaces(tmp_path):
    (record,) = read_karpathy(saved(tmp_path, COCO), None, "test", restval=False)
    assert record.captions == (*FIVE, "a sixth caption of it")
    assert record.image is None


def test_the_splits_are_disjoint_and_cover_the_file(tmp_path):
    path = saved(tmp_path, COCO)
    parts = [read_karpathy(path, None, s, restval=s == "train") for s in ("train", "val", "test")]
    ids = [record.id for part in parts for record in part]
    assert sorted(ids) == sorted({*ids}) == ["42", "7", "8", "9"]


def test_paths_lie_in_the_folder_that_the_file_names(tmp_path):
    path = saved(tmp_path, COCO)
    with pytest.raises(FileNotFoundError, match="1 of 1 image files are missing"):
        read_karpathy(path, tmp_path, "test", restval=False)
    image = tmp_path / "val2014" / "COCO_val2014_000000000008.jpg"
    image.parent.mkdir()
    Image.new("RGB", (4, 4)).save(image)
    (record,) = read_karpathy(path, tmp_path, "test", restval=False)
    assert record.image == image


def test_counts_are_the_real_ones():
    coco = KARPATHY_IMAGES["coco"]
    assert coco["train"] + coco["restval"] == 113_287
    assert sum(coco.values()) == 123_287


def test_flickr_ids_are_file_names(tmp_path):
    (record,) = read_flickr30k(saved(tmp_path, FLICKR), None, "train")
    assert record.id == "36979.jpg" and record.captions == FIVE
    Image.new("RGB", (4, 4)).save(tmp_path / "65567.jpg")
    (record,) = read_flickr30k(tmp_path / "k.json", tmp_path, "test")
    assert record.image == tmp_path / "65567.jpg"


def changed(content: dict, **fields) -> dict:
    content = copy.deepcopy(content)
    content["images"][0].update(fields)
    return content


@pytest.mark.parametrize(
    ("content", "split", "restval", "message"),
    [
        (COCO, "dev", False, "no split 'dev'"),
        (COCO, "test", True, "restval is training data: pass restval=False for split 'test'"),
        (FLICKR, "train", True, "has no restval images, only"),
        (FLICKR, "val", False, "no images of split 'val'"),
        ([], "train", False, "is not one of Karpathy's files"),
        ({"images": [{"filename": "a.jpg"}]}, "train", False, "image 0 has no split, sentences"),
        (changed(COCO, cocoid=8), "train", False, "names 1 images more than once.*: 8"),
        (changed(FLICKR, filename="65567.jpg"), "train", False, r"more than once.*65567\.jpg"),
        (changed(COCO, sentences=[{"tokens": ["a"]}]), "train", False, "image 9: .*'raw'"),
        (changed(COCO, sentences=[{"raw": None}]), "train", False, "image 9: wanted"),
    ],
)
def test_wrong_files_and_wrong_questions(tmp_path, content, split, restval, message):
    with pytest.raises(ValueError, match=message):
        read_karpathy(saved(tmp_path, content), None, split, restval=restval)


def test_a_file_name_may_not_leave_the_folder(tmp_path):
    with pytest.raises(ValueError, match=r"image 9: .* lies outside the image folder"):
        path = saved(tmp_path, changed(COCO, filepath="../up"))
        read_karpathy(path, tmp_path, "train", restval=False)


def test_blank_captions_are_dropped_and_told(tmp_path, caplog):
    path = saved(tmp_path, changed(COCO, sentences=sentences("a cat", " \n")))
    (record,) = read_karpathy(path, None, "train", restval=False)
    assert record.captions == ("a cat",) and "image 9: 1 blank captions" in caplog.text


def test_one_line():
    assert one_line(" a\r\nb\t c ") == "a b c"


TOKENS = (
    "65567.jpg#1\tTwo dogs .\n65567.jpg#0\tA dog .\r\n"
    "36979.jpg#0\tA man\x85 with a hat .\n\n36979.jpg#1\tA man .\n"
)


def written(tmp_path, text):
    (tmp_path / "r.token").write_text(text, encoding="utf-8", newline="")
    return tmp_path / "r.token"


def test_the_token_file_gives_captions_in_the_order_of_their_numbers(tmp_path):
    records = read_flickr30k_tokens(written(tmp_path, TOKENS), None)
    assert [record.id for record in records] == ["36979.jpg", "65567.jpg"]
    assert records[0].captions == ("A man with a hat .", "A man .")
    assert records[1].captions == ("A dog .", "Two dogs .")


def test_a_split_of_the_token_file_is_chosen_by_names(tmp_path):
    path = written(tmp_path, TOKENS)
    (record,) = read_flickr30k_tokens(path, None, names=["65567.jpg"])
    assert record.id == "65567.jpg"
    with pytest.raises(ValueError, match=r"no captions of 1 of 2 images: 1\.jpg"):
        read_flickr30k_tokens(path, None, names=["65567.jpg", "1.jpg"])
    with pytest.raises(FileNotFoundError, match="2 of 2 image files are missing"):
        read_flickr30k_tokens(path, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "contains no captions"),
        ("a.jpg#0 a dog\n", "line 1: wanted name.jpg#0<TAB>caption"),
        ("a.jpg#0\ta dog\na.jpg\ta dog\n", "line 2: wanted"),
        ("a.jpg#0\t  \n", "line 1: wanted"),
        ("../a.jpg#0\ta dog\n", "line 1: wanted"),
        ("a.jpg#0\ta dog\na.jpg#0\ta cat\n", "caption 0 of a.jpg stands there twice"),
    ],
)
def test_wrong_token_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_flickr30k_tokens(written(tmp_path, text), None)


def test_a_missing_token_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no token file at .*none\.token"):
        read_flickr30k_tokens(tmp_path / "none.token", None)
