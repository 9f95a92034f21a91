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

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from vizer_core.files import write_json
from vizer_core.language.causal_lm import CausalLM
from vizer_core.language.prefix import no_prefix
from vizer_core.language.scoring import token_log_probs
from vizer_core.language.text_form import save_form
from vizer_core.runtime import require

MADE_BY = "caption_tuning.json"


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
    progress: bool = False,
) -> list[float]:
    """Tune a model on captions in place, and return each step's loss in nats a token.

    Captions are taken in a drawn order, over again where there are fewer than the steps want. The
    model is frozen before and after. Raises `ValueError` without two different captions, and on
    a model that is being trained.
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
        tuned = _with_lora(lm, config)
    trained = [p for p in lm.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=0.0)
    losses: list[float] = []
    rows = _order(len(captions), config, generator)
    for step, chosen in enumerate(tqdm(rows, disable=not progress, desc="captions")):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - step / config.steps)
        tokens = lm.tokenize([captions[i].strip() for i in chosen], max_tokens=config.max_tokens)
        found = token_log_probs(lm, no_prefix(lm, len(tokens.ids)), tokens)
        loss = -found.sum() / tokens.mask[:, 1:].sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    tuned.merge_and_unload()  # in place: the layers of `lm.model` are plain ones again
    lm.model.eval().requires_grad_(False)
    return losses


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

    Raises `FileExistsError` where the folder holds a model already.
    """
    folder = Path(folder)
    if (folder / "config.json").exists():
        raise FileExistsError(f"{folder} holds a model already: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    save_form(lm.form, folder)
    write_json(folder / MADE_BY, {"kind": "caption-tuned", "language_model": lm.name, **metadata})
    return folder
