"""`vizer features`: what it keeps, that `vizer gap` reads it, and that a stopped one goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.cli.checkpoints import save_clip
from vizer_core.clip import PairedFeatures
from vizer_core.clip import extract as job
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo import load_drawn_clip

CAPTIONED = 12


@pytest.fixture
def album(tmp_path):
    """Lay out twelve drawn scenes of which each has two captions, and a file that is no image."""
    data, captions = DrawnSplit("second_test", CAPTIONED), {}
    folder = tmp_path / "album"
    folder.mkdir()
    for index, (pixels, texts) in enumerate(zip(data.images, data.captions)):
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
        captions[f"{index:02d}.png"] = list(texts[:2])
    (folder / "broken.png").write_bytes(b"")
    captions["broken.png"] = ["a crown"]
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    return folder, tmp_path / "captions.json", data


def test_the_file_holds_every_caption_and_says_who_made_it(vizer, album, tmp_path):
    folder, captions, data = album
    out = tmp_path / "new" / "f.safetensors"
    done = vizer("features", folder, "--captions", captions, "--out", out)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}: 12 images, 1 left out, 24 texts, d = 128\n"
    found = PairedFeatures.load(out)
    encoder = load_drawn_clip("drawn-clip-50")
    assert found.ids == tuple(f"{index:02d}.png" for index in range(CAPTIONED))
    assert found.image_index.tolist() == [image for image in range(12) for _ in range(2)]
    texts = [text for of in data.captions for text in of[:2]]
    torch.testing.assert_close(found.text_features, encoder.encode_text(texts))
    images = [Image.fromarray(pixels) for pixels in data.images]
    torch.testing.assert_close(found.image_features, encoder.encode_image(images))
    (manifest,) = out.parent.glob("*.json")
    said = json.loads(manifest.read_text())
    assert said["model"] == {"name": encoder.name, "fingerprint": encoder.fingerprint}
    assert [entry["id"] for entry in said["skipped"]] == ["broken.png"]
    assert sorted(out.parent.iterdir()) == sorted([out, manifest]), "no shard is left behind"


def test_gap_reads_the_file_as_it_reads_the_folder(vizer, album, tmp_path):
    folder, captions, _ = album
    out = tmp_path / "f.safetensors"
    assert vizer("features", folder, "--captions", captions, "--out", out).exit_code == 0
    ways = {
        "file": ["--features", out],
        "folder": ["--images", folder, "--captions", captions],
    }
    for name, words in ways.items():
        done = vizer("gap", *words, "--json", tmp_path / f"{name}.json", "--resamples", 40)
        assert done.exit_code == 0, done.output
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ways)
    assert one["n"] == two["n"] == CAPTIONED
    assert one["gap_norm"] == pytest.approx(two["gap_norm"], rel=1e-5)
    assert one["pair_cosine_mean"] == pytest.approx(two["pair_cosine_mean"], rel=1e-5)


def test_images_alone_are_one_side_of_a_gap(vizer, album, tmp_path):
    folder, captions, data = album
    out = tmp_path / "images.safetensors"
    done = vizer("features", folder, "--out", out)
    assert done.exit_code == 0 and "12 images, 1 left out, 0 texts" in done.stdout
    done = vizer("gap", "--features", out)
    assert done.exit_code == 1 and "12 images and of no text" in done.stderr
    firsts = load_drawn_clip("drawn-clip-50").encode_text([of[0] for of in data.captions])
    np.save(tmp_path / "texts.npy", firsts.numpy())
    save_file({"any": firsts}, tmp_path / "texts.safetensors")
    told = [
        vizer("gap", "--images", out, "--texts", tmp_path / texts, "--resamples", 40).stdout
        for texts in ("texts.npy", "texts.safetensors")
    ]
    told.append(vizer("gap", "--images", folder, "--captions", captions, "--resamples", 40).stdout)
    assert "12 pairs, d = 128" in told[0] and told[0] == told[1] == told[2]


def test_a_stopped_job_goes_on_where_it_was(vizer, album, tmp_path, monkeypatch):
    folder, captions, _ = album
    real, sizes = job.save_tensors, []
    monkeypatch.setattr(
        "vizer_core.clip.ExtractConfig",
        lambda batch_size: job.ExtractConfig(shard_size=5, batch_size=batch_size),
    )

    def stops(path, tensors, manifest):
        real(path, tensors, manifest)
        sizes.append(len(tensors["image_features"]))
        if len(sizes) == 2:
            raise KeyboardInterrupt

    words = ("features", folder, "--captions", captions, "--out", tmp_path / "f.safetensors")
    monkeypatch.setattr(job, "save_tensors", stops)
    assert vizer(*words).exit_code != 0
    assert not (tmp_path / "f.safetensors").exists()
    assert len(list((tmp_path / "f.safetensors.shards").glob("shard-*.safetensors"))) == 2
    done = vizer(*words)
    assert done.exit_code == 0 and sizes == [5, 5, 2], "the third shard alone was missing"
    whole = vizer(*words[:-1], tmp_path / "whole.safetensors")
    assert whole.exit_code == 0
    names = ("f.safetensors", "whole.safetensors")
    one, two = (PairedFeatures.load(tmp_path / name) for name in names)
    assert one.ids == two.ids and torch.equal(one.image_features, two.image_features)


@pytest.mark.parametrize(
    ("change", "differs"),
    [("images", "images: "), ("captions", "data was"), ("model", "model: ")],
)
def test_a_stopped_job_is_not_gone_on_with_as_another(
    change, differs, vizer, album, tmp_path, monkeypatch
):
    folder, captions, data = album

    def stops(*_):
        raise KeyboardInterrupt

    words = ("features", folder, "--captions", captions, "--out", tmp_path / "f.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(PairedFeatures, "save", stops)
        vizer(*words)
    if change == "images":
        Image.fromarray(data.images[5]).save(folder / "04.png")
    elif change == "captions":
        captions.write_text(captions.read_text().replace(" a ", " the "))
    else:
        words += ("--model", save_clip(tmp_path / "clip"))
    done = vizer(*words)
    assert done.exit_code == 1 and "belongs to another " in done.stderr
    assert differs in done.stderr
    assert not (tmp_path / "f.safetensors").exists()


def test_what_is_there_is_not_replaced(vizer, album, tmp_path):
    folder, _, _ = album
    out = tmp_path / "f.safetensors"
    out.write_bytes(b"hours of work")
    done = vizer("features", folder, "--out", out)
    assert done.exit_code == 2 and "is there already" in done.stderr
    assert out.read_bytes() == b"hours of work"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("album --out f.npy", 2, "--out f.npy: end its name in .safetensors"),
        ("nowhere --out f.safetensors", 1, "no image and no folder of images at nowhere"),
        ("album --out f.safetensors --captions none.json", 1, "no captions file at none.json"),
        ("album --out f.safetensors --model ViT-B-32", 1, "wants --pretrained TAG"),
        ("spoiled --out f.safetensors", 1, "not one image could be read"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words, status, said, vizer, album, monkeypatch):
    monkeypatch.chdir(album[0].parent)
    (album[0].parent / "spoiled").mkdir()
    (album[0].parent / "spoiled" / "a.png").write_bytes(b"")
    done = vizer("features", *words.split())
    assert done.exit_code == status and said in done.stderr and done.stdout == ""
    assert not (album[0].parent / "f.safetensors").exists()
