"""Sub-region features: six named readings of MacCap section 4.2, side by side.

MacCap feeds its captioner the global image feature mixed with N sub-region features. The paper
and the authors' release build them differently, and neither reports a control. Each function
maps `ImageStates` and a count N to `[n, r, d]` features of unit norm:

=======================  ====================================================================
regions_paper            N most attended patches; each sums all tokens by its row of A
regions_release          softmax over A once more, and the class token may be chosen too
regions_mean             the plain mean of all patches, N times over: no choice, no attention
regions_counterfactual   what the global feature had been, had it looked at that patch only
regions_random           N patches drawn at random: the control for "most attended"
regions_other_image      the next image's sub-regions: the control for "of this image"
=======================  ====================================================================

Where we differ: the paper's prose averages global and region where its equation 13 adds; after
L2 normalisation the two are the same vector, as long as no noise is added in between.
"""

from __future__ import annotations

import torch
from einops import einsum, rearrange, reduce, repeat
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.clip.features import ImageStates
from vizer_core.shapes import require_unit_norm, unit_norm

MACCAP_REGIONS = 10  # "N_cr = 10": the number of region tokens in MacCap's experiments


def top_patches(
    readout: Float[Tensor, "n s"], count: int, *, include_cls: bool = False
) -> Int[Tensor, "n r"]:
    """Return the indices of the `count` most attended tokens, most attended first.

    `readout` is `ImageStates.readout_attention`. Indices count all tokens, so patch i is
    i + 1 and the class token is 0; it is left out unless `include_cls` (the release's reading).

    >>> top_patches(torch.tensor([[0.5, 0.1, 0.3, 0.1]]), 1)
    tensor([[2]])
    >>> top_patches(torch.tensor([[0.5, 0.1, 0.3, 0.1]]), 2, include_cls=True)
    tensor([[0, 2]])
    """
    first = 0 if include_cls else 1
    _require_count(count, readout.shape[1] - first)
    order = readout[:, first:].sort(dim=1, descending=True, stable=True).indices
    return order[:, :count] + first


def regions_paper(states: ImageStates, count: int) -> Float[Tensor, "n r d"]:
    """Aggregate around each of the most attended patches (MacCap equations 10 to 12).

    r_j = unit(sum_k A[j, k] u_k), j among the N patches with the highest class-token attention.
    The paper's A is [N, p + 1], so the sum runs over the class token (u_0, the global feature)
    as well as the patches, while only patches are chosen. A tower that averages its patches
    has no such u_0: there the sum runs over the patches.
    """
    chosen = top_patches(states.readout_attention, count)
    weights = _gather(states.attention, chosen)
    if states.pool == "patches":
        return unit_norm(einsum(weights[:, :, 1:], states.patch_features, "n r p, n p d -> n r d"))
    return unit_norm(einsum(weights, _all_tokens(states), "n r s, n s d -> n r d"))


def regions_release(states: ImageStates, count: int) -> Float[Tensor, "n r d"]:
    """Aggregate as the authors' released code does: softmax of A, class token choosable.

    r_j = unit(sum_k softmax(A[j])_k u_k), with j among the top entries of A[0] over all tokens.
    Softmax of a probability row spreads at most by a factor e, so all N regions come out close
    to the mean token, whatever the attention says. Needs a class-token tower.
    """
    if states.pool != "cls":
        raise ValueError(
            "regions_release is defined for towers read at the class token; this one averages its "
            "patches. Use regions_paper, regions_counterfactual or regions_mean."
        )
    chosen = top_patches(states.readout_attention, count, include_cls=True)
    weights = _gather(states.attention, chosen).softmax(dim=-1)
    return unit_norm(einsum(weights, _all_tokens(states), "n r s, n s d -> n r d"))


def regions_mean(states: ImageStates, count: int) -> Float[Tensor, "n r d"]:
    """Return the normalised mean of all patch features, `count` times over (a control)."""
    _require_count(count, states.patch_features.shape[1])
    mean = unit_norm(reduce(states.patch_features, "n p d -> n d", "mean"))
    return repeat(mean, "n d -> n r d", r=count)


def regions_counterfactual(states: ImageStates, count: int) -> Float[Tensor, "n r d"]:
    """Return the counterfactual global feature of each of the most attended patches (ours)."""
    chosen = top_patches(states.readout_attention, count) - 1
    return _gather(states.counterfactual_features, chosen)


def regions_random(
    states: ImageStates, count: int, *, generator: torch.Generator
) -> Float[Tensor, "n r d"]:
    """Return `count` different patch features per image, drawn at random (a control)."""
    n, p = states.patch_features.shape[:2]
    _require_count(count, p)
    chosen = torch.rand(n, p, generator=generator).argsort(dim=1)[:, :count]
    return _gather(states.patch_features, chosen.to(states.patch_features.device))


def regions_other_image(states: ImageStates, count: int) -> Float[Tensor, "n r d"]:
    """Return `regions_paper` of the next image, the first one's for the last (a control).

    Whoever captions no worse with them reads nothing of the image in its sub-regions.
    """
    regions = regions_paper(states, count)
    if len(regions) < 2:
        raise ValueError("got 1 image: wanted at least 2, since another one's regions are read")
    return regions.roll(-1, dims=0)


def mix(
    image_features: Float[Tensor, "n d"], regions: Float[Tensor, "n r d"]
) -> Float[Tensor, "n r d"]:
    """Add the global feature to each region and normalise (MacCap equation 13, no noise).

    >>> mix(torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.0, 1.0]]]))
    tensor([[[0.7071, 0.7071]]])
    """
    return unit_norm(rearrange(image_features, "n d -> n 1 d") + regions)


def region_likeness(regions: Float[Tensor, "n r d"]) -> Float[Tensor, " n"]:
    """Return the mean cosine over pairs of different regions of an image; 1 means all are copies.

    In closed form, (|sum_j r_j|^2 - r) / (r (r - 1)).

    >>> region_likeness(torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]))
    tensor([0.3333])
    """
    require_unit_norm(regions, "regions")
    count = regions.shape[1]
    if count < 2:
        raise ValueError(f"got {count} region an image: wanted at least 2 to compare")
    return (regions.sum(dim=1).square().sum(dim=-1) - count) / (count * (count - 1))


def _all_tokens(states: ImageStates) -> Float[Tensor, "n s d"]:
    return torch.cat([states.image_features[:, None], states.patch_features], dim=1)


def _gather(
    tokens: Float[Tensor, "n tokens d"], chosen: Int[Tensor, "n r"]
) -> Float[Tensor, "n r d"]:
    return tokens.gather(1, repeat(chosen, "n r -> n r d", d=tokens.shape[-1]))


def _require_count(count: int, available: int) -> None:
    if not 1 <= count <= available:
        raise ValueError(
            f"asked for {count} regions of {available} tokens: wanted 1 to {available}"
        )
