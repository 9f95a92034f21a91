"""The control of every caption that is to answer questions: the caption of another image.

A caption can help without being about the image. It tells the language model what kind of text it
is in, and which words are common. What a caption of another image gains over the question alone
is that part; what the own caption gains over it came from the image.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from vizer_core.vizer.targets import derangement


def borrowed_captions(captions: Mapping[str, str], *, generator: torch.Generator) -> dict[str, str]:
    """Deal the captions out anew so that no image keeps its own.

    >>> dealt = borrowed_captions({"a": "one", "b": "two"}, generator=torch.Generator())
    >>> dealt == {"a": "two", "b": "one"}
    True
    """
    if len(captions) < 2:
        raise ValueError(f"got {len(captions)} captions: wanted at least 2, to deal them out anew")
    texts = list(captions.values())
    order = derangement(len(texts), generator=generator).tolist()
    return {image: texts[index] for image, index in zip(captions, order)}
