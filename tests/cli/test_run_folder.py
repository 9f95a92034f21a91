"""The folder of a run that is not finished: whose it is, what is deleted, what Ctrl-C keeps."""

from __future__ import annotations

from shutil import copytree

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.cli.kills import Killed, finished, killed
from vizer_core import captioner_job, run_folder
from vizer_core import files as store
from vizer_core import vizer as vizer_package
from vizer_core.cli.named_images import NamedImages
from vizer_core.cli.phase_two import show_changes
from vizer_core.clip import PairedFeatures, extract
from vizer_core.files import load_manifest, write_json
from vizer_core.textonly import run_state
from vizer_core.textonly import train as text_only
from vizer_core.vizer import adapter_run, lora, text_states, train
from vizer_core.vlm import VisionBatch

RUN = ".vizer-run"
DONE = ["README.md", "adapter_config.json", "adapter_model.safetensors", "vizer.json"]


def names_in(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def asked(disk, tmp_path):
    """Return the command lines that keep a run, by the folder in which they keep it."""
    small = ["--images-per-step", 3, "--objective", "information"]
    m = tmp_path / "m.safetensors"
    return {
        f"pr/{RUN}": ["enhance", "--model", disk.smolvlm, "--images", disk.images, *small,
                      "--out", tmp_path / "pr"],
        "m.safetensors.states": ["fit-mapper", "--model", disk.smolvlm, "--images", disk.images,
                                 "--out", m],
        "m.safetensors.shards": ["features", disk.images, "--out", m],
        "m.safetensors.run": ["train-captioner", "--method", "capdec", "--corpus", disk.corpus,
                              "--epochs", 1, "--clip", disk.clip, "--language-model", disk.opt,
                              "--out", m],
    }  # fmt: skip


KEPT_IN = (f"pr/{RUN}", "m.safetensors.states", "m.safetensors.shards", "m.safetensors.run")


@pytest.mark.parametrize("name", ["precious.txt", "job.json", "run.safetensors", "shard-00000"])
@pytest.mark.parametrize("place", KEPT_IN)
def test_a_folder_that_no_command_made_is_refused_and_kept(place, name, vizer, asked, tmp_path):
    folder = tmp_path / place
    folder.mkdir(parents=True)
    (folder / name).write_text('{"mine": 1}')
    done = vizer(*asked[place])
    assert done.exit_code == 1 and f"{folder} is a folder that " in done.stderr
    assert done.stderr.splitlines()[-1].endswith(f"or move or delete {folder}")
    assert (folder / name).read_text() == '{"mine": 1}' and names_in(folder) == [name]


@pytest.mark.parametrize("place", KEPT_IN)
def test_a_file_in_the_place_of_a_run_is_refused(place, vizer, asked, tmp_path):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("mine")
    done = vizer(*asked[place])
    assert done.exit_code == 1 and "is a file, or a link to nothing, (" in done.stderr
    assert (tmp_path / place).read_text() == "mine"


def test_what_others_put_into_a_run_is_not_deleted(vizer, asked, tmp_path, kill_after):
    kill_after(adapter_run, "save_run", 1)
    words, folder = asked[f"pr/{RUN}"], tmp_path / "pr" / RUN
    killed(vizer, *words)
    (folder / "precious.txt").write_text("mine")
    (folder / "shard-00001.safetensors").mkdir()
    said = finished(vizer, *words).stderr
    assert names_in(folder) == ["precious.txt", "shard-00001.safetensors"]
    assert f"left {folder}: it contains what this run did not write (precious.txt" in said


def test_a_users_folders_and_files_in_out_are_not_touched(vizer, asked, disk, tmp_path):
    out = tmp_path / "pr"
    copytree(disk.images, out / "states")
    for name in ("job.json", "run.safetensors"):
        (out / name).write_text("[]")
    before = names_in(out)
    finished(vizer, *asked[f"pr/{RUN}"])
    assert names_in(out) == sorted([*before, *DONE])
    assert (out / "job.json").read_text() == "[]"


def test_images_are_not_read_where_a_command_writes(vizer, asked, disk, tmp_path):
    for place in KEPT_IN[:3]:
        inside = tmp_path / place / "images"
        copytree(disk.images, inside)
        words = [inside if word == disk.images else word for word in asked[place]]
        before = names_in(tmp_path)
        done = vizer(*words)
        assert done.exit_code == 2 and f"--images {inside} lies in " in done.stderr, place
        assert names_in(tmp_path) == before
    shown = ["enhance", "--model", disk.smolvlm, "--images"]
    copytree(disk.images, tmp_path / "pr" / "states")
    for images, out in (("pr/states", "pr"), ("pr", "pr"), ("pr", "pr/new")):
        done = vizer(*shown, tmp_path / images, "--out", tmp_path / out)
        assert done.exit_code == 2 and " lies in " in done.stderr, (images, out)


def test_no_adapter_is_written_into_a_model(vizer, disk, tmp_path):
    model = copytree(disk.smolvlm, tmp_path / "model")
    copytree(model, tmp_path / "other")
    before = names_in(tmp_path)
    for out, said in (("model", "a model (config.json)"), ("other", "a model (config.json)"),
                      ("model/new", "which this command reads")):  # fmt: skip
        done = vizer("enhance", "--model", model, "--images", disk.images, "--out",
                     tmp_path / out)  # fmt: skip
        assert done.exit_code == 2 and said in done.stderr, out
    assert names_in(tmp_path) == before


def same_adapter(one, two) -> bool:
    first, second = (load_file(path / "adapter_model.safetensors") for path in (one, two))
    return all(first[key].equal(second[key]) for key in first)


@pytest.mark.parametrize("manifest", [False, True])
def test_a_kill_while_the_adapter_is_written(manifest, vizer, asked, tmp_path, monkeypatch):
    words, out = asked[f"pr/{RUN}"], tmp_path / "pr"
    with monkeypatch.context() as patch:
        patch.setattr(*((run_folder, "remove_run") if manifest else (lora, "write_json")), stop)
        killed(vizer, *words)
    assert (out / "adapter_config.json").is_file() and (out / RUN / "run.safetensors").is_file()
    assert (out / "vizer.json").is_file() == manifest
    finished(vizer, *words)
    assert names_in(out) == DONE
    finished(vizer, *words[:-1], tmp_path / "whole")
    assert same_adapter(out, tmp_path / "whole")


def stop(*_, **__):
    """End as a kill does."""
    raise Killed


def test_a_kill_while_a_finished_run_is_cleaned_up(vizer, asked, tmp_path, monkeypatch):
    def write(path, value):
        write_json(path, value)
        if "finished" in value:
            raise Killed

    words = asked["m.safetensors.states"]
    with monkeypatch.context() as patch:
        patch.setattr(store, "write_json", write)
        killed(vizer, *words)
        killed(vizer, *asked[f"pr/{RUN}"])
    left = tmp_path / "m.safetensors.states"
    assert len(names_in(left)) == 3
    done = finished(vizer, *words, "--overwrite", "--seed", 1)
    assert not left.exists() and "another run" not in done.output
    done = vizer(*asked[f"pr/{RUN}"])
    assert done.exit_code == 2 and "contains an adapter already" in done.stderr


def test_a_users_adapter_is_not_replaced(vizer, asked, tmp_path):
    (tmp_path / "pr").mkdir()
    (tmp_path / "pr" / "vizer.json").write_text("mine")
    done = vizer(*asked[f"pr/{RUN}"])
    assert done.exit_code == 2 and done.stderr.endswith("delete its files first (vizer.json)\n")
    assert (tmp_path / "pr" / "vizer.json").read_text() == "mine"


def test_a_run_without_its_record_is_refused(vizer, asked, tmp_path, kill_after):
    kill_after(adapter_run, "save_run", 1)
    killed(vizer, *asked[f"pr/{RUN}"])
    (tmp_path / "pr" / RUN / "job.json").unlink()
    done = vizer(*asked[f"pr/{RUN}"])
    assert done.exit_code == 1 and "has no record of a run (job.json)" in done.stderr
    assert names_in(tmp_path / "pr" / RUN) == ["run.safetensors"]


def test_ctrl_c_in_a_step_keeps_the_steps_before_it(vizer, asked, tmp_path, monkeypatch):
    words = asked[f"pr/{RUN}"]
    with monkeypatch.context() as patch:
        patch.setattr(train, "clip_and_step", interrupted_at(4))
        done = vizer(*words)
    assert done.exit_code == 130
    again = "call the same again to go on"
    assert done.stderr.endswith(f"stopped after step 3 of 8: {again}\n")
    with monkeypatch.context() as patch:  # and before another step is whole
        patch.setattr(train, "clip_and_step", interrupted_at(1))
        assert f"stopped after step 3 of 8: {again}\n" in vizer(*words).stderr
    finished(vizer, *words)
    finished(vizer, *words[:-1], tmp_path / "whole")
    assert same_adapter(tmp_path / "pr", tmp_path / "whole")


def test_ctrl_c_in_a_captioners_step_keeps_the_steps_before_it(vizer, asked, tmp_path, monkeypatch):
    words = [*asked["m.safetensors.run"][:-1], tmp_path / "cut.safetensors", "--epochs", 5]
    step = text_only.apply_gradients
    calls: list[int] = []

    def half(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(text_only, "apply_gradients", half)
        done = vizer(*words)
    assert done.exit_code == 130
    assert done.stderr.endswith("stopped after step 3 of 5: call the same again to go on\n")
    said = finished(vizer, *words).stderr
    assert f"going on with {tmp_path / 'cut.safetensors.run'}" in said
    words[words.index(tmp_path / "cut.safetensors")] = tmp_path / "whole.safetensors"
    finished(vizer, *words)
    first, second = (load_file(tmp_path / f"{name}.safetensors") for name in ("cut", "whole"))
    assert all(first[key].equal(second[key]) for key in first)


def interrupted_at(call: int):
    """Return a `clip_and_step` that Ctrl-C stops half-way through, at one of its calls."""
    clip_and_step, calls = train.clip_and_step, []

    def half(run, step, *, loss):
        found = clip_and_step(run, step, loss=loss)
        calls.append(step)
        if len(calls) == call:
            raise KeyboardInterrupt
        return found

    return half


NOTHING = "stopped: nothing was saved yet, so the same call starts again\n"


@pytest.mark.parametrize("place", KEPT_IN)
def test_ctrl_c_before_anything_is_saved_says_so(place, vizer, asked, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        for module, name in (
            (train, "clip_and_step"),
            (text_states, "save_tensors"),
            (extract, "save_tensors"),
            (run_state, "save_tensors"),
        ):
            patch.setattr(module, name, interrupt)
        done = vizer(*asked[place])
    assert done.exit_code == 130 and done.stderr.endswith(NOTHING)
    said = finished(vizer, *asked[place]).stderr
    assert "a run was stopped here before it had saved a step: it starts again" in said


def interrupt(*_, **__):
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("place", KEPT_IN[1:])
def test_ctrl_c_after_something_is_saved_says_where_it_lies(
    place, vizer, asked, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        for module, name in (
            (vizer_package, "save_mapper"),
            (PairedFeatures, "save"),
            (captioner_job, "save_prefix_network"),
        ):
            patch.setattr(module, name, interrupt)
        done = vizer(*asked[place])
    assert done.exit_code == 130
    assert f"stopped: what was saved before lies in {tmp_path / place}: call the" in done.stderr
    finished(vizer, *asked[place])
    assert not (tmp_path / place).exists()


@pytest.mark.parametrize("command", ["enhance", "fit-mapper"])
def test_an_image_that_the_model_refuses_is_named_before_anything_is_done(
    command, vizer, disk, tmp_path
):
    copytree(disk.images, tmp_path / "images")
    for name in ("strip.png", "column.png"):
        size = (402, 2) if name == "strip.png" else (2, 600)
        Image.new("RGB", size).save(tmp_path / "images" / name)
    words = [command, "--model", disk.qwen, "--images", tmp_path / "images", "--out"]
    done = vizer(*words, tmp_path / "new.safetensors")
    assert done.exit_code == 1, done.output
    assert done.stderr.splitlines()[-1].startswith(
        "error: the model refuses column.png, strip.png: absolute aspect ratio must be smaller"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


class Picky:
    """A model that refuses images of one size, in company too."""

    def encode_image(self, images):
        if any(image.size == (5, 5) for image in images):
            raise ValueError("five is odd")
        blank = torch.zeros(len(images), 2)
        return VisionBatch(blank, tuple(blank[:, None]), torch.ones(len(images), 3).long())


def test_an_error_in_a_batch_says_whose_it_is():
    images = [Image.new("RGB", (side, side)) for side in (4, 5, 6)]
    source = NamedImages(Picky(), images, ["a.png", "caf\udce9.png", "c.png"])
    assert source.select([0, 2]).index.tolist() == [0, 2] and len(source.first(2)) == 2
    with pytest.raises(ValueError, match=r"refuses caf\\udce9.png: five is odd. Leave it out"):
        source.select([0, 1, 2])


def test_names_that_are_no_utf8(vizer, disk, tmp_path):
    folder, odd = tmp_path / "images", "caf\udce9"
    copytree(disk.images, folder)
    (folder / "photo 00.jpg").rename(folder / f"{odd}.jpg")
    (folder / f"{odd}.png").write_bytes(b"no image")
    out = tmp_path / "f.safetensors"
    finished(vizer, "features", folder, "--out", out)
    assert PairedFeatures.load(out).ids[0] == "caf\\udce9.jpg"
    said = load_manifest(out)["skipped"]
    assert [one["id"] for one in said] == ["caf\\udce9.png"]
    words = ["--model", disk.smolvlm, "--images", folder, "--out"]
    finished(vizer, "fit-mapper", *words, tmp_path / "m.safetensors")
    done = finished(vizer, "enhance", *words, tmp_path / "a", "--objective", "information")
    assert "captions before and after:" in done.stdout


def test_the_end_says_how_far_the_model_is_and_shows_captions(vizer, disk, tmp_path):
    words = ["enhance", "--model", disk.smolvlm, "--images", disk.images, "--objective"]
    words += ["information", "--images-per-step", 32, "--learning-rate", 0.3, "--out"]
    done = finished(vizer, *words, tmp_path / "a")
    assert "warning: 24 images are few and teach little" in done.stderr
    lines = done.stdout.splitlines()
    (told,) = [line for line in lines if "captions changed" in line]
    kl = float(told.partition("KL from the base ")[2].partition(";")[0])
    assert kl > 0, "one step: what it measured is from before it"
    index = lines.index("captions before and after:")
    shown = lines[index + 1 :]
    assert len(shown) == 3 and all(
        line.startswith("  photo ") and "  ->  " in line for line in shown
    )


def test_captions_that_changed_are_shown_first(capsys):
    names = [f"{index}.png" for index in range(5)]
    show_changes(names, ["a", "b", "c", "d\nd", "e"], ["a", "b", "c", "x\ny", "e"])
    assert capsys.readouterr().out == (
        "captions before and after:\n  0.png: a  ->  (the same)\n  1.png: b  ->  (the same)\n"
        "  3.png: d d  ->  x y\n"
    )
