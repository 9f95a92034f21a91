"""What one step of zero-label training costs by arithmetic: FLOPs and the least time.

Symbols: n prompt tokens with the image, t caption tokens, G captions per image, W weights that
multiply a token. A multiply-add is 2 FLOPs. The base is frozen, so its linear layers cost one more
forward pass in the backward pass (gradients of activations), not two. Attention has no weights to
freeze, and LoRA's are trained: both cost two more.

Not counted: norms, activations, the optimizer, reading images. Decoding is bound by memory: each
token reads all weights and all cached keys and values. `least_seconds` adds up arithmetic, of
decoding the larger of arithmetic and memory traffic: nothing on this hardware is faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vizer_core.vlm.modules import ALL_PROJECTIONS
from vizer_core.vlm.sizes import VlmSize

MARKERS_A_TILE, MARKERS_AN_IMAGE = 2, 1  # around image tokens; line breaks between tiles left out


@dataclass(frozen=True)
class StepPlan:
    """One step: `batch` images, `samples` captions each, LoRA of `rank` on `projections`.

    `head` says that the loss is made of logits at caption tokens, `kl` that the distance from the
    base is measured in the step, `table` that the loss multiplies with the embedding table
    (straight-through), `merged` that LoRA is merged into a copy while captions are generated.
    """

    batch: int = 8
    samples: int = 1
    tiles: int = 1
    prompt_tokens: int = 15
    caption_tokens: int = 24
    rank: int = 32
    projections: Sequence[str] = ALL_PROJECTIONS
    model_bytes: int = 2
    adapter_bytes: int = 4
    checkpointing: bool = False
    head: bool = False
    kl: bool = False
    table: bool = False
    merged: bool = False

    def __post_init__(self) -> None:
        counts = (self.batch, self.samples, self.tiles, self.caption_tokens, self.rank)
        if min(counts) < 1 or self.prompt_tokens < 0:
            raise ValueError(f"{self}: wanted counts of at least 1 (prompt_tokens: 0)")
        if self.model_bytes not in (2, 4) or self.adapter_bytes not in (2, 4):
            raise ValueError(
                f"model_bytes={self.model_bytes}, adapter_bytes={self.adapter_bytes}: wanted 2 or 4"
            )

    def prefix_tokens(self, size: VlmSize) -> int:
        """Tokens of one image's prompt: the image, its marks, the words."""
        marks = MARKERS_A_TILE * self.tiles + MARKERS_AN_IMAGE
        return self.tiles * size.tower.tokens + marks + self.prompt_tokens


@dataclass(frozen=True)
class StepFlops:
    """FLOPs of one image, all its captions included, phase by phase."""

    vision: float
    prefill: float
    decode: float
    train: float
    train_forward: float

    @property
    def total(self) -> float:
        """FLOPs of an image when nothing is done twice."""
        return self.vision + self.prefill + self.decode + self.train


@dataclass(frozen=True)
class Hardware:
    """Peak FLOP/s (dense, half precision) and memory bytes/s of a device."""

    name: str
    flops: float
    bandwidth: float


H100 = Hardware("H100 SXM", 989e12, 3.35e12)
RTX_4090 = Hardware("RTX 4090", 165e12, 1.008e12)
T4 = Hardware("T4", 65e12, 0.32e12)


def step_flops(size: VlmSize, plan: StepPlan) -> StepFlops:
    """Count one image's FLOPs: tower and prompt once, G captions generated, then read with LoRA."""
    text, n, t = size.text, plan.prefix_tokens(size), plan.caption_tokens
    tokens = n + plan.samples * t
    lora = 2 * text.lora_parameters(plan.rank, plan.projections) * tokens
    linear = 2 * text.linear_weights * tokens
    head = 2 * size.head_weights * plan.samples * t
    attention = _read(size, 0, n) + plan.samples * _read(size, n, t)
    train = 2 * linear + 3 * (attention + lora)
    train += 2 * head * plan.head + (linear + attention + head) * plan.kl
    train += head * (plan.kl and not plan.head)  # the trained model's logits, beside the base's
    return StepFlops(
        vision=plan.tiles * tower_flops(size),
        prefill=2 * text.linear_weights * n + _read(size, 0, n),
        decode=plan.samples
        * (2 * (text.linear_weights + size.head_weights) * t + _read(size, n, t)),
        train=train,
        train_forward=linear + attention + lora,
    )


def naive_flops(size: VlmSize, plan: StepPlan) -> float:
    """Count one image's FLOPs when every caption pays for all: the tower twice, a recomputation.

    This is what a trainer does that treats each caption as a sample of its own, runs the pixels
    through generation and loss, and checkpoints.
    """
    alone = step_flops(size, replace(plan, samples=1))
    return plan.samples * (alone.total + alone.vision + alone.train_forward)


def tower_flops(size: VlmSize) -> float:
    """Count the FLOPs of one tile through tower and connector."""
    tower = size.tower
    attention = 4 * tower.layers * tower.patches**2 * tower.width
    connector = 2 * tower.connector_weights * tower.tokens
    return float(2 * tower.linear_weights * tower.patches + attention + connector)


def least_seconds(size: VlmSize, plan: StepPlan, hardware: Hardware) -> float:
    """Return the time that one step of `plan.batch` images takes at the hardware's limits."""
    flops = step_flops(size, plan)
    compute = (flops.vision + flops.prefill + flops.train) * plan.batch / hardware.flops
    decode = flops.decode * plan.batch / hardware.flops
    rows = plan.batch * plan.samples
    length = plan.prefix_tokens(size) + plan.caption_tokens / 2
    weights = (size.text.linear_weights + size.head_weights) * plan.model_bytes
    read = weights + rows * length * kv_bytes(size, plan.model_bytes)
    return compute + max(decode, plan.caption_tokens * read / hardware.bandwidth)


def kv_bytes(size: VlmSize, model_bytes: int = 2) -> int:
    """Return the cached keys and values of one token, all layers."""
    return 2 * size.text.layers * size.text.kv_width * model_bytes


def _read(size: VlmSize, before: int, tokens: int) -> float:
    """Attention of `tokens` new tokens over `before` old ones and, causally, themselves."""
    pairs = before * tokens + tokens**2 / 2
    return 4 * size.text.layers * size.text.query_width * pairs
