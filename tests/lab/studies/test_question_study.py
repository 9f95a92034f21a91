"""Opening the questions: the same fields on both profiles, and plain words for what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers
from PIL import Image

from vizer_core import runtime
from vizer_core.clip import OpenClipEncoder
from vizer_core.vqa import evaluate_vqa
from vizer_lab.studies import question_study
from vizer_lab.studies.question_study import image_number, open_questions, val2014_name
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo import load_drawn_clip

WORDS = ("question", "short", "answer", "what", "is", "there", "a", "dog", "red", "wall", "box")


@pytest.fixture(scope="module")
def tiny_opt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random OPT with a tokenizer of a few words, as the hub's models lie on a disk."""
    folder = tmp_path_factory.mktemp("opt")
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {word: index for index, word in enumerate([*marks, *WORDS, ":", "?", "."])}
    bpe = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="</s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = transformers.OPTConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, ffn_dim=32,
        num_attention_heads=2, max_position_embeddings=64, word_embed_proj_dim=16,
    )  # fmt: skip
    transformers.OPTForCausalLM(config).save_pretrained(folder)
    return folder


def vqav2_files(folder: Path, split: str, images: list[int]) -> None:
    asked = [
        {"image_id": image, "question": "what is there?", "question_id": 10 * image + k}
        for image in images
        for k in range(2)
    ]
    told = [
        {"question_type": "what is", "multiple_choice_answer": "dog", "answer_type": "other",
         "answers": [{"answer": "dog"}] * 10} | {k: row[k] for k in ("image_id", "question_id")}
        for row in asked
    ]  # fmt: skip
    parts = question_study.VQAV2[split]
    for part, rows in zip(parts, ({"questions": asked}, {"annotations": told})):
        (folder / part).write_text(json.dumps(rows))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out VQAv2, three images and two captioners' files as `QUESTIONS_ADVICE` says."""
    for name in ("val2014", "annotations", "vqav2", "captions"):
        (tmp_path / name).mkdir()
    for number in (1, 2, 3):
        image = Image.new("RGB", (40 + number, 30), "red")
        image.save(tmp_path / "val2014" / val2014_name(str(number)))
    vqav2_files(tmp_path, "val", [1, 2, 3])
    vqav2_files(tmp_path, "train", [8, 9])
    answers = ["dog", "yes", "no", *(f"thing {i}" for i in range(3_125))]
    (tmp_path / question_study.ANSWERS).write_text(json.dumps(answers))
    said = [(1, "a red wall 1"), (2, "a red wall 2"), (3, "a red wall 3"), (2, "red")]
    people = [{"image_id": i, "caption": text} for i, text in said]
    (tmp_path / question_study.ANNOTATIONS).write_text(json.dumps({"annotations": people}))
    for name, images in (("maccap", (1, 2, 3)), ("capdec", (1, 2)), ("decap", (1, 2, 3))):
        rows = [{"image_id": val2014_name(str(i)), "caption": "a box"} for i in images]
        (tmp_path / "captions" / f"{name}.json").write_text(json.dumps(rows))
    monkeypatch.setenv("VIZER_PROFILE", "full")
    monkeypatch.setenv("VIZER_DATA", str(tmp_path))
    monkeypatch.setattr(
        OpenClipEncoder,
        "from_pretrained",
        staticmethod(lambda name, tag, *, device: load_drawn_clip("drawn-clip-50")),
    )
    return tmp_path


def test_the_drawn_questions_come_with_captions_written_here():
    study, split = open_questions(2, samples=2), DrawnSplit("second_test", 2)
    assert set(study.captions) == {"maccap", "capdec", "decap", "human"}
    assert all(tuple(texts) == split.ids for texts in study.captions.values())
    assert study.captions["human"][split.ids[1]] == split.captions[1][0]
    assert study.people[split.ids[1]] == split.captions[1]
    assert study.image_ids == split.ids and study.image(split.ids[0]).size == (112, 112)
    assert not {item.image_id for item in study.training} & set(split.ids)
    assert "not quality" in study.note and isinstance(study.protocol.encoder, OpenClipEncoder)
    assert open_questions(2, samples=2).captions == study.captions


def test_the_full_profile_reads_vqav2_and_the_captioners_files(data, tiny_opt):
    study = open_questions(4, language_model=tiny_opt)
    assert [item.image_id for item in study.items] == ["1", "1", "2", "2"]  # capdec lacks 3
    assert set(study.captions) == {"capdec", "decap", "maccap", "human"}
    assert study.captions["human"]["2"] == "a red wall 2" and study.captions["maccap"]["3"]
    assert study.people["2"] == ("a red wall 2", "red")
    assert study.image("2").width == 42 and len(study.protocol.candidates) == 3_128
    assert {item.image_id for item in study.training} == {"8", "9"}
    assert "4 questions of VQAv2 val" in study.note
    report = evaluate_vqa(study.items, study.captions, study.protocol, training=study.training)
    assert report.scores["prior"]["top1"].mean == 1.0 and len(report.generated["maccap"]) == 4


def test_the_language_model_and_the_most_questions_can_be_named_outside(
    data, tiny_opt, monkeypatch
):
    monkeypatch.setenv("VIZER_LM", str(tiny_opt))
    monkeypatch.setattr(runtime, "MIN_IMAGES", 1)
    monkeypatch.setenv("VIZER_IMAGES", "3")
    study = open_questions(20_000)
    assert study.protocol.language_model.name == str(tiny_opt) and len(study.items) == 3


def test_a_captioner_without_a_file_is_named(data):
    (data / "captions" / "decap.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"contains capdec.json, maccap.json, no decap"):
        open_questions(1)


def test_more_questions_than_there_are_is_refused(data, tiny_opt):
    with pytest.raises(ValueError, match=r"4 questions are about images that all of .* wanted n ="):
        open_questions(5, language_model=tiny_opt)


def test_what_is_missing_is_named(data, monkeypatch):
    (data / question_study.ANSWERS).unlink()
    with pytest.raises(FileNotFoundError, match=r"(?s)lacks vqav2/answer_list\.json.*ALBEF"):
        open_questions(1)
    (data / question_study.ANSWERS).write_text("[]")
    for file in (data / "captions").iterdir():
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"captions contains no \.json file"):
        open_questions(1)
    monkeypatch.delenv("VIZER_DATA")
    with pytest.raises(FileNotFoundError, match=r"(?s)VIZER_DATA is not set.*visualqa"):
        open_questions(1)


def test_no_questions_and_odd_ids_are_refused():
    with pytest.raises(ValueError, match="n is 0: wanted at least one scene or question"):
        open_questions(0)
    with pytest.raises(ValueError, match=r"'dog\.jpg' has no COCO number"):
        image_number("dog.jpg")
