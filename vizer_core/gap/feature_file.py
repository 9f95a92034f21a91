"""Paired features from a file that somebody saved, or from a folder of captioned images.

A file holds an array or one tensor of shape [2, n, d], images and then their texts, as `.npy` or
`.safetensors`; or, in safetensors, `image_features` and `text_features`, each [n, d]. Nothing is
normalised on the way: unnormalised features are an error further on, because whoever saved them
may have meant something by it.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vizer_core.clip.extract import encode_records
from vizer_core.clip.job_folder import load_features
from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.data.folder import read_folder

logger = logging.getLogger(__name__)

KEYS = ("image_features", "text_features")


@dataclass(frozen=True, eq=False)
class SavedPairs:
    """Image and text features as they lay in the file."""

    image_features: Float[Tensor, "n d"]
    text_features: Float[Tensor, "m e"]


def read_pairs(path: Path) -> SavedPairs:
    """Read paired features from a `.npy` or `.safetensors` file; pickles are never read.

    >>> read_pairs(Path("features.csv"))
    Traceback (most recent call last):
    ...
    ValueError: features.csv: wanted a .npy or .safetensors file of features
    """
    path = Path(path)
    readers = {".npy": _read_npy, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        raise ValueError(f"{path}: wanted a .npy or .safetensors file of features")
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    return readers[path.suffix](path)


def read_folder_pairs(
    images: Path, captions: Path, encoder: ImageTextEncoder, *, progress: bool = False
) -> SavedPairs:
    """Encode a captioned folder; each readable image is paired with its first caption.

    One pair an image is what a bootstrap may resample. Unreadable images are named in the log.
    """
    records = read_folder(images, captions)
    with tempfile.TemporaryDirectory(prefix="vizer-gap-") as folder:
        done = encode_records(records, encoder, out_dir=Path(folder), progress=progress)
        pairs = load_features(Path(folder)).first_pairs()
    if done.skipped:
        logger.warning("left out %d of %d images", len(done.skipped), len(records))
    return SavedPairs(pairs.pair_image_features, pairs.text_features)


def _read_npy(path: Path) -> SavedPairs:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{path} is not a readable array of numbers: wanted what numpy.save writes of an array "
            "of floats, whole, and no pickled objects"
        ) from error
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{path} holds {array.dtype}, wanted floating-point features [2, n, d]")
    return _split(torch.from_numpy(array.astype(array.dtype.newbyteorder("="))), path)


def _read_safetensors(path: Path) -> SavedPairs:
    try:
        with safe_open(path, framework="pt") as stream:
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    if all(key in tensors for key in KEYS):
        return SavedPairs(*(tensors[key] for key in KEYS))
    if len(tensors) == 1:
        return _split(next(iter(tensors.values())), path)
    raise ValueError(
        f"{path} holds {', '.join(sorted(tensors)) or 'nothing'}: wanted image_features and "
        "text_features, or one tensor [2, n, d]"
    )


def _split(both: Tensor, path: Path) -> SavedPairs:
    if both.ndim != 3 or len(both) != 2:
        raise ValueError(
            f"{path} has shape {tuple(both.shape)}, wanted [2, n, d]: images, then their texts"
        )
    return SavedPairs(both[0], both[1])
