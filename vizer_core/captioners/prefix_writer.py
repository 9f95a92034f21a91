"""What every trained captioner ends with: tokens of CLIP's space in, captions out.

    tokens [b, r, d]  --adaptor-->  prefix [b, q, h]  --language model-->  captions

The methods differ in the tokens that they hand over, and in how the adaptor was trained.
MacCap, section 4.3: four beams; the release stops after 16 tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vizer_core.captioners.protocol import require_width
from vizer_core.decoding import Beam, Decoding
from vizer_core.language.protocol import PrefixLanguageModel

MACCAP_DECODING = Beam(4, max_tokens=16)


@dataclass(frozen=True, eq=False)
class PrefixWriter:
    """A trained adaptor, the language model that it was trained through, and a decoding rule."""

    adaptor: nn.Module
    language_model: PrefixLanguageModel
    decoding: Decoding = MACCAP_DECODING
    batch_size: int = 64

    @property
    def width(self) -> int:
        """Width d of the tokens that the adaptor reads."""
        return self.adaptor.config.clip_width

    @torch.no_grad()
    def write(self, tokens: Float[Tensor, "b r d"], *, generator: torch.Generator) -> list[str]:
        """Write one caption a row, in batches; only a sampling rule draws from the generator."""
        if self.adaptor.training:
            raise ValueError(
                "the adaptor is in training mode, where dropout changes captions: call "
                "adaptor.eval() first"
            )
        captions: list[str] = []
        for rows in tokens.split(self.batch_size):
            prefix = self.adaptor(rows.to(self.language_model.device))
            written = self.language_model.generate(
                prefix, decoding=self.decoding, generator=generator
            )
            captions += written.texts
        return captions

    def write_features(
        self, features: Float[Tensor, "n d"], captioner: str, *, generator: torch.Generator
    ) -> list[str]:
        """Write from one token an image: the feature itself, checked for its width."""
        require_width(features, self.width, captioner)
        return self.write(features[:, None], generator=generator)
