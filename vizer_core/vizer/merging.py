"""An adapter added to its model's weights, and folders sent to a hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vizer_core.runtime import require
from vizer_core.vizer.lora import has_lora, remove_lora
from vizer_core.vizer.model_card import write_merged_card
from vizer_core.vlm.fast_decoder import merged_weight

UNSENT = [".vizer-run/*", "**/.vizer-run/*"]  # of a folder: runs that are not finished


@torch.no_grad()
def merge_lora(vlm: Any) -> None:
    """Add the adapter to the weights of the model that carries it, and take it off, in place.

    Sums are made in the adapter's precision and rounded to the model's. Raises `ValueError` where
    there is no adapter, or the base is kept in four bits.
    """
    if not has_lora(vlm):
        raise ValueError(f"{vlm.name} carries no adapter: load_adapter first")
    tuner = require("peft.tuners.tuners_utils", why="LoRA").BaseTunerLayer
    layers = [layer for layer in vlm.model.modules() if isinstance(layer, tuner)]
    for layer in layers:
        weight = layer.get_base_layer().weight
        if not weight.is_floating_point():
            raise ValueError(f"{vlm.name} is kept in four bits: load it whole to merge an adapter")
    for layer in layers:
        layer.get_base_layer().weight.copy_(merged_weight(layer))
    remove_lora(vlm)
    vlm.__dict__.pop("fingerprint", None)  # it is another model now


def save_merged(
    vlm: Any, folder: Path, *, adapter: str, reading: Mapping[str, Any] | None = None
) -> None:
    """Merge, and write a whole checkpoint with its processor and a card to `folder`.

    `reading` is how the model was read while the adapter was trained: the card says it.
    """
    merge_lora(vlm)
    folder.mkdir(parents=True, exist_ok=True)
    vlm.base.save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    write_merged_card(folder, vlm, adapter, reading=reading)


def push_folder(folder: Path, repository: str, *, private: bool = True) -> str:
    """Send a folder to a repository of the hub, made where it is not there; return its address.

    The hub is that of HF_ENDPOINT, the key that of HF_TOKEN or of `hf auth login`. Raises
    `RuntimeError` where the hub does not take it; the folder stays as it is.
    """
    hub = require("huggingface_hub", why="sending to a hub")
    interface = hub.HfApi()
    try:
        interface.create_repo(repository, private=private, exist_ok=True)
        done = interface.upload_folder(
            repo_id=repository, folder_path=folder, ignore_patterns=UNSENT
        )
    except Exception as error:  # refused, out of reach, no key: each has a class of its own
        raise RuntimeError(
            f"{folder} is written, but the hub did not take it as {repository}: "
            f"{' '.join(str(error).split())[:300]}. Log in with `hf auth login` or set HF_TOKEN, "
            "and send it with: hf upload"
        ) from error
    return str(done)
