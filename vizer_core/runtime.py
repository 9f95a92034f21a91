"""What is decided once, at the entry point: device, dtype, seed, profile, optional packages."""

from __future__ import annotations

import importlib
import os
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal, cast

import torch

from vizer_core import env

ProfileName = Literal["micro", "full"]
MIN_IMAGES = 64  # of `VIZER_IMAGES`


@dataclass(frozen=True)
class Profile:
    """Which world a notebook or command runs in.

    `micro` is offline, CPU-sized and seeded: the emoji scenes and the shipped models.
    `full` loads real weights and data and wants a GPU and a hub.
    """

    name: ProfileName
    seed: int = 0

    @property
    def is_micro(self) -> bool:
        """True on the offline profile."""
        return self.name == "micro"


def profile() -> Profile:
    """Read `VIZER_PROFILE` (`micro` unless set) and `VIZER_SEED` (0 unless set)."""
    name = env.PROFILE.get()
    if name not in ("micro", "full"):
        raise ValueError(
            f"VIZER_PROFILE={name!r}: wanted 'micro' (offline, CPU) or 'full' (GPU, hub)"
        )
    return Profile(name=cast(ProfileName, name), seed=int(env.SEED.get()))


def expect(holds: object) -> None:
    """Hold a chapter to what it found: an error on the micro profile, a warning on the full one.

    The pages describe drawn models. Another model may behave otherwise, and its page goes on. What
    must hold for every model (shapes, equal results of two ways) a chapter demands by `assert`.

    >>> expect(0.6 > 0.5)
    """
    if holds:
        return
    if profile().is_micro:
        raise AssertionError("a finding of this page does not hold: see the line that expects it")
    warnings.warn("this finding of the micro profile does not hold here", stacklevel=2)


def model_dtype() -> torch.dtype | None:
    """Read `VIZER_DTYPE`, the precision of the language models of a chapter; None unless set.

    Half precision takes half the memory. A T4 wants float16; newer GPUs take bfloat16 too.

    >>> model_dtype() is None
    True
    """
    name = env.DTYPE.get()
    if name not in ("", "float32", "bfloat16", "float16"):
        raise ValueError(f"VIZER_DTYPE={name!r}: wanted float32, bfloat16, float16, or nothing")
    return getattr(torch, name) if name else None


def at_most(n: int) -> int:
    """Return n, or `VIZER_IMAGES` where that is set and smaller: the images to read at most.

    For a folder with fewer images than a chapter asks for, and for a first try of the full
    profile. The micro profile reads what it is asked for.

    >>> at_most(1000)
    1000
    """
    named = env.IMAGES.get()
    if not named or profile().is_micro:
        return n
    if not named.isdigit() or int(named) < MIN_IMAGES:
        raise ValueError(
            f"VIZER_IMAGES={named!r}: wanted a whole number of at least {MIN_IMAGES}; chapters "
            "point at images by their number, and want enough for an interval"
        )
    return min(n, int(named))


def pick_device(wanted: str = "auto") -> torch.device:
    """Return the device to run on: `auto` is CUDA when there is one, else the CPU.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:  # torch names thirty kinds, most of them nobody has
        raise ValueError(f"no device {wanted!r}: wanted auto, cpu, cuda, or cuda:1") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        advice = (
            "is there a GPU in this machine, is its driver installed (does nvidia-smi list it?), "
            f"and does the driver know CUDA {torch.version.cuda}?"
            if torch.version.cuda
            else "install a CUDA build of torch: this one is for CPUs."
        )
        raise ValueError(
            f"device {wanted!r} was asked for, but torch {torch.__version__} sees no CUDA device. "
            f"Use device='cpu', or {advice}"
        )
    return device


def seeded(seed: int) -> torch.Generator:
    """Make a CPU generator; draw on it and move the result, so that devices agree.

    >>> torch.rand(1, generator=seeded(3)).equal(torch.rand(1, generator=seeded(3)))
    True
    """
    return torch.Generator(device="cpu").manual_seed(seed)


def require(module: str, *, why: str, extra: str | None = None) -> ModuleType:
    """Import a package when it is needed, or say what brings it: an extra, or its own name.

    >>> require("no_such_module", extra="umap", why="UMAP projections")
    Traceback (most recent call last):
    ...
    ImportError: UMAP projections needs the package 'no_such_module': pip install
    "vizer-core[umap]".
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.split(".")[0]
        if error.name is not None and error.name.split(".")[0] != name:
            raise  # the package is there but broken: its own error says more
        wanted = f'"vizer-core[{extra}]"' if extra else name.replace("_", "-")
        raise ImportError(f"{why} needs the package {module!r}: pip install\n{wanted}.") from error


def git_commit(root: Path | None = None) -> str:
    """Return the short commit of the checkout, or `unknown` outside one."""
    root = root or Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def hardware() -> str:
    """Describe the machine in one line, for a result's record."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name(0)}, {cores} CPU cores, torch {torch.__version__}"
    return f"CPU, {cores} cores, torch {torch.__version__}"
