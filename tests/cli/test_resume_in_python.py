"""`vc.train_captioner` and `vc.enhance`: stopped and called again, they go on or they refuse."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

import vizer_core as vc
from tests.cli.kills import Killed
from tests.cli.test_resume import other_images, same
from vizer_core import adapter_job, captioner_job
from vizer_core.adapter_job import settings_in
from vizer_core.run_folder import Stopped
from vizer_core.textonly import run_state
from vizer_core.textonly import train as text_only
from vizer_core.vizer import InformationReward, adapter_run
from vizer_core.vizer.lora import has_lora
from vizer_core.vizer.rewards import LengthWindow

CAPTIONS = ["a cat", "a dog on a mat", "a red box", "two birds", "a blue ball", "a man in a hat"]
FILE = "captioner.safetensors"


@pytest.fixture
def train(disk, monkeypatch):
    """Return `train_captioner` with small models, and a save after each of its six steps."""
    monkeypatch.setattr(run_state.Checkpoint, "is_due", lambda self, done, total: True)
    models = {"clip": vc.load_clip(str(disk.clip)), "lm": vc.load_lm(str(disk.opt))}

    def call(out, **changed):
        asked = {"method": "capdec", "corpus": CAPTIONS, "epochs": 6, **models, **changed}
        return vc.train_captioner(asked.pop("method"), out=out, **asked)

    return call


@pytest.fixture
def cut(train, tmp_path, kill_after):
    """Return the folder of a captioner whose training was killed after its second step."""
    kill_after(run_state, "save_tensors", 2)
    with pytest.raises(Killed):
        train(tmp_path / "cut")
    assert (tmp_path / "cut" / f"{FILE}.run" / "state.safetensors").is_file()
    return tmp_path / "cut"


def test_train_captioner_goes_on(train, cut, tmp_path, caplog, monkeypatch):
    train(tmp_path / "whole")
    steps, step = [], text_only.apply_gradients
    monkeypatch.setattr(
        text_only, "apply_gradients", lambda *given: (steps.append(1), step(*given))[1]
    )
    with caplog.at_level(logging.INFO):
        made = train(cut)
    assert len(steps) == 4 and f"going on with {cut / FILE}.run" in caplog.text
    assert same(tmp_path / "whole" / FILE, cut / FILE) and made.name == "capdec"
    assert sorted(path.name for path in cut.iterdir()) == [FILE, f"{FILE}.json"]


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"seed": 5}, "seed: 0 then, 5 now"),
        ({"epochs": 7}, "epochs: 6 then, 7 now"),
        ({"method": "decap"}, "method: 'capdec' then, 'decap' now"),
        ({"corpus": [*CAPTIONS[:-1], "a man"]}, "corpus: '6 captions, "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_train_captioner_does_not_go_on_as_another_job(change, differs, train, cut):
    state = (cut / f"{FILE}.run" / "state.safetensors").read_bytes()
    with pytest.raises(ValueError, match="give what was given then to go on") as error:
        train(cut, **change)
    assert differs in str(error.value) and str(cut) in str(error.value)
    assert (cut / f"{FILE}.run" / "state.safetensors").read_bytes() == state
    train(cut)


def test_a_captioner_that_is_finished_is_loaded(train, tmp_path, monkeypatch):
    train(tmp_path / "a")
    before = (tmp_path / "a" / FILE).read_bytes()
    monkeypatch.setattr(captioner_job, "fit_text_only", None)
    assert train(tmp_path / "a").name == "capdec"
    with pytest.raises(FileExistsError, match=r"of another run \(seed: 0 then, 1 now\), and noth"):
        train(tmp_path / "a", seed=1)
    assert (tmp_path / "a" / FILE).read_bytes() == before


def test_ctrl_c_saves_a_captioners_whole_steps_and_no_half_one(train, tmp_path, monkeypatch):
    monkeypatch.setattr(run_state.Checkpoint, "is_due", lambda self, done, total: done == total)
    record = run_state.RunState.record
    with monkeypatch.context() as patch:  # in the middle of step 3: its weights have changed
        patch.setattr(run_state.RunState, "record", interrupted_at(3, record))
        with pytest.raises(Stopped, match="nothing was saved yet, so the same call starts again"):
            train(tmp_path / "a")
    with monkeypatch.context() as patch:  # before the weights of step 3 change
        patch.setattr(text_only, "apply_gradients", interrupted_at(3, text_only.apply_gradients))
        with pytest.raises(Stopped, match="stopped after step 2 of 6: call the same again to go"):
            train(tmp_path / "a")
    train(tmp_path / "a")
    train(tmp_path / "whole")
    assert same(tmp_path / "a" / FILE, tmp_path / "whole" / FILE)


def interrupted_at(call, function):
    """Return a function that Ctrl-C stops at one of its calls."""
    calls = []

    def stopped(*given):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return function(*given)

    return stopped


@pytest.fixture
def enhance(disk):
    """Return `enhance` with a small model, and a save after each of its eight steps."""
    small = {"images_per_step": 3, "save_every": 1}

    def call(out, vlm=None, images=disk.images, **changed):
        asked = {"objective": "information", **small, **changed}
        return vc.enhance(vlm or vc.load_vlm(str(disk.smolvlm)), images, out=out, **asked)

    return call


@pytest.mark.parametrize("objective", ["information", "read_back"])
def test_enhance_goes_on(objective, enhance, disk, tmp_path, kill_after):
    whole = enhance(tmp_path / "whole", objective=objective)
    vlm = vc.load_vlm(str(disk.smolvlm))
    kill_after(adapter_run, "save_run", 3)
    with pytest.raises(Killed):
        enhance(tmp_path / "cut", vlm, objective=objective)
    assert not has_lora(vlm), "the same model could not be given again"
    kill_after(adapter_run, "save_run", 6)  # five steps are left: it is never reached
    done = enhance(tmp_path / "cut", vlm, objective=objective)
    assert same(*(tmp_path / name / "adapter_model.safetensors" for name in ("whole", "cut")))
    assert done.after == whole.after and (done.curve, done.kl) == (whole.curve, whole.kl)
    assert len(list((tmp_path / "cut").iterdir())) == 4  # the README too


def test_a_command_knows_what_a_function_began(enhance, vizer, disk, tmp_path, kill_after):
    kill_after(adapter_run, "save_run", 3)
    with pytest.raises(Killed):
        enhance(tmp_path / "cut")
    words = ["enhance", "--images", disk.images, "--model", disk.smolvlm, "--images-per-step", 3]
    words += ["--objective", "information", "--out", tmp_path / "cut"]
    other = vizer(*words, "--seed", 1)
    assert "belongs to another run (seed: 0 then, 1 now)" in other.stderr


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"seed": 5}, "seed: 0 then, 5 now"),
        ({"shuffle": True}, "shuffle: False then, True now"),
        ({"learning_rate": 1e-3}, "learning_rate: 0.0005 then, 0.001 now"),
        ({"objective": "read_back"}, "objective: 'information' then, 'read_back' now"),
        ({"images": "other"}, "images: '"),
        ({"vlm": "qwen"}, "model: '"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_enhance_does_not_go_on_as_another_job(
    change, differs, enhance, disk, tmp_path, kill_after
):
    kill_after(adapter_run, "save_run", 1)
    with pytest.raises(Killed):
        enhance(tmp_path / "cut")
    if "images" in change:
        change = {"images": other_images(tmp_path / "other", disk)}
    if "vlm" in change:
        change = {"vlm": vc.load_vlm(str(disk.qwen))}
    state = (tmp_path / "cut" / ".vizer-run" / "run.safetensors").read_bytes()
    with pytest.raises(ValueError, match="give what was given then to go on") as error:
        enhance(tmp_path / "cut", **change)
    assert differs in str(error.value)
    assert (tmp_path / "cut" / ".vizer-run" / "run.safetensors").read_bytes() == state


def test_an_adapter_that_is_finished_is_loaded_with_its_report(
    enhance, disk, tmp_path, monkeypatch
):
    first = enhance(tmp_path / "a", learning_rate=3e-3)
    before = load_file(tmp_path / "a" / "adapter_model.safetensors")
    monkeypatch.setattr(adapter_job, "train_adapter", None)
    vlm = vc.load_vlm(str(disk.smolvlm))
    again = enhance(tmp_path / "a", vlm, learning_rate=3e-3)
    assert again.table() == first.table() and again.curve == first.curve
    assert (again.before, again.after) == (first.before, first.after) and has_lora(vlm)
    with pytest.raises(
        FileExistsError, match=r"of another run \(learning_rate: 0.003 then, 0.0005"
    ):
        enhance(tmp_path / "a")
    after = load_file(tmp_path / "a" / "adapter_model.safetensors")
    assert all(before[name].equal(after[name]) for name in before)


def test_a_model_that_carries_an_adapter_is_refused_at_once(enhance, disk, tmp_path):
    vlm = vc.load_vlm(str(disk.smolvlm))
    enhance(tmp_path / "a", vlm)
    with pytest.raises(ValueError, match="carries LoRA already"):
        enhance(tmp_path / "b", vlm)
    assert not (tmp_path / "b").exists()


class Short:
    """A reward that pays for few words, and counts how often it was asked."""

    def __init__(self, most):
        self.most, self._calls = most, 0

    def __call__(self, vision, captions):
        return -captions.mask.sum(dim=1).clamp(max=self.most)


def test_an_object_is_known_by_its_settings(disk):
    vlm = vc.load_vlm(str(disk.smolvlm))
    window = LengthWindow(Short(3), low=2, high=12, price=0.1)
    said = settings_in(window)
    assert said["reward"]["reward"] == {"kind": "Short", "most": 3}
    assert settings_in(LengthWindow(Short(3), low=2, high=12, price=0.1)) == said
    assert settings_in(replace(window, price=0.2)) != said
    assert settings_in(replace(window, reward=Short(4))) != said
    assert settings_in(InformationReward(vlm, 0.5))["reward"] == {
        "kind": "InformationReward",
        "vlm": vlm.fingerprint,
        "weight": 0.5,
        "per_token": False,
        "prompt": None,
        "others": 0,
    }
    others = [partial(len, *given) for given in ((), (1,), (torch.zeros(2),), (torch.ones(2),))]
    assert len({str(settings_in(one)) for one in others}) == len(others)


def test_an_object_with_another_setting_does_not_go_on(enhance, tmp_path, kill_after):
    reward = LengthWindow(Short(3), low=2, high=12, price=0.1)
    kill_after(adapter_run, "save_run", 1)
    with pytest.raises(Killed):
        enhance(tmp_path / "cut", objective=reward)
    with pytest.raises(ValueError, match=r"another run \(objective: .*'price': 0.2"):
        enhance(tmp_path / "cut", objective=replace(reward, price=0.2))
    enhance(tmp_path / "cut", objective=reward)
