"""From one GPU to internet scale: what n images cost to read, keep, compare and learn from.

What grows with n is read once and streamed; what is kept is either a stream of shards (features,
states) or of fixed size (gap moments, histograms, a mapper). A memory bank is the one thing that
every query looks through, so at a billion captions it is a sample or an approximate index.
"""

from __future__ import annotations

from dataclasses import dataclass

from vizer_core.vlm.budget import StepPlan
from vizer_core.vlm.sizes import VlmSize
from vizer_lab.costs.models import ClipSize
from vizer_lab.costs.plans import HALF, mapper_plan, zero_label_plan
from vizer_lab.costs.work import FLOPS_USED, Device, Phase

JPEG_BYTES = 60_000  # a photograph of 384 px as img2dataset stores it
SHARD_IMAGES = 10_000  # images a tar file
CODE_BYTES = 64  # a product-quantised feature


@dataclass(frozen=True)
class ScaleRow:
    """Estimates for n images on one device; bytes, hours, and seconds a query."""

    images: int
    photo_bytes: int
    shards: int
    feature_bytes: int
    state_bytes: int
    read_hours: float
    features_hours: float
    mapper_hours: float
    zero_label_hours: float
    bank_bytes: int
    bank_code_bytes: int
    bank_seconds: float


def scale_row(
    images: int, *, clip: ClipSize, vlm: VlmSize, step: StepPlan, device: Device
) -> ScaleRow:
    """Estimate what `images` images, one caption each, cost on one device.

    A bank is searched exactly: one product of a query with every feature. States and targets are
    kept pooled, one vector each an image.
    """
    if images < 1:
        raise ValueError(f"got {images} images: wanted at least 1")
    features = 2 * images * clip.embed_dim * HALF
    read = Phase("read", photos=images).seconds(device)
    encode = Phase(
        "encode", images * (clip.image_flops + clip.text_flops()), photos=images
    ).seconds(device)
    bank = images * clip.embed_dim * HALF
    flops = device.hardware.flops * FLOPS_USED
    return ScaleRow(
        images=images,
        photo_bytes=images * JPEG_BYTES,
        shards=-(-images // SHARD_IMAGES),
        feature_bytes=features,
        state_bytes=images * (vlm.text.width + vlm.tower.width) * HALF,
        read_hours=read / 3600,
        features_hours=encode / 3600,
        mapper_hours=mapper_plan(vlm, images, step=step).minutes(device) / 60,
        zero_label_hours=zero_label_plan(vlm, images, step=step).minutes(device) / 60,
        bank_bytes=bank,
        bank_code_bytes=images * CODE_BYTES,
        bank_seconds=max(bank / device.hardware.bandwidth, 2 * images * clip.embed_dim / flops),
    )
