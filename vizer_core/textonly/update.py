"""One optimiser step: unscale, then clip, then step.

Half-precision training multiplies the loss by a large scale so that small gradients survive.
They must be divided by it before their norm is compared with 1. MacCap's release clips first:
every scaled gradient is longer than 1, so the true gradient shrinks to 1 / scale, Adam's epsilon
stops being small beside it, and the printed learning rate is not the one that acts.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vizer_core.distributed import sum_gradients

GRADIENT_NORM = 1.0  # the release clips at 1.0


@dataclass(frozen=True, eq=False)
class Update:
    """What a step saw: the loss of this process's part, and the gradient's norm before clipping."""

    loss: Float[Tensor, ""]
    norm: Float[Tensor, ""]


def apply_gradients(
    losses: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    *,
    max_norm: float = GRADIENT_NORM,
) -> Update:
    """Back-propagate each loss in turn, add up over processes, unscale, clip, step.

    `losses` are the weighted parts of one batch's loss: they add up to it, over all processes.
    Made one at a time, each frees its memory before the next (gradient accumulation). A step whose
    scaled gradients overflow is skipped and the scale halved, as `GradScaler` does.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=parameters[0].device)
    for loss in losses:
        scaler.scale(loss).backward()
        total = total + loss.detach()
    sum_gradients(parameters)
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(parameters, max_norm)
    scaler.step(optimizer)
    scaler.update()
    return Update(total, norm.detach())


def precision_of(
    dtype: torch.dtype, device: torch.device
) -> tuple[AbstractContextManager[object], torch.amp.GradScaler]:
    """Return the autocast context and the scaler that a frozen model's dtype calls for.

    float32: neither; bfloat16: autocast; float16: autocast and a live `GradScaler`.
    """
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    if dtype == torch.float32:
        return nullcontext(), scaler
    if dtype not in (torch.float16, torch.bfloat16):
        raise ValueError(f"the language model is in {dtype}: wanted float32, float16 or bfloat16")
    return torch.autocast(device.type, dtype=dtype), scaler
