"""How the single-token methods end: one feature an image goes through adaptor and language model.

    feature [n, d]  ->  tokens [n, 1, d]  --adaptor-->  prefix [n, q, h]  --LM-->  captions

Baseline, CapDec, DeCap and ClipCap differ only in which feature this is and in how the adaptor was
trained (MacCap, section 5.2).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.captioners.protocol import require_width
from vizer_core.textonly.filtering import PrefixWriter


def write_features(
    writer: PrefixWriter,
    features: Float[Tensor, "n d"],
    captioner: str,
    *,
    generator: torch.Generator,
) -> list[str]:
    """Write one caption a feature; a width that the adaptor was not made for is an error."""
    require_width(features, writer.adaptor.config.clip_width, captioner)
    return list(writer.write(features[:, None], generator=generator))
