"""Commands that are killed in the middle and called again end as if nothing had happened."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file

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
    assert other.exit_code == 1 and "another run: reward differ" in other.output
    control = vizer(*words, "--shuffle")
    assert control.exit_code == 1 and "another run: source differ" in control.output


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
    assert len(list(cut.with_suffix(".states").glob("*.safetensors"))) == 2
    other = vizer(*words, "--out", cut, "--seed", 1)
    assert other.exit_code == 1 and "states of another job: seed differ" in other.output
    kill_after(shared_work, "save_tensors", 2)  # one shard is left: it is never reached
    finished(vizer, *words, "--out", cut)
    assert same(whole, cut) and not cut.with_suffix(".states").exists()


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
