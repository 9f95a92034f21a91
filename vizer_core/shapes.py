"""Axis glossary, tensor aliases and the one normalisation that every seam uses.

Axes, named once for every jaxtyping signature in the package:

===  ==========================================  ===  ================================
n    image-text pairs                            q    learned query tokens
b    batch                                       t    text tokens
d    width of the joint CLIP space               h    language-model width
p    patches of one image (CLS excluded)         v    vocabulary
r    sub-regions of one image                    k    candidates or samples per image
===  ==========================================  ===  ================================
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

RegionFeatures = Float[Tensor, "n r d"]

UNIT_NORM_TOLERANCE = 1e-3


def unit_norm(x: Float[Tensor, "*axes d"]) -> Float[Tensor, "*axes d"]:
    """Scale vectors along the last axis to length 1, in float32.

    Half-precision input is cast first: the sum of squares of an fp16 vector of norm 256
    already overflows. A zero vector has no direction and raises `ValueError`.

    >>> unit_norm(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    x = x.float()
    norms = x.norm(dim=-1, keepdim=True)
    if not bool(torch.isfinite(norms).all()):
        bad = int((~torch.isfinite(norms)).sum())
        raise ValueError(f"cannot normalise: {bad} of {norms.numel()} vectors contain NaN or inf")
    if bool((norms == 0).any()):
        raise ValueError(
            f"cannot normalise: {int((norms == 0).sum())} of {norms.numel()} vectors are all zero"
        )
    return x / norms


def require_unit_norm(x: Tensor, name: str) -> None:
    """Raise `ValueError` unless every last-axis vector of `x` is finite and of length 1.

    >>> require_unit_norm(torch.ones(2, 4), "image_features")
    Traceback (most recent call last):
    ...
    ValueError: image_features must be unit-norm: lengths range from 2.0000 to 2.0000. Call
    vizer_core.shapes.unit_norm on them first.
    """
    if x.numel() == 0:
        raise ValueError(f"{name} is empty: got shape {tuple(x.shape)}, wanted at least one vector")
    if not bool(torch.isfinite(x).all()):
        rows = int((~torch.isfinite(x)).flatten(0, -2).any(dim=-1).sum())
        raise ValueError(
            f"{name} contains NaN or inf in {rows} of {x[..., 0].numel()} vectors. "
            "Drop or recompute them: a gap over broken features means nothing."
        )
    norms = x.float().norm(dim=-1)
    low, high = float(norms.min()), float(norms.max())
    if abs(low - 1) > UNIT_NORM_TOLERANCE or abs(high - 1) > UNIT_NORM_TOLERANCE:
        raise ValueError(
            f"{name} must be unit-norm: lengths range from {low:.4f} to {high:.4f}. "
            "Call\nvizer_core.shapes.unit_norm on them first."
        )
