"""Paired features from a file that somebody saved, or from a folder of captioned images.

A file contains an array or one tensor of shape [2, n, d], images and then their texts, as `.npy` or
`.safetensors`; or, in safetensors, `image_features` and `text_features`, each [n, d]. With an
`image_index` beside them, as `PairedFeatures.save` and `vizer features` write it, image i is paired
with its first text. Or each side has a file of its own: `read_two_files`. Nothing is normalised on
the way: unnormalised features are an error further on, because whoever saved them may have meant
something by it.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float
from numpy.lib.npyio import NpzFile
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vizer_core.clip.extract import encode_records
from vizer_core.clip.features import PairedFeatures
from vizer_core.clip.job_folder import load_features
from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.data.folder import read_folder

logger = logging.getLogger(__name__)

KEYS = ("image_features", "text_features")
SUFFIXES = (".npy", ".safetensors")
WHOLE_SHAPE = "[2, n, d]"


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
    if _is_npy(path):
        return _split(_read_npy(path, WHOLE_SHAPE), path)
    return _pairs_of(_read_safetensors(path), path)


def read_two_files(images: Path, texts: Path) -> SavedPairs:
    """Read image features from one file and text features from another, each [n, d].

    Row i of one belongs to row i of the other; that cannot be checked here. A `.safetensors` file
    may have one tensor, or several with `image_features` (of `texts`: `text_features`) among them.

    >>> read_two_files(Path("images.csv"), Path("texts.npy"))
    Traceback (most recent call last):
    ...
    ValueError: images.csv: wanted a .npy or .safetensors file of features
    """
    return SavedPairs(
        *(_read_side(Path(path), key) for path, key in zip((images, texts), KEYS, strict=True))
    )


def _is_npy(path: Path) -> bool:
    """Say which of the two kinds a file is; raise unless it is one of them, and there."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: wanted a .npy or .safetensors file of features")
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    return path.suffix == ".npy"


def _read_side(path: Path, key: str) -> Tensor:
    """Read the features of images or of texts, as `key` names them."""
    if _is_npy(path):
        found = _read_npy(path, "[n, d]")
    else:
        tensors = _read_safetensors(path)
        if key not in tensors and len(tensors) != 1:
            raise ValueError(
                f"{path} contains {', '.join(sorted(tensors)) or 'nothing'}: wanted {key}, or one "
                "tensor [n, d]"
            )
        found = tensors.get(key, next(iter(tensors.values())))
    if found.ndim != 2:
        raise ValueError(
            f"{path} has shape {tuple(found.shape)}, wanted [n, d]: the features of one side, a "
            "row for each pair"
        )
    return found


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


def _read_npy(path: Path, shape: str) -> Tensor:
    try:
        with path.open("rb") as stream:
            array = np.load(stream, allow_pickle=False)
            inside = ", ".join(array.files) if isinstance(array, NpzFile) else None
    except (ValueError, EOFError, BadZipFile) as error:
        raise ValueError(
            f"{path} is not a readable array of numbers: wanted what numpy.save writes of an array "
            "of floats, whole, and no pickled objects"
        ) from error
    if inside is not None:
        raise ValueError(
            f"{path} is an .npz archive ({inside}), wanted one array {shape}: "
            f"numpy.save(path, {_ARRAYS[shape]})"
        )
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{path} contains {array.dtype}, wanted floating-point features {shape}")
    own = array.dtype.newbyteorder("=")
    # torch has no long double
    return torch.from_numpy(array.astype(own if own.itemsize <= 8 else np.float64))


_ARRAYS = {WHOLE_SHAPE: "numpy.stack([images, texts])", "[n, d]": "array"}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as stream:
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    whole = {key: t.dtype for key, t in tensors.items() if not t.is_floating_point()}
    if whole and (len(tensors) == 1 or whole.keys() & set(KEYS)):
        key, dtype = next(iter(whole.items()))
        raise ValueError(f"{path} contains {key} as {dtype}, wanted floating-point features")
    return tensors


def _pairs_of(tensors: dict[str, Tensor], path: Path) -> SavedPairs:
    if all(key in tensors for key in KEYS):
        if "image_index" in tensors:
            return _first_texts(*(tensors[key] for key in (*KEYS, "image_index")), path=path)
        return SavedPairs(*(tensors[key] for key in KEYS))
    if len(tensors) == 1:
        return _split(next(iter(tensors.values())), path)
    raise ValueError(
        f"{path} contains {', '.join(sorted(tensors)) or 'nothing'}: wanted image_features and "
        "text_features, or one tensor [2, n, d]"
    )


def _first_texts(images: Tensor, texts: Tensor, image_index: Tensor, *, path: Path) -> SavedPairs:
    """Pair each image with its first text, as `PairedFeatures` reads the index."""
    if not len(texts):
        raise ValueError(
            f"{path} has the features of {len(images)} images and of no text: a gap is measured "
            "on pairs. Make it with captions, or give the texts in a file of their own"
        )
    try:
        pairs = PairedFeatures(tuple(map(str, range(len(images)))), images, texts, image_index)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    firsts = pairs.first_pairs()
    return SavedPairs(firsts.pair_image_features, firsts.text_features)


def _split(both: Tensor, path: Path) -> SavedPairs:
    if both.ndim != 3 or len(both) != 2:
        raise ValueError(
            f"{path} has shape {tuple(both.shape)}, wanted [2, n, d]: images, then their texts"
        )
    return SavedPairs(both[0], both[1])
