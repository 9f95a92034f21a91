"""Training a captioner on text as one job: what it is asked for, its run on disk, its file.

`vizer_core.jobs.train_captioner` and the command `vizer train-captioner` are this with other words
around it. A job that is stopped goes on to the same weights when it is asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.distributed import is_main_process
from vizer_core.files import load_manifest
from vizer_core.models import dtype_of
from vizer_core.run_folder import JOB, Tell, has_state, to_log, working_on
from vizer_core.runtime import seeded
from vizer_core.textonly import Checkpoint, TrainingPairs, fit_text_only, save_prefix_network
from vizer_core.textonly.prefix_network import (
    MLPConfig,
    PrefixConfig,
    new_prefix_network,
    trainable_parameters,
)
from vizer_core.textonly.presets import TextOnlyConfig, settings_of
from vizer_core.textonly.train import History

STATE = "state.safetensors"  # in the folder of a run that is not finished
EVERY = 200  # steps from one save to the next


@dataclass(frozen=True, eq=False)
class TrainedCaptioner:
    """What a training made: the trained part, what it was trained on, and how it went."""

    prefix_network: Any
    pairs: TrainingPairs
    history: History


@dataclass(frozen=True, eq=False)
class CaptionerJob:
    """A captioner's training: the method, its captions, both models; None is the method's own."""

    method: str
    texts: Sequence[str]
    clip: ImageTextEncoder
    lm: Any
    seed: int = 0
    epochs: int | None = None
    variance: float | None = None
    captions_at_once: int | None = None
    noted: Mapping[str, Any] = field(default_factory=dict)  # more for the file's manifest

    @cached_property
    def settings(self) -> tuple[PrefixConfig | MLPConfig, TextOnlyConfig]:
        """Return the trained part's sizes, and how it is trained."""
        return settings_of(
            self.method,
            encoder=self.clip,
            lm=self.lm,
            epochs=self.epochs,
            at_once=self.captions_at_once,
            variance=self.variance,
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Return what the job works on, as plain values: content, not names of files."""
        config = self.settings[1]
        digest = sha256("\n".join(self.texts).encode()).hexdigest()[:12]
        return {
            "method": self.method,
            "corpus": f"{len(self.texts)} captions, {digest}",
            "clip": self.clip.fingerprint,
            "language_model": self.lm.fingerprint,
            "dtype": dtype_of(self.lm),
            "epochs": config.epochs,
            "variance": getattr(config.noise, "variance", 0.0),
            "seed": self.seed,
        }

    @property
    def steps(self) -> int:
        """Return how many steps it takes."""
        config = self.settings[1]
        return -(-len(self.texts) // config.batch_size) * config.epochs

    def run(self, out: Path, *, tell: Tell = to_log, progress: bool = False) -> TrainedCaptioner:
        """Train, or go on with what was stopped, and write the file `out`; replace what is there.

        The run lies in `run_folder(out)` until the file is whole, and saves itself every `EVERY`
        steps and on Ctrl-C. Raises `ValueError` where another job was stopped there.
        """
        record = run_folder(out) / JOB
        with working_on(record, self.identity, of=str(record.parent), tell=tell):
            shape, config = self.settings
            torch.manual_seed(self.seed)
            prefix_network: Any = new_prefix_network(shape)  # for checkers a module has no `call`
            tell(self._opening(prefix_network, record), err=True)
            pairs = TrainingPairs(self.clip.encode_text(self.texts).cpu(), self.texts)
            history = fit_text_only(
                prefix_network,
                self.lm,
                pairs,
                config,
                generator=seeded(self.seed),
                checkpoint=Checkpoint(record.with_name(STATE), every=EVERY),
                progress=progress,
            )
            if is_main_process():
                self._save(out, prefix_network, pairs)
        return TrainedCaptioner(prefix_network, pairs, history)

    def _opening(self, prefix_network: Any, record: Path) -> str:
        """Say what is trained, on what, and whether a stopped run goes on."""
        config = self.settings[1]
        goes_on = f", going on with {record.parent}" if has_state(record) else ""
        return (
            f"{self.method}: {trainable_parameters(prefix_network):,} parameters, a prefix of "
            f"{prefix_network.prefix_length}; {len(self.texts):,} captions, "
            f"{config.epochs} epochs, {self.steps:,} "
            f"steps of {config.batch_size} on {self.lm.device}{goes_on}"
        )

    def _save(self, out: Path, prefix_network: Any, pairs: TrainingPairs) -> None:
        metadata = {
            "method": self.method,
            "config": self.settings[1].to_dict(),
            "pairs": pairs.digest,
            **self.noted,
            "seed": self.seed,
            "job": self.identity,
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        save_prefix_network(
            out, prefix_network, encoder=self.clip, language_model=self.lm, metadata=metadata
        )


def run_folder(out: Path) -> Path:
    """Return where a run lies that is not finished.

    >>> run_folder(Path("maccap.safetensors")).name
    'maccap.safetensors.run'
    """
    return out.with_name(f"{out.name}.run")


def job_kept_in(file: Path) -> dict[str, Any] | None:
    """Return the job whose result a file is; None where nothing is there, or something else."""
    try:
        kept = load_manifest(file).get("job") if file.is_file() else None
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) else None
