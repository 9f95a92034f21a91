"""From a hub name or a folder to a model and its processor; whatever is amiss is said at once.

transformers tries for a long time to reach a hub that has no address here, fills weights that a
checkpoint lacks with random ones, and lets a model that does not fit into memory be killed. Each of
these is an error here, before or instead; `vizer_core.hub_errors` has the words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from vizer_core import hub_errors as hub
from vizer_core.files import read_json
from vizer_core.runtime import pick_device, require

# Early files of Qwen2.5-VL bear a name that never was in a released transformers.
RENAMED_PROCESSORS = {"Qwen2_5_VLImageProcessor": "Qwen2VLImageProcessor"}
# of modules that stay whole; transformers matches from a name's beginning, or its end
WHOLE = ("lm_head", r".*\bvision_model", r".*\bvisual", r".*\bconnector")
LAYS_OUT = "support_avx512bf16_for_cpu"  # of bitsandbytes' Linear4bit


def read_config(name: str | Path) -> Any:
    """Return the configuration of a checkpoint, or say why there is none."""
    transformers = require("transformers", why="a vision-language model")
    _require_model_folder(name)
    try:
        return transformers.AutoConfig.from_pretrained(
            name, local_files_only=not hub.reachable(name)
        )
    except (OSError, ValueError) as error:
        raise hub.explained(name, error) from error


def read_processor(name: str | Path) -> Any:
    """Return the checkpoint's processor: images and texts to tensors."""
    transformers = require("transformers", why="a vision-language model")
    try:
        found = transformers.AutoProcessor.from_pretrained(
            name, local_files_only=not hub.reachable(name)
        )
    except (OSError, ValueError) as error:
        _require_known_processor(name)
        raise FileNotFoundError(
            f"{name} has no processor that loads: {error} Save one beside the weights with "
            "processor.save_pretrained(FOLDER)."
        ) from error
    if not hasattr(found, "image_processor") or not hasattr(found, "tokenizer"):
        raise ValueError(
            f"the processor of {name} is a {type(found).__name__}: wanted one with an image "
            "processor and a tokenizer. Is preprocessor_config.json missing?"
        )
    return found


def _require_known_processor(name: str | Path) -> None:
    """Raise `ValueError` if a folder names an image processor that this transformers lacks."""
    transformers = require("transformers", why="a vision-language model")
    path = Path(name) / "preprocessor_config.json"
    kind = read_json(path).get("image_processor_type") if path.is_file() else None
    if kind is None or hasattr(transformers, kind):
        return
    known = RENAMED_PROCESSORS.get(kind)
    advice = f"write {known}, its name since" if known else "wanted one of its own: upgrade it"
    raise ValueError(
        f"{path} names the image processor {kind}, which transformers {transformers.__version__} "
        f"does not have: {advice}"
    )


def auto_dtype(device: torch.device) -> torch.dtype:
    """Return the precision for a device where none is asked for: half on CUDA, else float32.

    Half is bfloat16 where the GPU computes in it, and float16 on one that only imitates it (a T4).

    >>> auto_dtype(torch.device("cpu"))
    torch.float32
    """
    if device.type != "cuda":
        return torch.float32
    with torch.cuda.device(device):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def four_bit_config(dtype: torch.dtype) -> Any:
    """Return how QLoRA keeps a base model (Dettmers et al. 2023, 2305.14314, section 3).

    Four-bit NormalFloat with its constants quantised too. Ours: the vision side stays whole, since
    what captions are compared with comes from it.
    """
    transformers = require("transformers", why="a vision-language model")
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=list(WHOLE),
    )


def keep_layout(model: nn.Module) -> None:
    """Forbid bitsandbytes to lay its weights out anew on a CPU.

    It does so at the first pass that looks like inference (a CPU with AVX512-BF16). No gradient
    goes through that layout, so that LoRA below it would learn nothing true, without an error, and
    the model's fingerprint would depend on whether it had captioned before.
    """
    for module in model.modules():
        if hasattr(module, LAYS_OUT):
            setattr(module, LAYS_OUT, False)


def read_model(
    name: str | Path,
    class_name: str,
    *,
    device: torch.device | str,
    dtype: torch.dtype | None,
    four_bit: bool = False,
) -> nn.Module:
    """Load all weights of a checkpoint into the named transformers class, on one device.

    `dtype` is that of `auto_dtype` unless given. With `four_bit` the language model's linear layers
    are kept in four bits and computed in `dtype`; the vision side and the head stay as they are.
    """
    transformers = require("transformers", why="a vision-language model")
    if four_bit:
        require("bitsandbytes", why="a base model in four bits")
    device = pick_device(device) if isinstance(device, str) else device
    dtype = dtype or auto_dtype(device)
    model_class = getattr(transformers, class_name)
    quantised = {"quantization_config": four_bit_config(dtype)} if four_bit else {}
    if not four_bit:
        hub.require_memory(read_config(name), model_class, device=device, dtype=dtype)
    try:
        model, report = model_class.from_pretrained(
            name,
            dtype=dtype,
            device_map={"": device},
            output_loading_info=True,
            local_files_only=not hub.reachable(name),
            **quantised,
        )
    except (OSError, ValueError) as error:
        raise hub.explained(name, error) from error
    if four_bit:
        keep_layout(model)
    wrong = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if wrong:
        raise ValueError(
            f"{name} does not fill {class_name}: {len(wrong)} weights are missing or have another "
            f"shape, the first {wrong[0]}. They would stay random; use a complete checkpoint."
        )
    return model


def _require_model_folder(name: str | Path) -> None:
    folder = Path(name)
    if not folder.is_dir():
        if isinstance(name, Path) or name.startswith((".", "/", "~")):
            raise FileNotFoundError(f"no such folder: {name}. A hub name looks like owner/model.")
        return
    if (folder / "config.json").is_file():
        return
    if (folder / "adapter_config.json").is_file():
        raise ValueError(
            f"{folder} has a LoRA adapter, not a model: load the base it names, then the adapter "
            "with vizer_core.vizer.load_adapter."
        )
    raise FileNotFoundError(f"{folder} contains no config.json: wanted a folder of save_pretrained")
