"""Captions as token ids: where they end, what may begin them, and the way back to words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from vizer_core.vlm.protocol import CaptionBatch


class CaptionTokens:
    """A tokenizer, and the ids that have a role in captions.

    `eos_ids` holds every id that ends a caption; the first is the one that `encode` writes. `start`
    begins a text without an image: BOS, or for a tokenizer without one its padding token, which
    for Qwen is `<|endoftext|>`, the mark between documents of its pretraining.
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
        start = tokenizer.bos_token_id
        self.start = self.pad if start is None else int(start)

    def encode(self, texts: Sequence[str]) -> CaptionBatch:
        """Encode captions, EOS at the end of each, padded on the right."""
        if not texts:
            raise ValueError("no captions to tokenize: got an empty list")
        rows = [[*self._ids(text), self.eos_ids[0]] for text in texts]
        ids = torch.full((len(rows), max(map(len, rows))), self.pad, dtype=torch.long)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = True
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

    def written(self, parts: Sequence[Int[Tensor, "_ _"]]) -> CaptionBatch:
        """Join batches of written ids, cut after the longest caption; padding after each EOS."""
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
                        f"cannot ban {word!r} as a first word: the tokenizer of {self.name} does "
                        "not know it. Give words of its vocabulary."
                    )
                found.add(ids[0])
        return tuple(sorted(found))

    def _ids(self, text: str) -> list[int]:
        return [int(i) for i in self.tokenizer(text, add_special_tokens=False)["input_ids"]]
