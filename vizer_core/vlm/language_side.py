"""The half that all adapters share: the language model over vision features computed before.

Whatever the model, a caption is read in the same way. The prompt's ids are embedded, the image's
embeddings take the places of its image tokens, prompts are padded on the left, and only the text
model runs. Nothing here calls the vision tower, and nothing but `token_logits` makes logits.

Source: ViZer's f_psi, `last_hidden_state` of transformers' text models: after the last norm, before
the LM head. A subclass says where its parts are and how a prompt looks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vizer_core.cache_argument import cache_argument
from vizer_core.runtime import require
from vizer_core.sharding import HeldBytes, held_bytes, shard_blocks
from vizer_core.vlm.generation import Prefix
from vizer_core.vlm.modules import (
    ALL_PROJECTIONS,
    adapters_off,
    fingerprint_of,
    language_targets,
    recomputed,
)
from vizer_core.vlm.protocol import CaptionBatch, Prompt, VisionBatch
from vizer_core.vlm.tokens import CaptionTokens

PROMPTS_KEPT = 1000  # tokenised prompts remembered; questions differ from image to image


class LanguageSide(ABC):
    """What `VisionLanguageModel` does without pixels, writing apart.

    The parameters are frozen and in evaluation mode from here on. LoRA may be added with PEFT,
    which changes layers in place; `model` may then be replaced by PEFT's wrapper.

    `recompute = True` trades time for memory in passes with gradient (gradient checkpointing): the
    same gradient, one forward pass more, and a prompt that runs once for each of its captions.
    """

    lora_stem: str
    recompute: bool = False

    def __init__(self, model: nn.Module, processor: Any, name: str, *, default_prompt: str) -> None:
        wrapped = hasattr(model, "peft_config") and hasattr(model, "get_base_model")
        self.model = model.eval()
        self.base = model.get_base_model() if wrapped else model
        if not wrapped:
            self.base.requires_grad_(False)
        self.processor = processor
        self.name = name
        self.default_prompt = default_prompt
        self.tokens = CaptionTokens(
            processor.tokenizer, name, more_eos=self.base.generation_config.eos_token_id
        )
        self._prompts: dict[tuple[tuple[int, ...], str], tuple[int, ...]] = {}

    @property
    @abstractmethod
    def text_model(self) -> nn.Module:
        """The language model without its head."""

    @abstractmethod
    def prompt_ids(self, grid: tuple[int, ...], prompt: str) -> list[int]:
        """Tokenise a prompt with as many image tokens as an image of this grid needs."""

    @abstractmethod
    def prompt_positions(
        self, ids: Int[Tensor, "b s"], mask: Bool[Tensor, "b s"], grid: Int[Tensor, "b 3"]
    ) -> Int[Tensor, "*axes b s"]:
        """Return the rotary positions of left-padded prompts."""

    @property
    def lm_width(self) -> int:
        """Width h of the language model."""
        return int(self.text_model.config.hidden_size)

    @property
    def embedding_table(self) -> Float[Tensor, "v h"]:
        """Token embeddings, E_phi."""
        return self.base.get_input_embeddings().weight

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.embedding_table.device

    @property
    def image_token_id(self) -> int:
        """Id of the token whose places the image's embeddings take; never written."""
        return int(self.base.config.image_token_id)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the base weights; LoRA does not change it."""
        return fingerprint_of(self.base)

    @property
    def lora_targets(self) -> str:
        """Regex of the language model's seven linear layers; never matches the vision side."""
        return self.lora_targets_for(ALL_PROJECTIONS)

    def lora_targets_for(self, projections: Sequence[str]) -> str:
        """Return the regex of some projections only, such as `("q_proj", "v_proj")`."""
        return language_targets(self.lora_stem, projections)

    def shard(self, device: torch.device) -> HeldBytes:
        """Cut the text model's blocks over all processes, LoRA not yet on it.

        The vision side, embeddings and the head stay whole; see `vizer_core.sharding`.
        """
        _ = self.fingerprint  # from here on no process has all the weights
        shard_blocks(self.text_model, device)
        self.base.to(device)
        return held_bytes(self.base)

    def adapter_off(self) -> AbstractContextManager[None]:
        """Run the base model inside this context: LoRA is switched off, and back on after."""
        return adapters_off(self.base)

    def tokenize(self, texts: Sequence[str]) -> CaptionBatch:
        """Encode captions, EOS at the end of each."""
        captions = self.tokens.encode(texts)
        return CaptionBatch(
            captions.ids.to(self.device), captions.mask.to(self.device), captions.texts
        )

    def decode(self, ids: Int[Tensor, "b t"]) -> tuple[str, ...]:
        """Turn caption ids into texts, each cut at its first EOS."""
        return self.tokens.decode(ids)

    def embed(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t h"]:
        """Look up token embeddings, E_phi."""
        return self.base.get_input_embeddings()(ids.to(self.device))

    def caption_states(
        self, vision: VisionBatch, captions: CaptionBatch, *, prompt: Prompt = None
    ) -> Float[Tensor, "b t1 h"]:
        """Return post-norm LM states [b, t + 1, h] of captions with their image in context.

        With k captions an image (order A, A, B, B) each prompt runs once and its k captions read
        its keys and values; the gradient through them is complete.
        """
        samples = len(captions) // max(len(vision), 1)
        if not samples or samples * len(vision) != len(captions):
            raise ValueError(
                f"{len(captions)} captions for {len(vision)} images: wanted the same number of "
                "captions for each image, in the order A, A, B, B"
            )
        prefix = self.prefix(vision, prompt=prompt)
        words, mask = self.embed(captions.ids), captions.mask.to(self.device)
        if samples > 1 and not self._recomputes():
            return self._states_of_shared_prefix(prefix, words, mask)
        prefix = prefix.repeated(samples)
        follow = prefix.next_positions(words.shape[1])
        axes = prefix.positions.shape[:-2]
        states = self.run_text(
            torch.cat([prefix.embeddings, words], dim=1),
            torch.cat([prefix.mask, mask], dim=1),
            torch.cat([prefix.positions, follow.expand(*axes, *follow.shape)], dim=-1),
        )
        return states[:, prefix.mask.shape[1] - 1 :]

    def _states_of_shared_prefix(self, prefix: Prefix, words: Tensor, mask: Tensor) -> Tensor:
        samples = len(words) // len(prefix.mask)
        cache = self.new_cache()
        read = self.run_text(prefix.embeddings, prefix.mask, prefix.positions, cache)
        cache.batch_repeat_interleave(samples)
        many = prefix.mask.repeat_interleave(samples, dim=0)
        follow = prefix.next_positions(words.shape[1]).repeat_interleave(samples, dim=0)
        states = self.run_text(words, torch.cat([many, mask], dim=1), follow, cache)
        return torch.cat([read[:, -1:].repeat_interleave(samples, dim=0), states], dim=1)

    def text_states(self, captions: CaptionBatch) -> Float[Tensor, "b t1 h"]:
        """Return the states of captions read as text alone, after BOS."""
        return self.text_states_of_embeddings(self.embed(captions.ids), captions.mask)

    def text_states_of_embeddings(
        self, embeddings: Float[Tensor, "b t h"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t1 h"]:
        """Return `text_states` of token embeddings; gradients reach them (straight-through)."""
        start = self.embedding_table[self.tokens.start].expand(len(embeddings), 1, -1)
        whole = torch.cat([start, embeddings.to(start)], dim=1)
        seen = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1).to(self.device)
        positions = torch.arange(whole.shape[1], device=self.device).expand(len(whole), -1)
        return self.run_text(whole, seen, positions)

    def token_logits(self, states: Float[Tensor, "*axes h"]) -> Float[Tensor, "*axes v"]:
        """Apply the LM head to states."""
        return self.base.lm_head(states)

    def run_text(
        self,
        embeddings: Float[Tensor, "b s h"],
        mask: Bool[Tensor, "b total"],
        positions: Int[Tensor, "*axes b s"],
        cache: Any = None,
    ) -> Float[Tensor, "b s h"]:
        """Run the text model; without a cache nothing is kept for later tokens."""
        saving = cache is None and self._recomputes()
        with recomputed(self.text_model) if saving else nullcontext():
            return self.text_model(
                inputs_embeds=embeddings,
                attention_mask=mask,
                position_ids=positions,
                use_cache=cache is not None,
                **cache_argument(self.text_model, cache),
            ).last_hidden_state

    def _recomputes(self) -> bool:
        return self.recompute and torch.is_grad_enabled()

    def new_cache(self) -> Any:
        """Make an empty key-value cache for the text model."""
        transformers = require("transformers", why="a vision-language model")
        return transformers.DynamicCache(config=self.text_model.config)

    def prefix(self, vision: VisionBatch, *, prompt: Prompt = None) -> Prefix:
        """Embed each image's prompt, its image in place, padded on the left."""
        ids, mask = self.prompt_batch(vision, prompt=prompt)
        images = torch.cat(list(vision.image_embeddings)).to(self.embedding_table)
        at_image = (ids == self.image_token_id).unsqueeze(-1)
        embeddings = self.embed(ids).masked_scatter(at_image, images)
        return Prefix(embeddings, mask, self.prompt_positions(ids, mask, vision.grid))

    def prompt_batch(
        self, vision: VisionBatch, *, prompt: Prompt = None
    ) -> tuple[Int[Tensor, "b s"], Bool[Tensor, "b s"]]:
        """Return the ids of each image's prompt, padded on the left, and where they are real."""
        rows = [
            self._remembered_ids(tuple(grid), text)
            for grid, text in zip(
                vision.grid.tolist(), self.prompts_for(vision, prompt), strict=True
            )
        ]
        for place, (row, image) in enumerate(zip(rows, vision.image_embeddings, strict=True)):
            if row.count(self.image_token_id) != len(image):
                raise ValueError(
                    f"the prompt of image {place} has {row.count(self.image_token_id)} image "
                    f"tokens and its features {len(image)} vectors: wanted as many. Were the "
                    "features made by another model, or is the processor's image_seq_len wrong?"
                )
        width = max(map(len, rows))
        ids = torch.tensor([[self.tokens.pad] * (width - len(row)) + list(row) for row in rows])
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(width) >= width - lengths[:, None]
        return ids.to(self.device), mask.to(self.device)

    def prompts_for(self, vision: VisionBatch, prompt: Prompt) -> list[str]:
        """Return one prompt an image: the default, one for all, or one each."""
        if prompt is None or isinstance(prompt, str):
            return [self.default_prompt if prompt is None else prompt] * len(vision)
        if len(prompt) != len(vision):
            raise ValueError(f"{len(prompt)} prompts for {len(vision)} images: wanted one each")
        return list(prompt)

    def chat_prompt(self, text: str) -> str:
        """Write a question about the image the way the model's chat template wants it."""
        if not getattr(self.processor, "chat_template", None):
            raise ValueError(
                f"{self.name} has no chat template: it is a base model. Give the prompt as text."
            )
        content = [{"type": "image"}, {"type": "text", "text": text}]
        turn = [{"role": "user", "content": content}]
        return self.processor.apply_chat_template(turn, add_generation_prompt=True)

    def _remembered_ids(self, grid: tuple[int, ...], prompt: str) -> tuple[int, ...]:
        key = (grid, prompt)
        if key not in self._prompts:
            if len(self._prompts) >= PROMPTS_KEPT:
                self._prompts.clear()
            self._prompts[key] = tuple(self.prompt_ids(grid, prompt))
        return self._prompts[key]
