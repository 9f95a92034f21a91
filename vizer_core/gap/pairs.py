"""What a set of image-text pairs must satisfy before any statistic is taken over it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vizer_core.shapes import require_unit_norm


def require_pairs(image_features: Any, text_features: Any) -> None:
    """Raise `ValueError` unless both are unit-norm float tensors `[n, d]` of one shape, n >= 2.

    Row i of one must belong to row i of the other; that cannot be checked here.

    >>> require_pairs(torch.eye(3), torch.eye(4))
    Traceback (most recent call last):
    ...
    ValueError: image_features (3, 3) and text_features (4, 4) must have one shape [n, d]: row i
    of each is one pair. Repeat an image's features once for each of its captions.
    """
    for name, features in (("image_features", image_features), ("text_features", text_features)):
        require_matrix(features, name)
    if image_features.shape != text_features.shape:
        raise ValueError(
            f"image_features {tuple(image_features.shape)} and text_features "
            f"{tuple(text_features.shape)} must have one shape [n, d]: row i\n"
            "of each is one pair. Repeat an image's features once for each of its captions."
        )
    if len(image_features) < 2:
        raise ValueError(
            f"got {len(image_features)} pair, wanted at least 2: a spread needs two of them"
        )
    require_unit_norm(image_features, "image_features")
    require_unit_norm(text_features, "text_features")


def require_matrix(features: Any, name: str) -> None:
    """Raise `ValueError` unless `features` is a floating-point tensor of two axes.

    >>> require_matrix(torch.ones(3), "text_features")
    Traceback (most recent call last):
    ...
    ValueError: text_features has shape (3,), wanted [n, d]: one row for each pair
    """
    if not isinstance(features, Tensor):
        raise ValueError(
            f"{name} is a {type(features).__name__}, wanted a torch.Tensor: "
            "torch.from_numpy(array) makes one"
        )
    if not torch.is_floating_point(features):
        raise ValueError(f"{name} has dtype {features.dtype}, wanted a floating-point tensor")
    if features.ndim != 2:
        raise ValueError(
            f"{name} has shape {tuple(features.shape)}, wanted [n, d]: one row for each pair"
        )
