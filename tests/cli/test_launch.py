"""Commands under `accelerate launch` with the configurations that are shipped, two processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from vizer_core.run_folder import RUN, STATE
from vizer_core.vizer.lora import WEIGHTS
from vizer_lab.world.data import DrawnSplit

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATIONS = ROOT / "configs" / "accelerate"
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}  # as in tests/processes


ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def launch_words(config: str, *words: object) -> list[str]:
    """Return the command line that runs a command in two processes on the CPU."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--main_process_port", "0"]
    options = ["--config_file", str(CONFIGURATIONS / f"{config}.yaml"), "-m", "vizer_core"]
    return [*launch, *options, *map(str, words)]


def launched(config: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command line in two processes on the CPU, the hub off."""
    done = subprocess.run(
        launch_words(config, *words),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def processes_of(word: str) -> list[int]:
    """Return the processes of this machine with a word, here a folder's name, in their command."""
    lines = {path.parent.name: path for path in Path("/proc").glob("[0-9]*/cmdline")}
    found = []
    for number, path in lines.items():
        with suppress(OSError):  # it may have ended
            if word.encode() in path.read_bytes():
                found.append(int(number))
    return found


def killed_after_saving(state: Path, config: str, *words: object) -> None:
    """Run a command line, and kill all of its processes as soon as a state of it is written."""
    log = state.parents[1].with_suffix(".log")
    with log.open("w") as stream:
        running = subprocess.Popen(
            launch_words(config, *words),
            cwd=ROOT,
            stdout=stream,
            stderr=stream,
            env=os.environ | ENVIRONMENT,
        )
        try:
            for _ in range(18_000):
                if state.is_file() or running.poll() is not None:
                    break
                time.sleep(0.05)
            assert running.poll() is None, f"ended before it was killed: {log.read_text()[-2000:]}"
        finally:
            for process in processes_of(str(state.parents[1])):  # the workers have their own groups
                os.kill(process, signal.SIGKILL)
            running.kill()
            running.wait()
    assert state.is_file(), log.read_text()[-2000:]


def assert_close(one: Path, two: Path) -> None:
    first, second = load_file(one), load_file(two)
    assert first.keys() == second.keys()
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, **TOLERANCE)


def test_ddp_and_fsdp_train_the_same_captioner(disk, tmp_path):
    words = ["train-captioner", "--corpus", disk.corpus, "--epochs", 2, "--device", "cpu",
             "--clip", disk.clip, "--language-model", disk.opt,
             "--captions-at-once", 1]  # fmt: skip
    outs = {config: tmp_path / f"{config}.safetensors" for config in ("ddp", "fsdp")}
    said = {config: launched(config, *words, "--out", out) for config, out in outs.items()}
    assert "sharded (FSDP): each process has" in said["fsdp"].stderr
    assert "sharded" not in said["ddp"].stderr
    assert_close(outs["ddp"], outs["fsdp"])
    manifests = [out.with_name(f"{out.name}.json").read_text() for out in outs.values()]
    assert all(disk.opt.name in manifest for manifest in manifests)


@pytest.mark.parametrize("objective", ["information", "read_back"])
def test_fsdp_enhances_as_one_process_does(objective, vizer, disk, tmp_path):
    words = ["enhance", "--images", disk.images, "--model", disk.smolvlm, "--objective",
             objective, "--images-per-step", 5, "--micro-batch-size", 1,
             "--device", "cpu"]  # fmt: skip
    alone = vizer(*words, "--out", tmp_path / "one")
    assert alone.exit_code == 0, alone.output
    done = launched("fsdp", *words, "--out", tmp_path / "two")
    assert "of the model" in done.stderr
    assert_close(tmp_path / "one" / WEIGHTS, tmp_path / "two" / WEIGHTS)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="processes are found in /proc")
def test_two_processes_improve_as_one_does(vizer, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for row, pixels in enumerate(DrawnSplit("second_test", 26).images):
        Image.fromarray(pixels).save(images / f"{row:02d}.png")
    words = ["improve", images, "--model", "drawn-vlm-web", "--train", "always", "--device", "cpu"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert vizer(*words, "--out", one).exit_code == 0
    said = launched("ddp", *words, "--out", two)
    assert said.stderr.count("step 4 of 4") + said.stdout.count("step 4 of 4") == 1  # one speaks
    assert_close(one / WEIGHTS, two / WEIGHTS)
    records = [json.loads((out / "report.json").read_text()) for out in (one, two)]
    for field in ("job", "images", "start", "recommended", "captions"):
        assert records[0][field] == records[1][field], field


def test_a_run_under_fsdp_that_is_killed_goes_on_to_the_same_weights(vizer, disk, tmp_path):
    """Both processes are killed after the first state of fifteen steps; then the same call."""
    words = ["enhance", "--images", disk.images, "--model", disk.smolvlm, "--objective",
             "information", "--images-per-step", 5, "--epochs", 3, "--device", "cpu"]  # fmt: skip
    out = tmp_path / "two"
    killed_after_saving(out / RUN / STATE, "fsdp", *words, "--out", out)
    assert not (out / WEIGHTS).exists()
    done = launched("fsdp", *words, "--out", out)
    assert not processes_of(str(out))
    steps = re.findall(r"(\d+)/15 \[", done.stderr)
    assert steps and 0 < int(steps[0]) < 15, done.stderr[-2000:]  # it did not begin anew
    assert not (out / RUN).exists()
    alone = vizer(*words, "--out", tmp_path / "one")
    assert alone.exit_code == 0, alone.output
    assert_close(tmp_path / "one" / WEIGHTS, out / WEIGHTS)
