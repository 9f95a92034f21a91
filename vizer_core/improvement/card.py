"""The adapter folder's README.md: a model card that PEFT and the hub read."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any

from vizer_core.improvement.outcome import CAUTION, Improvement, ceiling_words, rows_of
from vizer_core.improvement.ways import Way
from vizer_core.vizer.model_card import put_card

CARD = """---
base_model: {model}
library_name: peft
pipeline_tag: image-to-text
tags:
- image-captioning
- lora
- self-training
- vizer
---

# {title}

A LoRA adapter for `{model}`, trained without a label on {images} images by `vizer improve`: the
model learned its own captions by beam search{teacher}, and says them greedily.

## Use

```python
from peft import PeftModel

# model: {model}, loaded with transformers
model = PeftModel.from_pretrained(model, "{folder}")
```

or, on the command line:

```sh
{command}
```

## What it does

On {held_out} held-out images, each way of captioning beside the model as it is. "Preferred" is by
the model's own reading of views of the image that the caption was not made from.

```
{ladder}
```

{says}

## Training

{steps} steps of {per_step} images, learning rate {rate:g}, KL ceiling {max_kl}; KL from the base
{kl:.2f} nats per token{stopped}. Seed {seed}. All settings are in `report.json`, images and
captions in `report.html`.

## Limits

{caution}

No image had a label, so what the model does not see it has not learned to name, and habits that its
own captions share may be stronger than before.
"""


def write_card(folder: Path, done: Improvement) -> None:
    """Write the model card of the adapter that an improvement trained; another's README.md stays.

    Warns where there is one.
    """
    put_card(folder, card_of(done))


def card_of(done: Improvement) -> str:
    """Return the model card as Markdown, its metadata in front."""
    record = done.record
    training: dict[str, Any] = record["training"]
    start, config = record["start"], training["config"]
    teacher = ""
    if start["opening"]:
        teacher = f", begun with {' or '.join(map(repr, start['opening']))}"
    elif start["prompt"] is not None:
        teacher = f", asked with {start['prompt']!r}"
    return CARD.format(
        model=record["model"],
        title=done.folder.name,
        images=record["images"]["trained_on"],
        teacher=teacher,
        folder=done.folder,
        command=done.command_of(Way("adapter", adapter=True)),
        held_out=record["images"]["held_out"],
        ladder="\n".join(rows_of(record["ladder"])),
        says="\n".join(f"- {line}" for line in record["says"][:-1]),
        steps=len(training["history"]["loss"]),
        per_step=config["images_per_step"],
        rate=config["learning_rate"],
        max_kl=ceiling_words(config["max_kl"]),
        kl=training["kl"],
        stopped=f"; stopped early: {training['stopped']}" if training["stopped"] else "",
        seed=record["job"]["seed"],
        caution="\n".join(wrap(CAUTION, 100)),
    )
