"""BERTScore (Zhang et al. 2020, section 3) on any transformers encoder: a folder, or MiniLM.

Tokens of hypothesis and reference are matched greedily by the cosine of their contextual vectors:
P averages each hypothesis token's best match, R each reference token's, F = 2 P R / (P + R).
Special tokens may be matched but are not averaged; no idf weights and no rescaling. With several
references P, R and F are maximised separately, as the common tool does, so F need not be the
harmonic mean of P and R. An empty hypothesis scores 0.

Numbers of different encoders or layers do not compare: both are in `BertEncoder.signature`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from vizer_core.runtime import require
from vizer_core.wheels import WHEELS, unpacked

_BATCH = 64


@dataclass(frozen=True)
class BertEncoder:
    """An encoder, its tokenizer, and the layer whose vectors are compared."""

    model: Any
    tokenizer: Any
    layer: int
    name: str

    @property
    def signature(self) -> str:
        """What changes the numbers."""
        return f"model:{self.name}|layer:{self.layer}|idf:no|rescale:no"


@dataclass(frozen=True)
class TokenVectors:
    """A text's unit-norm token vectors; `counted` leaves out special tokens."""

    vectors: Float[Tensor, "t h"]
    counted: Bool[Tensor, " t"]


@dataclass(frozen=True)
class BertScores:
    """Precision, recall and F of each image."""

    precision: Float64[np.ndarray, " n"]
    recall: Float64[np.ndarray, " n"]
    f1: Float64[np.ndarray, " n"]


def load_bert_encoder(path: Path | str, *, layer: int, device: str = "cpu") -> BertEncoder:
    """Load an encoder from a local folder, or `all-minilm-l6-v2` from its wheel; no download.

    `layer` counts transformer layers from 1; published English numbers use layer 17 of
    roberta-large. MiniLM has six. Raises `ImportError` that says what to install where the wheel is
    missing.
    """
    transformers = require("transformers", why="BERTScore")
    folder = unpacked(str(path)) if str(path) in WHEELS else Path(path)
    name = str(path) if str(path) in WHEELS else folder.name
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} has no config.json: wanted a transformers encoder")
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
    layers = model.config.num_hidden_layers
    if not 1 <= layer <= layers:
        raise ValueError(f"layer {layer} of {name}: wanted 1 to {layers}")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return BertEncoder(model.eval().to(device), tokenizer, layer, name)


def greedy_match(hypothesis: TokenVectors, reference: TokenVectors) -> tuple[float, float, float]:
    """Return P, R and F of one pair of texts."""
    if not bool(hypothesis.counted.any()) or not bool(reference.counted.any()):
        return 0.0, 0.0, 0.0
    cosines = hypothesis.vectors @ reference.vectors.T
    precision = float(cosines.amax(dim=1)[hypothesis.counted].mean())
    recall = float(cosines.amax(dim=0)[reference.counted].mean())
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


@torch.no_grad()
def encode_tokens(texts: Sequence[str], encoder: BertEncoder) -> list[TokenVectors]:
    """Encode texts in batches of similar length, in the order given."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found: dict[int, TokenVectors] = {}
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        batch = encoder.tokenizer(
            [texts[i] for i in chosen],
            padding=True,
            truncation=True,
            return_special_tokens_mask=True,
            return_tensors="pt",
        ).to(encoder.model.device)
        special = batch.pop("special_tokens_mask").bool()
        states = encoder.model(**batch, output_hidden_states=True).hidden_states[encoder.layer]
        vectors = torch.nn.functional.normalize(states.float(), dim=-1).cpu()
        kept = batch["attention_mask"].bool().cpu()
        for row, i in enumerate(chosen):
            found[i] = TokenVectors(vectors[row][kept[row]], ~special[row].cpu()[kept[row]])
    return [found[i] for i in range(len(texts))]


def bertscore(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, encoder: BertEncoder
) -> BertScores:
    """Return each image's BERTScore of raw (untokenised) captions."""
    if len(hypotheses) != len(references):
        raise ValueError(
            f"got {len(hypotheses)} hypotheses for {len(references)} images: "
            "wanted one hypothesis an image"
        )
    texts = list(dict.fromkeys([*hypotheses, *(r for refs in references for r in refs)]))
    encoded = dict(zip(texts, encode_tokens(texts, encoder)))
    best = np.array(
        [
            np.max([greedy_match(encoded[hypothesis], encoded[r]) for r in refs], axis=0)
            for hypothesis, refs in zip(hypotheses, references)
        ],
        dtype=np.float64,
    ).reshape(-1, 3)
    return BertScores(best[:, 0], best[:, 1], best[:, 2])
