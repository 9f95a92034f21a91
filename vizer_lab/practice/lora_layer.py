"""Chapter 9: a linear layer with LoRA beside it."""

from __future__ import annotations

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from vizer_core.runtime import seeded
from vizer_lab.practice.task import Case, Task


class _OneLayer(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], bias=False)
        self.layer.weight = nn.Parameter(weight.clone())


def answer(x: Tensor, weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """Return what PEFT's layer gives, with A and B put in."""
    model = _OneLayer(weight)
    config = LoraConfig(r=len(a), lora_alpha=alpha, target_modules=["layer"])  # type: ignore[arg-type]
    inject_adapter_in_model(config, model)
    with torch.no_grad():
        model.layer.lora_A["default"].weight.copy_(a)  # type: ignore[index, union-attr]
        model.layer.lora_B["default"].weight.copy_(b)  # type: ignore[index, union-attr]
    found: Tensor = model.layer(x)
    return found


def cases() -> list[Case]:
    """Layers of several widths and ranks; in the last B is zero, as before the first step."""
    found = []
    for rank, wide, out, alpha in ((2, 5, 4, 8.0), (4, 6, 3, 4.0), (3, 4, 4, 6.0)):
        noise = seeded(rank)
        x, weight = torch.randn(3, wide, generator=noise), torch.randn(out, wide, generator=noise)
        a, b = torch.randn(rank, wide, generator=noise), torch.randn(out, rank, generator=noise)
        says = f"rank {rank} and alpha {alpha:g}"
        found.append(Case(says, (x, weight, a, b, alpha)))
    x, weight, a, b, alpha = found[0].arguments
    return [*found, Case("B = 0, an adapter not yet trained", (x, weight, a, 0 * b, alpha))]


def _beside(x: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    return scale * x @ a.T @ b.T


def without_base(x: Tensor, weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """You have the adapter alone. It stands *beside* the frozen layer: add x W^T."""
    return _beside(x, a, b, alpha / len(a))


def without_adapter(x: Tensor, weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """That is the frozen layer alone. Add what A and B give."""
    return x @ weight.T


def without_scale(x: Tensor, weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """The factor alpha / r is missing in front of the adapter's part."""
    return x @ weight.T + _beside(x, a, b, 1.0)


def alpha_alone(x: Tensor, weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """You scaled by alpha. Divide it by the rank r, the number of rows of A, so that another rank
    needs no other learning rate."""
    return x @ weight.T + _beside(x, a, b, alpha)


def all_scaled(x: Tensor, weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """You scaled the frozen layer too. Only the adapter's part is multiplied by alpha / r."""
    return alpha / len(a) * (x @ weight.T + _beside(x, a, b, 1.0))


def divided_by_width(x: Tensor, weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """You divided alpha by the width of x. The rank is the number of *rows* of A, `a.shape[0]`."""
    return x @ weight.T + _beside(x, a, b, alpha / a.shape[1])


def divided_by_outputs(x: Tensor, weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """You divided alpha by the number of outputs. The rank is the number of *columns* of B."""
    return x @ weight.T + _beside(x, a, b, alpha / b.shape[0])


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        without_base,
        without_adapter,
        without_scale,
        alpha_alone,
        all_scaled,
        divided_by_width,
        divided_by_outputs,
    ),
    at_home="`vizer_core.vizer.add_lora` puts PEFT's layers into a model",
    learns=True,
)
