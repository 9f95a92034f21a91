"""One optimiser step: unscale, then clip, then step.

Half-precision training multiplies the loss by a large scale so that small gradients survive.
They must be divided by it before their norm is compared with 1. MacCap's release clips first:
every scaled gradient is longer than 1, so the true gradient shrinks to 1 / scale, Adam's epsilon
stops being small beside it, and the printed learning rate is not the one that acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

GRADIENT_NORM = 1.0  # the release clips at 1.0


def apply_gradients(
    loss: Tensor,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    *,
    max_norm: float = GRADIENT_NORM,
) -> Tensor:
    """Back-propagate, average over processes, unscale, clip, step; return the norm before clipping.

    A step whose scaled gradients overflow is skipped and the scale halved, as `GradScaler` does.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    average_over_processes(parameters)
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(parameters, max_norm)
    scaler.step(optimizer)
    scaler.update()
    return norm.detach()


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


def process_rank() -> tuple[int, int]:
    """Return (rank, processes): (0, 1) unless torch.distributed is up."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def average_over_processes(parameters: Sequence[Tensor]) -> None:
    """Replace each gradient by its mean over processes; nothing to do in a single one."""
    _, world = process_rank()
    if world == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad.div_(world)
