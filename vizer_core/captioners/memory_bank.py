"""A memory of captions in CLIP's text space, and DeCap's projection of an image onto it.

Li et al. 2023 (DeCap), section 3.2: an image feature v becomes a weighted mean of the memory's
text features m_i, so that a decoder trained on texts meets what it was trained on:

    w_i = softmax_i(v . m_i / tau),   p = sum_i w_i m_i,   tau = 1/100.

As tau falls to 0, p becomes the nearest caption's feature, which is CLIPRe's choice.

Where we differ: p is scaled to length 1 (the release does so, the paper's equation stops before);
the softmax runs over blocks of the memory with a running maximum, so 500,000 captions need the
memory itself and one block of scores; a memory that is not of unit norm, or all zeros, is refused,
where the release falls back to the raw image feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.clip import ImageTextEncoder
from vizer_core.files import load_tensors, save_tensors
from vizer_core.shapes import require_unit_norm, unit_norm

DECAP_TEMPERATURE = 0.01  # the release multiplies cosines by 100; the paper says 1/150 or 1/100
DECAP_MEMORY = 500_000  # captions; MacCap's texts say 50,000 and 50M too
BLOCK = 1_024  # rows of the memory scored at a time; more would round worse, not run faster


@dataclass(frozen=True, eq=False)
class MemoryBank:
    """Captions and their unit-norm text features, made by one encoder."""

    texts: tuple[str, ...]
    features: Float[Tensor, "m d"]
    encoder: str

    def __post_init__(self) -> None:
        if len(self.texts) != self.features.shape[0]:
            raise ValueError(
                f"got {len(self.texts)} texts and {self.features.shape[0]} features: wanted one "
                "feature a text"
            )
        require_unit_norm(self.features, "the memory's features")

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def width(self) -> int:
        """Width d of the joint space."""
        return self.features.shape[1]

    @classmethod
    def from_captions(
        cls,
        encoder: ImageTextEncoder,
        captions: Sequence[str],
        *,
        size: int = DECAP_MEMORY,
        generator: torch.Generator,
    ) -> MemoryBank:
        """Encode `size` different captions drawn at random, or all if there are fewer."""
        texts = draw_captions(captions, size, generator=generator)
        return cls(texts, encoder.encode_text(texts), encoder.fingerprint)

    def nearest(self, features: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """Return the row of the memory with the greatest cosine to each feature."""
        _require_query(features, self.features)
        return _nearest(features, self.features, BLOCK)

    def project(
        self,
        features: Float[Tensor, "n d"],
        *,
        temperature: float = DECAP_TEMPERATURE,
        block: int = BLOCK,
    ) -> Float[Tensor, "n d"]:
        """Return DeCap's weighted mean of the memory for each feature, at length 1 (section 3.2).

        Scores and blocks are float32, the running sums float64, with a running maximum: any
        temperature and any size are safe, and the result does not depend on `block`.
        """
        _require_query(features, self.features)
        return _project(features, self.features, temperature, block)

    def save(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write texts and features to `path` (safetensors) with a manifest."""
        encoded = [text.encode("utf-8") for text in self.texts]
        ends = torch.tensor([len(text) for text in encoded]).cumsum(0)
        tensors = {
            "features": self.features,
            "text_bytes": torch.frombuffer(
                bytearray(b"".join(encoded)) or b"\0", dtype=torch.uint8
            ),
            "text_ends": ends,
        }
        save_tensors(path, tensors, dict(metadata) | {"kind": "memory", "encoder": self.encoder})

    @classmethod
    def load(cls, path: Path) -> MemoryBank:
        """Read what `save` wrote, checked against its hash."""
        tensors, manifest = load_tensors(path)
        if manifest.get("kind") != "memory":
            raise ValueError(f"{path} contains {manifest.get('kind')!r}, wanted 'memory'")
        joined, ends = tensors["text_bytes"].numpy().tobytes(), tensors["text_ends"].tolist()
        starts = [0, *ends[:-1]]
        texts = tuple(joined[a:b].decode("utf-8") for a, b in zip(starts, ends))
        return cls(texts, tensors["features"], manifest["encoder"])


def draw_captions(
    captions: Sequence[str], size: int, *, generator: torch.Generator
) -> tuple[str, ...]:
    """Draw `size` different captions at random; a corpus with fewer gives all it has.

    >>> draw_captions(["a cat", "a dog", "a cat"], 5, generator=torch.Generator())
    ('a cat', 'a dog')
    """
    different = list(dict.fromkeys(captions))
    if size < 1 or not different:
        raise ValueError(
            f"cannot draw {size} captions from {len(different)} different ones: wanted at least "
            "one of each"
        )
    if len(different) <= size:
        return tuple(different)
    chosen = torch.randperm(len(different), generator=generator)[:size]
    return tuple(different[row] for row in chosen.tolist())


def nearest_rows(
    features: Float[Tensor, "n d"], memory: Float[Tensor, "m e"], *, block: int = BLOCK
) -> Int[Tensor, " n"]:
    """Return the row of `memory` with the greatest cosine to each feature; of equals, the first.

    >>> nearest_rows(torch.eye(2), torch.eye(2).flip(0))
    tensor([1, 0])
    """
    require_unit_norm(memory, "the memory's features")
    _require_query(features, memory)
    return _nearest(features, memory, block)


def _project(features: Tensor, memory: Tensor, temperature: float, block: int) -> Tensor:
    if not temperature > 0:
        raise ValueError(
            f"temperature is {temperature}: wanted more than 0; use `nearest` for the limit"
        )
    queries = features.float()
    largest = torch.full((len(queries), 1), -torch.inf, device=queries.device)
    total, mean = torch.zeros_like(largest).double(), torch.zeros_like(queries).double()
    for rows in memory.split(block):
        rows = rows.float()
        scores = queries @ rows.T / temperature
        peak = torch.maximum(largest, scores.amax(dim=1, keepdim=True))
        weights, shrink = (scores - peak).exp(), (largest - peak).exp()
        total = total * shrink + weights.sum(dim=1, keepdim=True)
        mean = mean * shrink + weights @ rows
        largest = peak
    return unit_norm(mean / total)


def _nearest(features: Tensor, memory: Tensor, block: int) -> Tensor:
    best = torch.full((len(features),), -torch.inf, device=features.device)
    index = torch.zeros(len(features), dtype=torch.long, device=features.device)
    for start, rows in zip(range(0, len(memory), block), memory.split(block)):
        scores, found = (features.float() @ rows.float().T).max(dim=1)
        better = scores > best
        best, index = torch.where(better, scores, best), torch.where(better, found + start, index)
    return index


def _require_query(features: Tensor, memory: Tensor) -> None:
    require_unit_norm(features, "image_features")
    if features.shape[1] != memory.shape[1]:
        raise ValueError(
            f"got features of width {features.shape[1]} and a memory of width {memory.shape[1]}: "
            "wanted one encoder for both. Build the memory with the encoder of the images."
        )
