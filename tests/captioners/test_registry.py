"""The one place that knows which captioners have a name, and what follows from a row in it."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from PIL import Image
from typer.testing import CliRunner

import vizer_core as vc
from vizer_core.captioners import registry
from vizer_core.captioners.registry import METHODS, Method, NoTrainedPartError, Parts, captioner_of
from vizer_core.cli import app
from vizer_core.cli.ignored import used_by
from vizer_core.shipped import shipped
from vizer_core.textonly.presets import TRAININGS


class Echo:
    """Says the first caption of its memory of every image."""

    name, reads_patches = "echo", False

    def __init__(self, memory):
        self.memory = memory

    def caption(self, images, *, generator):
        return [self.memory.texts[0] for _ in images]


@pytest.fixture
def echo():
    """Register a captioner for the length of a test."""
    row = Method(
        "echo",
        "says one thing",
        lambda given: Echo(given.memory()),
        memory=True,
        language_model=False,
    )
    registry.register(row)
    yield row
    del METHODS["echo"]


def test_a_registered_captioner_is_loaded_and_captions_by_command(echo, tmp_path):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.png")
    assert vc.load_captioner("echo", memory=["a cat"])(vc.read_images(tmp_path).images) == ["a cat"]
    words = ["caption", str(tmp_path), "--method", "echo", "--memory", "3"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and done.output.startswith("a.png\t"), done.output
    assert used_by("echo") == {"clip", "pretrained", "quick_gelu", "corpus", "memory"}
    wrong = CliRunner().invoke(app, [*words, "--beams", "3"])
    assert wrong.exit_code == 2 and "--beams is not used by --method echo" in wrong.output


def test_socratic_takes_its_words_from_the_memory(tmp_path):
    from vizer_lab.world.data import DrawnSplit

    images = [Image.fromarray(pixels) for pixels in DrawnSplit("second_test", 2).images]
    memory = ["a dog and a red boat on a lawn", "two dogs in the snow"]
    captioner = vc.load_captioner("socratic", memory=memory)
    lists = captioner.captioner.lists
    assert [found.words for found in lists] == [("dog", "boat"), ("on a lawn", "in the snow")]
    said = captioner(images)
    assert len(said) == 2 and all(said)
    images[0].save(tmp_path / "a.png")
    words = ["caption", str(tmp_path), "--method", "socratic", "--memory", "50", "--max-tokens"]
    done = CliRunner().invoke(app, [*words, "6", "--seed", "3"])
    assert done.exit_code == 0 and len(done.output.split("\t")[1].split()) <= 6, done.output


def test_a_name_is_given_once_and_an_unknown_one_is_refused(echo):
    with pytest.raises(ValueError, match="there is a captioner 'echo' already"):
        registry.register(echo)
    with pytest.raises(ValueError, match="no method 'poetry': wanted one of maccap, maccap_pass"):
        captioner_of("poetry", None, None, Parts())


def test_every_training_that_a_method_reads_is_there_and_each_is_read():
    assert {name for row in METHODS.values() for name in row.trainings} == set(TRAININGS)
    assert all(name == row.name and row.says for name, row in METHODS.items())


def test_the_shipped_part_is_for_its_own_models_only():
    clip = vc.load_clip("drawn-clip-avg")
    with pytest.raises(NoTrainedPartError, match=r"shipped one is for drawn-clip-50 and drawn-lm"):
        vc.load_captioner("capdec", clip=clip)
    lm = SimpleNamespace(fingerprint="0", name="another")
    with pytest.raises(NoTrainedPartError, match=r"train_captioner\('decap', out=FILE\)"):
        captioner_of("baseline", vc.load_clip(), lm, Parts())


def test_the_registry_is_read_without_torch():
    code = "import sys; from vizer_core.captioners.registry import METHODS; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "PIL"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("name", "training"),
    [("decap", "maccap"), ("baseline", "maccap"), ("capdec", "decap"), ("maccap_pass", "capdec")],
)
def test_a_trained_part_of_another_method_is_refused(name, training):
    parts = Parts(shipped("captioner", f"drawn-{training}")(), ["a cat", "a dog"], small=True)
    with pytest.raises(
        ValueError, match=f"safetensors was trained by .* {training}, and --method {name} w"
    ):
        captioner_of(name, vc.load_clip(), vc.load_lm(), parts)


def test_concepts_reads_the_trained_part_of_decap():
    file = shipped("captioner", "drawn-decap")()
    parts = Parts(file, ["a cat on a lawn", "a dog in the snow"], small=True)
    assert captioner_of("concepts", vc.load_clip(), vc.load_lm(), parts).name
