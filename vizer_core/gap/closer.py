"""How often is some patch of an image closer to its caption than the whole image is?

MacCap section 3.1: "in 33% of cases, one of the subregion features has a higher similarity than the
global one". For a pair with caption t, global feature g and patches p_1..p_p the event is

    max over s of cos(p_s, t) > cos(g, t).

Where we differ: this is the best of p numbers against one. If the global feature were just one more
patch, the event would have probability p / (p + 1) = .98 at 49 patches. So the fraction comes with
nulls: other images' patches, other images' captions, and what independent patches would give.
CLS is not among the patches: it is the global feature itself, so it would tie and never win.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.gap.interval import bootstrap_mean, percentile_interval
from vizer_core.gap.pairs import require_pairs
from vizer_core.gap.regions import another_image
from vizer_core.metrics.stats import Interval
from vizer_core.shapes import require_unit_norm

ENTRIES_AT_ONCE = 1 << 22  # patch entries in one block: 16 MiB of float32


@dataclass(frozen=True)
class CloserFraction:
    """The fraction of pairs in which some patch is closer to the caption, with its nulls.

    `patch_win_rate`: share of all single patches that win. `if_independent`: the fraction that
    this rate gives if patches won independently. `if_exchangeable`: p / (p + 1). `mean_rank`: of
    the global feature among its p patches, 1 is best. `other_image`: patches of another image in
    the place of this one's. `other_caption`: the pair's own features against another's caption.
    """

    fraction: Interval
    n: int
    patches: int
    patch_win_rate: float
    if_independent: float
    if_exchangeable: float
    mean_rank: float
    other_image: Interval
    other_caption: Interval


def closer_subregion_fraction(
    patch_features: Float[Tensor, "k p e"],
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m d"],
    *,
    generator: torch.Generator,
    permutations: int = 20,
    image_index: Int[Tensor, " rows"] | None = None,
) -> CloserFraction:
    """Measure how often some patch beats the global feature, and how often it would by chance.

    `image_index` says which rows share an image (several captions); the nulls then never take
    the same image's. Patches are read once, in blocks. The null intervals span permutations.

    >>> from vizer_core.shapes import unit_norm
    >>> rng = torch.Generator().manual_seed(0)
    >>> image, text = (unit_norm(torch.randn(100, 16, generator=rng)) for _ in range(2))
    >>> patches = unit_norm(torch.randn(100, 49, 16, generator=rng))
    >>> found = closer_subregion_fraction(patches, image, text, generator=rng)
    >>> found.fraction.estimate > 0.9, found.if_exchangeable  # chance alone
    (True, 0.98)
    """
    require_pairs(image_features, text_features)
    n, p = _patch_shape(patch_features, image_features)
    if permutations < 1:
        raise ValueError(f"permutations is {permutations}, wanted at least 1")
    image, text = image_features.float(), text_features.float()
    others = torch.stack(
        [
            another_image(n, generator=generator, image_index=image_index)
            for _ in range(permutations)
        ]
    ).to(image.device)
    rows = torch.arange(n, device=image.device)
    wins = torch.empty(n, device=image.device)
    image_hits = torch.zeros(permutations, device=image.device)
    caption_hits = torch.zeros(permutations, device=image.device)
    for block in rows.split(max(1, ENTRIES_AT_ONCE // (p * image.shape[1]))):
        patches = patch_features[block].float()
        require_unit_norm(patches, "patch_features")
        own = (image[block] * text[block]).sum(dim=1)
        wins[block] = (
            (torch.einsum("npd,nd->np", patches, text[block]) > own[:, None]).sum(1).float()
        )
        borrowed = text[others[:, block]]  # [permutations, block, d]
        best = torch.einsum("npd,knd->knp", patches, borrowed).amax(dim=2)
        whole = (image[others[:, block]] * borrowed).sum(dim=2)
        image_hits += (best > whole).sum(dim=1)
        caption_hits += (best > torch.einsum("nd,knd->kn", image[block], borrowed)).sum(dim=1)
    rate = float(wins.mean()) / p
    return CloserFraction(
        fraction=bootstrap_mean((wins > 0).float(), generator=generator),
        n=n,
        patches=p,
        patch_win_rate=rate,
        if_independent=1 - (1 - rate) ** p,
        if_exchangeable=p / (p + 1),
        mean_rank=1 + float(wins.mean()),
        other_image=percentile_interval(float(image_hits.mean()) / n, image_hits / n),
        other_caption=percentile_interval(float(caption_hits.mean()) / n, caption_hits / n),
    )


def _patch_shape(patch_features: Tensor, image_features: Tensor) -> tuple[int, int]:
    if patch_features.ndim != 3 or patch_features.shape[::2] != image_features.shape:
        raise ValueError(
            f"patch_features {tuple(patch_features.shape)} does not fit image_features "
            f"{tuple(image_features.shape)}: wanted [n, p, d] with the same n and d, CLS left out"
        )
    return len(patch_features), patch_features.shape[1]
