"""Large linear layers on a CPU by oneDNN instead of MKL: the same products, sooner on AMD.

For float32 torch calls MKL, which keeps AMD processors on kernels of half their vector width.
oneDNN, which torch carries too, does not: with one thread of an EPYC (Zen 5) and 80 rows through
OPT-125M's layers it is about twice as fast, and no slower with few rows, where reading the weights
is what takes the time (`benchmarks/maccap.py` measures both). The sums run in another order, so
results differ in the last digits. Small layers gain nothing and stay with torch.

A frozen layer hands its gradient on by one more product, with the same weight turned, which oneDNN
reads as it lies: no copy is kept, and a training step through a frozen model gains as much
(`benchmarks/frozen_lm.py`). bfloat16 stays with torch, which calls oneDNN for it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

SMALLEST_WEIGHT = 2**18  # entries of a weight from which on the other kernel is taken


def fast_linears(model: torch.nn.Module) -> AbstractContextManager:
    """Return the context for a frozen model's forward passes: none where no weight is large."""
    large = available() and any(x.numel() >= SMALLEST_WEIGHT for x in model.parameters())
    return FastLinear() if large else nullcontext()


class FastLinear(TorchFunctionMode):
    """Within this context large frozen linear layers on a CPU run by oneDNN."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Take over `linear` where `fits`; everything else runs as it would."""
        kwargs = kwargs or {}
        if func is linear and not kwargs and fits(*args):
            bias = args[2] if len(args) > 2 else None
            return _FrozenLinear.apply(args[0], args[1], bias)
        return func(*args, **kwargs)


class _FrozenLinear(torch.autograd.Function):
    """inputs W^T + bias by oneDNN; only the inputs get a gradient, grad W."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.weight = weight  # frozen, so nothing can change it before the backward pass
        return _product(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _product(grad, ctx.weight.t(), None), None, None


def _product(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")


def fits(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """Say whether oneDNN takes it: large, float32, on a CPU, and its weights get no gradient.

    >>> small, large = torch.ones(64, 64), torch.ones(1024, 512)
    >>> fits(torch.ones(8, 64), small), fits(torch.ones(8, 512), large)
    (False, True)
    >>> fits(torch.ones(8, 512), torch.ones(1024, 512, requires_grad=True))
    False
    """
    trained = weight.requires_grad or (bias is not None and bias.requires_grad)
    return (
        weight.numel() >= SMALLEST_WEIGHT
        and inputs.shape[-1:] == weight.shape[-1:]  # else torch says what is wrong
        and inputs.dtype == weight.dtype == torch.float32
        and inputs.device.type == weight.device.type == "cpu"
        and not (trained and torch.is_grad_enabled())
        and not torch.is_autocast_enabled("cpu")  # which would choose another precision
        and available()
    )


def available() -> bool:
    """Say whether this build of torch has the operator."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
