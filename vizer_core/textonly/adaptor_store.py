"""Adaptors on disk: weights, and a manifest that says which CLIP and language model they fit.

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
)

_KINDS = {
    "AdaptorDecoder": (AdaptorDecoder, AdaptorConfig),
    "SingleTokenMLP": (SingleTokenMLP, MLPConfig),
}


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
        },
    }
    assert isinstance(adaptor, nn.Module)
    save_tensors(path, adaptor.state_dict(), manifest)


def load_adaptor(
    path: Path, *, encoder: ImageTextEncoder, language_model: PrefixLanguageModel
) -> AdaptorDecoder | SingleTokenMLP:
    """Read an adaptor for this CLIP and this language model, in eval mode on the LM's device.

    Raises `ValueError` when it was trained with another one of either.
    """
    manifest = load_manifest(path)
    if manifest.get("kind") not in _KINDS:
        raise ValueError(
            f"{path} holds {manifest.get('kind')!r}, not an adaptor: wanted one of {sorted(_KINDS)}"
        )
    for part, model in (("clip", encoder), ("language_model", language_model)):
        made_with = manifest[part]
        if made_with["fingerprint"] != model.fingerprint:
            raise ValueError(
                f"{path} was trained with the {part.replace('_', ' ')} {made_with['name']!r} "
                f"({made_with['fingerprint'][:12]}), got {model.name!r} "
                f"({model.fingerprint[:12]}). Load that model, or train an adaptor for this one."
            )
    build, config = _KINDS[manifest["kind"]]
    adaptor = build(config(**manifest["adaptor"]))
    tensors, _ = load_tensors(path)
    adaptor.load_state_dict({key: value.float() for key, value in tensors.items()})
    return adaptor.to(language_model.device).eval()
