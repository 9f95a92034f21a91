"""Qwen2-VL and Qwen2.5-VL: images of any size, positions in three dimensions.

The tower reads an image as one grid of patches (t, height, width); its merger turns every 2 x 2 of
them into one token of the language model. `grid` contains (t, height, width) in patches.

- F_I is taken before the merger, so without the merger's own layer norm.
- Patches come in merge order (2 x 2 blocks), for 2.5 in window order; `encode_patches` puts them
  back row by row.
- Positions are [3, b, s]: an image token has a place in time, height and width. They are computed
  from the prompt each time and passed on: the model's own `rope_deltas` is left over from the last
  `generate` and would be taken without a word where positions are not given.
- The number of tokens grows with the image, so `max_pixels` is always set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor, nn

from vizer_core.vlm.generation import CaptionGenerator
from vizer_core.vlm.pooling import Pooling, global_tile_mean
from vizer_core.vlm.protocol import Prompt, VisionBatch
from vizer_core.vlm.views import shift_edges

IMAGE_TOKEN = "<|image_pad|>"
IMAGE_MARK = f"<|vision_start|>{IMAGE_TOKEN}<|vision_end|>"
MAX_PIXELS = 448 * 448  # 256 tokens; transformers' own cap is 1,280, published configs' 16,384
SHORT_CAPTION = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    f"<|im_start|>user\n{IMAGE_MARK}Describe the image in one short sentence.<|im_end|>\n"
    "<|im_start|>assistant\n"
)


class Qwen2Vl(CaptionGenerator):
    """A Qwen2-VL or Qwen2.5-VL model behind `VisionLanguageModel`; frozen, in evaluation mode.

    A prompt names the image's place with Qwen's `<|image_pad|>`; without it the image comes first.
    """

    classes: ClassVar[dict[str, str]] = {
        "qwen2_vl": "Qwen2VLForConditionalGeneration",
        "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    }
    lora_stem = "language_model"
    prepares = True

    def __init__(
        self,
        model: nn.Module,
        processor: Any,
        name: str,
        *,
        max_pixels: int = MAX_PIXELS,
        pooling: Pooling = global_tile_mean,
        default_prompt: str = SHORT_CAPTION,
    ) -> None:
        super().__init__(model, processor, name, default_prompt=default_prompt)
        self.max_pixels = max_pixels
        self.pooling = pooling

    @property
    def text_model(self) -> nn.Module:
        """The language model without its head."""
        return self.base.model.language_model

    @property
    def vision_width(self) -> int:
        """Width dv of the vision tower, before the merger."""
        config = self.base.config.vision_config
        return int(
            config.embed_dim if config.model_type == "qwen2_vl_vision" else config.hidden_size
        )

    @property
    def merge(self) -> int:
        """Patches a side that become one token."""
        return int(self.base.config.vision_config.spatial_merge_size)

    @property
    def patch_size(self) -> int:
        """Pixels a side of a patch; `merge` x `merge` of them become one token."""
        return int(self.base.config.vision_config.patch_size)

    def patch_rows(self, grid: tuple[int, ...]) -> int:
        """Return how many rows of patches an image of this grid has."""
        return int(grid[1])

    def connect(self, chained: Float[Tensor, "s chained"]) -> Float[Tensor, "s h"]:
        """Run the merger on blocks of `merge` x `merge` patches, row by row, chained."""
        merger = self.base.model.visual.merger
        patches = rearrange(chained, "s (unit dv) -> s unit dv", unit=self.merge**2)
        return merger.mlp(rearrange(merger.ln_q(patches), "s unit dv -> s (unit dv)"))

    def pixel_inputs(self, image: Image.Image, ids: Int[Tensor, "1 t"]) -> dict[str, Tensor]:
        """Return what transformers' own `forward` takes for one image, nothing cached."""
        pixels, grid = self.preprocess([image])
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "pixel_values": pixels.to(self.embedding_table),
            "image_grid_thw": grid.to(self.device),
            "mm_token_type_ids": (ids == self.image_token_id).int(),
        }

    @torch.no_grad()
    def encode_image(self, images: Sequence[Image.Image], *, batch_size: int = 32) -> VisionBatch:
        """Run the frozen vision side once: F_I before the merger, what the LM reads after it."""
        parts = []
        for first in range(0, len(images), batch_size):
            parts.append(self.encode_pixels(*self.preprocess(images[first : first + batch_size])))
        return VisionBatch.concatenate(parts)

    @torch.no_grad()
    def encode_pixels(
        self, pixels: Float[Tensor, "patches values"], grid: Int[Tensor, "b 3"]
    ) -> VisionBatch:
        """Encode patches that are already cut, in merge order, image after image by `grid`."""
        patches, embeddings = self._run_tower(pixels, grid)
        features = torch.stack([self.pooling(each) for each in patches])
        return VisionBatch(features, embeddings, grid.to(self.device))

    @torch.no_grad()
    def encode_patches(
        self, images: Sequence[Image.Image], *, batch_size: int = 32
    ) -> tuple[Float[Tensor, "_ p dv"], ...]:
        """Return the patches of each image before the merger, [t, height * width, dv]."""
        found: list[Tensor] = []
        for first in range(0, len(images), batch_size):
            found.extend(self._run_tower(*self.preprocess(images[first : first + batch_size]))[0])
        return tuple(found)

    def preprocess(
        self, images: Sequence[Image.Image]
    ) -> tuple[Float[Tensor, "patches values"], Int[Tensor, "b 3"]]:
        """Cut images into the tower's patches, at most `max_pixels` each, and count the grid."""
        if not images:
            raise ValueError("no images to encode: got an empty list")
        smallest = dict(self.processor.image_processor.size)["shortest_edge"]
        made = self.processor.image_processor(
            [image.convert("RGB") for image in images],
            size={"shortest_edge": min(smallest, self.max_pixels), "longest_edge": self.max_pixels},
            return_tensors="pt",
        )
        return made["pixel_values"], made["image_grid_thw"]

    def shift_pixels(
        self,
        pixels: Float[Tensor, "patches values"],
        grid: Int[Tensor, "b 3"],
        offset: tuple[int, int],
    ) -> Float[Tensor, "patches values"]:
        """Move images to the right and down: put together from their patches, and cut again."""
        moved = []
        for patches, (time, height, width) in zip(
            pixels.split(grid.prod(dim=1).tolist()), grid.tolist(), strict=True
        ):
            axes = {"t": time, "h": height // self.merge, "w": width // self.merge}
            axes |= {"i": self.merge, "j": self.merge, "p": self.patch_size, "q": self.patch_size}
            cut, whole = "(t h w i j) (rest p q)", "t rest (h i p) (w j q)"
            image = shift_edges(rearrange(patches, f"{cut} -> {whole}", **axes), offset)
            moved.append(rearrange(image, f"{whole} -> {cut}", **axes))
        return torch.cat(moved)

    def _run_tower(
        self, pixels: Float[Tensor, "patches values"], grid: Int[Tensor, "b 3"]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        grid = grid.to(self.device)
        seen = self.base.model.get_image_features(
            pixel_values=pixels.to(self.device, self.embedding_table.dtype),
            image_grid_thw=grid,
            return_dict=True,
        )
        patches = self._merge_order(seen.last_hidden_state, grid).split(grid.prod(dim=1).tolist())
        ordered = [
            self._row_by_row(each, shape)
            for each, shape in zip(patches, grid.tolist(), strict=True)
        ]
        return tuple(ordered), tuple(seen.pooler_output)

    def _merge_order(self, patches: Tensor, grid: Tensor) -> Tensor:
        """Undo the window order in which Qwen2.5's tower works and leaves its last states."""
        if self.base.config.model_type != "qwen2_5_vl":
            return patches
        from transformers.vision_utils import get_vision_window_index

        config = self.base.config.vision_config
        order, _ = get_vision_window_index(
            grid,
            spatial_merge_size=self.merge,
            window_size=config.window_size,
            patch_size=config.patch_size,
        )
        blocks = rearrange(patches, "(blocks unit) dv -> blocks unit dv", unit=self.merge**2)
        blocks = blocks[torch.argsort(order).to(blocks.device)]
        return rearrange(blocks, "blocks unit dv -> (blocks unit) dv")

    def _row_by_row(self, patches: Tensor, shape: Sequence[int]) -> Tensor:
        time, height, width = shape
        return rearrange(
            patches,
            "(t h w mh mw) dv -> t (h mh w mw) dv",
            t=time,
            h=height // self.merge,
            w=width // self.merge,
            mh=self.merge,
            mw=self.merge,
        )

    def prompt_ids(self, grid: tuple[int, ...], prompt: str) -> list[int]:
        """Tokenise a prompt as the processor does, image tokens written out."""
        text = prompt if IMAGE_TOKEN in prompt else IMAGE_MARK + prompt
        if text.count(IMAGE_TOKEN) > 1:
            raise ValueError(f"prompt {prompt!r} names {IMAGE_TOKEN} more than once: wanted one")
        time, height, width = grid
        shown = IMAGE_TOKEN * (time * height * width // self.merge**2)
        return list(self.processor.tokenizer(text.replace(IMAGE_TOKEN, shown))["input_ids"])

    def prompt_positions(
        self, ids: Int[Tensor, "b s"], mask: Bool[Tensor, "b s"], grid: Int[Tensor, "b 3"]
    ) -> Int[Tensor, "3 b s"]:
        """Place image tokens in time, height and width, words after them."""
        positions, _ = self.base.model.get_rope_index(
            ids,
            mm_token_type_ids=(ids == self.image_token_id).int(),
            image_grid_thw=grid.to(ids.device),
            attention_mask=mask.long(),
        )
        return positions

    def transformers_inputs(self, vision: VisionBatch, *, prompt: Prompt = None) -> dict[str, Any]:
        """Return what transformers' own `forward` and `generate` take in the place of pixels."""
        inputs = super().transformers_inputs(vision, prompt=prompt)
        return inputs | {
            "image_grid_thw": vision.grid.to(self.device),
            "mm_token_type_ids": (inputs["input_ids"] == self.image_token_id).int(),
        }
