"""Whether a step of training fits: asked by `vizer enhance` and `vizer improve` before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vizer_core.vizer.adapter_run import TrainConfig
    from vizer_core.vizer.lora import LoraSettings


def require_memory(vlm: Any, config: TrainConfig, lora: LoraSettings, *, objective: str) -> None:
    """Say before anything is trained that a step will not fit, and what would."""
    from vizer_core.distributed import process_rank
    from vizer_core.hub_errors import free_bytes
    from vizer_core.vizer.recipes import SMALL, parameters_of
    from vizer_core.vlm import ALL_PROJECTIONS, StepPlan, size_of
    from vizer_core.vlm.memory import require_step_memory
    from vizer_core.vlm.sizes import SIZED

    free = free_bytes(vlm.device)
    if free is None or vlm.base.config.model_type not in SIZED:
        return
    here = -(-config.images_per_step // process_rank()[1])
    plan = StepPlan(
        batch=min(here, config.micro_batch_size or here),
        samples=config.samples,
        caption_tokens=config.decoding.max_tokens,
        rank=lora.rank,
        projections=lora.projections or ALL_PROJECTIONS,
        head=objective != "image_context",  # the only one that asks for no logits
        kl=bool(config.kl_every or config.kl_weight),
        table=objective == "straight_through",
        merged=parameters_of(vlm) > SMALL,
        checkpointing=vlm.recompute,
        model_bytes=vlm.embedding_table.element_size(),
    )
    require_step_memory(size_of(vlm.base.config), plan, free)
