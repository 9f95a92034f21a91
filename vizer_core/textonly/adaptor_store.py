"""Adaptors on disk: weights, and a manifest that says which CLIP and language model they fit.

Both kinds are kept, `AdaptorDecoder` and `SingleTokenMLP`: the manifest names the kind.

An adaptor maps one CLIP's space into one language model's embeddings. Read with another pair it
still runs and writes fluent nonsense, so loading checks both fingerprints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.store import load_manifest, load_tensors, save_tensors
from vizer_core.textonly.adaptor import (
    Adaptor,
    AdaptorConfig,
    AdaptorDecoder,
    MLPConfig,
    SingleTokenMLP,
    new_adaptor,
)

_KINDS = {"AdaptorDecoder": AdaptorConfig, "SingleTokenMLP": MLPConfig}


def save_adaptor(
    path: Path,
    adaptor: Adaptor,
    *,
    encoder: ImageTextEncoder,
    language_model: PrefixLanguageModel,
    made_by: Mapping[str, Any],
) -> None:
    """Write the adaptor, the pair of models it fits, and how it was made.

    `made_by` is for the reader: put the training config's `to_dict()`, the pairs' `digest` and the
    seed in it. With a language model that was trained along, save that model too: its fingerprint
    is the one that loading asks for.
    """
    kind = type(adaptor).__name__
    if kind not in _KINDS:
        raise ValueError(f"cannot save a {kind}: wanted one of {sorted(_KINDS)}")
    manifest = dict(made_by) | {
        "kind": kind,
        "adaptor": asdict(adaptor.config),
        "clip": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "language_model": {
            "name": language_model.name,
            "fingerprint": language_model.fingerprint,
            "dtype": _dtype(language_model),
        },
    }
    assert isinstance(adaptor, nn.Module)
    save_tensors(path, adaptor.state_dict(), manifest)


def load_adaptor(
    path: Path, *, encoder: ImageTextEncoder, language_model: PrefixLanguageModel
) -> AdaptorDecoder | SingleTokenMLP:
    """Read an adaptor for this CLIP and this language model, in eval mode on the LM's device.

    Raises `ValueError` when it was trained with another one of either, or in another precision.
    """
    manifest = load_manifest(path)
    if manifest.get("kind") not in _KINDS:
        raise ValueError(
            f"{path} holds {manifest.get('kind')!r}, not an adaptor: wanted one of {sorted(_KINDS)}"
        )
    for part, model in (("clip", encoder), ("language_model", language_model)):
        made_with = manifest[part]
        if made_with["fingerprint"] != model.fingerprint:
            _require_dtype(path, made_with, model)
            raise ValueError(
                f"{path} was trained with the {part.replace('_', ' ')} {made_with['name']!r} "
                f"({made_with['fingerprint'][:12]}), got {model.name!r} "
                f"({model.fingerprint[:12]}). Load that model, or train an adaptor for this one."
            )
    adaptor = new_adaptor(_KINDS[manifest["kind"]](**manifest["adaptor"]))
    tensors, _ = load_tensors(path)
    adaptor.load_state_dict({key: value.float() for key, value in tensors.items()})
    return adaptor.to(language_model.device).eval()


def _dtype(model: PrefixLanguageModel) -> str:
    return str(next(model.model.parameters()).dtype).removeprefix("torch.")


def _require_dtype(
    path: Path, made_with: Mapping[str, Any], model: ImageTextEncoder | PrefixLanguageModel
) -> None:
    """Name the precision where it alone can be why a language model's fingerprint differs."""
    trained = made_with.get("dtype")  # of the language model only, and not in older files
    if trained is None or not isinstance(model, PrefixLanguageModel):
        return
    if made_with["name"] == model.name and trained != _dtype(model):
        raise ValueError(
            f"{path} was trained with the language model {model.name!r} in {trained}, got it in "
            f"{_dtype(model)}: load it with dtype={trained!r}"
        )
