"""LoRA on the language model alone, by PEFT: add, list, save and load, take off.

Hu et al. 2021 (LoRA), section 4.1: W x + (alpha / r) B A x, with A drawn at random and B zero, so
that training starts from the base model exactly. ViZer (section 4): r = 32, alpha = 64; which
layers, and dropout, are not stated. Ours: all seven projections of every layer, no dropout, since
a caption is sampled and read again and both must see the same model.

Layers are changed in place: `vlm.model` stays the object it was. What is saved is a plain PEFT
folder, which `peft.PeftModel.from_pretrained` alone can load, and beside it `vizer.json`, which
says which base it belongs to.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vizer_core.files import METADATA, atomic_path, read_record, sha256_file, write_json
from vizer_core.runtime import require
from vizer_core.vlm.protocol import VisionLanguageModel

VISION_PARTS = frozenset(
    ("vision_model", "vision_tower", "visual", "connector", "merger", "multi_modal_projector")
)
MANIFEST, WEIGHTS, CONFIG = "vizer.json", "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True)
class LoraSettings:
    """How large the adapter is, and which of the language model's projections it changes.

    An empty `projections` means all that the model's own `lora_targets` name.
    """

    rank: int = 32  # "LoRA (rank=32, alpha=64)" in the digest of section 4
    alpha: int = 64
    dropout: float = 0.0
    projections: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise ValueError(f"wanted rank >= 1, alpha > 0 and 0 <= dropout < 1, got {self}")


VIZER_LORA = LoraSettings()


def lora_targets(vlm: VisionLanguageModel, settings: LoraSettings = VIZER_LORA) -> str:
    """Return the regex that PEFT is given, checked against the model's own layers."""
    some = settings.projections
    targets = vlm.lora_targets_for(some) if some else vlm.lora_targets
    linear = [name for name, part in vlm.model.named_modules() if isinstance(part, nn.Linear)]
    found = [name for name in linear if re.fullmatch(targets, name)]
    if not found:
        ends = sorted({name.rpartition(".")[2] for name in linear})
        raise ValueError(
            f"LoRA targets {targets!r} match none of the {len(linear)} linear layers of "
            f"{vlm.name}, whose names end in {ends}"
        )
    seen = [name for name in found if VISION_PARTS.intersection(name.split("."))]
    if seen:
        raise ValueError(
            f"LoRA targets {targets!r} match {len(seen)} layers of the vision side, such as "
            f"{seen[0]}: F_I would drift while it is aimed at. Restrict them to the language model."
        )
    return targets


def add_lora(
    vlm: VisionLanguageModel,
    settings: LoraSettings = VIZER_LORA,
    *,
    generator: torch.Generator,
) -> None:
    """Put a fresh adapter on the language model, in place; all other parameters are frozen."""
    require_no_lora(vlm)
    peft = require("peft", why="LoRA")
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=lora_targets(vlm, settings),
        bias="none",
        base_model_name_or_path=vlm.name,
    )
    _inject(vlm, config)
    reset_lora(vlm, generator=generator)


def reset_lora(vlm: VisionLanguageModel, *, generator: torch.Generator) -> None:
    """Draw A anew and set B to zero: the model is its base again, ready for another run."""
    with torch.no_grad():
        for name, parameter in lora_parameters(vlm).items():
            if ".lora_B." in name:
                parameter.zero_()
            else:  # PEFT's own distribution: uniform, bound 1 / sqrt(fan in)
                bound = 1 / sqrt(parameter.shape[1])
                drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                parameter.copy_(drawn)


def remove_lora(vlm: VisionLanguageModel) -> None:
    """Take the adapter off, in place: the model is its base again, and can be given another one."""
    tuner = require("peft.tuners.tuners_utils", why="LoRA").BaseTunerLayer
    for name, layer in list(vlm.model.named_modules()):
        if isinstance(layer, tuner):
            above, _, own = name.rpartition(".")
            setattr(vlm.model.get_submodule(above), own, layer.get_base_layer())
    if hasattr(vlm.model, "peft_config"):
        del vlm.model.peft_config


def has_lora(vlm: VisionLanguageModel) -> bool:
    """Say whether the model carries an adapter."""
    return any(".lora_A." in name for name, _ in vlm.model.named_parameters())


def lora_parameters(vlm: VisionLanguageModel) -> dict[str, nn.Parameter]:
    """Return the adapter's parameters by name; everything else in the model is frozen."""
    found = {
        name: parameter
        for name, parameter in vlm.model.named_parameters()
        if ".lora_A." in name or ".lora_B." in name
    }
    if not found:
        raise ValueError(f"{vlm.name} carries no LoRA: call add_lora(vlm, generator=...) first")
    return found


def adapter_tensors(vlm: VisionLanguageModel) -> dict[str, Tensor]:
    """Return the adapter's weights under the names that PEFT writes."""
    peft = require("peft", why="LoRA")
    lora_parameters(vlm)
    state = peft.get_peft_model_state_dict(vlm.model, save_embedding_layers=False)
    prefix = "base_model.model."
    return {
        key if key.startswith(prefix) else prefix + key: value.detach().cpu().contiguous()
        for key, value in state.items()
    }


def save_adapter(
    vlm: VisionLanguageModel, folder: Path, *, metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write the adapter as a PEFT folder with a manifest; `metadata` says how it was trained.

    Each file appears whole or not at all; the manifest comes last and contains the weights' hash.
    """
    from safetensors.torch import save_file

    folder, tensors = Path(folder), adapter_tensors(vlm)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)  # until the end there is no complete adapter here
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    config = copy(vlm.model.peft_config["default"])
    config.inference_mode = True
    with tempfile.TemporaryDirectory() as scratch, atomic_path(folder / CONFIG) as temporary:
        config.save_pretrained(scratch)
        temporary.write_bytes((Path(scratch) / CONFIG).read_bytes())
    record = {
        "kind": "vizer-adapter",
        "vlm": vlm.name,
        "fingerprint": vlm.fingerprint,
        "rank": config.r,
        "alpha": config.lora_alpha,
        "prompt": vlm.default_prompt,
        **({"reading": dict(reading)} if (reading := getattr(vlm, "reading", {})) else {}),
        METADATA: dict(metadata or {}),
        "sha256": sha256_file(folder / WEIGHTS),
    }
    write_json(folder / MANIFEST, record)
    return folder


def load_adapter(
    vlm: VisionLanguageModel, folder: Path, *, trainable: bool = False
) -> dict[str, Any]:
    """Put a saved adapter on the model it was trained for, in place, and return its manifest.

    The model is asked from here on what it was asked in training (`vlm.default_prompt`), where the
    manifest says that; adapters saved by earlier versions do not.
    """
    require_no_lora(vlm)
    folder = Path(folder)
    record = read_record(folder / MANIFEST)
    if record.get("fingerprint") != vlm.fingerprint:
        raise ValueError(
            f"{folder} was trained on {record.get('vlm')!r} (weights {record.get('fingerprint')}), "
            f"this model is {vlm.name!r} ({vlm.fingerprint}): load that base instead"
        )
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} lacks {name}: copy the whole folder, or train it again"
            )
    if sha256_file(folder / WEIGHTS) != record.get("sha256"):
        raise ValueError(f"{folder / WEIGHTS} does not fit {MANIFEST}: it is damaged or was mixed")
    peft = require("peft", why="LoRA")
    try:
        _inject(vlm, peft.LoraConfig.from_pretrained(folder))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG} is no LoRA of this model: {error}") from error
    load_weights(vlm, folder)
    for parameter in lora_parameters(vlm).values():
        parameter.requires_grad_(trainable)
    vlm.default_prompt = record.get("prompt", vlm.default_prompt)
    return record


def load_weights(vlm: VisionLanguageModel, folder: Path) -> None:
    """Put a saved adapter's weights in the place of those that the model carries.

    Raises `ValueError` where they are of other layers.
    """
    from safetensors.torch import load_file

    peft = require("peft", why="LoRA")
    prefix = "base_model.model."
    kept = {key.removeprefix(prefix): value for key, value in load_file(folder / WEIGHTS).items()}
    there = peft.get_peft_model_state_dict(vlm.model, save_embedding_layers=False)
    if missing := set(kept) ^ set(there):
        raise ValueError(
            f"{folder / WEIGHTS} and its {CONFIG} name different layers: {len(missing)} differ, "
            f"such as {min(missing)}"
        )
    peft.set_peft_model_state_dict(vlm.model, kept)


def settings_dict(settings: LoraSettings) -> dict[str, Any]:
    """The settings as plain JSON values, for a manifest."""
    return asdict(settings) | {"projections": list(settings.projections)}


def _inject(vlm: VisionLanguageModel, config: Any) -> None:
    """Let PEFT change the layers in place; the adapter is float32 whatever the base is."""
    peft = require("peft", why="LoRA")
    peft.inject_adapter_in_model(config, vlm.model)
    for parameter in lora_parameters(vlm).values():
        parameter.data = parameter.data.float()
    vlm.model.eval()


def require_no_lora(vlm: VisionLanguageModel) -> None:
    """Raise `ValueError` where the model carries an adapter already."""
    if has_lora(vlm):
        raise ValueError(
            f"{vlm.name} carries LoRA already: call reset_lora for a fresh start, or load the base "
            "model again"
        )
