"""How much memory one step of zero-label training needs, phase by phase.

What autograd keeps for the backward pass is counted tensor by tensor, as transformers' Llama layer
and PEFT's LoRA layer keep it (s bytes a value in the model, a in the adapters, D width, Q and K
widths of queries and keys, F width of the feed-forward, r rank), for each token and layer:

- norms: two float32 inputs and their scales, 8 D + 8; attention's log-sums, 4 a head
- attention: queries, keys, values, output, s (2 Q + 2 K)
- feed-forward: gate before and after its activation, and the other half, 3 F s; their product, F a
- LoRA: its inner values, 7 r a; its inputs, 2 D s if a = s (those of q, k, v are one tensor, that
  of o is attention's output), else one cast copy for each projection, a (5 D + Q)

The base's weights need no gradient, so inputs of its linear layers are not kept for it. PEFT keeps
adapters in float32 over a half-precision base unless told otherwise: that nearly doubles the sum.

Where the loss is made of logits (`plan.head`), v of them at each caption token, they are held in
the model's precision and, for their log-sum, in float32; their gradient takes three float32 copies
more on the way back (`head_bytes`). The distance from the base (`plan.kl`) is measured while all of
that is held: the base's logits, two distributions, and three copies that their comparison makes.

Not counted: fragmentation, the framework's context (about 0.6 GB on CUDA), the mapper. Peaks that
were measured on a CPU at true width lie within a quarter (tests/vlm/test_step_memory.py), even at
two layers, where what one layer's backward pass keeps for a moment counts most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vizer_core.vlm.budget import StepPlan, kv_bytes
from vizer_core.vlm.modules import ALL_PROJECTIONS
from vizer_core.vlm.sizes import VlmSize

LOGIT_BYTES = 32  # a logit while it is drawn from: half, two float32, two float64 copies, and room
ADAM_COPIES = 4  # weight, gradient, and AdamW's two moments


@dataclass(frozen=True)
class StepMemory:
    """Bytes of one step: what always stays, and what each phase adds."""

    weights: int
    adapter: int
    vision: int
    generation: int
    training: int

    @property
    def peak(self) -> int:
        """The most that is held at once: phases follow one another."""
        return self.weights + self.beside_weights

    @property
    def beside_weights(self) -> int:
        """The most that is held beside the model's own weights."""
        return self.adapter + max(self.vision, self.generation, self.training)


def step_memory(size: VlmSize, plan: StepPlan) -> StepMemory:
    """Estimate the bytes of a step of `plan.batch` images and `plan.samples` captions each."""
    rows, prefix = plan.batch * plan.samples, plan.prefix_tokens(size)
    tower, s = size.tower, plan.model_bytes
    patches = plan.batch * plan.tiles * tower.patches
    shared = plan.samples > 1
    tokens = plan.batch * prefix + rows * plan.caption_tokens
    merged = size.text.linear_weights * s if plan.merged else 0
    again = rows * prefix * kv_bytes(size, s) if shared else 0  # the prompt's keys, once a caption
    lora = size.text.lora_parameters(plan.rank, plan.projections)
    return StepMemory(
        weights=size.parameters * s,
        adapter=lora * plan.adapter_bytes * ADAM_COPIES,
        vision=patches * (tower.ffn + 6 * tower.width) * s,
        generation=rows * (prefix + plan.caption_tokens) * kv_bytes(size, s)
        + rows * size.text.vocabulary * LOGIT_BYTES
        + merged,
        training=tokens * kept_bytes(size, plan) + again + head_bytes(size, plan),
    )


def head_bytes(size: VlmSize, plan: StepPlan) -> int:
    """Return what logits at caption tokens take at the peak of the pass with gradient."""
    s, copy = plan.model_bytes, 0 if plan.model_bytes == 4 else 4  # float32 is not copied to itself
    logits = plan.batch * plan.samples * plan.caption_tokens * size.text.vocabulary
    kept = logits * (s + copy) if plan.head else 0
    back = logits * 3 * 4 if plan.head else 0
    base = logits * (s + 5 * 4 + (0 if plan.head else s)) if plan.kl else 0
    table = size.head_weights * s if plan.table else 0
    return kept + max(back, base) + table


def kept_bytes(size: VlmSize, plan: StepPlan) -> int:
    """Return what one token leaves behind for the backward pass, all layers.

    With checkpointing a layer keeps its input, and one layer at a time is computed again. LoRA on
    some projections only is counted as on all: an upper bound.
    """
    text = size.text
    layer = layer_bytes(size, plan)
    if plan.checkpointing:
        return text.layers * text.width * plan.model_bytes + layer
    return text.layers * layer


def layer_bytes(size: VlmSize, plan: StepPlan) -> int:
    """Return what one token leaves behind in one layer: the sum at the head of this file."""
    text, s, a = size.text, plan.model_bytes, plan.adapter_bytes
    norms = 8 * text.width + 8 + 4 * text.heads
    attention = s * (2 * text.query_width + 2 * text.kv_width)
    feed_forward = text.ffn * (3 * s + a)
    same = a == s
    inputs = 2 * text.width * s if same else a * (5 * text.width + text.query_width)
    return norms + attention + feed_forward + inputs + len(ALL_PROJECTIONS) * plan.rank * a


def largest_batch(size: VlmSize, plan: StepPlan, free: int) -> int:
    """Return how many images per step fit into `free` bytes beside the weights; 0 if not one."""
    low, high = 0, 4096
    while low < high:
        middle = (low + high + 1) // 2
        memory = step_memory(size, replace(plan, batch=middle))
        low, high = (middle, high) if memory.beside_weights <= free else (low, middle - 1)
    return low


def require_step_memory(size: VlmSize, plan: StepPlan, free: int) -> None:
    """Raise `ValueError` if a step does not fit into `free` bytes, the weights already loaded.

    The message contains what it needs, what is there, and the batch that fits. An estimate: what is
    not counted (the head of this file) makes a step near the limit fail all the same.
    """
    memory = step_memory(size, plan)
    if memory.beside_weights <= free:
        return
    most = largest_batch(size, replace(plan, checkpointing=False), free)
    saving = largest_batch(size, replace(plan, checkpointing=True), free)
    phases = ", ".join(
        f"{name} {getattr(memory, name) / 2**30:.1f}"
        for name in ("vision", "generation", "training")
    )
    advice = (
        f"Let at most {most} images through at once (--micro-batch-size {most}), or {saving} with "
        "--recompute: the step stays the same"
    )
    if not most:
        advice = (
            f"Let {saving} image{'s' * (saving > 1)} through at once, with recompute (--recompute "
            f"--micro-batch-size {saving}): the step stays the same"
        )
    if not saving:
        advice = "Not even one image fits: take fewer captions per image or a smaller model"
    raise ValueError(
        f"a step of {plan.batch} images with {plan.samples} captions each needs about "
        f"{memory.beside_weights / 2**30:.1f} GiB beside the weights ({phases}, adapter "
        f"{memory.adapter / 2**30:.1f}), and {free / 2**30:.1f} GiB are free. {advice}."
    )
