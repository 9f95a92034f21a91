"""Saved features are read as they lie; everything else is named."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vizer_core.gap.feature_file import read_pairs
from vizer_core.runtime import seeded


@pytest.fixture
def both():
    return torch.randn(2, 5, 3, generator=seeded(0))


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8"])
def test_npy_of_any_float_is_read_images_first(tmp_path, both, dtype):
    np.save(tmp_path / "x.npy", both.numpy().astype(dtype))
    pairs = read_pairs(tmp_path / "x.npy")
    assert torch.allclose(pairs.image_features.float(), both[0], atol=1e-2)
    assert torch.allclose(pairs.text_features.float(), both[1], atol=1e-2)


def test_safetensors_are_read_by_key_or_as_one_tensor(tmp_path, both):
    named = {"text_features": both[1].contiguous(), "image_features": both[0].contiguous()}
    save_file(named | {"other": torch.ones(1)}, tmp_path / "named.safetensors")
    save_file({"features": both}, tmp_path / "one.safetensors")
    for name in ("named", "one"):
        pairs = read_pairs(tmp_path / f"{name}.safetensors")
        assert torch.equal(pairs.image_features, both[0])
        assert torch.equal(pairs.text_features, both[1])


def test_a_pickle_is_not_opened(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"not a readable array.*no pickled objects"):
        read_pairs(tmp_path / "x.npy")


def test_an_archive_is_named_for_what_it_is_whatever_it_is_called(tmp_path, both):
    np.savez(tmp_path / "x.npz", images=both[0].numpy(), texts=both[1].numpy())
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole)
    with pytest.raises(ValueError, match=r"\.npz archive \(images, texts\), wanted one array"):
        read_pairs(tmp_path / "x.npy")
    (tmp_path / "x.npy").write_bytes(whole[:60])
    with pytest.raises(ValueError, match="not a readable array"):
        read_pairs(tmp_path / "x.npy")


def test_long_doubles_are_read_as_doubles(tmp_path, both):
    np.save(tmp_path / "x.npy", both.numpy().astype(np.longdouble))
    pairs = read_pairs(tmp_path / "x.npy")
    assert pairs.image_features.dtype == torch.float64
    assert torch.equal(pairs.text_features, both[1].double())


@pytest.mark.parametrize("names", [("features",), ("image_features", "text_features")])
def test_whole_numbers_are_no_features_in_safetensors_either(tmp_path, names):
    save_file({n: torch.ones(2, 3, 4, dtype=torch.int8) for n in names}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=rf"contains {names[0]} as torch.int8, wanted floating"):
        read_pairs(tmp_path / "x.safetensors")


def test_what_cannot_be_used_is_named(tmp_path, both):
    (tmp_path / "x.csv").write_text("1,2")
    (tmp_path / "text.npy").write_text("not an array")
    (tmp_path / "text.safetensors").write_text("not tensors")
    np.save(tmp_path / "flat.npy", both[0].numpy())
    np.save(tmp_path / "three.npy", torch.cat([both, both[:1]]).numpy())
    np.save(tmp_path / "whole.npy", np.zeros((2, 3, 4), dtype=np.int64))
    save_file({"a": both, "b": both.clone()}, tmp_path / "keys.safetensors")
    for name, message in {
        "x.csv": "wanted a .npy or .safetensors",
        "text.npy": "not a readable array",
        "text.safetensors": "not a readable safetensors",
        "flat.npy": r"shape \(5, 3\), wanted \[2, n, d\]",
        "three.npy": r"shape \(3, 5, 3\)",
        "whole.npy": "int64, wanted floating-point",
        "keys.safetensors": "contains a, b: wanted image_features",
    }.items():
        with pytest.raises(ValueError, match=message):
            read_pairs(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_pairs(tmp_path / "none.npy")
