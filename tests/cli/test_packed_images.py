"""Commands on images that are no files yet, and what a corpus shares with what is tested on."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from PIL import Image

from tests.cli.checkpoints import CAPTIONS
from vizer_core.files import METADATA


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def tar(tmp_path):
    """Return a tar file as img2dataset writes it: three images with their captions."""
    with tarfile.open(tmp_path / "00000.tar", "w") as stream:
        for index in range(3):
            image = io.BytesIO()
            Image.new("RGB", (40, 36), (80 * index, 20, 20)).save(image, "jpeg")
            for suffix, content in (("jpg", image.getvalue()), ("txt", CAPTIONS[index].encode())):
                info = tarfile.TarInfo(f"00000000{index}.{suffix}")
                info.size = len(content)
                stream.addfile(info, io.BytesIO(content))
    return tmp_path / "00000.tar"


def test_a_tar_file_is_captioned_measured_and_trained_on(vizer, tar, tmp_path):
    words = ["caption", tar, "--method", "clipre", "--corpus", tar, "--json", tmp_path / "c.json"]
    done = vizer(*words)
    assert done.exit_code == 0, done.output
    names = [f"00000000{index}.jpg" for index in range(3)]
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == names
    said = {
        row["image_id"]: row["caption"] for row in json.loads((tmp_path / "c.json").read_text())
    }
    assert set(said) == set(names) and set(said.values()) <= set(CAPTIONS)
    done = vizer("features", tar, "--out", tmp_path / "f.safetensors")
    assert done.exit_code == 0 and "3 images, 3 texts" in done.stderr + done.stdout, done.output
    done = vizer("gap", "--images", tar, "--json", tmp_path / "gap.json")
    assert done.exit_code == 0 and json.loads((tmp_path / "gap.json").read_text())["n"] == 3


def test_a_data_set_of_the_hub_is_trained_on_by_name(vizer, tmp_path, monkeypatch):
    """The hub is a folder here: `datasets` is asked for OWNER/DATASET, and reads that."""
    import datasets

    rows, load, asked = tmp_path / "rows", datasets.load_dataset, []
    rows.mkdir()
    images = [Image.new("RGB", (40, 36), (30 * index, 20, 20)) for index in range(6)]
    features = datasets.Features({"image": datasets.Image(), "id": datasets.Value("string")})
    columns = {"image": images, "id": [f"no {index}" for index in range(6)]}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(rows / "test.parquet")

    def from_folder(name, config, **options):
        asked.append((name, config, options["split"]))
        return load(str(rows), config, **options)

    monkeypatch.setattr(datasets, "load_dataset", from_folder)
    out = tmp_path / "adapter"
    words = ["--images", "hf:somebody/photos:test[:5]", "--out", out]
    done = vizer("enhance", *words, "--objective", "self_training", "--epochs", 1)
    assert done.exit_code == 0, done.output
    assert asked == [("somebody/photos", None, "test")]
    assert json.loads((out / "vizer.json").read_text())[METADATA]["images"] == 5
    assert "000000004" in str(sorted((tmp_path / "cache").rglob("*.png")))  # "no 4": no file's name
    again = vizer("enhance", *words[:3], tmp_path / "b", "--objective", "raft", "--epochs", 1)
    assert again.exit_code == 0 and len(asked) == 1, again.output  # kept, not fetched again


def test_a_source_that_is_none_is_one_line(vizer):
    done = vizer("caption", "hf:a:b:c", "--method", "clipre")
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    assert "error: got 'hf:a:b:c': wanted hf:OWNER/DATASET" in done.stderr


@pytest.fixture
def tested(tmp_path):
    """Return captions and references of three images whose captions are the corpus's own."""
    rows = [{"image_id": i, "caption": f"{text} {n}"} for i, text in enumerate(CAPTIONS[:3])
            for n in ("one", "two", "three")]  # fmt: skip
    (tmp_path / "references.json").write_text(json.dumps({"annotations": rows}))
    said = [{"image_id": i, "caption": "a cat"} for i in range(3)]
    (tmp_path / "said.json").write_text(json.dumps(said))
    (tmp_path / "seen.txt").write_text("\n".join(row["caption"] for row in rows))
    (tmp_path / "other.txt").write_text("two dogs run\na red boat\n")
    return tmp_path


def test_evaluate_says_what_the_corpus_shares_with_the_references(vizer, tested):
    words = ["evaluate", "--captions", tested / "said.json", "--references",
             tested / "references.json", "--metrics", "length", "--corpus"]  # fmt: skip
    leaks = vizer(*words, tested / "seen.txt")
    assert leaks.exit_code == 0 and "warning: corpus 'seen'" in leaks.stderr
    assert "it has every caption of 3 of 3 images" in leaks.stderr
    assert "9 of 9 captions word for word" in leaks.stderr
    clean = vizer(*words, tested / "other.txt")
    assert "corpus 'other'" in clean.stderr and "warning" not in clean.stderr
    assert "0 of 9 captions word for word" in clean.stderr
    absent = vizer(*words, tested / "none.txt")
    assert absent.exit_code == 1 and "no corpus at" in absent.stderr


def test_a_captioner_is_not_trained_on_what_it_will_be_tested_on(vizer, tested):
    out = tested / "x.safetensors"
    words = ["train-captioner", "--method", "decap", "--epochs", 1, "--out", out, "--references",
             tested / "references.json", "--corpus"]  # fmt: skip
    done = vizer(*words, tested / "seen.txt")
    assert done.exit_code == 1 and "it was made from them" in " ".join(done.stderr.split())
    assert not out.exists()
    done = vizer(*words, tested / "other.txt")
    assert done.exit_code == 0 and "0 of 9 captions word for word" in done.stderr, done.output
