"""CLIP as the rest of the package sees it: images and texts in, unit-norm features out.

`OpenClipEncoder` stands behind the seam of `protocol.py` for every open_clip model: pretrained
ones by name and tag, own ones from a checkpoint, or a model object at hand.

Source: Radford et al. 2021 (CLIP), figure 3: features are projected, then L2-normalised; the
logit of a pair is logit_scale * cosine.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from tqdm.auto import tqdm

from vizer_core.clip import loading
from vizer_core.clip.features import EncodedPairs, ImageStates
from vizer_core.clip.last_block import read_states, require_regions
from vizer_core.clip.protocol import Images, Tokenizer
from vizer_core.clip.text_tower import (
    causal_tower,
    trimmed_text_features,
    truncate_keeping_end,
    vocabulary_size,
)
from vizer_core.data.image_set import ImageSet
from vizer_core.shapes import unit_norm

logger = logging.getLogger(__name__)


class OpenClipEncoder:
    """Any open_clip model behind `ImageTextEncoder`; frozen, in evaluation mode.

    `images` are RGB images, preprocessed here, or a `[b, 3, height, width]` tensor of pixels
    that already went through `preprocess`. Use one of the constructors below.
    """

    def __init__(
        self, model: nn.Module, *, preprocess: loading.Preprocess, tokenizer: Tokenizer, name: str
    ) -> None:
        self.model = model.eval()
        self.name = name
        self._preprocess = preprocess
        self._tokenizer = tokenizer
        self._causal = causal_tower(model)

    @classmethod
    def from_pretrained(
        cls, name: str, pretrained: str, *, device: str | torch.device = "cpu"
    ) -> OpenClipEncoder:
        """Load published weights, for example `("ViT-B-32", "openai")`, from cache or hub.

        QuickGELU follows the tag, so OpenAI's weights are right under the plain name; a model whose
        own configuration asks for it (roberta-ViT-B-32) keeps it.
        """
        config, tag = loading.model_config(name), loading.tag_config(name, pretrained)
        quick = bool(tag.get("quick_gelu") or config.get("quick_gelu"))
        path = loading.fetch_weights(name, pretrained)
        model = loading.build_model(config | {"quick_gelu": quick})
        loading.load_weights(model, path)
        return cls(
            model.to(device),
            preprocess=loading.preprocess_for(model, tag),
            tokenizer=loading.bundled_tokenizer(name, model),
            name=f"{name}/{pretrained}",
        )

    @classmethod
    def from_checkpoint(
        cls,
        config: str | Mapping[str, Any],
        path: Path,
        *,
        tokenizer: Tokenizer | None = None,
        quick_gelu: bool = False,
        device: str | torch.device = "cpu",
    ) -> OpenClipEncoder:
        """Load weights from a file (.safetensors, or .pt holding tensors only).

        `config` is an open_clip name or a mapping: open_clip's model configuration itself, or
        `{"model_cfg": ..., "preprocess_cfg": ...}`. Weights that descend from OpenAI's need
        `quick_gelu=True`: a file does not say which activation it was trained with.
        """
        named = isinstance(config, str)
        full = {"model_cfg": loading.model_config(config)} if named else dict(config)
        settings = dict(full.get("model_cfg", full))
        settings["quick_gelu"] = quick_gelu or settings.get("quick_gelu", False)
        model = loading.build_model(settings)
        loading.load_weights(model, path)
        if tokenizer is None:
            tokenizer = loading.bundled_tokenizer(config if named else "", model)
        return cls(
            model.to(device),
            preprocess=loading.preprocess_for(model, full.get("preprocess_cfg", {})),
            tokenizer=tokenizer,
            name=f"{config if named else 'custom'}/{Path(path).name}",
        )

    @classmethod
    def from_folder(
        cls, folder: str | Path, *, quick_gelu: bool = False, device: str | torch.device = "cpu"
    ) -> OpenClipEncoder:
        """Load a folder as open_clip's models have on the hub, without any network.

        It has `open_clip_config.json`, weights, and the tokenizer where that is not CLIP's own.
        The configuration says which activation; `quick_gelu=True` overrules one that does not.
        """
        folder = Path(folder)
        full = loading.folder_config(folder)
        settings = dict(full["model_cfg"])
        settings["quick_gelu"] = quick_gelu or settings.get("quick_gelu", False)
        path = loading.folder_weights(folder)
        model = loading.build_model(settings)
        loading.load_weights(model, path)
        return cls(
            model.to(device),
            preprocess=loading.preprocess_for(model, full.get("preprocess_cfg", {})),
            tokenizer=loading.bundled_tokenizer(f"local-dir:{folder}", model),
            name=str(folder),
        )

    @classmethod
    def from_model(
        cls, model: nn.Module, *, preprocess: loading.Preprocess, tokenizer: Tokenizer, name: str
    ) -> OpenClipEncoder:
        """Wrap a model object as it is: its device, its dtype, evaluation mode switched on."""
        if not hasattr(model, "encode_image") or not hasattr(model, "visual"):
            raise ValueError(
                f"got a {type(model).__name__}: wanted an open_clip model with encode_image, "
                "encode_text and a visual tower"
            )
        return cls(model, preprocess=preprocess, tokenizer=tokenizer, name=name)

    @cached_property
    def embed_dim(self) -> int:
        """Width d of the joint space, seen on one blank image."""
        height, width = self.image_size
        with torch.no_grad():
            blank = torch.zeros(1, 3, height, width, device=self.device, dtype=self._dtype)
            return int(self.model.encode_image(blank).shape[-1])

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that preprocessed images have."""
        size = self.model.visual.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return int(height), int(width)

    @property
    def logit_scale(self) -> float:
        """Factor on cosines in the contrastive loss, already exponentiated."""
        return float(self.model.logit_scale.detach().exp())

    @property
    def device(self) -> torch.device:
        """Where the model is and where features come out."""
        return next(self.model.parameters()).device

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights, the module types and the pooling, 16 hex digits."""
        digest = hashlib.sha256()
        types = [f"{key}:{type(module).__name__}" for key, module in self.model.named_modules()]
        pools = [str(getattr(self.model.visual, "pool_type", "")), str(self.image_size)]
        digest.update("|".join(types + pools).encode())
        for key, value in sorted(self.model.state_dict().items()):
            digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    def preprocess(self, image: Image.Image) -> Float[Tensor, "3 height width"]:
        """Turn one RGB image into the tensor the tower wants."""
        return self._preprocess(image)

    @torch.no_grad()
    def encode_image(
        self, images: Images, *, batch_size: int = 128, progress: bool = False
    ) -> Float[Tensor, "n d"]:
        """Return unit-norm float32 image features, one row per image."""
        batches = self._pixel_batches(images, batch_size, progress)
        return torch.cat([unit_norm(self.model.encode_image(pixels)) for pixels in batches])

    @torch.no_grad()
    def image_states(
        self, images: Images, *, batch_size: int = 128, progress: bool = False
    ) -> ImageStates:
        """Return global, patch, attention and counterfactual states from one pass."""
        require_regions(self.model, self.name)
        batches = self._pixel_batches(images, batch_size, progress)
        return ImageStates.concatenate([read_states(self.model, pixels) for pixels in batches])

    def encode(self, data: ImageSet, *, batch_size: int = 128) -> EncodedPairs:
        """Encode images and the first caption of each, [n, d] both, for `measure_gap(*pairs)`.

        One pair an image is what a bootstrap may resample. Costs one pass of each tower. Raises
        `ValueError` where the images came without captions.
        """
        if not data.captions:
            raise ValueError(
                f"these {len(data)} images have no captions: give read_images a captions file, or "
                "call encode_image for the images alone"
            )
        images = self.encode_image(data.images, batch_size=batch_size)
        return EncodedPairs(images, self.encode_text([texts[0] for texts in data.captions]))

    @torch.no_grad()
    def encode_text(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: bool = False
    ) -> Float[Tensor, "n d"]:
        """Return unit-norm float32 text features, one row per text.

        Equal texts are encoded once; causal towers run without the padding; texts beyond the
        context are truncated, keep their end token, and are counted in a logged warning.
        """
        if isinstance(texts, str) or not texts:
            raise ValueError(f"got {texts!r}: wanted a list of at least one text")
        self._require_eval()
        distinct = list(dict.fromkeys(texts))
        tokens = self._tokenizer(distinct)
        known = vocabulary_size(self.model)
        if int(tokens.max()) >= known:
            raise ValueError(
                f"the tokenizer gave id {int(tokens.max())}, but {self.name} knows "
                f"{known} ids: pass the tokenizer it was trained with"
            )
        if self._causal is not None:
            tokens, _ = truncate_keeping_end(self._causal, tokens)
            order = self._causal.end_positions(tokens).argsort()
            encode = partial(trimmed_text_features, self._causal)
        else:
            order, encode = torch.arange(len(tokens)), self.model.encode_text
        features = torch.cat(
            [
                unit_norm(encode(tokens[rows].to(self.device)))
                for rows in tqdm(order.split(batch_size), disable=not progress, desc="texts")
            ]
        )
        row_of = {distinct[row]: index for index, row in enumerate(order.tolist())}
        return features[torch.tensor([row_of[text] for text in texts], device=features.device)]

    @property
    def _dtype(self) -> torch.dtype:
        """Return the dtype of the first convolution: what the image tower computes in."""
        modules = self.model.visual.modules()
        return next(m.weight.dtype for m in modules if isinstance(m, nn.Conv2d))

    def _require_eval(self) -> None:
        if self.model.training:
            raise ValueError(
                f"{self.name} is in training mode, where dropout and patch dropout change "
                "features: call model.eval() first"
            )

    def _pixel_batches(self, images: Images, batch_size: int, progress: bool) -> Iterator[Tensor]:
        """Preprocess and check images, a batch at a time."""
        self._require_eval()
        if len(images) == 0:
            raise ValueError("no images: wanted at least one")
        starts = range(0, len(images), batch_size)
        for start in tqdm(starts, disable=not progress, desc="image batches"):
            batch = images[start : start + batch_size]
            pixels = (
                batch
                if isinstance(batch, Tensor)
                else torch.stack([self.preprocess(image) for image in batch])
            )
            if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, *self.image_size):
                raise ValueError(
                    f"got pixels of shape {tuple(pixels.shape)}, wanted [b, 3, "
                    f"{self.image_size[0]}, {self.image_size[1]}]: pass RGB images, or stack "
                    "encoder.preprocess(image)"
                )
            if not bool(torch.isfinite(pixels).all()):
                raise ValueError(f"images {start} to {start + len(pixels) - 1} contain NaN or inf")
            yield pixels.to(self.device, self._dtype)
