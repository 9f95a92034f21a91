"""MultiCapCLIP: CLIP finds the concepts of an image, and a decoder of texts reads those.

Yang et al. 2023 (MultiCapCLIP, 2308.13218): a bank contains the most frequent noun phrases
of a corpus; the k of them nearest to a text (in training) or to an image (when captioning) are the
prompts of the decoder, which so meets the same kind of input both times.

Where we differ: the paper trains a decoder on concept prompts; here nothing is trained anew. The k
concepts' text features, weighed by a softmax of their cosines, are added up and read by the prefix
network of `DeCap`, which was trained on clean text features. Concepts are the statements that a
corpus makes most often, found by rules (`metrics.phrases`) and not by a parser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.captioners.memory_bank import MemoryBank
from vizer_core.captioners.protocol import Images, image_features_of, require_width
from vizer_core.captioners.single_token import write_features
from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.metrics.phrases import frequent_statements
from vizer_core.shapes import unit_norm
from vizer_core.textonly.filtering import PrefixGenerator

CONCEPTS, NEAREST, TEMPERATURE = 1000, 16, 0.05  # the paper's bank and its 16 prompts


@dataclass(frozen=True, eq=False)
class Concepts:
    """Reads the sum of the k concepts nearest to the image."""

    prefix_generator: PrefixGenerator
    concepts: MemoryBank
    k: int = NEAREST
    temperature: float = TEMPERATURE
    name: str = "concepts"
    reads_patches: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 1 <= self.k <= len(self.concepts) or not self.temperature > 0:
            raise ValueError(
                f"k is {self.k} of {len(self.concepts)} concepts, temperature {self.temperature}: "
                "wanted 1 to their number, and more than 0"
            )

    @staticmethod
    def bank(
        encoder: ImageTextEncoder, captions: Sequence[str], *, count: int = CONCEPTS
    ) -> MemoryBank:
        """Encode the statements that most captions make."""
        texts = frequent_statements(captions, count=count)
        return MemoryBank(texts, encoder.encode_text(list(texts)), encoder.fingerprint)

    def nearest(self, features: Float[Tensor, "n d"]) -> list[tuple[str, ...]]:
        """Return the k concepts of each image, the nearest first."""
        rows = (features @ self.concepts.features.T).topk(self.k, dim=1).indices
        return [tuple(self.concepts.texts[i] for i in row) for row in rows.tolist()]

    def read(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Return what the decoder reads of each image, at length 1."""
        found = (features @ self.concepts.features.T).topk(self.k, dim=1)
        weights = (found.values / self.temperature).softmax(dim=1)
        near = self.concepts.features[found.indices]
        return unit_norm(torch.einsum("nk,nkd->nd", weights, near))

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Find concepts, then generate."""
        features = image_features_of(images)
        require_width(features, self.concepts.width, self.name)
        return write_features(
            self.prefix_generator, self.read(features), self.name, generator=generator
        )
