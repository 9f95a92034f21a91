"""The programs of the book's page `in_python`, as they stand there, on shipped models and files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

import vizer_core as vc
from tools.house_numbers import lay_out
from vizer_core.data.image_set import ImageSet
from vizer_core.models import UnusedSettingError

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "book" / "in_python.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(
    r"^## (\d)\. (.*?)\n\n```python\n(.*?)```", PAGE, flags=re.DOTALL | re.MULTILINE
)
PRINTED = {  # what a reader sees, by program
    "1": r"Modality gap of 24 pairs, d = 128",
    "2": r"^[a-z][a-z ,]+$",
    "3": r"(^second_test-\d+\.png [a-z].*\n){24}",
    "4": r"(^second_test-\d+\.png [a-z].*\n){24}",
    "5": r"forecast: .*\n(.*\n)*\d+% of 24 captions changed; .* wrote adapter",
    "6": r"cider +\d(.*\n)*clipscore +\d(.*\n)*refclipscore +\d(.*\n)*self_retrieval_r1 +\d",
    "7": r"a - b .* p \(Holm\)(.*\n)*cider +-?\d",
    "8": r"^maccap +\d(.*\n)*question only +\d(.*\n)*chance +\d",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Lay out the files that the page speaks of: images, captions, VQAv2's questions."""
    root = tmp_path_factory.mktemp("programs")
    lay_out(root)
    return root


def test_there_are_eight_programs_of_at_most_ten_lines_each():
    assert [number for number, _, _ in PROGRAMS] == list("12345678")
    assert PAGE.count("```python") == len(PROGRAMS)
    long = [title for _, title, code in PROGRAMS if len(code.split("\n\n", 1)[1].splitlines()) > 10]
    assert long == []


def test_the_readme_shows_programs_of_the_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert len(shown) == 3 and set(shown) <= {code for _, _, code in PROGRAMS}


@pytest.mark.parametrize(("number", "title", "code"), PROGRAMS, ids=[row[1] for row in PROGRAMS])
def test_a_program_of_the_page_runs(number, title, code, files, monkeypatch, capsys):
    """In the page's order: the third program reads what the second has trained."""
    monkeypatch.chdir(files)
    if number == "3" and not Path("mine").exists():  # this program is run alone
        exec(compile(PROGRAMS[1][2], "2", "exec"), {})
    if number == "5":  # a run of the page a second time
        assert not Path("adapter").exists()
    exec(compile(code, title, "exec"), {})
    said = capsys.readouterr().out
    assert re.search(PRINTED[number], said, flags=re.MULTILINE), said


def test_what_was_trained_is_what_is_loaded(files, tmp_path):
    clip, lm = vc.load_clip("drawn-clip-50"), vc.load_lm("drawn-lm")
    images = vc.read_images(files / "photos").images
    made = vc.train_captioner(
        "decap", corpus=["a cat", "a dog", "a red box"], clip=clip, lm=lm,
        out=tmp_path / "d.safetensors", epochs=1,
    )  # fmt: skip
    again = vc.load_captioner(tmp_path / "d.safetensors", memory=["a cat", "a dog", "a red box"])
    assert made(images) == again(images) and made.name == again.name == "decap"
    assert isinstance(made, vc.ImageCaptioner)


def test_an_adapter_from_enhance_is_the_model_that_came_back(files, tmp_path):
    vlm, photos = vc.load_vlm("drawn-vlm-web"), vc.read_images(files / "photos")
    done = vc.enhance(vlm, photos, out=tmp_path / "a", objective="information", learning_rate=2e-3)
    loaded = vc.load_vlm("drawn-vlm-web", adapter=tmp_path / "a")
    assert loaded(photos.images) == vlm(photos.images) == list(done.after)
    assert done.drift.changed > 0 and done.names == photos.names and done.kl > 0
    assert isinstance(vlm, vc.ImageCaptioner)


def test_an_objective_may_be_an_object(files, tmp_path):
    class Short:
        name = "short"

        def __call__(self, vision, captions):
            return -captions.mask.sum(dim=1).float()

    photos = vc.read_images(files / "photos")
    done = vc.enhance(
        vc.load_vlm("drawn-vlm-web"),
        photos,
        objective=Short(),
        out=tmp_path / "s",
        learning_rate=1e-3,
    )
    metadata = json.loads((tmp_path / "s" / "vizer.json").read_text())["made_by"]
    assert metadata["objective"] == "Short" and len(done.curve) == 1


def test_a_judge_gives_what_the_features_give(files):
    """CLIPScore by hand: 2.5 cos of what the judge says of image and caption."""
    clip, data = (
        vc.load_clip("drawn-clip"),
        vc.read_images(files / "photos", captions=files / "captions.json"),
    )
    texts = [captions[0] for captions in data.captions]
    named = dict(zip(data.names, texts))
    refs = dict(zip(data.names, data.captions))
    cosines = (clip.encode_image(data.images) * clip.encode_text(texts)).sum(dim=1)
    wanted = float((2.5 * cosines.clamp(min=0)).mean())
    options = {"metrics": ["clipscore"], "judge": clip, "resamples": 40}
    for captions, references, images in (
        (texts, data.captions, data.images),
        (dict(reversed(named.items())), refs, data),
        (named, refs, dict(zip(data.names, data.images))),
    ):
        found = vc.evaluate(captions, references, images=images, **options)
        assert found.scores["clipscore"].mean == pytest.approx(wanted, abs=1e-4)


@pytest.fixture(scope="module")
def photos(files):
    """Three drawn images with a caption each, a judge, and the CLIPScore of the right pairs."""
    data = vc.read_images(files / "photos", captions=files / "captions.json")
    images, captions = list(data.images)[:3], [captions[0] for captions in data.captions[:3]]
    clip = vc.load_clip("drawn-clip")
    options = {"judge": clip, "metrics": ["clipscore"], "resamples": 40}
    cosines = (clip.encode_image(images) * clip.encode_text(captions)).sum(dim=1)
    return images, captions, options, float((2.5 * cosines.clamp(min=0)).mean())


COCO = ("COCO_val2014_000000000042.jpg", "COCO_val2014_000000391895.jpg", "b.jpg")


@pytest.mark.parametrize(
    "ids",
    [(42, 391895, "b.jpg"), ("42", 391895, "photos/b.jpg"), COCO],
    ids=str,
)
def test_images_of_a_folder_are_met_by_name_whatever_their_order(ids, photos):
    images, captions, options, wanted = photos
    said = dict(reversed(list(zip(ids, captions))))
    references = {name: [text] for name, text in said.items()}
    found = vc.evaluate(said, references, images=ImageSet(COCO, images), **options)
    assert found.scores["clipscore"].mean == pytest.approx(wanted, abs=1e-4)


def test_images_of_a_folder_go_by_order_only_where_captions_have_no_ids(photos):
    """The index 1 of a list is no name of COCO's image 1."""
    images, captions, options, wanted = photos
    data = ImageSet(("000000000001.jpg", "000000000007.jpg", "a.jpg"), images)
    found = vc.evaluate(captions, [[text] for text in captions], images=data, **options)
    assert found.scores["clipscore"].mean == pytest.approx(wanted, abs=1e-4)
    named = {f"photo {i}": text for i, text in enumerate(captions)}
    references = {name: [text] for name, text in named.items()}
    with pytest.raises(ValueError, match=r"no image for 3 of 3 ids, first 'photo 0': .* '00000000"):
        vc.evaluate(named, references, images=data, **options)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: vc.evaluate(["a"], [["a"]], images=[]), ValueError, "got images alone: CLIPScore"),
        (lambda: vc.load_captioner("none"), FileNotFoundError, "no captioner none: wanted what tr"),
        (lambda: vc.load_vlm(adapter="none"), FileNotFoundError, "no adapter folder none: train"),
        (lambda: vc.load_lm("drawn-lm", dtype="float16"), ValueError, "shipped in float32"),
        (lambda: vc.load_lm("drawn-lm", dtype="half"), ValueError, "dtype is 'half': wanted"),
        (lambda: vc.load_clip("ViT-B-32"), ValueError, "or name both, ViT-B-32/TAG"),
        (lambda: vc.load_clip(quick_gelu=True), ValueError, "quick_gelu is for weights in a file"),
        (lambda: vc.load_clip("ViT-B-32"), ValueError, "wants pretrained=TAG (such as"),
        (
            lambda: vc.load_clip("drawn-clip-50", pretrained="openai"), UnusedSettingError,
            "drawn-clip-50 is shipped with its weights: leave pretrained='openai' out",
        ),
        (lambda: vc.load_lm(dtype="float16"), ValueError, "float32: leave dtype='float16' out"),
        (lambda: vc.read_images(), ValueError, "no images: wanted at least one file"),
        (lambda: vc.read_images("none"), FileNotFoundError, "no image and no folder of images at"),
        (lambda: vc.read_vqav2("none"), FileNotFoundError, "no folder none of VQAv2's questions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_errors_say_what_was_wanted(call, error, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=re.escape(said)):
        call()


@pytest.mark.parametrize("name", ["vizer.json", "adapter_model.safetensors", "config.json"])
def test_enhance_replaces_no_adapter_and_no_model(name, files, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match=rf"{name} is there already, and nothing is replaced"):
        vc.enhance(vc.load_vlm(), files / "photos", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["captioner.safetensors", "captioner.safetensors.json"])
def test_train_captioner_replaces_no_file(name, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match=rf"{name} is there already, and nothing is replaced"):
        vc.train_captioner(
            "maccap", corpus=["a", "b"], clip=vc.load_clip(), lm=vc.load_lm(), out=tmp_path
        )
    assert (tmp_path / name).read_text() == "mine"


def test_jobs_refuse_what_they_cannot_do(files, tmp_path):
    clip, lm, vlm = vc.load_clip(), vc.load_lm(), vc.load_vlm()
    out, one = tmp_path / "out", [Image.new("RGB", (40, 40))]
    with pytest.raises(ValueError, match="no objective 'gold': wanted one of information, read_b"):
        vc.enhance(vlm, files / "photos", objective="gold", out=out)
    with pytest.raises(ValueError, match="got 1 image, and an adapter learns from differences"):
        vc.enhance(vlm, one, out=out)
    with pytest.raises(ValueError, match="no training 'gold': wanted one of maccap, capdec"):
        vc.train_captioner("gold", corpus="captions.txt", clip=clip, lm=lm, out=out)
    with pytest.raises(ValueError, match="got 2 captions, 1 different: a captioner learns from"):
        vc.train_captioner("maccap", corpus=["a", "a"], clip=clip, lm=lm, out=out)
    with pytest.raises(ValueError, match="got 1 images for 2 references: wanted one each"):
        vc.evaluate(["a", "b"], [["a"], ["b"]], images=one, judge=clip)
    with pytest.raises(ValueError, match="these 24 images have no captions: give read_images"):
        clip.encode(vc.read_images(files / "photos"))
    with pytest.raises(FileNotFoundError, match=r"0 files \*questions.json without 'train' in"):
        vc.read_vqav2(tmp_path)
    questions = vc.read_vqav2(files / "vqa")
    with pytest.raises(ValueError, match="system 'x' has captions for none of the images that"):
        vc.answer_questions(questions, {"x": {"other.png": "a cat"}}, lm=lm, clip=clip)
    assert not out.exists()
