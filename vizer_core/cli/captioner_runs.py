"""What `vizer train-captioner` does around the training: its settings, its job, its words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vizer_core.cli.app import say

FEW = 1_000  # captions; with fewer, what is learned is mostly a phrase or two
SHOWN = 3  # captions that are written again when training is over
STATE, JOB = "state.safetensors", "job.json"  # in the folder of a run that is not finished


def run_folder(out: Path) -> Path:
    """Return where a run lies that is not finished.

    >>> run_folder(Path("maccap.safetensors")).name
    'maccap.safetensors.run'
    """
    return out.with_name(f"{out.name}.run")


def job_of(
    method: str, config: Any, texts: Sequence[str], encoder: Any, lm: Any, seed: int
) -> dict[str, Any]:
    """Return what a run works on, as plain values: content, not names of files."""
    from hashlib import sha256

    from vizer_core.models import dtype_of

    digest = sha256("\n".join(texts).encode()).hexdigest()[:12]
    return {
        "method": method,
        "corpus": f"{len(texts)} captions, {digest}",
        "clip": encoder.fingerprint,
        "language_model": lm.fingerprint,
        "dtype": dtype_of(lm),
        "epochs": config.epochs,
        "variance": getattr(config.noise, "variance", 0.0),
        "seed": seed,
    }


def require_captions(texts: Sequence[str], corpus: str) -> None:
    """Raise `ValueError` where there is nothing to tell apart; warn of a corpus that is small."""
    different = len(set(texts))
    if different < 2:
        raise ValueError(
            f"{corpus} holds one caption, {texts[0]!r}, and a captioner learns from differences: "
            "wanted at least 2 captions, better some thousands"
        )
    if different < FEW:
        say(
            f"warning: {different} different captions are few: the captioner may say one of a few "
            "phrases, whatever the image. Better are some thousands (the papers have 500,000).",
            err=True,
        )


def say_start(
    method: str, prefix_network: Any, config: Any, texts: Sequence[str], device: Any, folder: Path
) -> int:
    """Say what is trained, on what, and whether a stopped run goes on; return the steps."""
    from vizer_core.textonly.prefix_network import trainable_parameters

    steps = -(-len(texts) // config.batch_size) * config.epochs
    goes_on = f", going on with {folder}" if (folder / STATE).is_file() else ""
    say(
        f"{method}: {trainable_parameters(prefix_network):,} parameters, a prefix of "
        f"{prefix_network.prefix_length}; {len(texts):,} captions, "
        f"{config.epochs} epochs, {steps:,} "
        f"steps of {config.batch_size} on {device}{goes_on}",
        err=True,
    )
    return steps


def keep_captioner(
    out: Path, prefix_network: Any, encoder: Any, lm: Any, made_by: dict[str, Any]
) -> None:
    """Write the trained file, then delete what its run left beside it; the first process does."""
    from vizer_core.cli.job import remove_run
    from vizer_core.distributed import is_main_process
    from vizer_core.textonly import save_prefix_network

    if is_main_process():
        save_prefix_network(
            out, prefix_network, encoder=encoder, language_model=lm, made_by=made_by
        )
    remove_run(run_folder(out) / JOB)


def show_captions(prefix_network: Any, lm: Any, pairs: Any, tokens: int) -> None:
    """Print some captions of the corpus and what the trained captioner writes from their features.

    No noise is added. Every process writes, since each may hold a part of the model.
    """
    import torch

    from vizer_core.runtime import seeded
    from vizer_core.textonly import NoNoise, PrefixWriter, region_noise

    different = list(dict.fromkeys(pairs.captions))
    count = min(SHOWN, len(different))
    chosen = [different[place * len(different) // count] for place in range(count)]
    rows = torch.tensor([list(pairs.captions).index(text) for text in chosen])
    inputs = region_noise(pairs.features[rows], tokens, noise=NoNoise(), generator=seeded(0))
    written = [" ".join(text.split()) for text in PrefixWriter(prefix_network, lm).write(inputs)]
    say("captions of the corpus, and what is written from their features:")
    for text, said in zip(chosen, written):
        say(f"  {text}  ->  {said}")
    if len(set(written)) < len(written):
        say(
            "warning: different captions are written alike, so the captioner reads little of what "
            "it is shown: give more captions or --epochs",
            err=True,
        )
