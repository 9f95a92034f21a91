"""Adaptors on disk: what was saved is read, and only for the models it fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.textonly.tiny_models import CLIP_WIDTH, WIDTH, HashEncoder, tiny_language_model
from vizer_core.store import save_tensors
from vizer_core.textonly.adaptor import AdaptorConfig, AdaptorDecoder, MLPConfig, SingleTokenMLP
from vizer_core.textonly.adaptor_store import load_adaptor, save_adaptor
from vizer_core.textonly.presets import MACCAP_PAPER


def adaptors() -> list:
    torch.manual_seed(0)
    sizes = AdaptorConfig(CLIP_WIDTH, WIDTH, queries=3, heads=4, feedforward=32, norm_first=True)
    found = [AdaptorDecoder(sizes), SingleTokenMLP(MLPConfig(CLIP_WIDTH, WIDTH))]
    for adaptor in found:
        adaptor.standardise_on(torch.randn(9, 1, CLIP_WIDTH))
    return found


def save(path: Path, adaptor) -> None:
    save_adaptor(
        path, adaptor, encoder=HashEncoder(), language_model=tiny_language_model(),
        made_by={"config": MACCAP_PAPER.to_dict(), "pairs": "ab12", "seed": 0},
    )  # fmt: skip


@pytest.mark.parametrize("which", [0, 1])
def test_an_adaptor_comes_back_as_it_was(which, tmp_path: Path):
    adaptor, path = adaptors()[which], tmp_path / "adaptor.safetensors"
    save(path, adaptor)
    found = load_adaptor(path, encoder=HashEncoder(), language_model=tiny_language_model())
    assert type(found) is type(adaptor) and found.config == adaptor.config and not found.training
    tokens = torch.randn(4, 1, CLIP_WIDTH)
    assert found(tokens).equal(adaptor.eval()(tokens))


def test_another_clip_or_language_model_is_refused(tmp_path: Path):
    path = tmp_path / "adaptor.safetensors"
    save(path, adaptors()[0])
    other = HashEncoder()
    other.fingerprint, other.name = "cd" * 8, "other-clip"
    with pytest.raises(ValueError, match=r"trained with the clip 'hash-clip' .*got 'other-clip'"):
        load_adaptor(path, encoder=other, language_model=tiny_language_model())
    with pytest.raises(ValueError, match=r"trained with the language model 'tiny-opt'"):
        load_adaptor(path, encoder=HashEncoder(), language_model=tiny_language_model(seed=1))


def test_another_precision_is_named_and_not_called_another_model(tmp_path: Path):
    path = tmp_path / "adaptor.safetensors"
    save(path, adaptors()[1])
    half = tiny_language_model(dtype=torch.bfloat16)
    with pytest.raises(ValueError, match=r"in float32, got it in bfloat16: .*dtype='float32'"):
        load_adaptor(path, encoder=HashEncoder(), language_model=half)


def test_other_files_are_refused(tmp_path: Path):
    path = tmp_path / "adaptor.safetensors"
    with pytest.raises(FileNotFoundError, match="has no manifest"):
        load_adaptor(path, encoder=HashEncoder(), language_model=tiny_language_model())
    save_tensors(path, {"x": torch.ones(1)}, {"kind": "image_states"})
    with pytest.raises(ValueError, match="holds 'image_states', not an adaptor"):
        load_adaptor(path, encoder=HashEncoder(), language_model=tiny_language_model())
    with pytest.raises(ValueError, match=r"cannot save a ConfiguredLinear"):
        save(path, ConfiguredLinear())


class ConfiguredLinear(torch.nn.Linear):
    """Looks like an adaptor and is none."""

    config, prefix_length = MLPConfig(1, 1), 1

    def __init__(self) -> None:
        super().__init__(1, 1)

    def standardise_on(self, tokens: torch.Tensor) -> None:
        """Do nothing."""

    def start_near_words(self, words: torch.Tensor, *, generator: torch.Generator) -> None:
        """Do nothing."""
