"""Tune a language model on captions, so that it writes captions and nothing else: LoRA, merged.

MAGIC and ZeroCap steer words that the language model would write anyway. Su et al. 2022 (MAGIC),
section 4.1, therefore tunes GPT-2 on the captions of its data set first, and reruns ZeroCap with
that model; a model that has only read web pages begins other texts.

Where we differ: LoRA (Hu et al. 2021) on the layers that PEFT names for the model's family,
instead of all weights; plain cross-entropy, without SimCTG's contrastive term. Texts have the
model's own form (`text_form`): its start mark in front, a full stop behind where it reads
sentences. The products are added to the weights in the end: the model stays one of its kind, and a
folder of it loads like any other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from vizer_core.files import METADATA, write_json
from vizer_core.language.causal_lm import CausalLM
from vizer_core.language.prefix import no_prefix
from vizer_core.language.scoring import token_log_probs
from vizer_core.language.text_form import save_form
from vizer_core.run_state import Run, load_run, save_run
from vizer_core.runtime import require

MADE_BY = "caption_tuning.json"
CONFIG = "config.json"  # what makes a folder a model
SAVE_EVERY = 25  # steps; a save is a few MB


@dataclass(frozen=True)
class CaptionTuning:
    """How long and how strongly: steps of AdamW, the rate falling in a line to zero."""

    steps: int = 300
    batch_size: int = 32
    learning_rate: float = 1e-3
    rank: int = 16
    alpha: int = 32
    max_tokens: int = 40

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size, self.rank) < 1 or not self.learning_rate > 0:
            raise ValueError(
                f"wanted at least 1 step, caption and rank, and a rate above 0, got {self}"
            )


def tune_on_captions(
    lm: CausalLM,
    captions: Sequence[str],
    config: CaptionTuning | None = None,
    *,
    generator: torch.Generator,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> list[float]:
    """Tune a model on captions in place, and return each step's loss in nats per token.

    Captions are taken in a drawn order, over again where there are fewer than the steps want. The
    model is frozen before and after. With a `checkpoint`, a file, a stopped tuning goes on where it
    was saved, every `SAVE_EVERY` steps and on Ctrl-C, to the same weights bit for bit.

    Raises `ValueError` without two different captions, on a model that is being trained, and where
    the checkpoint is of another model, other captions, settings or seed.
    """
    config = config or CaptionTuning()
    if len(set(captions)) < 2:
        raise ValueError(
            f"got {len(captions)} captions, {len(set(captions))} different: wanted at least 2, "
            "better some thousands"
        )
    if not lm.frozen:
        raise ValueError(f"{lm.name} is being trained: tune a frozen model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        base = lm.fingerprint
        tuned = _with_lora(lm, config)
    rows = _order(len(captions), config, generator)
    identity = _identity(base, captions, config, rows)
    run = _Tuning.open(lm, config, identity, checkpoint)
    todo = tqdm(
        rows[run.done :],
        initial=run.done,
        total=len(rows),
        disable=not progress,
        desc="captions",
    )
    with run.kept_when_stopped(len(rows)):
        for chosen in todo:
            run.step([captions[i].strip() for i in chosen])
    tuned.merge_and_unload()  # in place: the layers of `lm.model` are plain ones again
    lm.model.eval().requires_grad_(False)
    return run.losses


@dataclass(eq=False)
class _Tuning:
    """A tuning at work: its optimizer, the losses so far, and where it saves itself."""

    lm: CausalLM
    config: CaptionTuning
    identity: dict[str, Any]
    checkpoint: Path | None
    parameters: dict[str, torch.nn.Parameter]
    optimizer: torch.optim.AdamW
    losses: list[float]
    whole: bool = True  # False while a step changes the weights

    @classmethod
    def open(
        cls,
        lm: CausalLM,
        config: CaptionTuning,
        identity: dict[str, Any],
        checkpoint: Path | None,
    ) -> _Tuning:
        """Start on the LoRA that the model carries, or go on with what was saved."""
        named = {n: p for n, p in lm.model.named_parameters() if p.requires_grad}
        optimizer = torch.optim.AdamW(named.values(), lr=config.learning_rate, weight_decay=0.0)
        kept, losses = load_run(checkpoint, identity) if checkpoint else None, []
        if kept:
            kept.restore(named, optimizer)
            losses = list(kept.record["losses"])
        return cls(lm, config, identity, checkpoint, named, optimizer, losses)

    @property
    def done(self) -> int:
        """Steps that were taken."""
        return len(self.losses)

    def step(self, texts: Sequence[str]) -> None:
        """Take one step on a batch of captions; save when it is time."""
        config, lm = self.config, self.lm
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - self.done / config.steps)
        tokens = lm.tokenize(texts, max_tokens=config.max_tokens)
        found = token_log_probs(lm, no_prefix(lm, len(tokens.ids)), tokens)
        loss = -found.sum() / tokens.mask[:, 1:].sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.whole = False
        self.optimizer.step()
        self.losses.append(float(loss.detach()))
        self.whole = True
        if self.done % SAVE_EVERY == 0 or self.done == config.steps:
            self.save()

    def save(self) -> None:
        """Write the state after the last step."""
        if self.checkpoint is not None and self.losses:
            record = {METADATA: self.identity, "losses": self.losses}
            save_run(self.checkpoint, Run.capture(self.parameters, self.optimizer, record))

    @contextmanager
    def kept_when_stopped(self, total: int) -> Iterator[None]:
        """Save on Ctrl-C, unless a step is half taken, and say how far the run is."""
        try:
            yield
        except KeyboardInterrupt as error:
            if self.checkpoint is None or not self.whole or not self.losses:
                raise
            self.save()
            raise KeyboardInterrupt(f"step {self.done} of {total}") from error


def _identity(
    base: str, captions: Sequence[str], config: CaptionTuning, rows: list[list[int]]
) -> dict[str, Any]:
    """Return what a tuning works on, as plain values; the order stands for the seed."""
    texts = sha256("\n".join(captions).encode()).hexdigest()[:12]
    order = sha256(repr(rows).encode()).hexdigest()[:12]
    return {"language_model": base, "captions": texts, "order": order, **asdict(config)}


def _with_lora(lm: CausalLM, config: CaptionTuning) -> Any:
    """Let PEFT put fresh LoRA on the model's layers, in place."""
    peft = require("peft", why="tuning a language model")
    layers = {type(part).__name__ for part in lm.model.modules()}
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        task_type="CAUSAL_LM",
        fan_in_fan_out="Conv1D" in layers,  # GPT-2's layers keep their weights turned
    )
    return peft.get_peft_model(lm.model, settings)


def _order(count: int, config: CaptionTuning, generator: torch.Generator) -> list[list[int]]:
    """Return each step's captions: whole passes in a drawn order, cut into batches."""
    needed, line = config.steps * config.batch_size, []
    while len(line) < needed:
        line += torch.randperm(count, generator=generator).tolist()
    return [line[i : i + config.batch_size] for i in range(0, needed, config.batch_size)]


def save_tuned(lm: CausalLM, folder: Path, *, metadata: dict[str, Any]) -> Path:
    """Write a model as a folder that `load_lm` reads, in its form, and how it was made.

    All of it is written beside the folder first; `config.json`, without which a folder is no model,
    moves last. Raises `FileExistsError` where the folder contains a model already.
    """
    folder = Path(folder)
    if (folder / CONFIG).exists():
        raise FileExistsError(f"{folder} contains a model already: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
        beside = Path(name)
        lm.model.save_pretrained(beside)
        lm.tokenizer.save_pretrained(beside)
        save_form(lm.form, beside)
        made = {"kind": "caption-tuned", "language_model": lm.name, **metadata}
        write_json(beside / MADE_BY, made)
        for file in sorted(beside.iterdir(), key=lambda each: (each.name == CONFIG, each.name)):
            file.replace(folder / file.name)
    return folder
