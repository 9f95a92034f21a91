"""Opening a study: the same fields on both profiles, and plain words when something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from vizer_core import runtime
from vizer_core.clip import OpenClipEncoder
from vizer_core.clip.full import FULL_MODELS
from vizer_core.data.images import ImageFiles
from vizer_core.files import write_json
from vizer_core.gap import Interval
from vizer_lab.studies.clip_study import (
    Study,
    find_results,
    model_names,
    open_drawn,
    open_full,
    open_study,
    recorded_differences,
    recorded_scores,
)
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo import load_drawn_clip
from vizer_lab.zoo.clips import pixels_of


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out three images as COCO val2017 unzips, the last one without a caption."""
    (tmp_path / "val2017").mkdir()
    (tmp_path / "annotations").mkdir()
    names = {1: "000001.jpg", 2: "000002.jpg", 3: "000003.jpg"}
    for number, name in names.items():
        Image.new("RGB", (80 + number, 60), "red").save(tmp_path / "val2017" / name)
    content = {
        "images": [{"id": number, "file_name": name} for number, name in names.items()],
        "annotations": [
            {"image_id": 2, "caption": "a red wall"},
            {"image_id": 2, "caption": "red"},
            {"image_id": 1, "caption": "a red box"},
        ],
    }
    (tmp_path / "annotations" / "captions_val2017.json").write_text(json.dumps(content))
    monkeypatch.setenv("VIZER_PROFILE", "full")
    monkeypatch.setenv("VIZER_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Stand a drawn CLIP in for the hub's weights; keep the names that were asked for."""
    asked: list[tuple[str, str]] = []

    def load(name: str, tag: str, *, device: object) -> OpenClipEncoder:
        asked.append((name, tag))
        return load_drawn_clip("drawn-clip")

    monkeypatch.setattr(OpenClipEncoder, "from_pretrained", staticmethod(load))
    return asked


def test_a_drawn_study_holds_the_first_test_scenes_with_their_captions_and_truth():
    study, split = open_study("drawn-clip", n=3), DrawnSplit("second_test", 3)
    assert len(study) == 3 and study.ids == split.ids
    assert study.captions == split.captions and study.scenes == split.scenes
    assert study.texts == tuple(captions[0] for captions in split.captions)
    assert "not quality" in study.note


def test_its_images_give_the_features_that_the_training_pixels_give():
    study = open_study("drawn-clip", n=4)
    direct = study.encoder.encode_image(pixels_of(DrawnSplit("second_test", 4).images))
    torch.testing.assert_close(study.encoder.encode_image(study.images), direct)


def test_a_longer_study_starts_with_the_shorter_one():
    short, long = open_study("drawn-clip", n=2), open_study("drawn-clip", n=5)
    assert long.ids[:2] == short.ids and long.texts[:2] == short.texts


@pytest.mark.parametrize(
    ("model", "asked_for"),
    [
        ("drawn-clip-100", ("ViT-B-32", "openai")),
        (FULL_MODELS[1], ("ViT-B-32", "laion2b_s34b_b79k")),
    ],
)
def test_the_full_profile_reads_coco_as_it_unzips(model, asked_for, coco, loaded):
    study = open_study(model, n=2)
    assert loaded == [asked_for] and study.scenes == ()
    assert study.ids == ("000001.jpg", "000002.jpg")
    assert study.captions == (("a red box",), ("a red wall", "red"))
    assert [image.width for image in study.images[:2]] == [81, 82]
    assert study.encoder.encode_image(study.images).shape[0] == 2
    assert open_study(model, n=1).ids == study.ids[:1]
    assert "COCO" in study.note


def test_known_scenes_are_there_on_the_full_profile_too(monkeypatch):
    monkeypatch.setenv("VIZER_PROFILE", "full")
    assert open_drawn("drawn-clip", n=2).scenes == DrawnSplit("second_test", 2).scenes


def test_each_profile_names_the_models_that_it_compares(monkeypatch):
    monkeypatch.setenv("VIZER_PROFILE", "micro")
    assert "drawn-clip-100" in model_names()
    monkeypatch.setenv("VIZER_PROFILE", "full")
    assert model_names() == FULL_MODELS


def test_image_files_open_on_access_and_name_what_is_broken(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    files = ImageFiles([tmp_path / "a.png", tmp_path / "b.png"])
    assert len(files) == 2 and files[0].size == (8, 6) and len(files[:1]) == 1
    with pytest.raises(ValueError, match=r"b\.png"):
        files[1]


def test_without_vizer_data_the_error_says_what_to_download(monkeypatch):
    monkeypatch.setenv("VIZER_PROFILE", "full")
    monkeypatch.delenv("VIZER_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"(?s)not set.*2017 Val images.*1 GB.*CC BY"):
        open_study()


def test_a_folder_without_coco_is_named_with_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("VIZER_PROFILE", "full")
    monkeypatch.setenv("VIZER_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"lacks val2017, annotations/captions_val2017"):
        open_study()


def test_more_images_than_there_are_is_refused(coco, loaded):
    with pytest.raises(
        ValueError, match=r"has 2 images with captions, wanted n = 3\. .* set VIZER_IMAGES=2"
    ):
        open_study(n=3)


def test_fewer_images_can_be_asked_for_from_outside(coco, loaded, monkeypatch):
    monkeypatch.setattr(runtime, "MIN_IMAGES", 1)
    monkeypatch.setenv("VIZER_IMAGES", "2")
    study = open_study(n=1000)
    assert len(study) == 2 and "first 2 images" in study.note
    assert open_full("drawn-clip", 1).ids == study.ids[:1] and not study.is_micro
    assert open_drawn("drawn-clip", n=3).is_micro


def test_a_full_model_without_a_tag_is_refused(coco, loaded):
    with pytest.raises(ValueError, match=r"model is 'ViT-B-32': wanted name/tag"):
        open_study("ViT-B-32", n=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "drawn-clop"}, "no drawn model 'drawn-clop': wanted one of drawn-clip,"),
        ({"n": 0}, "n is 0: wanted at least one image"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        open_study(**arguments)


def test_counts_that_differ_are_refused():
    encoder = load_drawn_clip("drawn-clip")
    with pytest.raises(ValueError, match="got 1 ids, 0 images"):
        Study(encoder, ids=("a",), images=[], captions=(("x",),), note="")


def test_recorded_scores_are_read_by_system_and_unknown_ones_are_named(tmp_path):
    row = {"system": "cls", "metric": "gap_norm", "mean": 0.5, "low": 0.4, "high": 0.6}
    write_json(tmp_path / "gap.json", {"scores": [row, row | {"system": "b", "metric": "r1"}]})
    assert recorded_scores("gap", "gap_norm", folder=tmp_path) == {"cls": Interval(0.5, 0.4, 0.6)}
    with pytest.raises(ValueError, match=r"gap\.json has no metric 'gap'; it has gap_norm, r1"):
        recorded_scores("gap", "gap", folder=tmp_path)
    with pytest.raises(FileNotFoundError, match="inside a clone"):
        recorded_scores("none", "gap", folder=tmp_path)


def test_results_are_those_of_the_checkout_or_of_the_clone_that_one_works_in(tmp_path):
    checkout, clone = tmp_path / "checkout", tmp_path / "clone"
    site = tmp_path / "site-packages" / "vizer_core"
    assert find_results(site, tmp_path) == tmp_path / "site-packages" / "results"
    for root in (checkout, clone):
        (root / "results").mkdir(parents=True)
        (root / "_toc.yml").touch()
    (tmp_path / "results").mkdir()  # of somebody else
    assert find_results(site, clone / "notebooks") == clone / "results"
    assert find_results(checkout / "vizer_lab", clone) == checkout / "results"


def test_recorded_differences_are_read_by_pair(tmp_path):
    row = {"system": "x", "metric": "f1", "mean": 0.1, "low": 0.0, "high": 0.2}
    rows = [row | {"against": "base"}, row | {"against": "base", "metric": "cider"}]
    write_json(tmp_path / "run.json", {"scores": [row], "differences": rows})
    found = recorded_differences("run", "f1", folder=tmp_path)
    assert found == {("x", "base"): Interval(0.1, 0.0, 0.2)}
    with pytest.raises(ValueError, match=r"run\.json has no metric 'bleu'"):
        recorded_differences("run", "bleu", folder=tmp_path)
