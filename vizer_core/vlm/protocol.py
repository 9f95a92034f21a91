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
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from vizer_core.decoding import Decoding

Prompt: TypeAlias = str | Sequence[str] | None  # one for all, one per image, or the default
_FILLED_IN: Any = None  # by __post_init__


@dataclass(frozen=True, eq=False)
class VisionBatch:
    """What the frozen vision side says about b images: computed once, read many times.

    `image_embeddings` has one [s, h] tensor per image, because tiles and sizes differ; `grid` is
    (tiles, rows, columns) for SmolVLM and the patch grid (t, height, width) for Qwen2-VL. `index`,
    on the CPU, is the row of each image in its source, 0 to b - 1 unless told otherwise. `targets`
    are what captions are compared with: the image features unless told otherwise. In the shuffled
    control `swapped` are the images whose targets these are.
    """

    image_features: Float[Tensor, "b dv"]
    image_embeddings: tuple[Float[Tensor, "_ h"], ...]
    grid: Int[Tensor, "b 3"]
    index: Int[Tensor, " b"] = _FILLED_IN
    targets: Float[Tensor, "b d"] = _FILLED_IN
    swapped: VisionBatch | None = None

    def __post_init__(self) -> None:
        # None means "as always" here, so that nobody has to ask whether a field is there
        if self.index is None:
            object.__setattr__(self, "index", torch.arange(len(self)))
        if self.targets is None:
            object.__setattr__(self, "targets", self.image_features)

    def __len__(self) -> int:
        return len(self.image_embeddings)

    @property
    def compared_with(self) -> VisionBatch:
        """The images that captions are compared with: these, or others in the control."""
        return self if self.swapped is None else self.swapped

    @property
    def is_its_own_target(self) -> bool:
        """True where captions are compared with the image features, which are then kept once."""
        return self.targets is self.image_features

    def numbered(self, rows: Sequence[int]) -> VisionBatch:
        """Return the batch with `rows` as its index; the rows of a source count from 0."""
        return replace(self, index=torch.as_tensor(list(rows), dtype=torch.long))

    def with_targets(self, targets: Float[Tensor, "n d"]) -> VisionBatch:
        """Return the batch with other targets, one row per image, such as CLIP's features."""
        if len(targets) != len(self):
            raise ValueError(f"{len(targets)} targets for {len(self)} images: wanted one per image")
        return replace(self, targets=targets)

    def select(self, indices: Sequence[int]) -> VisionBatch:
        """Return the images at `indices`, in that order; repeats are allowed."""
        chosen = torch.as_tensor(list(indices), dtype=torch.long)

        def rows(values: Tensor) -> Tensor:
            return values[chosen.to(values.device)]

        features = rows(self.image_features)
        return VisionBatch(
            features,
            tuple(self.image_embeddings[int(i)] for i in indices),
            rows(self.grid),
            rows(self.index),
            features if self.is_its_own_target else rows(self.targets),
            None if self.swapped is None else self.swapped.select(indices),
        )

    def to(self, device: torch.device | str) -> VisionBatch:
        """Move every tensor but the index."""
        features = self.image_features.to(device)
        return VisionBatch(
            features,
            tuple(embedding.to(device) for embedding in self.image_embeddings),
            self.grid.to(device),
            self.index,
            features if self.is_its_own_target else self.targets.to(device),
            None if self.swapped is None else self.swapped.to(device),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[VisionBatch]) -> VisionBatch:
        """Join batches of one model along the image axis; the images are numbered anew."""
        if not parts:
            raise ValueError("no vision batches to join: got an empty list")
        swapped = None
        if any(part.swapped is not None for part in parts):
            others = [part.compared_with for part in parts]
            rows = torch.cat([other.index for other in others]).tolist()
            swapped = cls.concatenate(others).numbered(rows)
        plain = all(part.is_its_own_target for part in parts)
        features = torch.cat([part.image_features for part in parts])
        return cls(
            features,
            tuple(embedding for part in parts for embedding in part.image_embeddings),
            torch.cat([part.grid for part in parts]),
            targets=features if plain else torch.cat([part.targets for part in parts]),
            swapped=swapped,
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

    def select(self, indices: Sequence[int]) -> CaptionBatch:
        """Return the captions at `indices`, in that order; repeats are allowed."""
        index = torch.as_tensor(list(indices), dtype=torch.long, device=self.ids.device)
        texts = tuple(self.texts[int(i)] for i in indices)
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
        opening: Sequence[str] = (),
        generator: torch.Generator | None = None,
    ) -> CaptionBatch:
        """Generate `samples` captions per image, as A, A, B, B; `banned` words never come first.

        Where `opening` names words, one of them comes first.
        """

    def caption_states(
        self, vision: VisionBatch, captions: CaptionBatch, *, prompt: Prompt = None
    ) -> Float[Tensor, "b t1 h"]:
        """Return post-norm LM states [b, t + 1, h] of captions with their image in context.

        k captions per image (order A, A, B, B) share the run over their prompt, with gradient.
        """

    def text_states(self, captions: CaptionBatch) -> Float[Tensor, "b t1 h"]:
        """Return the states of captions read as text alone, after the mark of `start_of`."""

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
