"""Every command on checkpoints that lie on the disk, as a user types it, with the hub off."""

from __future__ import annotations

import json
from shutil import copytree

import pytest

IMAGES = 24


def test_gap_of_a_captioned_folder(vizer, disk, tmp_path):
    out = tmp_path / "gap.json"
    done = vizer(
        "gap", "--images", disk.images, "--captions", disk.captions, "--model", disk.clip,
        "--resamples", 50, "--json", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "24 pairs, d = 32" in done.stdout
    assert json.loads(out.read_text())["n"] == IMAGES


@pytest.mark.parametrize("method", ["maccap", "capdec", "decap"])
def test_a_captioner_is_trained_on_text_and_captions_images(method, vizer, disk, tmp_path):
    prefix_network, out = tmp_path / f"{method}.safetensors", tmp_path / "out.json"
    models = ["--clip", disk.clip, "--language-model", disk.opt]
    done = vizer(
        "train-captioner", "--method", method, "--corpus", disk.corpus, "--epochs", 2,
        "--out", prefix_network, *models,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "after 2 steps" in done.stdout
    folder = tmp_path / "some"
    folder.mkdir()
    for name in ("photo 00.jpg", "photo 01.jpg"):
        (folder / name).write_bytes((disk.images / name).read_bytes())
    done = vizer(
        "caption", folder, "--method", method, "--captioner", prefix_network,
        "--json", out, *models,
        *(["--corpus", disk.corpus] if method == "decap" else []),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert [row["image_id"] for row in json.loads(out.read_text())] == sorted(
        ["photo 00.jpg", "photo 01.jpg"]
    )


def test_half_precision_trains_and_captions_alike(vizer, disk, tmp_path):
    prefix_network = tmp_path / "capdec.safetensors"
    models = ["--clip", disk.clip, "--language-model", disk.opt]
    done = vizer(
        "train-captioner", "--method", "capdec", "--corpus", disk.corpus, "--epochs", 2,
        "--dtype", "bfloat16", "--captions-at-once", 4, "--out", prefix_network, *models,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    one = [
        "caption",
        disk.images / "photo 00.jpg",
        "--method",
        "capdec",
        "--captioner",
        prefix_network,
    ]
    done = vizer(*one, "--dtype", "bfloat16", *models)
    assert done.exit_code == 0, done.output
    done = vizer(*one, *models)
    assert done.exit_code == 1 and "was trained with the language model" in done.stderr
    done = vizer(*one, "--dtype", "int8", *models)
    assert done.exit_code == 2


@pytest.mark.parametrize("method", ["clipre", "magic"])
def test_untrained_methods_caption_a_image(method, vizer, disk):
    own = {"clipre": ["--corpus", disk.corpus], "magic": ["--language-model", disk.opt]}[method]
    words = ["caption", disk.images / "photo 03.jpg", "--method", method, "--clip", disk.clip]
    done = vizer(*words, *own)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("photo 03.jpg\t")


@pytest.mark.parametrize("name", ["smolvlm", "qwen"])
def test_a_model_captions_is_scored_trained_and_compared(name, vizer, disk, tmp_path):
    model = getattr(disk, name)
    before, after, scores = (tmp_path / f"{n}.json" for n in ("before", "after", "scores"))
    done = vizer("caption", disk.images, "--model", model, "--json", before)
    assert done.exit_code == 0, done.output
    assert len(json.loads(before.read_text())) == IMAGES
    mapper, adapter = tmp_path / "mapper.safetensors", tmp_path / "adapter"
    done = vizer("fit-mapper", "--images", disk.images, "--model", model, "--out", mapper)
    assert done.exit_code == 0, done.output
    done = vizer(
        "enhance", "--images", disk.images, "--model", model, "--mapper", mapper,
        "--out", adapter, "--learning-rate", 0.01,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "captions changed" in done.stdout
    done = vizer("caption", disk.images, "--model", model, "--adapter", adapter, "--json", after)
    assert done.exit_code == 0, done.output
    judged = ["--references", disk.references, "--metrics", "bleu,cider,length"]
    judged += ["--missing", "empty"]  # a random model may end a caption at once
    done = vizer("evaluate", "--captions", before, "--json", scores, "--resamples", 50, *judged)
    assert done.exit_code == 0, done.output
    assert json.loads(scores.read_text())["scores"]["cider"]["n"] == IMAGES
    done = vizer("compare", "--captions", after, "--against", before, "--resamples", 50, *judged)
    assert done.exit_code == 0, done.output
    assert "cider" in done.stdout


@pytest.mark.parametrize("objective", ["straight_through", "image_context"])
def test_the_other_objectives_train_too(objective, vizer, disk, tmp_path):
    done = vizer(
        "enhance", "--images", disk.images, "--model", disk.smolvlm, "--out", tmp_path / "a",
        "--objective", objective,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("name", ["smolvlm", "qwen"])
def test_information_needs_no_mapper_and_says_its_outlook_first(name, vizer, disk, tmp_path):
    images, out = tmp_path / "images", tmp_path / "adapter"
    copytree(disk.images, images)
    (images / "photo 05.jpg").write_bytes(b"no image")
    words = ["enhance", "--images", images, "--model", getattr(disk, name), "--out", out]
    done = vizer(*words, "--objective", "information", "--information-weight", 0.5)
    assert done.exit_code == 0, done.output
    said = done.output
    assert "photo 05.jpg" in said and "skipped 1 of 24 files" in said
    assert said.index("forecast: training") < said.index("captions changed")
    assert "mapper" not in said and not (out / "states").exists()
    metadata = json.loads((out / "vizer.json").read_text())["made_by"]
    assert metadata.pop("forecast") in said.replace("\n", " ") and len(metadata.pop("curve")) == 1
    assert metadata.pop("job")["objective"] == "information"
    assert metadata == {
        "objective": "information", "weight": 0.5, "images": IMAGES - 1, "shuffled": False,
        "learning_rate": 5e-4, "seed": 0, "dtype": "float32",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gap", "--images", "{images}", "--captions", "{captions}", "--model", "{opt}"],
         "has no open_clip_config.json"),
        (["caption", "{images}", "--method", "clipre", "--clip", "ViT-B-32"],
         "wants --pretrained TAG"),
        (["caption", "{images}", "--method", "clipre", "--clip", "./nowhere"],
         "no such folder: ./nowhere"),
        (["caption", "{images}", "--method", "clipre", "--clip", "{clip}", "--pretrained", "x"],
         "a folder with weights of its own"),
        (["caption", "{images}", "--model", "{opt}"], "is a 'opt': wanted one of"),
        (["caption", "{images}", "--model", "org/model"], "The hub is out of reach here"),
        (["caption", "{images}", "--model", "./nowhere"], "no such folder: ./nowhere"),
        (["caption", "{images}", "--model", "drawn-vlm-web", "--dtype", "float16"],
         "drawn-vlm-web is shipped in float32"),
        (["caption", "{images}", "--method", "magic", "--clip", "{clip}",
          "--language-model", "{qwen}"], "wanted a causal language model"),
    ],
)  # fmt: skip
def test_wrong_models_are_said_in_one_line(words, said, vizer, disk):
    done = vizer(*[word.format(**vars(disk)) for word in words])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert said in done.stderr and done.stderr.startswith("error: ")


@pytest.mark.parametrize("command", ["train-captioner", "enhance"])
def test_a_run_is_reported_where_it_is_asked_for_and_nowhere_else(
    command, vizer, disk, tmp_path, monkeypatch
):
    from vizer_core import tracking

    told = {}

    class Told:
        def __init__(self, name, **how):
            self.heard = [] if name is None else told.setdefault("curves", [])
            told.update({} if name is None else {"name": name, "how": how})

        def catch_up(self, curves):
            self.heard.append({name: list(curve) for name, curve in curves.items()})

        def finish(self):
            pass

    monkeypatch.setattr(tracking, "require_tracker", lambda name: None)
    monkeypatch.setattr(tracking, "LiveRun", Told)
    words = {
        "train-captioner": ["--method", "capdec", "--corpus", disk.corpus, "--epochs", 2,
                            "--clip", disk.clip, "--language-model", disk.opt],
        "enhance": ["--images", disk.images, "--model", disk.smolvlm, "--objective",
                    "information", "--images-per-step", 12],
    }[command]  # fmt: skip
    done = vizer(command, *words, "--out", tmp_path / "a.safetensors")
    assert done.exit_code == 0 and told == {}, done.output
    done = vizer(command, *words, "--out", tmp_path / "b.safetensors", "--report-to", "trackio")
    assert done.exit_code == 0, done.output
    how, curve = told["how"], "loss" if command == "train-captioner" else "reward"
    assert told["name"] == "trackio" and how["run"].startswith("b") and how["settings"]["seed"] == 0
    live = [2] if command == "train-captioner" else [1, 2]  # after each step, or at the end
    assert [len(curves[curve]) for curves in told["curves"]] == live


def test_a_tracker_that_is_not_there_is_said_before_anything_is_trained(vizer, disk, tmp_path):
    done = vizer("enhance", "--images", disk.images, "--model", disk.smolvlm, "--report-to", "x",
                 "--out", tmp_path / "a")  # fmt: skip
    assert done.exit_code == 2 and "no tracker 'x'" in done.stderr
    assert not (tmp_path / "a").exists()
