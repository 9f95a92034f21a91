"""Read a causal language model and its tokenizer: a folder, a GGUF file, a wheel, or the hub.

What goes wrong on the way is said in this package's words: no such model and no network, a model
of another kind, weights that are not all there. Nothing is ever filled in with random weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vizer_core import hub_errors as hub
from vizer_core.language.gguf import as_folder
from vizer_core.runtime import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WHY = "a causal language model"


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A transformers model with its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_causal_lm(
    name: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> LoadedModel:
    """Load model and tokenizer: a folder, a GGUF file, `smollm2-135m`, or `facebook/opt-1.3b`.

    A GGUF file, in a folder of its own or in a wheel (`vizer_core.wheels`), is converted once.
    Raises `FileNotFoundError` when nothing is there under that name, or the hub cannot be asked,
    `ImportError` where a wheel or `gguf` is missing, and `ValueError` when the model is gated, is
    no causal language model, lacks some of its weights, or does not fit into memory.
    """
    transformers = require("transformers", why=WHY)
    name = as_folder(name)
    _require_config(name)
    config = _read(transformers.AutoConfig, name)
    _require_causal(config, name)
    device = torch.device(device)
    model_class = transformers.AutoModelForCausalLM._model_mapping[type(config)]
    hub.require_memory(config, model_class, device=device, dtype=dtype)
    tokenizer = _read(transformers.AutoTokenizer, name)
    model, report = _read(
        transformers.AutoModelForCausalLM, name, dtype=dtype, output_loading_info=True
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(
            f"{name} lacks {len(missing)} of the weights that {type(model).__name__} needs, "
            f"{missing[0]} first. Get the whole checkpoint: missing weights would be random ones."
        )
    return LoadedModel(model.to(device), tokenizer)


def _require_config(name: str | Path) -> None:
    """Say what is wrong with a path before the hub takes it for a model's name."""
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(
                f"{folder} has no config.json and no GGUF file: wanted a folder that "
                "transformers' `save_pretrained` wrote."
            )
    elif folder.is_file():
        raise ValueError(
            f"{name} is a file, and none of GGUF's: wanted a folder that transformers' "
            "`save_pretrained` wrote, with config.json and .safetensors, or a hub name such as "
            "facebook/opt-125m."
        )
    elif isinstance(name, Path) or str(name).startswith((".", "/", "~")):
        raise FileNotFoundError(f"no such folder: {name}. A hub name looks like facebook/opt-125m.")


def _read(auto_class: type, name: str | Path, **options: Any) -> Any:
    try:
        return auto_class.from_pretrained(
            str(name), local_files_only=not hub.reachable(name), **options
        )
    except (OSError, ValueError) as error:
        raise hub.explained(name, error) from error


def _require_causal(config: Any, name: str | Path) -> None:
    """Refuse encoders and sequence-to-sequence models, which can look like causal ones."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as NAMES

    wanted, found = NAMES.get(config.model_type), config.architectures or ["no architecture"]
    if wanted is None or wanted not in found:
        raise ValueError(
            f"{name} contains {', '.join(found)}, a model of type {config.model_type!r}: wanted a "
            "causal language model such as OPTForCausalLM, GPT2LMHeadModel or LlamaForCausalLM."
        )
