"""GGUF files, the weights of llama.cpp: converted once to a folder that transformers reads.

transformers unpacks their few bits a weight to float32, exactly; that takes 15 seconds of a core
for SmolLM2-135M, and the kept copy loads in three. The copy's configuration must not say that the
model is quantised, since its weights no longer are and loading would ask for the file again.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import torch

from vizer_core.runtime import require
from vizer_core.wheels import WHEELS, cached_folder, wheel_file

MAGIC = b"GGUF"


def as_folder(name: str | Path) -> str | Path:
    """Return what transformers can read of a language model: a converted folder, or `name` as is.

    Converted are a GGUF file, a folder with one GGUF file and no config.json, and the models that
    `vizer_core.wheels` knows. Raises `ValueError` on a folder with several GGUF files or an empty
    one, and `ImportError` where `gguf`, or the wheel, is missing.
    """
    source = gguf_of(name)
    if source is None:
        return name
    if source.stat().st_size <= len(MAGIC):
        raise ValueError(f"{source} has {source.stat().st_size} bytes: fetch the whole file again")
    return cached_folder(source, convert, stem=source.stem)


def gguf_of(name: str | Path) -> Path | None:
    """Return the GGUF file that a name means, or None where it means no such file."""
    if str(name) in WHEELS:
        file = wheel_file(str(name))
        if file.suffix != ".gguf":
            raise ValueError(f"{name} is an encoder of sentences, wanted a causal language model")
        return file
    place = Path(name)
    if place.is_file():
        with place.open("rb") as stream:
            return place if stream.read(len(MAGIC)) == MAGIC else None
    if not place.is_dir() or (place / "config.json").is_file():
        return None
    found = sorted(place.glob("*.gguf"))
    if len(found) > 1:
        raise ValueError(
            f"{place} contains {len(found)} GGUF files, {found[0].name} first: name one of them"
        )
    return found[0] if found else None


def convert(source: Path, folder: Path) -> None:
    """Write a GGUF file's model and tokenizer into a folder, in float32.

    Raises `ImportError` without `gguf`, and `ValueError` where the file is damaged, of a kind that
    transformers does not read, or lacks weights.
    """
    require("gguf", why=f"reading {source.name}", extra="real")
    transformers = require("transformers", why="a causal language model")
    options: dict[str, Any] = {"gguf_file": source.name, "local_files_only": True}
    try:
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            str(source.parent), dtype=torch.float32, output_loading_info=True, **options
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(source.parent), **options)
    except (OSError, ValueError, LookupError, RuntimeError, struct.error) as error:
        raise ValueError(
            f"{source} does not load as a GGUF file: {type(error).__name__}: {error}. Is it whole, "
            "and of a kind of model that transformers reads from GGUF?"
        ) from error
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ValueError(f"{source} lacks {len(missing)} weights, {missing[0]} first: get it anew")
    drop_quantisation(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def drop_quantisation(model: Any) -> None:
    """Say no longer that a model is quantised, once its weights are plain numbers."""
    if getattr(model.config, "quantization_config", None) is not None:
        del model.config.quantization_config
    model.hf_quantizer = None
