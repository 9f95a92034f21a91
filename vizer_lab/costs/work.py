"""A phase of work and how long a device takes for it: the roofline, less what practice takes off.

seconds = max(FLOPs / (peak * use), bytes / (bandwidth * use), token steps * layers * seconds each,
images / (images per second and core * cores)): whatever is slowest, the rest runs beside it.

Assumptions, each a named number: 40% of peak arithmetic and 70% of bandwidth are what well-batched
transformers reach; a decoder layer run from Python costs 1.2 ms a token step whatever it computes
(20 to 35 ms for 24 layers); a core decodes and resizes some 100 photographs a second.
"""

from __future__ import annotations

from dataclasses import dataclass

from vizer_core.vlm.budget import H100, RTX_4090, T4, Hardware

FLOPS_USED = 0.40
BANDWIDTH_USED = 0.70
LAYER_SECONDS = 1.2e-3
PHOTOS_A_CORE_SECOND = 100.0
CONTEXT_BYTES = 600 * 10**6  # CUDA's own


@dataclass(frozen=True)
class Device:
    """A GPU with its memory, and the CPU cores that feed it."""

    hardware: Hardware
    memory: int
    cores: int

    @property
    def name(self) -> str:
        """The GPU's name."""
        return self.hardware.name


DEVICES = {
    "T4": Device(T4, 15 * 10**9, 2),  # Colab's free one
    "RTX 4090": Device(RTX_4090, 24 * 10**9, 8),  # the paper's
    "H100 SXM": Device(H100, 80 * 10**9, 16),
}


@dataclass(frozen=True)
class Phase:
    """FLOPs, memory traffic, steps of decoding through `layers`, images read; and memory held."""

    name: str
    flops: int | float = 0
    traffic: int | float = 0
    token_steps: int | float = 0
    layers: int = 0
    photos: int = 0
    held: int | float = 0

    def seconds(self, device: Device) -> float:
        """Return the time of the slowest part on a device.

        >>> Phase("a", flops=989e12).seconds(DEVICES["H100 SXM"])
        2.5
        """
        return max(
            self.flops / (device.hardware.flops * FLOPS_USED),
            self.traffic / (device.hardware.bandwidth * BANDWIDTH_USED),
            self.token_steps * self.layers * LAYER_SECONDS,
            self.photos / (PHOTOS_A_CORE_SECOND * device.cores),
        )
