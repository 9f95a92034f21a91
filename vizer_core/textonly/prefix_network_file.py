"""Prefix networks on disk: weights, and a manifest that names their CLIP and language model.

All kinds are kept, `PrefixDecoder`, `SingleTokenMLP` and `WordReader`: the manifest names the kind.

A prefix network maps one CLIP's space into one language model's embeddings. Read with another pair
it still runs and generates fluent nonsense, so loading checks both fingerprints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.files import load_manifest, load_tensors, save_tensors
from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.textonly.prefix_network import (
    MLPConfig,
    PrefixConfig,
    PrefixDecoder,
    PrefixNetwork,
    SingleTokenMLP,
    new_prefix_network,
)
from vizer_core.textonly.word_reader import ReaderConfig, WordReader

# the names that files have for the two networks; the paper says adaptor
_KINDS = {
    "AdaptorDecoder": PrefixConfig, "SingleTokenMLP": MLPConfig, "WordReader": ReaderConfig,
}  # fmt: skip
_NAMES = {
    PrefixDecoder: "AdaptorDecoder", SingleTokenMLP: "SingleTokenMLP", WordReader: "WordReader",
}  # fmt: skip


def save_prefix_network(
    path: Path,
    prefix_network: PrefixNetwork,
    *,
    encoder: ImageTextEncoder,
    language_model: PrefixLanguageModel,
    metadata: Mapping[str, Any],
) -> None:
    """Write the prefix network, the pair of models it fits, and how it was made.

    `metadata` is for the reader: put the training config's `to_dict()`, the pairs' `digest` and the
    seed in it. With a language model that was trained along, save that model too: its fingerprint
    is the one that loading asks for.
    """
    kind = _NAMES.get(type(prefix_network))
    if kind is None:
        wanted = " or ".join(network.__name__ for network in _NAMES)
        raise ValueError(f"cannot save a {type(prefix_network).__name__}: wanted a {wanted}")
    manifest = dict(metadata) | {
        "kind": kind,
        "adaptor": asdict(prefix_network.config),
        "clip": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "language_model": {
            "name": language_model.name,
            "fingerprint": language_model.fingerprint,
            "dtype": _dtype(language_model),
        },
    }
    assert isinstance(prefix_network, nn.Module)
    save_tensors(path, prefix_network.state_dict(), manifest)


def load_prefix_network(
    path: Path, *, encoder: ImageTextEncoder, language_model: PrefixLanguageModel
) -> PrefixDecoder | SingleTokenMLP | WordReader:
    """Read a prefix network for this CLIP and this language model, in eval mode on the LM's device.

    Raises `ValueError` when it was trained with another one of either, or in another precision.
    """
    manifest = load_manifest(path)
    if manifest.get("kind") not in _KINDS:
        raise ValueError(
            f"{path} contains {manifest.get('kind')!r}, not a prefix network: wanted "
            f"one of {sorted(_KINDS)}"
        )
    for part, model in (("clip", encoder), ("language_model", language_model)):
        made_with = manifest[part]
        if made_with["fingerprint"] != model.fingerprint:
            _require_dtype(path, made_with, model)
            raise ValueError(
                f"{path} was trained with the {part.replace('_', ' ')} {made_with['name']!r} "
                f"({made_with['fingerprint'][:12]}), got {model.name!r} "
                f"({model.fingerprint[:12]}). Load that model, or train a network for this one."
            )
    config = _KINDS[manifest["kind"]](**manifest["adaptor"])
    reader = isinstance(config, ReaderConfig)
    prefix_network = WordReader(config) if reader else new_prefix_network(config)
    tensors, _ = load_tensors(path)
    prefix_network.load_state_dict({key: _plain(value) for key, value in tensors.items()})
    return prefix_network.to(language_model.device).eval()


def _plain(stored: Tensor) -> Tensor:
    return stored.float() if stored.is_floating_point() else stored


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
