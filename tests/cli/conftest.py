"""Saved miniatures and a folder of images, made once; and the hub switched off."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.cli.checkpoints import CAPTIONS, save_clip, save_opt, save_qwen, save_smolvlm
from tests.cli.kills import Killed
from vizer_core.cli import app

IMAGES = 24


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Switch the hub off, as HF_HUB_OFFLINE=1 does for a new process."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def disk(tmp_path_factory):
    """Return the paths of a user's disk: four models, images, captions, references."""
    root = tmp_path_factory.mktemp("disk")
    images = root / "images"
    images.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 36, 40, 3), dtype=np.uint8)
    names = [f"photo {index:02d}.jpg" for index in range(IMAGES)]
    for name, frame in zip(names, pixels):
        Image.fromarray(frame).save(images / name)
    captions = {name: [CAPTIONS[i % len(CAPTIONS)]] for i, name in enumerate(names)}
    (root / "captions.json").write_text(json.dumps(captions))
    (root / "corpus.txt").write_text("\n".join(CAPTIONS))
    rows = [{"image_id": name, "caption": text} for name, (text,) in captions.items()]
    (root / "references.json").write_text(json.dumps({"annotations": rows}))
    return SimpleNamespace(
        root=root,
        images=images,
        captions=root / "captions.json",
        corpus=root / "corpus.txt",
        references=root / "references.json",
        clip=save_clip(root / "clip"),
        opt=save_opt(root / "opt"),
        smolvlm=save_smolvlm(root / "smolvlm"),
        qwen=save_qwen(root / "qwen2-vl"),
    )


@pytest.fixture
def vizer():
    """Return a function that runs a command line and gives its result."""
    assert "HF_TOKEN" not in os.environ or os.environ["HF_HUB_OFFLINE"] == "1"

    def run(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


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
