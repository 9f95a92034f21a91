"""Prefix networks on disk: what was saved is read, and only for the models it fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.textonly.tiny_models import CLIP_WIDTH, WIDTH, HashEncoder, tiny_language_model
from vizer_core.files import save_tensors
from vizer_core.textonly.prefix_network import (
    MLPConfig,
    PrefixConfig,
    PrefixDecoder,
    SingleTokenMLP,
)
from vizer_core.textonly.prefix_network_file import load_prefix_network, save_prefix_network
from vizer_core.textonly.presets import MACCAP_PAPER


def prefix_networks() -> list:
    torch.manual_seed(0)
    sizes = PrefixConfig(CLIP_WIDTH, WIDTH, queries=3, heads=4, feedforward=32, norm_first=True)
    found = [PrefixDecoder(sizes), SingleTokenMLP(MLPConfig(CLIP_WIDTH, WIDTH))]
    for prefix_network in found:
        prefix_network.standardise_on(torch.randn(9, 1, CLIP_WIDTH))
    return found


def save(path: Path, prefix_network) -> None:
    save_prefix_network(
        path, prefix_network, encoder=HashEncoder(), language_model=tiny_language_model(),
        metadata={"config": MACCAP_PAPER.to_dict(), "pairs": "ab12", "seed": 0},
    )  # fmt: skip


@pytest.mark.parametrize("which", [0, 1])
def test_an_prefix_network_comes_back_as_it_was(which, tmp_path: Path):
    prefix_network, path = prefix_networks()[which], tmp_path / "prefix network.safetensors"
    save(path, prefix_network)
    found = load_prefix_network(path, encoder=HashEncoder(), language_model=tiny_language_model())
    assert (
        type(found) is type(prefix_network)
        and found.config == prefix_network.config
        and not found.training
    )
    tokens = torch.randn(4, 1, CLIP_WIDTH)
    assert found(tokens).equal(prefix_network.eval()(tokens))


def test_another_clip_or_language_model_is_refused(tmp_path: Path):
    path = tmp_path / "prefix network.safetensors"
    save(path, prefix_networks()[0])
    other = HashEncoder()
    other.fingerprint, other.name = "cd" * 8, "other-clip"
    with pytest.raises(ValueError, match=r"trained with the clip 'hash-clip' .*got 'other-clip'"):
        load_prefix_network(path, encoder=other, language_model=tiny_language_model())
    with pytest.raises(ValueError, match=r"trained with the language model 'tiny-opt'"):
        load_prefix_network(path, encoder=HashEncoder(), language_model=tiny_language_model(seed=1))


def test_another_precision_is_named_and_not_called_another_model(tmp_path: Path):
    path = tmp_path / "prefix network.safetensors"
    save(path, prefix_networks()[1])
    half = tiny_language_model(dtype=torch.bfloat16)
    with pytest.raises(ValueError, match=r"in float32, got it in bfloat16: .*dtype='float32'"):
        load_prefix_network(path, encoder=HashEncoder(), language_model=half)


def test_other_files_are_refused(tmp_path: Path):
    path = tmp_path / "prefix network.safetensors"
    with pytest.raises(FileNotFoundError, match="has no manifest"):
        load_prefix_network(path, encoder=HashEncoder(), language_model=tiny_language_model())
    save_tensors(path, {"x": torch.ones(1)}, {"kind": "image_states"})
    with pytest.raises(ValueError, match="contains 'image_states', not a prefix network"):
        load_prefix_network(path, encoder=HashEncoder(), language_model=tiny_language_model())
    with pytest.raises(ValueError, match=r"cannot save a ConfiguredLinear"):
        save(path, ConfiguredLinear())


class ConfiguredLinear(torch.nn.Linear):
    """Looks like a prefix network and is none."""

    config, prefix_length = MLPConfig(1, 1), 1

    def __init__(self) -> None:
        super().__init__(1, 1)

    def standardise_on(self, tokens: torch.Tensor) -> None:
        """Do nothing."""

    def start_near_words(self, words: torch.Tensor, *, generator: torch.Generator) -> None:
        """Do nothing."""
