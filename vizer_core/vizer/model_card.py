"""The README.md of an adapter's folder, or of a merged model's: a card that the hub reads."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vizer_core.files import atomic_path
from vizer_core.vizer.adapter_run import TrainConfig
from vizer_core.vizer.lora import LoraSettings
from vizer_core.vlm.loading import reading_words
from vizer_core.vlm.protocol import VisionLanguageModel

HEAD = """---
base_model: {model}
{library}pipeline_tag: image-to-text
tags:
- image-captioning
- lora
- vizer
---

# {title}

"""
ADAPTER = """A LoRA adapter (rank {rank}, alpha {alpha}) for `{model}`, trained without a label on
{images} images: objective `{objective}`{shuffled}, learning rate {rate:g} (decay {decay}),
{per_step} images per step, {samples} caption{s} each, {epochs} epoch{e}, seed {seed}.

```sh
vizer caption IMAGES --model {model} --adapter {folder}
```

The model is asked `{prompt}`. Without vizer, by peft:
`PeftModel.from_pretrained(model, "{folder}")`.

No image had a label: what the base model does not see, this one has not learned to name. Compare
it with a run on shuffled images (`--shuffle`) before you believe a gain.
"""
MERGED = """`{model}` with the LoRA adapter `{folder}` added to its weights. It loads with
transformers alone, and with `vizer caption IMAGES --model {merged}{options}`. The adapter was
trained with the prompt `{prompt}`.
"""


def write_card(
    folder: Path,
    vlm: VisionLanguageModel,
    *,
    recipe: TrainConfig,
    lora: LoraSettings,
    facts: Mapping[str, Any],
) -> None:
    """Write an adapter's card; `facts` are the metadata that its manifest contains."""
    text = HEAD.format(model=vlm.name, library="library_name: peft\n", title=folder.name)
    text += ADAPTER.format(
        rank=lora.rank,
        alpha=lora.alpha,
        model=vlm.name,
        images=facts["images"],
        objective=facts["objective"],
        shuffled=" on shuffled targets, the control" if facts["shuffled"] else "",
        rate=recipe.learning_rate,
        decay=recipe.decay,
        per_step=recipe.images_per_step,
        samples=recipe.samples,
        s="s" * (recipe.samples > 1),
        epochs=recipe.epochs,
        e="s" * (recipe.epochs > 1),
        seed=facts["seed"],
        folder=folder.name,
        prompt=_in_line(vlm.default_prompt),
    )
    put_card(folder, text)


def write_merged_card(
    folder: Path,
    vlm: VisionLanguageModel,
    adapter: str,
    *,
    reading: Mapping[str, Any] | None = None,
) -> None:
    """Write the card of a model that an adapter was merged into, trained with some `reading`."""
    text = HEAD.format(model=vlm.name, library="", title=folder.name)
    prompt = _in_line(vlm.default_prompt)
    options = reading_words(reading or {})
    text += MERGED.format(
        model=vlm.name, folder=adapter, prompt=prompt, merged=folder.name, options=options
    )
    put_card(folder, text)


def _in_line(prompt: str) -> str:
    return prompt.replace("\n", "\\n")


def put_card(folder: Path, text: str) -> None:
    """Write a card as the folder's README.md; one that is not ours stays, with a warning."""
    there = folder / "README.md"
    if there.is_file() and "\n- vizer\n" not in there.read_text("utf-8", errors="replace"):
        warnings.warn(f"{there} is not a card of ours and stays: no card is written", stacklevel=3)
        return
    with atomic_path(folder / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
