"""Opening a study of captions: one set of names on both profiles, plain words when parts lack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from vizer_core import runtime
from vizer_core.captioners import Baseline
from vizer_core.clip import OpenClipEncoder
from vizer_core.data.records import Record
from vizer_core.runtime import seeded
from vizer_core.textonly import (
    SMALL_NETWORK,
    GaussianNoise,
    NoNoise,
    PrefixDecoder,
    TrainingPairs,
    save_prefix_network,
)
from vizer_core.textonly.presets import SMALL_DECAP, SMALL_MACCAP, SMALL_VARIANCE
from vizer_lab.studies import caption_study as study_module
from vizer_lab.studies.caption_study import (
    CaptionStudy,
    named_things,
    open_caption_study,
)
from vizer_lab.world import DrawnSplit, drawn_corpus
from vizer_lab.zoo import load_drawn_clip
from vizer_lab.zoo.drawn_captioners import DRAWN_DECODING, DRAWN_MACCAP
from vizer_lab.zoo.language_models import load_drawn_lm


def lay_out_coco(folder: Path, count: int) -> None:
    (folder / "val2017").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for i in range(count):
        Image.new("RGB", (60 + i, 60), "red").save(folder / "val2017" / f"{i}.jpg")
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(count)],
        "annotations": [{"image_id": i, "caption": "a dog on a boat"} for i in range(count)],
    }
    (folder / "annotations" / "captions_val2017.json").write_text(json.dumps(content))


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out COCO, a language model's checkpoint and two prefix networks; CLIP is a drawn one."""
    lm, encoder = load_drawn_lm(name="drawn-lm"), load_drawn_clip("drawn-clip-50")
    lm.model.save_pretrained(tmp_path / "lm")
    lm.tokenizer.save_pretrained(tmp_path / "lm")
    lay_out_coco(tmp_path / "coco", 5)
    for name, config in (("maccap", SMALL_MACCAP), ("decap", SMALL_DECAP)):
        save_prefix_network(
            tmp_path / "prefix networks" / f"{name}.safetensors",
            PrefixDecoder(SMALL_NETWORK),
            encoder=encoder,
            language_model=lm,
            metadata={"config": config.to_dict()},
        )
    records = [Record(str(i), None, (f"a cat and a {w}", "a cat")) for i, w in enumerate("xyz")]
    monkeypatch.setattr(study_module, "coco2014", lambda split: records)
    monkeypatch.setattr(study_module, "UNPAIRED", 3)
    monkeypatch.setattr(
        OpenClipEncoder,
        "from_pretrained",
        staticmethod(lambda name, tag, *, device: load_drawn_clip("drawn-clip-50")),
    )
    monkeypatch.setenv("VIZER_PROFILE", "full")
    monkeypatch.setenv("VIZER_DATA", str(tmp_path / "coco"))
    monkeypatch.setenv("VIZER_PREFIX_NETWORKS", str(tmp_path / "prefix networks"))
    monkeypatch.setenv("VIZER_LM", str(tmp_path / "lm"))
    return tmp_path


@pytest.fixture(scope="module")
def micro() -> CaptionStudy:
    return open_caption_study(12, memory=30)


def test_a_drawn_study_captions_test_scenes_from_other_scenes_captions(micro):
    split = DrawnSplit("second_test", 12)
    assert micro.images.ids == split.ids and micro.images.captions == split.captions
    assert len(micro.corpus) == len(micro.memory) == 30
    assert len(micro.unpaired) == study_module.UNPAIRED
    assert len(micro.states.image_features) == 12
    assert micro.judge.name == "drawn-clip-avg" != micro.encoder.name == "drawn-clip-50"


def test_its_prefix_networks_write_with_the_noise_that_they_were_trained_with(micro):
    assert micro.noise("maccap") == DRAWN_MACCAP.noise
    assert micro.noise("decap") == micro.noise("maccap-clean") == NoNoise()
    prefix_generator = micro.prefix_generator("decap")
    assert prefix_generator.decoding == DRAWN_DECODING
    assert prefix_generator.language_model is micro.language_model
    assert len(Baseline(prefix_generator).caption(micro.states, generator=seeded(0))) == 12


def test_what_needs_no_training_is_ready_under_its_names(micro):
    found = micro.training_free()
    assert {name: each.name for name, each in found.items()} == {
        name: name for name in ("magic", "zerocap", "socratic")
    }
    one = micro.states.image_features[:1]
    assert found["socratic"].caption(one, generator=seeded(0))[0]


def test_scores_know_a_true_caption_from_a_wrong_one(micro):
    texts = micro.images.texts
    right, wrong = micro.score(texts), micro.score(texts[1:] + texts[:1])
    for metric in ("cider", "clipscore", "object_f1"):
        assert right[metric].score > wrong[metric].score + 0.1
    assert right["object_precision"].score == 1.0
    pairs = micro.ground([[a, b] for a, b in zip(texts, texts[1:] + texts[:1])])
    assert wrong["object_f1"].score < pairs["object_f1"].score < right["object_f1"].score


def test_each_candidate_has_the_score_that_it_has_alone(micro):
    texts = micro.images.texts
    wrong = texts[1:] + texts[:1]
    both = micro.score_candidates(list(zip(texts, wrong)))
    assert both.shape == (12, 2) and (both[:, 0] > both[:, 1]).any()
    assert both[:, 1].tolist() == micro.score(wrong)["object_f1"].per_image.tolist()


def test_its_pairs_are_images_with_their_first_captions(micro):
    own = (micro.pairs.image_features * micro.pairs.text_features).sum(1).mean()
    other = (micro.pairs.image_features * micro.pairs.text_features.roll(1, 0)).sum(1).mean()
    assert own > other + 0.1


def test_scores_want_one_caption_a_image(micro):
    with pytest.raises(ValueError, match="got 1 captions for 12 images"):
        micro.score(["a dog"])


def test_the_language_model_has_the_precision_that_is_asked_for(full, monkeypatch):
    monkeypatch.setenv("VIZER_DTYPE", "bfloat16")
    study = open_caption_study(2, memory=3)
    assert study.language_model.model.dtype == torch.bfloat16
    with pytest.raises(ValueError, match="was trained with the language model"):
        study.prefix_generator("decap")


def test_the_full_profile_reads_coco_and_the_named_files(full):
    study = open_caption_study(2, memory=3)
    assert study.images.ids == ("0.jpg", "1.jpg") and len(study.unpaired) == 3
    assert len(study.corpus) == 3 and set(study.corpus) <= {
        "a cat", "a cat and a x", "a cat and a y", "a cat and a z"
    }  # fmt: skip
    assert study.ground([["a dog"], ["a dog"]]) == {} and not study.is_micro
    assert "COCO" in study.images.note
    assert study.noise("maccap") == GaussianNoise(SMALL_VARIANCE)
    assert study.language_model.name == str(full / "lm")
    assert study.prefix_generator("decap").prefix_network.training is False
    assert sorted(study.training_free()) == ["magic", "socratic", "zerocap"]
    scores = study.score(["a dog on a boat", "a cat"])
    each = study.score_candidates([["a dog on a boat", "x"], ["a cat", "x"]])
    assert each.shape == (2, 2) and (each >= 0).all()  # two images of one caption: CIDEr is 0
    assert "object_f1" not in scores and scores["bleu1"].per_image[0] == pytest.approx(1.0)


def test_fewer_images_can_be_asked_for_from_outside(full, monkeypatch):
    monkeypatch.setattr(runtime, "MIN_IMAGES", 1)
    monkeypatch.setenv("VIZER_IMAGES", "2")
    study = open_caption_study(100, memory=3)
    assert len(study) == len(study.unpaired) == 2 and "first 2 images" in study.images.note


def test_the_full_profile_says_what_is_missing(full, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"capdec\.safetensors: the capdec prefix network"):
        open_caption_study(1).prefix_generator("capdec")
    monkeypatch.delenv("VIZER_PREFIX_NETWORKS")
    with pytest.raises(FileNotFoundError, match="VIZER_PREFIX_NETWORKS is not set"):
        open_caption_study(1)


def test_an_prefix_network_with_other_noise_is_refused(full):
    config = SMALL_MACCAP.to_dict() | {"noise": {"kind": "UniformNoise", "width": 1.0}}
    path = full / "prefix networks" / "capdec.safetensors"
    save_prefix_network(
        path,
        PrefixDecoder(SMALL_NETWORK),
        encoder=load_drawn_clip("drawn-clip-50"),
        language_model=load_drawn_lm(name="drawn-lm"),
        metadata={"config": config},
    )
    with pytest.raises(ValueError, match="trained with UniformNoise: wanted GaussianNoise or NoNo"):
        open_caption_study(1).noise("capdec")


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="n=0, memory=4000: wanted at least 1"):
        open_caption_study(0)
    with pytest.raises(ValueError, match="no prefix network 'magic': wanted one of maccap-clean"):
        open_caption_study(1, memory=1).prefix_generator("magic")
    with pytest.raises(ValueError, match="none of 1 captions names a thing"):
        named_things(["dogs"])


def test_named_things_come_most_frequent_first():
    assert named_things(["A dog, a cat", "an owl and a cat"], count=2) == ("cat", "dog")


def test_the_same_study_opened_twice_is_the_same():
    first, second = (open_caption_study(2, memory=5) for _ in range(2))
    assert first.corpus == second.corpus
    assert torch.equal(first.states.image_features, second.states.image_features)


def test_a_gallery_marks_what_is_there_and_strikes_out_what_is_not(micro):
    texts = micro.images.texts
    shown = micro.gallery([1, 2], {"own": texts, "moved": texts[1:] + texts[:1]})._repr_html_()
    assert shown.count("<img alt=") == 2 and "<b" in shown and "<s " in shown


def test_a_new_network_reads_words_before_its_first_step(micro):
    texts = drawn_corpus("home", 300).captions
    pairs = TrainingPairs(micro.encoder.encode_text(list(texts)), texts)
    made, config = micro.new_network(pairs)
    again, _ = micro.new_network(pairs)
    assert config == DRAWN_MACCAP and made.prefix_length == 8
    weights = zip(made.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


def test_on_the_full_profile_a_new_network_has_the_shipped_ones_shape(full):
    study = open_caption_study(1, memory=3)
    pairs = TrainingPairs(study.encoder.encode_text(list(study.corpus)), study.corpus)
    made, config = study.new_network(pairs)
    assert made.config == SMALL_NETWORK and config.noise == study.noise("maccap")
    assert config.epochs == 1
