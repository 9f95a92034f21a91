"""Train the drawn Qwen2-VL by the drawn VLM's recipe: its own tower, then captions.

The loops are those of `vlm_vision` and `vlm_train`; what differs is here. `QwenEye` shows the
tower as those loops expect one. The losses go through the adapter (`caption_states`,
`text_states`), so that the model is trained on exactly what it will be asked.

Where we cut short: the tower starts from a drawn VLM's finished one. Blocks and patches carry
over; its learned positions do not, for Qwen2-VL rotates instead. Some steps on dense labels repair
that (`warm_start`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from vizer_core.vlm import CaptionBatch, Qwen2Vl, VisionBatch
from vizer_lab.zoo.qwen_model import (
    FRAMES,
    build_drawn_qwen,
    drawn_qwen_vlm,
    qwen_grid,
    qwen_ids,
    qwen_patches,
)
from vizer_lab.zoo.tokenizer import PAD
from vizer_lab.zoo.vlm_model import DrawnVlmConfig
from vizer_lab.zoo.vlm_recipe import VlmRecipe
from vizer_lab.zoo.vlm_run import VlmRun, train_the_captions
from vizer_lab.zoo.vlm_train import CaptionLosses
from vizer_lab.zoo.vlm_vision import train_tower


class QwenEye(nn.Module):
    """A Qwen2-VL tower as the dense labels want one: pixels in, patches row by row out."""

    def __init__(self, tower: nn.Module, config: DrawnVlmConfig) -> None:
        super().__init__()
        self.tower, self.shape = tower, config
        self.config = SimpleNamespace(hidden_size=config.vision_width, patch_size=config.patch_size)

    def forward(self, pixel_values: Float[Tensor, "b 3 s s"]) -> SimpleNamespace:
        """Return `last_hidden_state`, [b, p, dv]."""
        config = self.shape
        flat = qwen_patches(pixel_values, patch=config.patch_size, merge=config.shuffle)
        seen = self.tower.patch_states(flat, qwen_grid(len(pixel_values), config))
        return SimpleNamespace(last_hidden_state=by_row(seen, config))


def by_row(patches: Float[Tensor, "patches d"], config: DrawnVlmConfig) -> Float[Tensor, "b p d"]:
    """Bring patches from merge order to rows from the top left."""
    side = config.grid // config.shuffle
    return rearrange(
        patches,
        "(b y x i j) d -> b (y i x j) d",
        y=side,
        x=side,
        i=config.shuffle,
        j=config.shuffle,
    )


def by_block(patches: Float[Tensor, "b p d"], config: DrawnVlmConfig) -> Float[Tensor, "patches d"]:
    """Bring patches from rows to merge order: the inverse of `by_row`."""
    side = config.grid // config.shuffle
    return rearrange(
        patches,
        "b (y i x j) d -> (b y x i j) d",
        y=side,
        x=side,
        i=config.shuffle,
        j=config.shuffle,
    )


class PatchStates(nn.Module):
    """The tower without its merger, which is trained with the language model."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.patch_embed, self.blocks = visual.patch_embed, visual.blocks
        self._whole = [visual]  # in a list: the merger's parameters are not this module's

    def patch_states(
        self, flat: Float[Tensor, "patches values"], grid: Int[Tensor, "b 3"]
    ) -> Float[Tensor, "patches d"]:
        """Return the patches' states before the merger."""
        return self._whole[0](flat, grid_thw=grid).last_hidden_state


def warm_start(visual: nn.Module, tower: Mapping[str, Tensor]) -> None:
    """Copy a finished Idefics3 tower's patches and blocks into a Qwen2-VL one, in place.

    Both frames of Qwen's patches get half of the kernel. Positions, biases of the patches and the
    last norm have no place there.
    """
    own = visual.state_dict()
    kernel = tower["embeddings.patch_embedding.weight"]
    own["patch_embed.proj.weight"] = torch.stack([kernel / FRAMES] * FRAMES, dim=2)
    names = {"norm1": "layer_norm1", "norm2": "layer_norm2", "mlp.fc1": "mlp.fc1"}
    names |= {"mlp.fc2": "mlp.fc2", "attn.proj": "self_attn.out_proj"}
    for layer in range(len(visual.blocks)):
        here, there = f"blocks.{layer}.", f"encoder.layers.{layer}."
        for kind in ("weight", "bias"):
            for mine, theirs in names.items():
                own[f"{here}{mine}.{kind}"] = tower[f"{there}{theirs}.{kind}"]
            parts = [tower[f"{there}self_attn.{p}_proj.{kind}"] for p in "qkv"]
            own[f"{here}attn.qkv.{kind}"] = torch.cat(parts)
    visual.load_state_dict(own)


def qwen_losses(vlm: Qwen2Vl, config: DrawnVlmConfig) -> CaptionLosses:
    """Return the two losses of caption training, both through the adapter."""
    pad = qwen_ids(config.world)[PAD]

    def next_word(states: Tensor, ids: Tensor) -> Tensor:
        kept = ids != pad
        return functional.cross_entropy(vlm.token_logits(states[:, :-1][kept]), ids[kept])

    def batch(ids: Int[Tensor, "b t"]) -> CaptionBatch:
        return CaptionBatch(ids, ids != pad, ("",) * len(ids))

    def caption(model: nn.Module, patches: Tensor, ids: Tensor) -> Tensor:
        tokens = model.model.visual.merger(by_block(patches, config))
        images = tokens.split(config.image_tokens)
        vision = VisionBatch(patches.mean(1), tuple(images), qwen_grid(len(ids), config))
        return next_word(vlm.caption_states(vision, batch(ids)), ids)

    def text(model: nn.Module, ids: Tensor) -> Tensor:
        return next_word(vlm.text_states(batch(ids)), ids)

    return CaptionLosses(caption, text, config.world)


def run_qwen_stages(
    run: VlmRun, tower: Mapping[str, Tensor], *, progress: bool = False
) -> nn.Module:
    """Run the stages that are not finished and return the model; `tower` is what it starts from."""
    recipe: VlmRecipe = run.recipe
    model = build_drawn_qwen(recipe.model, seed=recipe.seed)
    if run.state:
        model.load_state_dict(run.state)
    else:
        warm_start(model.model.visual, tower)
    eye = QwenEye(PatchStates(model.model.visual), recipe.model)
    with run.stage("tower", model) as losses:
        if losses is not None:
            losses += train_tower(
                eye,
                recipe.tower,
                seed=recipe.seed,
                grid=recipe.model.grid,
                progress=progress,
                world=recipe.model.world,
                checkpoint=run.checkpoint("tower"),
            )
    vlm = drawn_qwen_vlm(model, recipe.model, "qwen")
    for part in (model.model.language_model, model.lm_head, model.model.visual.merger):
        part.requires_grad_(True)
    eye.requires_grad_(False)
    train_the_captions(run, model, eye, losses=qwen_losses(vlm, recipe.model), progress=progress)
    return model
