"""The language model over vision features computed before: states of captions, and their log p.

Whatever the model, a caption is read in the same way. The prompt's ids are embedded, the image's
embeddings take the places of its image tokens, prompts are padded on the left, and only the text
model runs. Nothing here calls the vision tower, and nothing but `token_logits` makes logits.

Source: ViZer's f_psi, `last_hidden_state` of transformers' text models: after the last norm, before
the LM head. A subclass says where its parts are and how a prompt looks.

Here alone logits become log p, at the tokens of captions only. Rewards sum it over tokens
(`vizer.information`), a policy gradient takes it token by token (`vizer.policy_gradient`), and its
negative is the surprisal of a token (`vlm.surprisal`). `base_kl` is how far one model's log p lies
from another's: the anchor KL(base || new) of zero-label training.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from vizer_core.runtime import require
from vizer_core.sharding import HeldBytes, held_bytes, shard_blocks
from vizer_core.token_loop import cache_argument
from vizer_core.vlm.modules import ALL_PROJECTIONS, language_targets
from vizer_core.vlm.prompts import Prefix, PromptSide
from vizer_core.vlm.protocol import CaptionBatch, Prompt, VisionBatch, VisionLanguageModel

SAMPLED_VALUES = 64  # of each weight, in a fingerprint


class LanguageSide(PromptSide):
    """What `VisionLanguageModel` does without pixels, generating apart.

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
        ends = self.base.generation_config.eos_token_id
        super().__init__(processor, name, default_prompt=default_prompt, more_eos=ends)

    @property
    @abstractmethod
    def text_model(self) -> nn.Module:
        """The language model without its head."""

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
        """Id of the token whose positions the image's embeddings take; never generated."""
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

    def embed(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t h"]:
        """Look up token embeddings, E_phi."""
        return self.base.get_input_embeddings()(ids.to(self.device))

    def caption_states(
        self, vision: VisionBatch, captions: CaptionBatch, *, prompt: Prompt = None
    ) -> Float[Tensor, "b t1 h"]:
        """Return post-norm LM states [b, t + 1, h] of captions with their image in context.

        With k captions per image (order A, A, B, B) each prompt runs once and its k captions read
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
        """Return the states of captions read as text alone, after the mark of `start_of`."""
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


def log_probs_of(
    logits: Float[Tensor, "m v"], captions: CaptionBatch, *, temperature: float = 1.0
) -> Float[Tensor, "b t"]:
    """Return log p of each caption token from the m logits that predict them; 0 at padding.

    Divide by the temperature that the captions were drawn at.

    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> captions = CaptionBatch(torch.tensor([[0, 1], [1, 0]]), mask, ("a cat", "a"))
    >>> log_probs_of(torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.5, 0.5]]).log(), captions).exp()
    tensor([[0.5000, 0.8000],
            [0.5000, 1.0000]])
    """
    mask = captions.mask.to(logits.device)
    chosen = captions.ids[captions.mask].to(logits.device)[:, None]
    if len(logits) != len(chosen):
        raise ValueError(
            f"{len(logits)} rows of logits for {len(chosen)} caption tokens: wanted one per token, "
            "padding left out"
        )
    scaled = logits.float() if temperature == 1 else logits.float() / temperature
    picked = scaled.gather(1, chosen)[:, 0] - scaled.logsumexp(dim=1)
    return torch.zeros(mask.shape, device=mask.device).masked_scatter(mask, picked)


def token_log_probs(
    vlm: VisionLanguageModel, states: Float[Tensor, "b t1 h"], captions: CaptionBatch
) -> Float[Tensor, "b t"]:
    """Return log p of each caption token from the captions' states; 0 at padding."""
    return log_probs_of(vlm.token_logits(states[:, :-1][captions.mask.to(states.device)]), captions)


def base_kl(
    base_logits: Float[Tensor, "m v"], new_logits: Float[Tensor, "m v"]
) -> Float[Tensor, ""]:
    """Return KL(base || new) in nats, averaged over m token positions.

    >>> base = torch.tensor([[0.5, 0.5]]).log()
    >>> base_kl(base, torch.tensor([[0.25, 0.75]]).log())
    tensor(0.1438)
    """
    if base_logits.shape != new_logits.shape or not len(base_logits):
        raise ValueError(
            f"got base logits {tuple(base_logits.shape)} and new logits {tuple(new_logits.shape)}: "
            "wanted two equal shapes with at least one position"
        )
    base = base_logits.float().log_softmax(dim=-1)
    new = new_logits.float().log_softmax(dim=-1)
    return functional.kl_div(new, base, log_target=True, reduction="batchmean")


def fingerprint_of(model: nn.Module) -> str:
    """Hash each base weight's shape and 64 values spread over it, 16 hex digits.

    Billions of weights take well under a second, and LoRA layers do not count: their weights are
    left out, and the weights they wrap keep their own names.
    """
    digest = hashlib.sha256()
    for key, value in sorted(_base_weights(model)):
        spread = torch.linspace(0, value.numel() - 1, SAMPLED_VALUES, dtype=torch.float64).long()
        sample = value.detach().reshape(-1)[spread.to(value.device)].float().cpu()
        digest.update(f"{key}{tuple(value.shape)}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()[:16]


def _base_weights(model: nn.Module) -> list[tuple[str, Tensor]]:
    named = [(key.replace(".base_layer", ""), value) for key, value in model.named_parameters()]
    return [(key, value) for key, value in named if ".lora_" not in key and value.numel()]


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """Switch PEFT's layers off inside this context; afterwards all is as before.

    PEFT's own switch turns `requires_grad` on for every adapter when it comes back: the flags are
    put back here as they were. A model without adapters is left alone.
    """
    tuner = require("peft.tuners.tuners_utils", why="LoRA").BaseTunerLayer
    layers = [each for each in model.modules() if isinstance(each, tuner)]
    active = [layer for layer in layers if not layer.disable_adapters]
    flags = [(weight, weight.requires_grad) for layer in active for weight in layer.parameters()]
    for layer in active:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in active:
            layer.enable_adapters(True)
        for weight, trained in flags:
            weight.requires_grad_(trained)


@contextmanager
def recomputed(text_model: nn.Module) -> Iterator[None]:
    """Run the text model with gradient checkpointing: keep each layer's input, compute it again.

    Chen et al. 2016 (1604.06174). One forward pass more, and memory that grows with the layers'
    inputs instead of everything inside them (`memory.kept_bytes`). transformers' layers do it by
    themselves, but only in training mode, which would switch dropout on; here the layers alone
    believe that they are training, and only while a pass with gradient goes through.
    """
    layers = list(text_model.layers)
    again = partial(checkpoint, use_reentrant=False)
    for layer in layers:
        layer.gradient_checkpointing, layer._gradient_checkpointing_func = True, again
        layer.training = True  # the layer alone: its attention and feed-forward stay in eval mode
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = layer.training = False
