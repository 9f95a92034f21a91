"""The jobs of this package as phases of work: what a chapter's `full` profile is made of.

A plan adds up; `minutes` and `memory` are for one device, `download` is what comes over the net
once. Decoding reads every weight and every cached key for each token step; training through a
frozen model costs its forward pass twice (gradients of activations, none of weights).
"""

from __future__ import annotations

from dataclasses import dataclass

from vizer_core.vlm.budget import StepPlan, kv_bytes, step_flops
from vizer_core.vlm.memory import step_memory
from vizer_core.vlm.sizes import VlmSize
from vizer_lab.costs.models import ClipSize, LmSize
from vizer_lab.costs.work import CONTEXT_BYTES, Device, Phase

HALF = 2  # bytes of a float16 or bfloat16
PREFIX, CAPTION = 32, 15  # MacCap's prefix; tokens of a COCO caption with its end mark
ACTIVATIONS = 34  # bytes a token, layer and unit of width that a training step keeps in half


@dataclass(frozen=True)
class Plan:
    """Phases one after the other, and what is fetched before the first."""

    phases: tuple[Phase, ...]
    download: int = 0

    def __add__(self, other: Plan) -> Plan:
        return Plan(self.phases + other.phases, self.download + other.download)

    @property
    def flops(self) -> int | float:
        """All FLOPs."""
        return sum(phase.flops for phase in self.phases)

    def minutes(self, device: Device) -> float:
        """Return the estimated minutes on a device, loading left out."""
        return sum(phase.seconds(device) for phase in self.phases) / 60

    @property
    def memory(self) -> int | float:
        """Bytes on the GPU at the largest phase, CUDA's own included."""
        return max(phase.held for phase in self.phases) + CONTEXT_BYTES


def features_plan(clip: ClipSize, images: int, captions: int, *, batch: int = 64) -> Plan:
    """Encode images and captions with CLIP, once."""
    weights = clip.parameters * 4
    held = weights + batch * clip.image.tokens * clip.image.width * 4 * 12
    return Plan(
        (
            Phase("images", images * clip.image_flops, photos=images, held=held),
            Phase("captions", captions * clip.text_flops(), held=held),
        ),
        download=clip.parameters * 4,
    )


def text_only_plan(
    clip: ClipSize, lm: LmSize, captions: int, *, epochs: int = 8, batch: int = 128
) -> Plan:
    """Train a prefix network on text: CLIP reads it once, a frozen LM every epoch."""
    tokens = PREFIX + CAPTION
    once = 2 * (lm.shape.weights + lm.head * CAPTION / tokens) * tokens
    attention = 4 * lm.shape.layers * lm.shape.width * tokens**2 / 2
    held = lm.parameters * HALF + batch * (
        tokens * lm.shape.layers * lm.shape.width * ACTIVATIONS + CAPTION * lm.vocabulary * 8
    )
    encoded = features_plan(clip, 0, captions)
    train = Phase("training", epochs * captions * (2 * once + 3 * attention), held=held)
    return Plan((*encoded.phases[1:], train), encoded.download + lm.parameters * HALF)


def caption_plan(
    clip: ClipSize, lm: LmSize, images: int, *, rows: int = 80, tokens: int = 20, at_once: int = 4
) -> Plan:
    """Caption images through a prefix: `rows` hypotheses an image (MacCap: 20 samples x 4 beams).

    The samples are then scored by CLIP's text tower; greedy captioning is `rows=1`.
    """
    steps = tokens * -(-images // at_once)
    per_step = (lm.shape.weights + lm.head) * HALF
    cached = at_once * rows * (PREFIX + tokens / 2) * lm.kv_bytes()
    flops = images * rows * 2 * (lm.shape.weights * (PREFIX + tokens) + lm.head * tokens)
    held = (lm.parameters + clip.parameters) * HALF + at_once * rows * (
        (PREFIX + tokens) * lm.kv_bytes() + lm.vocabulary * 12
    )
    seen = features_plan(clip, images, images * rows // 4 if rows > 1 else 0)
    generate = Phase(
        "generation", flops, steps * (per_step + cached), steps, lm.shape.layers, held=held
    )
    return Plan((*seen.phases, generate), seen.download + lm.parameters * HALF)


def vlm_captions_plan(size: VlmSize, images: int, *, step: StepPlan, at_once: int = 64) -> Plan:
    """Caption images with a vision-language model, greedily; reading them back costs little."""
    flops = step_flops(size, step)
    batches = -(-images // at_once)
    steps = step.caption_tokens * batches
    length = step.prefix_tokens(size) + step.caption_tokens / 2
    weights = (size.text.linear_weights + size.head_weights) * HALF
    traffic = steps * (weights + at_once * length * kv_bytes(size))
    held = size.parameters * HALF + at_once * length * kv_bytes(size)
    return Plan(
        (
            Phase("vision", images * flops.vision, photos=images, held=held),
            Phase("prompt", images * flops.prefill, held=held),
            Phase("generation", images * flops.decode, traffic, steps, size.text.layers, held=held),
        ),
        download=size.parameters * HALF,
    )


def mapper_plan(size: VlmSize, images: int, *, step: StepPlan) -> Plan:
    """Fit ViZer's mapper: caption every image, read the caption back; the MLP is seconds."""
    generated = vlm_captions_plan(size, images, step=step)
    flops = images * 2 * size.text.linear_weights * step.caption_tokens
    read = Phase("reading back", flops, held=generated.phases[-1].held)
    return Plan((*generated.phases, read), generated.download)


def zero_label_plan(size: VlmSize, images: int, *, step: StepPlan) -> Plan:
    """Train LoRA on `images` unlabelled images once, `step.samples` captions each."""
    flops, memory = step_flops(size, step), step_memory(size, step)
    steps = -(-images // step.batch)
    token_steps = steps * step.caption_tokens
    rows = step.batch * step.samples
    length = step.prefix_tokens(size) + step.caption_tokens / 2
    weights = (size.text.linear_weights + size.head_weights) * HALF
    traffic = token_steps * (weights + rows * length * kv_bytes(size))
    fixed = memory.weights + memory.adapter
    layers = size.text.layers
    return Plan(
        (
            Phase("vision", images * flops.vision, photos=images, held=fixed + memory.vision),
            Phase("prompt", images * flops.prefill, held=fixed + memory.generation),
            Phase(
                "generation",
                images * flops.decode,
                traffic,
                token_steps,
                layers,
                held=fixed + memory.generation,
            ),
            Phase("gradient", images * flops.train, held=fixed + memory.training),
        ),
        download=size.parameters * HALF,
    )
