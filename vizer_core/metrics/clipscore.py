"""CLIPScore and RefCLIPScore (Hessel et al. 2021, section 3), from features.

CLIPScore(image, caption) = w * max(cos(image, caption), 0), w = 2.5. The clamp is per pair, before
any mean. RefCLIPScore is, per image, the harmonic mean of that and the caption's greatest cosine
with a reference, unscaled; the paper clamps that cosine too, the authors' code does not. The paper
encodes "A photo depicts " + caption with ViT-B/32; other encoders and prefixes give other numbers,
so both are in the signature. `scorers.Inputs.encoded` puts the prefix before captions and
references, as the authors' code does; features that come without it are signed `prefix:none`.

ViZer's tables print the raw cosine, on its own scale: `clip_cosines`.

Features may come unnormalised and in half precision: they are cast to float32 and then normalised
(normalising in fp16 moved scores by up to 9e-4).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.shapes import unit_norm

W = 2.5
PREFIX = "A photo depicts "  # of the paper; the package's own studies encode bare captions


def clip_cosines(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "n d"]
) -> Float[Tensor, " n"]:
    """Return the cosine of each image with its own caption.

    >>> clip_cosines(torch.eye(2), torch.tensor([[2.0, 0.0], [0.0, -1.0]])).tolist()
    [1.0, -1.0]
    """
    return (unit_norm(image_features) * unit_norm(text_features)).sum(dim=-1)


def clipscores(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "n d"]
) -> Float[Tensor, " n"]:
    """Return each pair's CLIPScore; the corpus's score is their mean.

    >>> clipscores(torch.eye(2), torch.tensor([[2.0, 0.0], [0.0, -1.0]])).tolist()
    [2.5, 0.0]
    """
    return W * clip_cosines(image_features, text_features).clamp(min=0)


def reference_cosines(
    text_features: Float[Tensor, "n d"],
    reference_features: Float[Tensor, "m d"],
    *,
    image_of: Int[Tensor, " m"],
) -> Float[Tensor, " n"]:
    """Return each caption's greatest cosine with a reference of its own image.

    `image_of[j]` is the index of the image that reference j describes.
    """
    texts = unit_norm(text_features)
    cosines = (texts[image_of] * unit_norm(reference_features)).sum(dim=-1)
    lowest = torch.full((len(texts),), float("-inf"), device=texts.device)
    found = lowest.scatter_reduce(0, image_of.long(), cosines, reduce="amax")
    if bool(torch.isinf(found).any()):
        index = int(torch.isinf(found).nonzero()[0])
        raise ValueError(f"image number {index} has no reference features: wanted at least one")
    return found


def refclipscores(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "n d"],
    reference_features: Float[Tensor, "m d"],
    *,
    image_of: Int[Tensor, " m"],
) -> Float[Tensor, " n"]:
    """Return each image's RefCLIPScore as the authors' code has it; nothing over nothing is 0.

    At most 10/7 where a reference has a positive cosine. A negative one is not clamped: the score
    is below zero where the CLIPScore is larger, else not, and unbounded where the two cancel.
    `refclipscores_clamped` is the paper's formula.

    >>> one = torch.tensor([[1.0, 0.0]])
    >>> refclipscores(one, one, one, image_of=torch.tensor([0]))
    tensor([1.4286])
    """
    a = clipscores(image_features, text_features)
    b = reference_cosines(text_features, reference_features, image_of=image_of)
    return _harmonic_mean(a, b)


def refclipscores_clamped(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "n d"],
    reference_features: Float[Tensor, "m d"],
    *,
    image_of: Int[Tensor, " m"],
) -> Float[Tensor, " n"]:
    """Return each image's RefCLIPScore by the paper's formula: both cosines clamped, 0 to 10/7.

    >>> image, text = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    >>> against = torch.tensor([[0.0, -1.0]]), torch.tensor([0])
    >>> refclipscores_clamped(image, text, against[0], image_of=against[1])
    tensor([0.])
    >>> refclipscores(image, text, against[0], image_of=against[1])
    tensor([-3.4286])
    """
    a = clipscores(image_features, text_features)
    b = reference_cosines(text_features, reference_features, image_of=image_of)
    return _harmonic_mean(a, b.clamp(min=0))


def _harmonic_mean(a: Tensor, b: Tensor) -> Tensor:
    total = a + b
    return torch.where(
        total == 0, torch.zeros_like(a), 2 * a * b / total.masked_fill(total == 0, 1)
    )
