"""Commands that are killed in the middle and called again end as if nothing had happened."""

from __future__ import annotations

import pytest
from PIL import Image
from safetensors.torch import load_file

from vizer_core import vizer as vizer_package
from vizer_core.clip import extract
from vizer_core.textonly import run_state
from vizer_core.vizer import adapter_run, shared_work


class Killed(BaseException):
    """What a kill looks like from inside: no handler of the package may catch it."""


@pytest.fixture
def kill_after(monkeypatch):
    """Return a function that lets `module.name` write so many times and then kills the process."""

    def arm(module, name: str, writes: int) -> None:
        write, done = getattr(module, name), []

        def killing(*arguments, **options):
            write(*arguments, **options)
            done.append(1)
            if len(done) == writes:
                monkeypatch.setattr(module, name, write)
                raise Killed

        monkeypatch.setattr(module, name, killing)

    return arm


def killed(vizer, *words) -> None:
    """Run a command that must not come to its end."""
    with pytest.raises(Killed):
        vizer(*words)


def finished(vizer, *words):
    done = vizer(*words)
    assert done.exit_code == 0, done.output
    return done


def same(one, two) -> bool:
    first, second = load_file(one), load_file(two)
    return first.keys() == second.keys() and all(first[k].equal(second[k]) for k in first)


@pytest.mark.parametrize("objective", ["read_back", "information"])
def test_enhance_goes_on(objective, vizer, disk, tmp_path, kill_after):
    words = ["enhance", "--images", disk.pictures, "--model", disk.smolvlm, "--images-per-step", 3]
    words += ["--objective", objective]
    finished(vizer, *words, "--out", tmp_path / "whole")
    kill_after(adapter_run, "save_run", 1)
    killed(vizer, *words, "--out", tmp_path / "cut")
    left = tmp_path / "cut"
    assert (left / "run.safetensors").is_file()
    assert (left / "states").is_dir() == (objective == "read_back")
    finished(vizer, *words, "--out", left)
    assert same(*(tmp_path / n / "adapter_model.safetensors" for n in ("whole", "cut")))
    assert sorted(path.name for path in left.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "vizer.json",
    ]  # fmt: skip


def test_a_run_does_not_go_on_with_another_weight(vizer, disk, tmp_path, kill_after):
    words = ["enhance", "--images", disk.pictures, "--model", disk.smolvlm, "--images-per-step", 3]
    words += ["--objective", "information", "--out", tmp_path / "cut"]
    kill_after(adapter_run, "save_run", 1)
    killed(vizer, *words)
    other = vizer(*words, "--information-weight", 0.5)
    assert other.exit_code == 1 and "another run (weight: 0.7 then, 0.5 now)" in other.output
    control = vizer(*words, "--shuffle")
    assert (
        control.exit_code == 1 and "another run (shuffle: False then, True now)" in control.output
    )


def other_pictures(folder, disk):
    """Images of the same names as `disk.pictures`, with other content."""
    folder.mkdir()
    for number, path in enumerate(sorted(disk.pictures.iterdir())):
        Image.new("RGB", (36, 36), (number * 7 % 256, 90, 30)).save(folder / path.name)
    return folder


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (["--shuffle"], "shuffle: False then, True now"),
        (["--seed", 5], "seed: 0 then, 5 now"),
        (["--learning-rate", 1e-3], "learning_rate: 0.0005 then, 0.001 now"),
        (None, "images: "),
    ],
)
def test_enhance_does_not_go_on_as_another_job(change, differs, vizer, disk, tmp_path, kill_after):
    words = ["enhance", "--model", disk.smolvlm, "--images-per-step", 3]
    words += ["--objective", "information", "--out", tmp_path / "cut"]
    kill_after(adapter_run, "save_run", 1)
    killed(vizer, *words, "--images", disk.pictures)
    there = disk.pictures if change else other_pictures(tmp_path / "other", disk)
    other = vizer(*words, "--images", there, *(change or []))
    assert other.exit_code == 1 and f"another run ({differs}" in other.output
    finished(vizer, *words, "--images", disk.pictures)


def test_states_of_other_images_of_the_same_names_are_not_reused(vizer, disk, tmp_path, kill_after):
    words = ["fit-mapper", "--model", disk.smolvlm, "--out", tmp_path / "m.safetensors"]
    kill_after(vizer_package, "fit_mapper", 1)
    killed(vizer, *words, "--images", disk.pictures)
    other = vizer(*words, "--images", other_pictures(tmp_path / "other", disk))
    assert other.exit_code == 1 and "another run (images: " in other.output


@pytest.mark.parametrize("objective", ["read_back", "information"])
def test_less_memory_is_the_same_adapter(objective, vizer, disk, tmp_path):
    import torch

    words = ["enhance", "--images", disk.pictures, "--model", disk.smolvlm]
    words += ["--objective", objective]
    finished(vizer, *words, "--out", tmp_path / "whole")
    less = ["--images-at-once", 5, "--recompute"]
    finished(vizer, *words, *less, "--out", tmp_path / "pieces")
    one, two = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("whole", "pieces"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5)


def test_fit_mapper_goes_on(vizer, disk, tmp_path, kill_after, monkeypatch):
    monkeypatch.setattr(shared_work, "SHARD", 8)
    words = ["fit-mapper", "--images", disk.pictures, "--model", disk.smolvlm]
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    finished(vizer, *words, "--out", whole)
    kill_after(shared_work, "save_tensors", 2)
    killed(vizer, *words, "--out", cut)
    assert len(list(cut.with_name("cut.safetensors.states").glob("*.safetensors"))) == 2
    other = vizer(*words, "--out", cut, "--seed", 1)
    assert other.exit_code == 1 and "another run (seed: " in other.output
    kill_after(shared_work, "save_tensors", 2)  # one shard is left: it is never reached
    finished(vizer, *words, "--out", cut)
    assert same(whole, cut) and not cut.with_name("cut.safetensors.states").exists()


def test_train_captioner_goes_on(vizer, disk, tmp_path, kill_after, monkeypatch):
    monkeypatch.setattr(run_state.Checkpoint, "is_due", lambda self, done, total: True)
    words = ["train-captioner", "--method", "capdec", "--corpus", disk.corpus, "--epochs", 4]
    words += ["--clip", disk.clip, "--language-model", disk.opt]
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    finished(vizer, *words, "--out", whole)
    kill_after(run_state, "save_tensors", 2)
    killed(vizer, *words, "--out", cut)
    assert cut.with_suffix(".run.safetensors").is_file()
    finished(vizer, *words, "--out", cut)
    assert same(whole, cut) and not cut.with_suffix(".run.safetensors").exists()


def test_extract_goes_on(disk, tmp_path, kill_after):
    from vizer_core.clip import ExtractConfig, OpenClipEncoder, encode_records, load_features
    from vizer_core.data import read_folder

    records, config = read_folder(disk.pictures, disk.captions), ExtractConfig(shard_size=8)
    encoder = OpenClipEncoder.from_folder(disk.clip)
    encode_records(records, encoder, out_dir=tmp_path / "whole", config=config)
    kill_after(extract, "save_tensors", 2)
    with pytest.raises(Killed):
        encode_records(records, encoder, out_dir=tmp_path / "cut", config=config)
    report = encode_records(records, encoder, out_dir=tmp_path / "cut", config=config)
    assert (report.computed_shards, report.reused_shards) == (1, 2)
    whole, cut = (load_features(tmp_path / name) for name in ("whole", "cut"))
    assert whole.image_features.equal(cut.image_features)
    assert whole.text_features.equal(cut.text_features)


def test_a_step_that_cannot_fit_is_refused_before_anything_is_trained(
    vizer, disk, tmp_path, monkeypatch
):
    from vizer_core import hub

    monkeypatch.setattr(hub, "require_memory", lambda *_, **__: None)
    monkeypatch.setattr(hub, "free_bytes", lambda device: 2_000_000)
    done = vizer("enhance", "--images", disk.pictures, "--model", disk.smolvlm,
                 "--out", tmp_path / "adapter")  # fmt: skip
    assert done.exit_code == 1 and not (tmp_path / "adapter").exists()
    assert "a step of 32 images with 4 captions each needs about" in done.stderr
