"""The processor's side: prompts with their image tokens, and captions, as ids and as words.

`PromptSide` tokenises each prompt once, with as many image tokens as its image has vectors, and
pads prompts on the left. `CaptionTokens` knows where captions end, what may begin them, and the way
back to words. `Prefix` is a prompt once it is embedded: what a caption follows.

A model that was tuned to follow instructions is asked in its chat template, one and the same
instruction whatever the family (`INSTRUCTION`); a base model continues what it is given. SmolVLM's
base ships a template too, so having one says little: `is_instruct` asks whether the model ends its
texts with the mark that ends an answer in the template.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vizer_core.vlm.protocol import CaptionBatch, Prompt, VisionBatch

INSTRUCTION = "Describe the image in one short sentence."
ANSWER = "An answer"  # stands for the model's words where only the marks around them matter
DOCUMENT_MARK = "<|endoftext|>"  # between documents, in the pretraining of SmolLM2 and Qwen2
CHAT_MARK = "<|im_start|>"  # begins a turn of a chat; SmolVLM's tokenizer has it as BOS
PROMPTS_KEPT = 1000  # tokenised prompts remembered; questions differ from image to image


class CaptionTokens:
    """A tokenizer, and the ids that have a role in captions.

    `eos_ids` has every id that ends a caption; the first is the one that `encode` writes. `start`
    begins a text without an image: see `start_of`.
    """

    def __init__(self, tokenizer: Any, name: str, *, more_eos: int | Sequence[int] | None) -> None:
        if tokenizer.pad_token_id is None:
            raise ValueError(f"the tokenizer of {name} has no padding token: set its pad_token")
        more = [more_eos] if isinstance(more_eos, int) or more_eos is None else list(more_eos)
        ends = [int(e) for e in (tokenizer.eos_token_id, *more) if e is not None]
        if not ends:
            raise ValueError(f"the tokenizer of {name} has no end token: set its eos_token")
        self.tokenizer = tokenizer
        self.name = name
        self.pad = int(tokenizer.pad_token_id)
        self.eos_ids = tuple(dict.fromkeys(ends))
        self.start = start_of(tokenizer)

    def encode(self, texts: Sequence[str]) -> CaptionBatch:
        """Encode captions, EOS at the end of each, padded on the right."""
        if not texts:
            raise ValueError("no captions to tokenize: got an empty list")
        rows = [[*self._ids(text), self.eos_ids[0]] for text in texts]
        ids = torch.full((len(rows), max(map(len, rows))), self.pad, dtype=torch.long)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = True
        return CaptionBatch(ids, mask, tuple(texts))

    def until_eos(self, ids: Int[Tensor, "b t"]) -> Bool[Tensor, "b t"]:
        """Mark the tokens up to and with the first EOS."""
        ends = torch.isin(ids, torch.tensor(self.eos_ids, device=ids.device)).long()
        return ends.cumsum(dim=1) - ends == 0

    def decode(self, ids: Int[Tensor, "b t"]) -> tuple[str, ...]:
        """Turn ids into texts, each cut at its first EOS."""
        kept = self.until_eos(ids)
        rows = [row[keep].tolist() for row, keep in zip(ids, kept, strict=True)]
        texts = self.tokenizer.batch_decode(rows, skip_special_tokens=True)
        return tuple(text.strip() for text in texts)

    def generated(self, parts: Sequence[Int[Tensor, "_ _"]]) -> CaptionBatch:
        """Join batches of generated ids, cut after the longest caption; padding after each EOS."""
        width = max(part.shape[1] for part in parts)
        padded = [
            torch.nn.functional.pad(part, (0, width - part.shape[1]), value=self.pad)
            for part in parts
        ]
        ids = torch.cat(padded)
        mask = self.until_eos(ids)
        for part, rows in zip(parts, mask.split([len(part) for part in parts]), strict=True):
            rows[:, part.shape[1] :] = False
        longest = int(mask.sum(dim=1).max())
        ids, mask = ids[:, :longest], mask[:, :longest]
        ids = ids.masked_fill(~mask, self.pad)
        return CaptionBatch(ids, mask, self.decode(ids))

    def first_ids(self, words: Sequence[str]) -> tuple[int, ...]:
        """Find the tokens that begin `words`, with and without a space before them.

        A tokenizer that splits words bars every word with the same first piece. Case counts.
        """
        found: set[int] = set()
        for word in words:
            for form in (word, f" {word}"):
                ids = self._ids(form)
                if not ids or ids[0] == self.tokenizer.unk_token_id:
                    raise ValueError(
                        f"{word!r} cannot be given or banned as a first word: the tokenizer of "
                        f"{self.name} does not know it. Give words of its vocabulary."
                    )
                found.add(ids[0])
        return tuple(sorted(found))

    def _ids(self, text: str) -> list[int]:
        return [int(i) for i in self.tokenizer(text, add_special_tokens=False)["input_ids"]]


def start_of(tokenizer: Any) -> int:
    """Return the id that begins a text without an image: what the model has seen in that place.

    BOS where it is one. SmolVLM's BOS is `<|im_start|>`, which begins a turn of a chat and tells
    nothing of a caption's first word; there, and where there is no BOS, as in Qwen, it is the mark
    between documents; without such a mark it is BOS after all, or the padding token.
    """
    if tokenizer.bos_token not in (None, CHAT_MARK):
        return int(tokenizer.bos_token_id)
    mark = tokenizer.get_vocab().get(DOCUMENT_MARK)
    if mark is None:
        mark = tokenizer.bos_token_id
    return int(tokenizer.pad_token_id if mark is None else mark)


def is_instruct(processor: Any, name: str, eos_ids: Sequence[int]) -> bool:
    """Say whether a checkpoint is to be asked in its chat template.

    It is, if the mark after an answer in the template is one that the model ends its texts with,
    and its name does not end in "base".
    """
    if not getattr(processor, "chat_template", None) or name.rstrip("/").lower().endswith("base"):
        return False
    turns = [_turn("user", INSTRUCTION, image=True), _turn("assistant", ANSWER)]
    _, _, after = processor.apply_chat_template(turns).rpartition(ANSWER)
    ids = processor.tokenizer(after, add_special_tokens=False)["input_ids"]
    return bool(ids) and ids[0] in eos_ids


def _turn(role: str, text: str, *, image: bool = False) -> dict[str, Any]:
    shown: list[dict[str, str]] = [{"type": "image"}] if image else []
    return {"role": role, "content": [*shown, {"type": "text", "text": text}]}


@dataclass(frozen=True, eq=False)
class Prefix:
    """What the language model reads before the caption, padded on the left.

    `positions` are [b, s] for one-dimensional rotary positions and [3, b, s] for Qwen's.
    """

    embeddings: Float[Tensor, "b s h"]
    mask: Bool[Tensor, "b s"]
    positions: Int[Tensor, "*axes b s"]

    def repeated(self, samples: int) -> Prefix:
        """Return the prefix of k captions per image, order A, A, B, B; itself where k is 1."""
        if samples == 1:
            return self
        return Prefix(
            self.embeddings.repeat_interleave(samples, dim=0),
            self.mask.repeat_interleave(samples, dim=0),
            self.positions.repeat_interleave(samples, dim=-2),
        )

    def next_positions(self, count: int) -> Int[Tensor, "b t"]:
        """Return the positions of the `count` tokens that follow."""
        axes = [axis for axis in range(self.positions.ndim) if axis != self.positions.ndim - 2]
        first = self.positions.amax(dim=axes) + 1
        return first[:, None] + torch.arange(count, device=first.device)


class PromptSide(ABC):
    """What an adapter does with its processor: prompts and captions as ids, and back.

    A subclass says how a prompt looks, and where the model is.
    """

    def __init__(
        self,
        processor: Any,
        name: str,
        *,
        default_prompt: str,
        more_eos: int | Sequence[int] | None,
    ) -> None:
        self.processor = processor
        self.name = name
        self.default_prompt = default_prompt
        self.tokens = CaptionTokens(processor.tokenizer, name, more_eos=more_eos)
        self._prompts: dict[tuple[tuple[int, ...], str], tuple[int, ...]] = {}

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the model is."""

    @property
    @abstractmethod
    def image_token_id(self) -> int:
        """Id of the token whose positions the image's embeddings take; never generated."""

    @abstractmethod
    def prompt_ids(self, grid: tuple[int, ...], prompt: str) -> list[int]:
        """Tokenise a prompt with as many image tokens as an image of this grid needs."""

    @abstractmethod
    def prompt_positions(
        self, ids: Int[Tensor, "b s"], mask: Bool[Tensor, "b s"], grid: Int[Tensor, "b 3"]
    ) -> Int[Tensor, "*axes b s"]:
        """Return the rotary positions of left-padded prompts."""

    def tokenize(self, texts: Sequence[str]) -> CaptionBatch:
        """Encode captions, EOS at the end of each."""
        captions = self.tokens.encode(texts)
        return CaptionBatch(
            captions.ids.to(self.device), captions.mask.to(self.device), captions.texts
        )

    def decode(self, ids: Int[Tensor, "b t"]) -> tuple[str, ...]:
        """Turn caption ids into texts, each cut at its first EOS."""
        return self.tokens.decode(ids)

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
        for index, (row, image) in enumerate(zip(rows, vision.image_embeddings, strict=True)):
            if row.count(self.image_token_id) != len(image):
                raise ValueError(
                    f"the prompt of image {index} has {row.count(self.image_token_id)} image "
                    f"tokens and its features {len(image)} vectors: wanted as many. Were the "
                    "features made by another model, or is the processor's image_seq_len wrong?"
                )
        width = max(map(len, rows))
        ids = torch.tensor([[self.tokens.pad] * (width - len(row)) + list(row) for row in rows])
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(width) >= width - lengths[:, None]
        return ids.to(self.device), mask.to(self.device)

    def prompts_for(self, vision: VisionBatch, prompt: Prompt) -> list[str]:
        """Return one prompt per image: the default, one for all, or one each."""
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
        turn = [_turn("user", text, image=True)]
        return self.processor.apply_chat_template(turn, add_generation_prompt=True)

    @property
    def is_instruct(self) -> bool:
        """Whether the model wants to be asked in its chat template."""
        return is_instruct(self.processor, self.name, self.tokens.eos_ids)

    def prompt_of(self, words: str | None) -> str:
        """Return words as the model wants to be asked; None is the model's default prompt.

        An instruct model gets them in its chat template, unless they name the image's place and
        are a whole prompt already; a base model gets them as they are.
        """
        if words is None:
            return self.default_prompt
        mark = self.processor.tokenizer.convert_ids_to_tokens(self.image_token_id)
        return self.chat_prompt(words) if self.is_instruct and mark not in words else words

    def _remembered_ids(self, grid: tuple[int, ...], prompt: str) -> tuple[int, ...]:
        key = (grid, prompt)
        if key not in self._prompts:
            if len(self._prompts) >= PROMPTS_KEPT:
                self._prompts.clear()
            self._prompts[key] = tuple(self.prompt_ids(grid, prompt))
        return self._prompts[key]
