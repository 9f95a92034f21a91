"""MacCap Table 1 and the mix of section 3.1, with the controls that the paper lacks.

symbol -> name: g -> global_features, r_j -> region_features, p_s -> patch_features,
t -> text_features; c -> region_global, the cosine between a region and its own global feature.

Mix (section 3.1, "adding them together"): m_j = norm(g + r_j). For unit vectors

    cos(m_j, t) = (cos(g, t) + cos(r_j, t)) / sqrt(2 + 2c),

so mixing wins as soon as cos(r_j, t) > (sqrt(2 + 2c) - 1) cos(g, t): a region may be *worse* than
the global feature and the average of the two still be better. `averaging_threshold` is that bar.
The controls put random patches, the plain mean token or another image's regions in r_j's place.

Where we differ: the paper gives one mean, maximum and minimum. A pair's value here is the mean over
its regions. "Some sub-region is closer" is in `closer`, beside its nulls, because the best of 49
numbers beats one number by chance alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.gap.interval import bootstrap_mean
from vizer_core.gap.pairs import require_pairs
from vizer_core.metrics.stats import Interval
from vizer_core.shapes import require_unit_norm, unit_norm

ROUNDING = 1e-6  # a gain below this is float32 noise, not a win


@dataclass(frozen=True, eq=False)
class PairCosines:
    """Cosines of each pair, one value per pair; region values are means over the pair's regions."""

    global_text: Float[Tensor, " n"]
    region_text: Float[Tensor, " n"]
    region_global: Float[Tensor, " n"]
    mix_text: Float[Tensor, " n"]
    mix_of_mean_text: Float[Tensor, " n"]
    best_region_text: Float[Tensor, " n"]
    best_mix_text: Float[Tensor, " n"]
    threshold: Float[Tensor, " n"]


@dataclass(frozen=True)
class CosineRow:
    """One row of Table 1. `gain` is over the global feature, paired; `beats_global` a share."""

    system: str
    n: int
    mean: Interval
    maximum: float
    minimum: float
    gain: Interval
    beats_global: float
    region_global: float
    region_text: float
    threshold: float


def pair_cosines(
    global_features: Float[Tensor, "n d"],
    region_features: Float[Tensor, "k r d"],
    text_features: Float[Tensor, "m e"],
) -> PairCosines:
    """Take the cosines behind MacCap Table 1 for each pair: global, sub-region and mix.

    >>> g, t = torch.tensor([[1.0, 0.0]] * 2), torch.tensor([[0.0, 1.0]] * 2)
    >>> found = pair_cosines(g, t[:, None, :], t)  # the one region is the caption itself
    >>> found.mix_text
    tensor([0.7071, 0.7071])
    """
    require_pairs(global_features, text_features)
    _require_rows(region_features, "region_features", "[n, r, d]", len(global_features))
    require_unit_norm(region_features, "region_features")
    g, t = global_features.float(), text_features.float()
    regions = region_features.float()
    global_text = (g * t).sum(dim=1)
    region_text = torch.einsum("nrd,nd->nr", regions, t)
    region_global = torch.einsum("nrd,nd->nr", regions, g)
    length = (2 + 2 * region_global).clamp_min(0).sqrt()
    if bool((length < 1e-3).any()):
        raise ValueError(
            "a region points straight away from its global feature, so their sum has no direction: "
            "check that both come from one encoder"
        )
    mix = (global_text[:, None] + region_text) / length
    mean_region = unit_norm(regions.mean(dim=1))
    return PairCosines(
        global_text=global_text,
        region_text=region_text.mean(dim=1),
        region_global=region_global.mean(dim=1),
        mix_text=mix.mean(dim=1),
        mix_of_mean_text=(unit_norm(g + mean_region) * t).sum(dim=1),
        best_region_text=region_text.amax(dim=1),
        best_mix_text=mix.amax(dim=1),
        threshold=averaging_threshold(region_global, global_text[:, None]).mean(dim=1),
    )


def averaging_threshold(
    region_global: Float[Tensor, "*axes"], global_text: Float[Tensor, "*others"]
) -> Float[Tensor, "*result"]:
    """Return the cosine a region needs with the text for the mix to beat the global feature.

    (sqrt(2 + 2c) - 1) cos(g, t): below a positive cos(g, t) unless region and global are one.

    >>> averaging_threshold(torch.tensor([0.6, 1.0]), torch.tensor([0.33, 0.33]))
    tensor([0.2603, 0.3300])
    """
    return ((2 + 2 * region_global).clamp_min(0).sqrt() - 1) * global_text


def summarise_cosines(
    system: str, cosines: PairCosines, *, generator: torch.Generator, resamples: int = 1000
) -> CosineRow:
    """Turn the mix cosines of one system into a row of Table 1 with 95% intervals.

    >>> g, t = torch.tensor([[1.0, 0.0]] * 2), torch.tensor([[0.0, 1.0]] * 2)
    >>> rng = torch.Generator().manual_seed(0)
    >>> round(summarise_cosines("mix", pair_cosines(g, t[:, None], t), generator=rng).maximum, 4)
    0.7071
    """
    gain = cosines.mix_text - cosines.global_text
    gain = gain.masked_fill(gain.abs() < ROUNDING, 0.0)
    return CosineRow(
        system=system,
        n=len(gain),
        mean=bootstrap_mean(cosines.mix_text, generator=generator, resamples=resamples),
        maximum=float(cosines.mix_text.max()),
        minimum=float(cosines.mix_text.min()),
        gain=bootstrap_mean(gain, generator=generator, resamples=resamples),
        beats_global=float((gain > 0).float().mean()),
        region_global=float(cosines.region_global.mean()),
        region_text=float(cosines.region_text.mean()),
        threshold=float(cosines.threshold.mean()),
    )


def cosine_table(
    global_features: Float[Tensor, "n d"],
    region_features: Float[Tensor, "k r d"],
    text_features: Float[Tensor, "m e"],
    *,
    patch_features: Float[Tensor, "n p d"],
    generator: torch.Generator,
    image_index: Int[Tensor, " rows"] | None = None,
) -> list[CosineRow]:
    """Make MacCap Table 1 with its controls: global, mix, and three mixes that know less.

    Rows: `global`; `mix`; `mix, random patches` (as many as there are regions, drawn per pair);
    `mix, mean token`; `mix, another image` (its regions). `image_index` says which rows share
    an image; without it every row is its own image.

    >>> from vizer_core.shapes import unit_norm
    >>> rng = torch.Generator().manual_seed(0)
    >>> g, t = (unit_norm(torch.randn(4, 8, generator=rng)) for _ in range(2))
    >>> patches = unit_norm(torch.randn(4, 5, 8, generator=rng))
    >>> rows = cosine_table(g, patches[:, :2], t, patch_features=patches, generator=rng)
    >>> [row.system for row in rows]  # doctest: +NORMALIZE_WHITESPACE
    ['global', 'mix', 'mix, random patches', 'mix, mean token', 'mix, another image']
    """
    other = another_image(len(global_features), generator=generator, image_index=image_index)
    systems = {
        "global": global_features[:, None, :],  # norm(g + g) = g
        "mix": region_features,
        "mix, random patches": random_patches(
            patch_features, region_features.shape[1], generator=generator
        ),
        "mix, mean token": mean_token(patch_features)[:, None, :],
        "mix, another image": region_features[other],
    }
    return [
        summarise_cosines(
            system, pair_cosines(global_features, regions, text_features), generator=generator
        )
        for system, regions in systems.items()
    ]


def random_patches(
    patch_features: Float[Tensor, "n p d"], count: int, *, generator: torch.Generator
) -> Float[Tensor, "n count d"]:
    """Draw `count` different patches of each image: the control for attention-chosen ones.

    >>> random_patches(torch.eye(3)[None], 2, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([1, 2, 3])
    """
    n, p, _ = patch_features.shape
    if not 1 <= count <= p:
        raise ValueError(f"asked for {count} patches, wanted 1 to {p} (the patches of an image)")
    chosen = torch.rand(n, p, generator=generator).argsort(dim=1)[:, :count]
    return torch.take_along_dim(patch_features, chosen.to(patch_features.device)[..., None], dim=1)


def mean_token(patch_features: Float[Tensor, "n p d"]) -> Float[Tensor, "n d"]:
    """Return the normalised mean of an image's patches: the control for attention weights.

    >>> mean_token(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    tensor([[0.7071, 0.7071]])
    """
    return unit_norm(patch_features.float().mean(dim=1))


def another_image(
    n: int, *, generator: torch.Generator, image_index: Int[Tensor, " rows"] | None = None
) -> Int[Tensor, " others"]:
    """For each of n rows, return a row that belongs to another image.

    The images are put in random order and each takes the next one, so no image meets itself and
    each is used once.

    >>> (another_image(5, generator=torch.Generator().manual_seed(0)) == torch.arange(5)).any()
    tensor(False)
    """
    rows = torch.arange(n) if image_index is None else image_index.cpu()
    if len(rows) != n:
        raise ValueError(f"image_index has {len(rows)} entries, wanted {n}: one for each row")
    _, image_of = rows.unique(return_inverse=True)
    images = int(image_of.max()) + 1
    if images < 2:
        raise ValueError(f"all {n} rows show one image, wanted at least two images")
    order = torch.randperm(images, generator=generator)
    following = torch.empty(images, dtype=torch.long)
    following[order] = order.roll(-1)
    by_image = image_of.argsort(stable=True)
    sizes = image_of.bincount(minlength=images)
    starts = sizes.cumsum(0) - sizes
    turn = torch.empty(n, dtype=torch.long)
    turn[by_image] = torch.arange(n) - starts.repeat_interleave(sizes)
    target = following[image_of]
    return by_image[starts[target] + turn % sizes[target]]


def _require_rows(features: Tensor, name: str, wanted: str, n: int) -> None:
    if features.ndim != 3 or len(features) != n:
        raise ValueError(
            f"{name} has shape {tuple(features.shape)}, wanted {wanted} with n = {n}: "
            "one row for each pair"
        )
