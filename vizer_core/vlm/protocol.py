"""The seam between a vision-language model and the zero-label objectives.

ViZer's symbols, and where they are here (dv: width of the vision tower, h: width of the LM):

=================  ==============================================================================
V_theta(I), F_I    `VisionBatch.image_features`: frozen tower, before the connector, pooled
V_theta(I) in LM   `VisionBatch.image_embeddings`: after the connector, what the LM reads
f_psi              `caption_states` (image in context) and `text_states` (caption alone)
E_phi              `embed`
=================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from vizer_core.decoding import Decoding

Prompt: TypeAlias = str | Sequence[str] | None  # one for all, one an image, or the default


@dataclass(frozen=True, eq=False)
class VisionBatch:
    """What the frozen vision side says about b images: computed once, read many times.

    `image_embeddings` holds one [s, h] tensor an image, because tiles and sizes differ; `grid` is
    (tiles, rows, columns) for SmolVLM and the patch grid (t, height, width) for Qwen2-VL.
    """

    image_features: Float[Tensor, "b dv"]
    image_embeddings: tuple[Float[Tensor, "_ h"], ...]
    grid: Int[Tensor, "b 3"]

    def __len__(self) -> int:
        return len(self.image_embeddings)

    def select(self, places: Sequence[int]) -> VisionBatch:
        """Return the images at `places`, in that order; repeats are allowed."""
        index = torch.as_tensor(list(places), dtype=torch.long, device=self.image_features.device)
        return VisionBatch(
            self.image_features[index],
            tuple(self.image_embeddings[int(i)] for i in places),
            self.grid[index.to(self.grid.device)],
        )

    def to(self, device: torch.device | str) -> VisionBatch:
        """Move every tensor."""
        return VisionBatch(
            self.image_features.to(device),
            tuple(embedding.to(device) for embedding in self.image_embeddings),
            self.grid.to(device),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[VisionBatch]) -> VisionBatch:
        """Join batches of one model along the image axis."""
        if not parts:
            raise ValueError("no vision batches to join: got an empty list")
        return cls(
            torch.cat([part.image_features for part in parts]),
            tuple(embedding for part in parts for embedding in part.image_embeddings),
            torch.cat([part.grid for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class CaptionBatch:
    """Captions as tokens, padded on the right.

    `mask` is True at the caption's tokens, EOS included where there is one.
    """

    ids: Int[Tensor, "b t"]
    mask: Bool[Tensor, "b t"]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, places: Sequence[int]) -> CaptionBatch:
        """Return the captions at `places`, in that order; repeats are allowed."""
        index = torch.as_tensor(list(places), dtype=torch.long, device=self.ids.device)
        texts = tuple(self.texts[int(i)] for i in places)
        return CaptionBatch(self.ids[index], self.mask[index], texts)


@runtime_checkable
class VisionLanguageModel(Protocol):
    """A vision-language model whose vision side is frozen and whose LM may carry LoRA.

    States have one position more than the caption has tokens: state j predicts token j, and state
    j + 1 has read token j. State 0 belongs to the last prompt position.
    """

    name: str
    model: torch.nn.Module
    default_prompt: str

    @property
    def lm_width(self) -> int:
        """Width h of the language model."""

    @property
    def vision_width(self) -> int:
        """Width dv of the vision tower."""

    @property
    def device(self) -> torch.device:
        """Where the model is."""

    @property
    def fingerprint(self) -> str:
        """Hash of the base weights; LoRA does not change it."""

    @property
    def lora_targets(self) -> str:
        """Regex of the language model's linear layers; never matches the vision side."""

    def lora_targets_for(self, projections: Sequence[str]) -> str:
        """Return the regex of some projections only, such as `("q_proj", "v_proj")`."""

    def encode_image(self, images: Sequence[Image.Image], *, batch_size: int = 32) -> VisionBatch:
        """Run the frozen vision side once, without gradient."""

    def generate(
        self,
        vision: VisionBatch,
        *,
        decoding: Decoding,
        samples: int = 1,
        prompt: Prompt = None,
        banned: Sequence[str] = (),
        generator: torch.Generator | None = None,
    ) -> CaptionBatch:
        """Write `samples` captions an image, order A, A, B, B; `banned` words never come first."""

    def caption_states(
        self, vision: VisionBatch, captions: CaptionBatch, *, prompt: Prompt = None
    ) -> Float[Tensor, "b t1 h"]:
        """Return post-norm LM states [b, t + 1, h] of captions with their image in context.

        k captions an image (order A, A, B, B) share the run over their prompt, with gradient.
        """

    def text_states(self, captions: CaptionBatch) -> Float[Tensor, "b t1 h"]:
        """Return the states of captions read as text alone, after BOS."""

    def token_logits(self, states: Float[Tensor, "*axes h"]) -> Float[Tensor, "*axes v"]:
        """Apply the LM head to states."""

    def tokenize(self, texts: Sequence[str]) -> CaptionBatch:
        """Encode captions, EOS at the end of each."""

    def decode(self, ids: Int[Tensor, "b t"]) -> tuple[str, ...]:
        """Turn caption ids into texts, each cut at its first EOS."""

    def embed(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t h"]:
        """Look up token embeddings, E_phi."""

    def text_states_of_embeddings(
        self, embeddings: Float[Tensor, "b t h"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t1 h"]:
        """Return `text_states` of token embeddings; gradients reach them (straight-through)."""

    def adapter_off(self) -> AbstractContextManager[None]:
        """Run the base model inside this context: LoRA is switched off, and back on after."""
