"""DeCap: the image feature is first moved among the text features of a caption memory.

Li et al. 2023 (DeCap), section 3.2: with memory features m_i and tau = 1/100,

    p = norm(sum_i softmax_i(I_c . m_i / tau) m_i)      caption: E = prefix_network(p)

The decoder was trained on clean text features and now meets a mean of such features.

Where we differ: the paper trains a small decoder from nothing, on CLIP's own tokens; here the
decoder is a language model behind one prefix vector of a `SingleTokenMLP`, frozen (MacCap's dagger
row, `vizer train-captioner --method decap`) or fine-tuned. --method decap_same_decoder, and the
shipped drawn prefix network, have MacCap's decoder and its 32 (there: 8) prefix vectors instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from vizer_core.captioners.memory_bank import DECAP_TEMPERATURE, MemoryBank
from vizer_core.captioners.protocol import Images, image_features_of, require_width
from vizer_core.captioners.single_token import write_features
from vizer_core.textonly.filtering import PrefixGenerator


@dataclass(frozen=True, eq=False)
class DeCap:
    """Reads the image's projection onto a memory of captions."""

    prefix_generator: PrefixGenerator
    memory: MemoryBank
    temperature: float = DECAP_TEMPERATURE
    name: str = "decap"
    reads_patches: ClassVar[bool] = False

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Project on the memory, then generate."""
        features = image_features_of(images)
        require_width(features, self.memory.width, self.name)
        projected = self.memory.project(features, temperature=self.temperature)
        return write_features(self.prefix_generator, projected, self.name, generator=generator)
