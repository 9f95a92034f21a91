"""`vizer evaluate` with images and a CLIP, and with metrics of the user's own."""

from __future__ import annotations

import errno
import json
import os
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from vizer_core.cli import app
from vizer_core.cli.app import show_and_write
from vizer_core.data.coco import write_results
from vizer_core.evaluation import Inputs, evaluate
from vizer_core.metrics.clipscore import clipscores, refclipscores
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo import load_drawn_clip

N = 6
NAMES = [f"COCO_val2014_{i:012d}.png" for i in range(1, N + 1)]
CLIP = ("--images", "images", "--clip", "drawn")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Six drawn scenes under COCO's names, references by number, one caption each."""
    monkeypatch.chdir(tmp_path)
    data = DrawnSplit("second_test", N)
    (tmp_path / "images").mkdir()
    rows = []
    for i, (pixels, captions) in enumerate(zip(data.images, data.captions)):
        Image.fromarray(pixels).save(tmp_path / "images" / NAMES[i])
        rows += [{"image_id": i + 1, "caption": text} for text in captions[1:]]
    (tmp_path / "refs.json").write_text(json.dumps({"annotations": rows}))
    write_results(tmp_path / "r.json", {NAMES[i]: c[0] for i, c in enumerate(data.captions)})
    return data


def vizer(*arguments, command="evaluate"):
    words = [command, "--captions", "r.json", "--references", "refs.json", *map(str, arguments)]
    return CliRunner().invoke(app, words)


def scores_of(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    ("options", "prefix", "signed"),
    [((), "", "prefix:none"), (("--clip-prefix", "a picture of "), "a picture of ", "a picture")],
)
def test_clipscore_is_that_of_the_features(options, prefix, signed, files, tmp_path):
    done = vizer(*CLIP, *options, "--metrics", "clipscore,refclipscore", "--json", "s.json")
    assert done.exit_code == 0, done.output
    written = scores_of(tmp_path / "s.json")
    encoder = load_drawn_clip()
    images = encoder.encode_image([Image.fromarray(pixels) for pixels in files.images])
    texts = encoder.encode_text([prefix + captions[0] for captions in files.captions])
    every = encoder.encode_text([prefix + c for captions in files.captions for c in captions[1:]])
    image_of = [i for i, captions in enumerate(files.captions) for _ in captions[1:]]
    expected = {
        "clipscore": clipscores(images, texts),
        "refclipscore": refclipscores(images, texts, every, image_of=torch.tensor(image_of)),
    }
    for name, values in expected.items():
        assert written["scores"][name]["mean"] == pytest.approx(float(values.mean()), abs=1e-5)
        assert signed in written["signatures"][name]


def test_auto_with_images_adds_what_clip_can_tell(files, tmp_path):
    done = vizer(*CLIP, "--json", "s.json", "--missing", "skip", "--metrics", "auto")
    assert done.exit_code == 0, done.output
    assert {"bleu4", "clipscore", "self_retrieval_r1"} <= scores_of(tmp_path / "s.json")[
        "scores"
    ].keys()


def test_compare_scores_both_systems_by_clip(files, tmp_path):
    shuffled = {NAMES[i]: files.captions[i - 1][0] for i in range(N)}
    write_results(tmp_path / "other.json", shuffled)
    done = vizer(*CLIP, "--against", "other.json", "--metrics", "clipscore", "--json", "d.json",
                 command="compare")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert scores_of(tmp_path / "d.json")["differences"]["clipscore"]["mean"] > 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--metrics", "clipscore"], 2, "clipscore wants --images FOLDER and --clip NAME"),
        (["--clip", "drawn"], 2, "of no use without --images"),
        (["--clip-prefix", ""], 2, "of no use without --images"),
        (["--images", "images"], 2, "--images wants --clip NAME"),
        ([*CLIP, "--metrics", "bleu"], 2, "need no --images"),
        (["--images", "none", "--clip", "drawn"], 1, "no folder none"),
        (["--images", "other", "--clip", "drawn"], 1, "6 of 6 images are not in other"),
        (["--images", "cut", "--clip", "drawn"], 1, "1 of 6 images cannot be read"),
        (["--metric-function", "words"], 2, "wanted module:function"),
        (["--metric-function", "no_such_module_here:f"], 2, "No module named"),
        (["--metric-function", "json:nothing"], 2, "json has no function nothing"),
        (
            ["--metric-function", "json:dumps", "--metric-function", "json:dumps"],
            2,
            "two functions",
        ),
    ],
)
def test_wrong_use_is_named(files, tmp_path, arguments, status, message):
    (tmp_path / "other").mkdir()
    (tmp_path / "cut").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "other" / "a.png")
    for name in NAMES:
        (tmp_path / "cut" / name).write_bytes((tmp_path / "images" / name).read_bytes())
    (tmp_path / "cut" / NAMES[2]).write_bytes(b"")
    done = vizer(*arguments)
    assert (done.exit_code, "Traceback" in done.output) == (status, False), done.output
    assert message in " ".join(done.output.replace("│", " ").split())


def test_a_function_of_the_users_own_is_a_metric_with_an_interval(files, tmp_path):
    (tmp_path / "own_words.py").write_text(
        "def share_of_a(captions, references):\n"
        "    assert len(references) == len(captions) and len(references[0]) > 1\n"
        "    return [text.split().count('a') / len(text.split()) for text in captions]\n"
    )
    done = vizer("--metrics", "length", "--metric-function", "own_words:share_of_a",
                 "--json", "s.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    written = scores_of(tmp_path / "s.json")
    texts = [captions[0].split() for captions in files.captions]
    wanted = np.mean([words.count("a") / len(words) for words in texts])
    found = written["scores"]["share_of_a"]
    assert found["mean"] == pytest.approx(wanted) and found["low"] <= wanted <= found["high"]
    assert "function:own_words:share_of_a" in written["signatures"]["share_of_a"]


OTHERS = ["--against", "r.json"]


@pytest.mark.parametrize(("command", "more"), [("evaluate", []), ("compare", OTHERS)])
@pytest.mark.parametrize(
    ("arguments", "out"),
    [
        ([*CLIP], f"images/{NAMES[0]}"),
        (["--images", "images", "--clip", "clip2"], "clip2/open_clip_config.json"),
        (["--images", "images", "--clip", "ViT-B-32", "--pretrained", "w.pt"], "w.pt"),
        (["--metric-function", "kept_words:score"], "kept_words.py"),
        (["--metric-function", "kept_box.words:score"], "kept_box/words.py"),
        (["--metric-function", "kept_box.words:score"], "kept_box/__init__.py"),
    ],
)
def test_no_input_is_replaced(command, more, arguments, out, files, tmp_path, monkeypatch):
    for folder in ("clip2", "kept_box"):
        (tmp_path / folder).mkdir()
    for name in ("clip2/open_clip_config.json", "w.pt", "kept_box/__init__.py"):
        (tmp_path / name).write_text("")
    for name in ("kept_words", "kept_box", "kept_box.words"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("kept_words.py", "kept_box/words.py"):
        (tmp_path / name).write_text(
            "def score(captions, references):\n    return [1.0, 0.0] * 3\n"
        )
    before = (tmp_path / out).read_bytes()
    done = vizer(*arguments, *more, "--json", out, "--overwrite", command=command)
    assert done.exit_code == 2, done.output
    assert f"--json {out} is read by this command" in " ".join(done.output.split())
    assert (tmp_path / out).read_bytes() == before


def full(path, content):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("evaluate --captions r.json --references refs.json --metrics length", "length"),
        (
            "compare --captions r.json --references refs.json --metrics length --against r.json",
            "length",
        ),
        ("gap --features pairs.npy", "pair cosine"),
    ],
    ids=lambda words: words.split()[0],
)
def test_a_full_disk_costs_no_result(words, shown, files, tmp_path, monkeypatch):
    pairs = np.random.default_rng(0).standard_normal((2, 12, 4)).astype("float32")
    np.save("pairs.npy", pairs / np.linalg.norm(pairs, axis=-1, keepdims=True))
    monkeypatch.setattr("vizer_core.files.write_json", full)
    done = CliRunner().invoke(app, [*words.split(), "--json", "s.json"])
    assert done.exit_code == 1 and shown in done.stdout, done.output
    assert "s.json cannot be written: No space left on device. Make room and call" in done.stderr
    assert "is kept" not in done.stderr


def test_a_reader_that_went_away_costs_no_file(tmp_path, monkeypatch):
    def gone(text, **_):
        raise BrokenPipeError

    monkeypatch.setattr("typer.echo", gone)
    with pytest.raises(BrokenPipeError):
        show_and_write("a table", tmp_path / "s.json", {"a": 1})
    assert scores_of(tmp_path / "s.json") == {"a": 1}


REFERENCES = {7: ["a cat", "the cat"], 8: ["a dog"]}
CAPTIONS = {7: "a cat", 8: "a dog"}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda captions, references: [1.0], r"gave shape \(1,\), wanted 2 finite scores"),
        (lambda captions, references: [1.0, float("nan")], "gave NaN or inf, wanted 2 finite"),
        (lambda captions, references: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_function_that_fails_costs_the_others_nothing(function, message):
    inputs = Inputs(functions={"mine": function})
    result = evaluate(CAPTIONS, REFERENCES, metrics=["length"], inputs=inputs)
    assert list(result.scores) == ["length"]
    assert re.search(message, result.failed["mine"])


def test_a_function_cannot_take_a_metrics_name():
    inputs = Inputs(functions={"bleu4": lambda captions, references: [1.0, 1.0]})
    with pytest.raises(ValueError, match="your own is called 'bleu4', as a metric here is"):
        evaluate(CAPTIONS, REFERENCES, metrics=["length"], inputs=inputs)
