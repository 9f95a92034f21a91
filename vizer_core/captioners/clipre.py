"""CLIPRe: the caption of the memory that is nearest to the image, word for word.

Su et al. 2022 (MAGIC), section 4.1, baseline "CLIPRe": argmax over training captions of
cos(image, caption). No language model. MacCap's tables 2 and 3 list it.

Where we differ: not at all. Of equal cosines the first caption of the memory wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from vizer_core.captioners.memory_bank import MemoryBank
from vizer_core.captioners.protocol import Images, image_features_of, require_width


@dataclass(frozen=True, eq=False)
class ClipRe:
    """Returns captions that somebody wrote, about other images."""

    memory: MemoryBank
    name: str = "clipre"
    reads_patches: ClassVar[bool] = False

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Return each image's nearest caption; nothing is drawn from the generator."""
        features = image_features_of(images)
        require_width(features, self.memory.width, self.name)
        return [self.memory.texts[row] for row in self.memory.nearest(features).tolist()]
