"""Opening a study of a VLM: one set of names on both profiles, and plain words when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_vlm import tiny_smol, tiny_smol_processor

from vizer_core import runtime
from vizer_core.clip import OpenClipEncoder
from vizer_core.decoding import Greedy
from vizer_core.metrics.stats import bootstrap
from vizer_core.vizer import LoraSettings, add_lora
from vizer_lab.studies import vlm_study as study_module
from vizer_lab.studies.vlm_study import (
    FULL_VLM,
    Images,
    open_vlm_study,
    vlm_names,
)
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo import load_drawn_clip


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out COCO with six images, two a part, and a tiny checkpoint as `VIZER_VLM`."""
    data, model = tmp_path / "coco", tmp_path / "model"
    (data / "val2017").mkdir(parents=True)
    (data / "annotations").mkdir()
    rows = [{"id": i, "file_name": f"{i}.jpg"} for i in range(6)]
    for i in range(6):
        Image.new("RGB", (30 + i, 20), "red").save(data / "val2017" / f"{i}.jpg")
    told = [
        {"image_id": i, "caption": f"a {w} on a boat"} for i in range(6) for w in ("dog", "cat")
    ]
    (data / "annotations" / "captions_val2017.json").write_text(
        json.dumps({"images": rows, "annotations": told})
    )
    tiny_smol().base.save_pretrained(model)
    tiny_smol_processor().save_pretrained(model)
    monkeypatch.setenv("VIZER_PROFILE", "full")
    monkeypatch.setenv("VIZER_DATA", str(data))
    monkeypatch.setenv("VIZER_VLM", str(model))
    parts = {"test": 2, "train": 2, "stream": 2}
    monkeypatch.setattr(study_module, "FULL_PARTS", parts)
    return model


def test_a_drawn_study_has_three_parts_that_share_no_image():
    study = open_vlm_study(test=3, train=2, stream=2)
    split = DrawnSplit("second_test", 3)
    assert study.test.ids == split.ids and study.test.scenes == split.scenes
    assert study.test.captions == split.captions
    assert study.stream.captions == study.stream.scenes == ()
    assert len({*study.test.ids, *study.train.ids, *study.stream.ids}) == 7
    assert "not quality" in study.note and study.max_tokens == 24


def test_its_vision_is_that_of_its_images_in_order():
    study = open_vlm_study(test=3, train=1, stream=2)
    again = study.vlm.encode_image(study.test.images[1:2])
    torch.testing.assert_close(study.test_vision.image_features[1:2], again.image_features)
    assert (len(study.train_vision), len(study.stream_vision)) == (1, 2)


def test_a_study_without_training_images_holds_none():
    study = open_vlm_study(test=1)
    assert len(study.train) == len(study.stream) == 0


def test_a_second_model_is_a_copy_that_lora_may_change():
    study = open_vlm_study(test=2)
    other = study.open_vlm()
    add_lora(other, LoraSettings(rank=2, alpha=2), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, weight in other.model.named_parameters():
            if "lora_B" in name:
                weight.fill_(1.0)
    captions = study.vlm.tokenize(study.test.texts)
    assert other.fingerprint == study.vlm.fingerprint
    assert not torch.equal(other.text_states(captions), study.vlm.text_states(captions))


def test_texts_take_each_writer_in_turn():
    images = Images(("a", "b", "c"), [Image.new("RGB", (1, 1))] * 3, (("1", "2"),) * 3)
    assert images.texts == ("1", "2", "1")


def test_scores_know_a_true_caption_from_a_wrong_one():
    study = open_vlm_study(test=20)
    right = study.score(study.test.texts)
    wrong = study.score(study.test.texts[1:] + study.test.texts[:1])
    for metric in ("cider", "clipscore", "object_f1"):
        assert right[metric].score > wrong[metric].score + 0.1
    assert right["object_precision"].score == 1.0
    assert bootstrap(right["clipscore"]).n == 20
    assert study.judge.name == "drawn-clip" != study.reward_clip.name


def test_a_model_of_the_other_world_is_shown_its_own_scenes_and_words():
    study = open_vlm_study("drawn-vlm-other", test=2)
    assert study.test.ids[0].startswith("second_other_test-") and len(study.truths) == 2
    assert "lion" in study.lexicon.nouns and "lion" not in open_vlm_study(test=1).lexicon.nouns


def test_scores_want_one_caption_a_image():
    with pytest.raises(ValueError, match="got 1 captions for 2 test images"):
        open_vlm_study(test=2).score(["a dog"])


def test_the_full_profile_reads_coco_and_a_checkpoint(full, monkeypatch):
    study = open_vlm_study("drawn-vlm-web", test=2, train=1, stream=2)
    assert study.name == str(full) and vlm_names() == (str(full),)
    assert study.test.ids == ("0.jpg", "1.jpg") and study.train.ids == ("2.jpg",)
    assert study.stream.ids == ("4.jpg", "5.jpg")
    assert study.test.captions[0] == ("a dog on a boat", "a cat on a boat")
    assert study.stream.captions == () and study.test.scenes == ()
    assert study.test_vision.image_features.shape == (2, 24)
    generated = study.vlm.generate(study.stream_vision, decoding=Greedy(3))
    assert len(generated) == 2 and "COCO" in study.note and study.max_tokens == 32

    asked = []

    def load(name, tag, *, device):
        asked.append(f"{name}/{tag}")
        return load_drawn_clip("drawn-clip")

    monkeypatch.setattr(OpenClipEncoder, "from_pretrained", staticmethod(load))
    found = study.score(["a dog on a boat"] * 2)
    assert np.isclose(found["bleu4"].score, 1.0) and "object_f1" not in found
    assert study.reward_clip and asked == ["ViT-B-32/laion2b_s34b_b79k", "ViT-B-32/openai"]


def test_the_full_profile_opens_smolvlm_unless_told_otherwise(full, monkeypatch):
    monkeypatch.delenv("VIZER_VLM")
    assert open_vlm_study("drawn-vlm-plain", test=1).name == FULL_VLM
    assert open_vlm_study("some/other", test=1).name == "some/other"


def test_the_full_profile_loads_a_model_in_the_precision_that_is_asked_for(full, monkeypatch):
    monkeypatch.setenv("VIZER_DTYPE", "bfloat16")
    assert open_vlm_study(test=1).vlm.base.dtype == torch.bfloat16


def test_a_small_folder_is_shared_out_among_the_parts(full, monkeypatch):
    monkeypatch.setattr(study_module, "FULL_PARTS", {"test": 1000, "train": 2000, "stream": 2000})
    monkeypatch.setattr(runtime, "MIN_IMAGES", 1)
    monkeypatch.setenv("VIZER_IMAGES", "2")
    study = open_vlm_study(test=300, train=1, stream=320)
    assert study.test.ids == ("0.jpg", "1.jpg") and study.stream.ids == ("4.jpg", "5.jpg")
    assert study.train.ids == ("2.jpg",) and "first 2 images" in study.note
    assert not study.is_micro and open_vlm_study(test=2, train=2).stream.ids == ()


def test_more_images_than_a_part_has_are_refused(full):
    with pytest.raises(ValueError, match=r"stream=3: .* has 2 captioned images .* 5 to 6"):
        open_vlm_study(test=1, stream=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"model": "some/model"},
            "no drawn model 'some/model': wanted one of drawn-vlm-general, dr",
        ),
        ({"test": 0}, "test=0, train=0, stream=0: wanted test >= 1"),
        ({"stream": -1}, "stream=-1: wanted test >= 1, rest >= 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        open_vlm_study(**arguments)


def test_images_whose_counts_differ_are_refused():
    with pytest.raises(ValueError, match="got 1 ids, 0 images"):
        Images(("a",), [])


def test_a_gallery_marks_the_words_of_a_drawn_study_and_none_on_the_full_profile(request):
    study = open_vlm_study(test=3)
    own = [captions[0] for captions in study.test.captions]
    shown = study.gallery([2, 0], {"own": own, "moved": own[1:] + own[:1]})
    assert [len(texts) for texts in shown.captions.values()] == [2, 2]
    assert "".join(part for part, _ in shown.captions["own"][0]) == own[2]
    told = [verdict for parts in shown.captions["own"] for _, verdict in parts]
    assert True in told and False not in told
    assert False in [v for parts in shown.captions["moved"] for _, v in parts]
    request.getfixturevalue("full")
    shown = open_vlm_study(test=2).gallery([1], {"own": ["a dog", "a cat"]})
    assert shown.captions == {"own": [[("a cat", None)]]}
