"""Commands that are killed in the middle and called again end as if nothing had happened."""

from __future__ import annotations

import pytest
from PIL import Image
from safetensors.torch import load_file

from tests.cli.checkpoints import save_clip, save_opt
from tests.cli.kills import Killed, finished, killed
from vizer_core.clip import extract
from vizer_core.textonly import run_state
from vizer_core.vizer import adapter_run, phase_two, text_states, train


def same(one, two) -> bool:
    first, second = load_file(one), load_file(two)
    return first.keys() == second.keys() and all(first[k].equal(second[k]) for k in first)


@pytest.mark.parametrize("objective", ["read_back", "information"])
def test_enhance_goes_on(objective, vizer, disk, tmp_path, kill_after):
    words = ["enhance", "--images", disk.images, "--model", disk.smolvlm, "--images-per-step", 3]
    words += ["--objective", objective]
    finished(vizer, *words, "--out", tmp_path / "whole")
    kill_after(adapter_run, "save_run", 1)
    killed(vizer, *words, "--out", tmp_path / "cut")
    left = tmp_path / "cut"
    assert [path.name for path in left.iterdir()] == [".vizer-run"]
    assert (left / ".vizer-run" / "run.safetensors").is_file()
    assert any((left / ".vizer-run").glob("shard-*")) == (objective == "read_back")
    finished(vizer, *words, "--out", left)
    assert same(*(tmp_path / n / "adapter_model.safetensors" for n in ("whole", "cut")))
    assert sorted(path.name for path in left.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "vizer.json",
    ]  # fmt: skip


def test_a_run_does_not_go_on_with_another_weight(vizer, disk, tmp_path, kill_after):
    words = ["enhance", "--images", disk.images, "--model", disk.smolvlm, "--images-per-step", 3]
    words += ["--objective", "information", "--out", tmp_path / "cut"]
    kill_after(adapter_run, "save_run", 1)
    killed(vizer, *words)
    other = vizer(*words, "--information-weight", 0.5)
    assert other.exit_code == 1 and "another run (weight: 0.7 then, 0.5 now)" in other.output
    control = vizer(*words, "--shuffle")
    assert (
        control.exit_code == 1 and "another run (shuffle: False then, True now)" in control.output
    )


def other_images(folder, disk):
    """Images of the same names as `disk.images`, with other content."""
    folder.mkdir()
    for number, path in enumerate(sorted(disk.images.iterdir())):
        Image.new("RGB", (36, 36), (number * 7 % 256, 90, 30)).save(folder / path.name)
    return folder


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (["--shuffle"], "shuffle: False then, True now"),
        (["--seed", 5], "seed: 0 then, 5 now"),
        (["--learning-rate", 1e-3], "learning_rate: 0.0005 then, 0.001 now"),
        (["--images-per-step", 4], "images_per_step: 3 then, 4 now"),
        (["--objective", "read_back"], "objective: 'information' then, 'read_back' now"),
        (["--model", "{qwen}"], "model: '"),
        (["--images", "{other}"], "images: '"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_enhance_does_not_go_on_as_another_job(change, differs, vizer, disk, tmp_path, kill_after):
    words = ["enhance", "--model", disk.smolvlm, "--images-per-step", 3]
    words += ["--images", disk.images, "--objective", "information", "--out", tmp_path / "cut"]
    kill_after(adapter_run, "save_run", 1)
    killed(vizer, *words)
    other = vizer(*words, *filled(change, disk, tmp_path))
    assert other.exit_code == 1 and differs in said_of_another_run(other)
    finished(vizer, *words)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (["--seed", 5], "seed: 0 then, 5 now"),
        (["--objective", "image_context"], "objective: 'read_back' then, 'image_context' now"),
        (["--model", "{qwen}"], "model: '"),
        (["--images", "{other}"], "images: '"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_fit_mapper_does_not_go_on_as_another_job(
    change, differs, vizer, disk, tmp_path, kill_after
):
    words = ["fit-mapper", "--model", disk.smolvlm, "--images", disk.images]
    words += ["--out", tmp_path / "m.safetensors"]
    kill_after(phase_two, "fit_mapper", 1)
    killed(vizer, *words)
    other = vizer(*words, *filled(change, disk, tmp_path))
    assert other.exit_code == 1 and differs in said_of_another_run(other)
    assert not (tmp_path / "m.safetensors").exists()
    finished(vizer, *words)


def test_a_run_that_had_saved_nothing_says_that_it_starts_again(
    vizer, disk, tmp_path, kill_after, monkeypatch
):
    words = ["enhance", "--model", disk.smolvlm, "--images", disk.images]
    words += ["--objective", "information", "--out", tmp_path / "cut"]
    with monkeypatch.context() as patch:
        patch.setattr(train, "clip_and_step", stop)
        killed(vizer, *words)
    assert [path.name for path in (tmp_path / "cut" / ".vizer-run").iterdir()] == ["job.json"]
    done = finished(vizer, *words)
    assert "cut: a run was stopped here before it had saved a step: it starts again" in done.stderr


def stop(*_, **__):
    """End as a kill does."""
    raise Killed


def filled(change, disk, folder):
    """Put a model, or other images, in the place of {qwen} and {other}."""
    if "{other}" in change:
        return [change[0], other_images(folder / "other", disk)]
    return [str(word).format(qwen=disk.qwen) for word in change]


def said_of_another_run(done) -> str:
    """Return what is said to differ from the run that lies there."""
    return done.stderr.splitlines()[-1].partition("belongs to another run (")[2]


@pytest.mark.parametrize("objective", ["read_back", "information"])
def test_less_memory_is_the_same_adapter(objective, vizer, disk, tmp_path):
    import torch

    words = ["enhance", "--images", disk.images, "--model", disk.smolvlm]
    words += ["--objective", objective]
    finished(vizer, *words, "--out", tmp_path / "whole")
    less = ["--micro-batch-size", 5, "--recompute"]
    finished(vizer, *words, *less, "--out", tmp_path / "pieces")
    one, two = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("whole", "pieces"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5)


def test_fit_mapper_goes_on(vizer, disk, tmp_path, kill_after, monkeypatch):
    monkeypatch.setattr(phase_two, "SHARD", 8)
    words = ["fit-mapper", "--images", disk.images, "--model", disk.smolvlm]
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    finished(vizer, *words, "--out", whole)
    kill_after(text_states, "save_tensors", 2)
    killed(vizer, *words, "--out", cut)
    assert len(list(cut.with_name("cut.safetensors.states").glob("*.safetensors"))) == 2
    other = vizer(*words, "--out", cut, "--seed", 1)
    assert other.exit_code == 1 and "another run (seed: " in other.output
    kill_after(text_states, "save_tensors", 2)  # one shard is left: it is never reached
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
    left = cut.with_name("cut.safetensors.run")
    assert {"job.json", "state.safetensors"} < {path.name for path in left.iterdir()}
    done = finished(vizer, *words, "--out", cut)
    assert f"going on with {left}" in done.stderr
    assert same(whole, cut) and not left.exists()


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (["--corpus", "{other}"], "corpus: '6 captions, "),
        (["--captions", 5], "corpus: '6 captions, "),
        (["--method", "capdec_same_decoder"], "method: 'capdec' then, 'capdec_same_decoder' now"),
        (["--variance", 0.02], "variance: 0.016 then, 0.02 now"),
        (["--epochs", 5], "epochs: 4 then, 5 now"),
        (["--seed", 1], "seed: 0 then, 1 now"),
        (["--dtype", "bfloat16"], "dtype: 'float32' then, 'bfloat16' now"),
        (["--clip", "{clip}"], "clip: '"),
        (["--language-model", "{opt}"], "language_model: '"),
    ],
)
def test_train_captioner_does_not_go_on_as_another_job(
    change, differs, vizer, disk, tmp_path, kill_after, monkeypatch
):
    monkeypatch.setattr(run_state.Checkpoint, "is_due", lambda self, done, total: True)
    out = tmp_path / "cut.safetensors"
    words = ["train-captioner", "--method", "capdec", "--corpus", disk.corpus, "--epochs", 4]
    words += ["--clip", disk.clip, "--language-model", disk.opt, "--out", out]
    kill_after(run_state, "save_tensors", 2)
    killed(vizer, *words)
    named = {"other": other_corpus, "clip": save_clip_of_another_seed, "opt": save_shorter_opt}
    asked = [
        named[word[1:-1]](disk, tmp_path) if str(word).startswith("{") else word for word in change
    ]
    other = vizer(*words, *asked)
    said = other.stderr.splitlines()[-1]
    assert (
        other.exit_code == 1
        and said.startswith(f"error: {out}.run belongs to another run (")
        and differs in said
    )
    assert not out.exists()
    finished(vizer, *words)


def other_corpus(disk, folder):
    """Write as many captions, of which one word is another."""
    (folder / "other.txt").write_text(disk.corpus.read_text().replace("red", "blue"))
    return folder / "other.txt"


def save_clip_of_another_seed(disk, folder):
    """Write a CLIP with other weights."""
    return save_clip(folder / "clip", seed=1)


def save_shorter_opt(disk, folder):
    """Write an OPT that reads shorter texts."""
    return save_opt(folder / "opt", positions=96)


def test_captioners_beside_each_other_have_states_of_their_own(vizer, disk, tmp_path, kill_after):
    words = ["train-captioner", "--method", "capdec", "--corpus", disk.corpus, "--epochs", 1]
    words += ["--clip", disk.clip, "--language-model", disk.opt, "--out"]
    for seed, name in enumerate(("a.v1.safetensors", "a.v2.safetensors")):
        kill_after(run_state, "save_tensors", 1)
        killed(vizer, *words, tmp_path / name, "--seed", seed)
    for seed, name in enumerate(("a.v1.safetensors", "a.v2.safetensors")):
        assert "going on" in finished(vizer, *words, tmp_path / name, "--seed", seed).stderr


def test_extract_goes_on(disk, tmp_path, kill_after):
    from vizer_core.clip import ExtractConfig, OpenClipEncoder, encode_records, load_features
    from vizer_core.data import read_folder

    records, config = read_folder(disk.images, disk.captions), ExtractConfig(shard_size=8)
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


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ("images", "data was"),
        ("captions", "data was"),
        ("model", "fingerprint was"),
        ("shard_size", "shard_size was"),
        ("regions", "regions was"),
    ],
)
def test_extract_does_not_go_on_as_another_job(change, differs, disk, tmp_path, kill_after):
    from dataclasses import replace

    from vizer_core.clip import ExtractConfig, OpenClipEncoder, encode_records
    from vizer_core.data import read_folder

    records, config = read_folder(disk.images, disk.captions), ExtractConfig(shard_size=8)
    encoder = OpenClipEncoder.from_folder(disk.clip)
    kill_after(extract, "save_tensors", 2)
    with pytest.raises(Killed):
        encode_records(records, encoder, out_dir=tmp_path / "cut", config=config)
    if change == "images":
        records = read_folder(other_images(tmp_path / "other", disk), disk.captions)
    elif change == "captions":
        records = [replace(record, captions=("a red bird",)) for record in records]
    elif change == "model":
        encoder = OpenClipEncoder.from_folder(save_clip(tmp_path / "clip", seed=1))
    else:
        config = replace(config, **{change: 4})
    with pytest.raises(ValueError, match=f"belongs to another job: .*{differs}"):
        encode_records(records, encoder, out_dir=tmp_path / "cut", config=config)


def test_a_step_that_cannot_fit_is_refused_before_anything_is_trained(
    vizer, disk, tmp_path, monkeypatch
):
    from vizer_core import hub_errors as hub

    monkeypatch.setattr(hub, "require_memory", lambda *_, **__: None)
    monkeypatch.setattr(hub, "free_bytes", lambda device: 2_000_000)
    done = vizer("enhance", "--images", disk.images, "--model", disk.smolvlm,
                 "--objective", "information", "--out", tmp_path / "adapter")  # fmt: skip
    assert done.exit_code == 1 and not (tmp_path / "adapter").exists()
    assert "a step of 32 images with 4 captions each needs about" in done.stderr
