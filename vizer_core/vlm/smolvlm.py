"""SmolVLM-Base, -256M, -500M and SmolVLM2, and every other Idefics3: one adapter.

Published SmolVLM checkpoints carry the class Idefics3ForConditionalGeneration, SmolVLM2's the class
SmolVLMForConditionalGeneration; their modules are the same. The tower is SigLIP without class token
and without attention head; the connector is a pixel shuffle and one linear layer without bias.

Image splitting cuts an image into tiles of the tower's size, row by row, and adds the whole
image as the last tile. `grid` contains (tiles, rows, columns); rows and columns are 0 without it.

Trap: Idefics3 takes a tile whose pixels are all exactly 0 for padding and drops it. Real tiles are
therefore passed one by one and counted, and a dropped one is an error.
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
from vizer_core.vlm.protocol import VisionBatch
from vizer_core.vlm.views import shift_edges

IMAGE_MARK = "<image>"
IMAGE_ALONE = IMAGE_MARK  # the prompt P of a base model: nothing but the image


class SmolVlm(CaptionGenerator):
    """An Idefics3 or SmolVLM model behind `VisionLanguageModel`; frozen, in evaluation mode.

    A prompt names the image's place with `<image>`; without the mark the image comes first.
    `pooling` makes F_I of an image's patches, `image_splitting` cuts it into tiles.
    """

    classes: ClassVar[dict[str, str]] = {
        "idefics3": "Idefics3ForConditionalGeneration",
        "smolvlm": "SmolVLMForConditionalGeneration",
    }
    lora_stem = "text_model"
    prepares = True

    def __init__(
        self,
        model: nn.Module,
        processor: Any,
        name: str,
        *,
        image_splitting: bool = False,
        pooling: Pooling = global_tile_mean,
        default_prompt: str = IMAGE_ALONE,
    ) -> None:
        super().__init__(model, processor, name, default_prompt=default_prompt)
        self.image_splitting = image_splitting
        self.pooling = pooling

    @property
    def text_model(self) -> nn.Module:
        """The language model without its head."""
        return self.base.model.text_model

    @property
    def vision_width(self) -> int:
        """Width dv of the vision tower."""
        return int(self.base.config.vision_config.hidden_size)

    @property
    def merge(self) -> int:
        """Patches a side that become one token."""
        return int(self.base.config.scale_factor)

    @property
    def patch_size(self) -> int:
        """Pixels a side of a patch."""
        return int(self.base.config.vision_config.patch_size)

    def patch_rows(self, grid: tuple[int, ...]) -> int:
        """Return how many rows of patches a tile has; its columns are as many."""
        return int(self.base.config.vision_config.image_size // self.patch_size)

    def connect(self, chained: Float[Tensor, "s chained"]) -> Float[Tensor, "s h"]:
        """Run the connector on blocks of `merge` x `merge` patches, row by row, chained."""
        return self.base.model.connector.modality_projection.proj(chained)

    def pixel_inputs(self, image: Image.Image, ids: Int[Tensor, "1 t"]) -> dict[str, Tensor]:
        """Return what transformers' own `forward` takes for one image, nothing cached."""
        pixels, _ = self.preprocess([image])
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "pixel_values": pixels[None].to(self.embedding_table),
        }

    @torch.no_grad()
    def encode_image(self, images: Sequence[Image.Image], *, batch_size: int = 32) -> VisionBatch:
        """Run the frozen vision side once: F_I before the connector, what the LM reads after it."""
        parts = []
        for first in range(0, len(images), batch_size):
            pixels, grid = self.preprocess(images[first : first + batch_size])
            parts.append(self.encode_pixels(pixels, grid))
        return VisionBatch.concatenate(parts)

    @torch.no_grad()
    def encode_pixels(
        self, pixels: Float[Tensor, "tiles 3 height width"], grid: Int[Tensor, "b 3"]
    ) -> VisionBatch:
        """Encode tiles that are already preprocessed, image after image as `grid` counts them."""
        patches, embeddings = self._run_tower(pixels, grid)
        tiles = grid[:, 0].tolist()
        return VisionBatch(
            torch.stack([self.pooling(each) for each in patches.split(tiles)]),
            tuple(each.flatten(0, 1) for each in embeddings.split(tiles)),
            grid.to(self.device),
        )

    @torch.no_grad()
    def encode_patches(
        self, images: Sequence[Image.Image], *, batch_size: int = 32
    ) -> tuple[Float[Tensor, "_ p dv"], ...]:
        """Return the patches of each image before the connector, [tiles, p, dv], row by row."""
        found: list[Tensor] = []
        for first in range(0, len(images), batch_size):
            pixels, grid = self.preprocess(images[first : first + batch_size])
            found.extend(self._run_tower(pixels, grid)[0].split(grid[:, 0].tolist()))
        return tuple(found)

    def preprocess(
        self, images: Sequence[Image.Image]
    ) -> tuple[Float[Tensor, "tiles 3 height width"], Int[Tensor, "b 3"]]:
        """Turn images into the tower's tiles, padding tiles left out, and their grid."""
        if not images:
            raise ValueError("no images to encode: got an empty list")
        made = self.processor.image_processor(
            [[image.convert("RGB")] for image in images],
            do_image_splitting=self.image_splitting,
            return_row_col_info=True,
            return_tensors="pt",
        )
        rows = torch.tensor([row for (row,) in made["rows"]])
        columns = torch.tensor([column for (column,) in made["cols"]])
        tiles = rows * columns + 1
        real = torch.arange(made["pixel_values"].shape[1]) < tiles[:, None]
        if "pixel_attention_mask" in made and not bool(made["pixel_attention_mask"][real].all()):
            raise ValueError(
                "tiles of several sizes reached the tower: the processor must resize "
                "(do_resize=True), or the patches of padding enter the image's feature"
            )
        return made["pixel_values"][real], torch.stack([tiles, rows, columns], dim=1)

    def shift_pixels(
        self,
        pixels: Float[Tensor, "tiles 3 height width"],
        grid: Int[Tensor, "b 3"],
        offset: tuple[int, int],
    ) -> Float[Tensor, "tiles 3 height width"]:
        """Move images to the right and down: tiles joined before, the global tile by itself."""
        if not bool(grid[:, 1].any()):
            return shift_edges(pixels, offset)
        moved = []
        for tiles, (_, rows, columns) in zip(
            pixels.split(grid[:, 0].tolist()), grid.tolist(), strict=True
        ):
            if rows:
                axes = {"rows": rows, "columns": columns}
                whole = rearrange(
                    tiles[:-1], "(rows columns) c h w -> c (rows h) (columns w)", **axes
                )
                whole = shift_edges(whole, offset)
                moved.append(
                    rearrange(whole, "c (rows h) (columns w) -> (rows columns) c h w", **axes)
                )
            moved.append(shift_edges(tiles[-1:], offset))
        return torch.cat(moved)

    def _run_tower(
        self, pixels: Float[Tensor, "tiles 3 height width"], grid: Int[Tensor, "b 3"]
    ) -> tuple[Float[Tensor, "tiles p dv"], Float[Tensor, "tiles s h"]]:
        if int(grid[:, 0].sum()) != len(pixels):
            raise ValueError(
                f"got {len(pixels)} tiles, wanted the {int(grid[:, 0].sum())} that grid counts"
            )
        seen = self.base.model.get_image_features(
            pixel_values=pixels.to(self.device, self.embedding_table.dtype).unsqueeze(1),
            return_dict=True,
        )
        missing = [index for index, each in enumerate(seen.pooler_output) if not len(each)]
        if missing:
            raise ValueError(
                f"tiles {missing} of this batch are exactly 0 after preprocessing, and the model "
                "drops such tiles as padding. Normalise pixels with a mean that no image has, as "
                "SmolVLM's own processor does."
            )
        return seen.last_hidden_state, torch.stack(list(seen.pooler_output))

    def prompt_ids(self, grid: tuple[int, ...], prompt: str) -> list[int]:
        """Tokenise a prompt as the processor does, image tokens and tile marks written out."""
        text = prompt if IMAGE_MARK in prompt else IMAGE_MARK + prompt
        if text.count(IMAGE_MARK) > 1:
            raise ValueError(f"prompt {prompt!r} names {IMAGE_MARK} more than once: wanted one")
        _, rows, columns = grid
        shown = self.processor.replace_image_token({"rows": [[rows]], "cols": [[columns]]}, 0)
        return list(self.processor.tokenizer(text.replace(IMAGE_MARK, shown))["input_ids"])

    def prompt_positions(
        self, ids: Int[Tensor, "b s"], mask: Bool[Tensor, "b s"], grid: Int[Tensor, "b 3"]
    ) -> Int[Tensor, "b s"]:
        """Count positions from each prompt's first real token."""
        return (mask.long().cumsum(dim=1) - 1).clamp_min(0)
