"""A prefix network that begins as a reader of words, so that a short training is enough.

A frozen language model understands its own words. So beside MacCap's decoder stand detectors, one
for each word that says something, and what each finds is put into the prefix as the word's own
embedding:

    E = PrefixDecoder(v_1 .. v_r) + scale * sum_w sigmoid(a_w . x + b_w) e_w,   x = basis (v - mean)

with v the mean of the tokens, and every word w at the one prefix position that is its own. Before
the first step the detectors are fitted to say which words a caption has, by logistic regression,
and the decoder starts small. Then all of it is trained as ever, through the language model.

Where we differ: MacCap and its rivals start from random weights and train for hours. On the drawn
world, detectors fitted in two seconds are worth hundreds of steps through the language model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from vizer_core.textonly.prefix_network import PrefixConfig, PrefixDecoder

SCALE = 3.0  # of the words' embeddings: what is half certain is to be heard
DECODER_SHARE = 0.1  # the decoder's spread at the start, of the words'
KEPT_ENERGY = 1e-4  # directions of less variance, of the largest, are left out of the basis
FIT_STEPS, FIT_BATCH, FIT_RATE = 600, 256, 0.05


@dataclass(frozen=True)
class ReaderConfig(PrefixConfig):
    """Sizes of a `WordReader`: a decoder's, and how many words it has detectors for."""

    words: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.words < 1:
            raise ValueError(f"words is {self.words}: wanted at least 1 word to detect")


class WordReader(nn.Module):
    """A `PrefixDecoder` with detectors of words beside it (ours)."""

    mean: Tensor
    basis: Tensor
    position: Tensor
    embedding: Tensor

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        d, h = config.clip_width, config.lm_width
        self.decoder = PrefixDecoder(config)
        self.detectors = nn.Linear(d, config.words)
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("basis", torch.eye(d))
        self.register_buffer("position", torch.zeros(config.words, dtype=torch.long))
        self.register_buffer("embedding", torch.zeros(config.words, h))

    @property
    def prefix_length(self) -> int:
        """Positions q that the prefix takes: one a query."""
        return self.decoder.prefix_length

    def standardise_on(self, tokens: Float[Tensor, "n r d"]) -> None:
        """Set the decoder's input to these tokens' scale; the detectors have their own."""
        self.decoder.standardise_on(tokens)

    @torch.no_grad()
    def start_near_words(self, words: Float[Tensor, "v h"], *, generator: torch.Generator) -> None:
        """Draw the decoder's weights so that it says little beside the detectors."""
        self.decoder.start_near_words(words, generator=generator)
        last = self.decoder.mlp[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(DECODER_SHARE)
        last.bias.zero_()

    def fit_detectors(
        self,
        tokens: Float[Tensor, "n r d"],
        present: Float[Tensor, "n w"],
        embedding: Float[Tensor, "w h"],
        *,
        generator: torch.Generator,
    ) -> float:
        """Fit the detectors to say which words each caption has; return the last loss.

        `present` is 1 where the caption of a row has a word, `embedding` the language model's own.
        """
        if present.shape != (len(tokens), self.config.words):
            raise ValueError(
                f"got words {tuple(present.shape)} of {len(tokens)} captions: wanted a column for "
                f"each of {self.config.words} detectors and a row per caption"
            )
        mean = tokens.float().mean(dim=1)
        self.mean.copy_(mean.mean(dim=0))
        self.basis.copy_(_whitening(mean - self.mean))
        self.position.copy_(shared_out(present.sum(dim=0), self.prefix_length))
        self.embedding.copy_(embedding)
        return self._regress((mean - self.mean) @ self.basis, present, generator)

    def _regress(self, x: Tensor, present: Tensor, generator: torch.Generator) -> float:
        """Logistic regression of each word's presence, by Adam."""
        with torch.no_grad():
            self.detectors.weight.zero_()
            self.detectors.bias.copy_(present.mean(dim=0).clamp(1e-4, 1 - 1e-4).logit())
        optimizer = torch.optim.Adam(self.detectors.parameters(), lr=FIT_RATE)
        loss = torch.zeros(())
        for step in range(FIT_STEPS):
            optimizer.param_groups[0]["lr"] = FIT_RATE * (1 - step / FIT_STEPS)
            rows = torch.randint(len(x), (FIT_BATCH,), generator=generator)
            each = functional.binary_cross_entropy_with_logits(
                self.detectors(x[rows]), present[rows], reduction="none"
            )
            loss = each.sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    def forward(self, tokens: Float[Tensor, "b r d"]) -> Float[Tensor, "b q h"]:
        """Turn tokens into a prefix: what the decoder says and what the detectors find."""
        x = (tokens.mean(dim=1) - self.mean) @ self.basis
        found = SCALE * self.detectors(x).sigmoid()
        own = functional.one_hot(self.position, self.prefix_length).to(found)
        spread = einsum(found, own, "b w, w q -> b q w")
        return self.decoder(tokens) + einsum(spread, self.embedding, "b q w, w h -> b q h")


def shared_out(counts: Float[Tensor, " w"], positions: int) -> Int[Tensor, " w"]:
    """Give each word a position, so that all positions are about equally often filled.

    The most frequent word first, each to the position that has least so far.

    >>> shared_out(torch.tensor([5.0, 4.0, 3.0, 2.0]), 2).tolist()
    [0, 1, 1, 0]
    """
    load, given = torch.zeros(positions), torch.zeros(len(counts), dtype=torch.long)
    for word in counts.argsort(descending=True, stable=True).tolist():
        given[word] = load.argmin()
        load[given[word]] += counts[word]
    return given


def _whitening(centred: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """Return the map that gives each direction unit variance; flat directions go to zero."""
    energy, axes = torch.linalg.eigh(torch.cov(centred.T))
    kept = energy > KEPT_ENERGY * energy.max()
    return axes * torch.where(kept, energy.clamp_min(1e-12).rsqrt(), torch.zeros(()))
