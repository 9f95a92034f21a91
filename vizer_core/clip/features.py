"""Typed results of one pass through CLIP: image states, and features paired image to text.

Everything here is float32 and of unit norm along `d`. Besides the axes of
`vizer_core.shapes`, `s = p + 1` counts all tokens of the image tower: token 0 is the class
token, tokens 1..p are the patches, row by row from the top left.

====================  =====================================================================
image_features        I_c of MacCap, the feature that CLIP is trained on
patch_features        every last-layer patch token through ln_post, the projection and L2
attention             A of MacCap section 4.2: softmax of the last block, mean over heads
counterfactual        the global feature had its read-out looked at one patch only
====================  =====================================================================

Where we differ: the MacCap paper projects patch tokens linearly; like the authors' release we
apply ln_post first, because that is the only place where CLIP's projection was trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.files import load_tensors, save_tensors
from vizer_core.shapes import require_unit_norm


class EncodedPairs(NamedTuple):
    """Features of n images and of one text each, in one order; unpack it for `measure_gap`."""

    image_features: Float[Tensor, "n d"]
    text_features: Float[Tensor, "n d"]


Pool = Literal["cls", "patches"]
ROW_SUM_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class ImageStates:
    """What one ViT pass says about n images: global, patches, attention, counterfactuals.

    `pool` names the tokens that the tower reads its global feature from: the class token
    (CLIP) or the mean of the patches (towers with `pool_type="avg"`).
    """

    image_features: Float[Tensor, "n d"]
    patch_features: Float[Tensor, "n p d"]
    attention: Float[Tensor, "n s s"]
    counterfactual_features: Float[Tensor, "n p d"]
    grid: tuple[int, int]
    pool: Pool = "cls"

    def __post_init__(self) -> None:
        n, p = self.patch_features.shape[:2]
        rows, columns = self.grid
        if rows * columns != p or self.attention.shape != (n, p + 1, p + 1):
            raise ValueError(
                f"grid {self.grid}, {p} patches and attention {tuple(self.attention.shape)} do not "
                f"fit: wanted rows x columns = p and attention [n, p + 1, p + 1]"
            )
        sums = self.attention.sum(dim=-1)
        if not bool((sums - 1).abs().max() < ROW_SUM_TOLERANCE):
            raise ValueError(
                f"attention rows must sum to 1: sums range from {float(sums.min()):.4f} to "
                f"{float(sums.max()):.4f}. Pass the softmax averaged over heads."
            )
        require_unit_norm(self.image_features, "image_features")
        require_unit_norm(self.patch_features, "patch_features")
        require_unit_norm(self.counterfactual_features, "counterfactual_features")

    @property
    def readout_attention(self) -> Float[Tensor, "n s"]:
        """Return how much the tower's read-out attends to each token in the last block.

        This is the class token's row of A; in a patch-pooled tower, where that row feeds
        nothing and was never trained, it is the mean of the patch rows.
        """
        return self.attention[:, 0] if self.pool == "cls" else self.attention[:, 1:].mean(dim=1)

    @classmethod
    def concatenate(cls, parts: Sequence[ImageStates]) -> ImageStates:
        """Join states of one tower along the image axis."""
        if not parts:
            raise ValueError("no image states to join: got an empty list")
        shapes = {(part.grid, part.pool) for part in parts}
        if len(shapes) > 1:
            raise ValueError(f"cannot join states of different towers: {sorted(shapes)}")
        tensors = {key: torch.cat([getattr(part, key) for part in parts]) for key in _STATE_TENSORS}
        return cls(**tensors, grid=parts[0].grid, pool=parts[0].pool)

    def save(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write the states to `path` (safetensors) with a manifest that says who made them."""
        manifest = {"kind": "image_states", "grid": list(self.grid), "pool": self.pool}
        tensors = {key: getattr(self, key) for key in _STATE_TENSORS}
        save_tensors(path, tensors, dict(metadata) | manifest)

    @classmethod
    def load(cls, path: Path) -> ImageStates:
        """Read what `save` wrote, checked against its hash."""
        tensors, manifest = load_tensors(path)
        _require_kind(manifest, "image_states", path)
        rows, columns = manifest["grid"]
        return cls(**tensors, grid=(rows, columns), pool=manifest["pool"])


_STATE_TENSORS = ("image_features", "patch_features", "attention", "counterfactual_features")


@dataclass(frozen=True, eq=False)
class PairedFeatures:
    """Features of m images and of the n texts that describe them.

    `ids` names the images; `image_index[i]` is the row of the image that text i belongs to.
    """

    ids: tuple[str, ...]
    image_features: Float[Tensor, "m d"]
    text_features: Float[Tensor, "n d"]
    image_index: Int[Tensor, " n"]

    def __post_init__(self) -> None:
        images, texts = self.image_features.shape[0], self.text_features.shape[0]
        if len(self.ids) != images or len(set(self.ids)) != images:
            raise ValueError(
                f"got {len(self.ids)} ids ({len(set(self.ids))} different) for {images} images: "
                "wanted one id of its own for each image"
            )
        if self.image_index.shape[0] != texts:
            raise ValueError(
                f"got {texts} text features but {self.image_index.shape[0]} image indices: "
                "image_index says for each text which image it belongs to"
            )
        if texts and not (
            int(self.image_index.min()) >= 0 and int(self.image_index.max()) < images
        ):
            raise ValueError(
                f"image_index runs from {int(self.image_index.min())} to "
                f"{int(self.image_index.max())}, but there are {images} images"
            )
        require_unit_norm(self.image_features, "image_features")
        if texts:
            require_unit_norm(self.text_features, "text_features")

    @property
    def pair_image_features(self) -> Float[Tensor, "n d"]:
        """Repeat each image's feature for each of its texts, in the order of the texts."""
        return self.image_features[self.image_index]

    def first_pairs(self) -> PairedFeatures:
        """Keep one text an image, its first; images without a text are dropped.

        One pair an image is what a bootstrap over pairs may resample as independent.
        """
        order = self.image_index.tolist()
        firsts = {image: text for text, image in reversed(list(enumerate(order)))}
        images = sorted(firsts)
        if not images:
            raise ValueError(f"none of the {len(self.ids)} images has a text: add captions")
        return PairedFeatures(
            ids=tuple(self.ids[image] for image in images),
            image_features=self.image_features[images],
            text_features=self.text_features[[firsts[image] for image in images]],
            image_index=torch.arange(len(images), device=self.image_index.device),
        )

    def save(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write the features to `path` (safetensors) with a manifest that says who made them."""
        tensors = {key: getattr(self, key) for key in _PAIR_TENSORS}
        manifest = {"kind": "paired_features", "ids": list(self.ids)}
        save_tensors(path, tensors, dict(metadata) | manifest)

    @classmethod
    def load(cls, path: Path) -> PairedFeatures:
        """Read what `save` wrote, checked against its hash."""
        tensors, manifest = load_tensors(path)
        _require_kind(manifest, "paired_features", path)
        return cls(ids=tuple(manifest["ids"]), **tensors)


_PAIR_TENSORS = ("image_features", "text_features", "image_index")


def _require_kind(manifest: Mapping[str, Any], wanted: str, path: Path) -> None:
    if manifest.get("kind") != wanted:
        raise ValueError(f"{path} contains {manifest.get('kind')!r}, wanted {wanted!r}")
