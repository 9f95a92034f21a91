"""Commands under `accelerate launch` with the configurations that are shipped, two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vizer_core.vizer.lora import WEIGHTS

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATIONS = ROOT / "configs" / "accelerate"
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}  # as in tests/processes


def launched(config: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command line in two processes on the CPU, the hub off."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--main_process_port", "0"]
    options = ["--config_file", str(CONFIGURATIONS / f"{config}.yaml"), "-m", "vizer_core"]
    done = subprocess.run(
        [*launch, *options, *map(str, words)], cwd=ROOT, capture_output=True, text=True,
        timeout=900, env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done


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
    assert "sharded (FSDP): each process holds" in said["fsdp"].stderr
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
