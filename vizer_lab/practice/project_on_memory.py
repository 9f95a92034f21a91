"""Chapter 7: DeCap's step over the gap, an image written as a mixture of remembered captions."""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.captioners import MemoryBank
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.practice.task import Case, Task


def answer(images: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """Return the projection, by the package."""
    bank = MemoryBank(tuple(map(str, range(len(memory)))), memory, "practice")
    return bank.project(images, temperature=temperature)


def cases() -> list[Case]:
    """A few images before a small memory, at several temperatures."""
    found = []
    for number, size, temperature in ((2, 4, 1.0), (3, 6, 0.1), (4, 9, 0.01)):
        drawn = seeded(number)
        memory = unit_norm(torch.randn(size, 5, generator=drawn))
        images = unit_norm(torch.randn(number, 5, generator=drawn))
        says = f"{number} images, {size} captions, temperature {temperature}"
        found.append(Case(says, (images, memory, temperature)))
    return found


def _mixed(images: Tensor, memory: Tensor, temperature: float, dim: int = 1) -> Tensor:
    return (images @ memory.T / temperature).softmax(dim=dim) @ memory


def not_scaled_back(images: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """A mean of unit vectors is shorter than 1. Divide by its length at the end."""
    return _mixed(images, memory, temperature)


def wrong_axis(images: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """Your weights add up to 1 over the images. For each image they must do so over the memory."""
    return unit_norm(_mixed(images, memory, temperature, dim=0))


def times_temperature(images: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """You multiplied by the temperature. Divide by it: a low one makes the choice sharp."""
    return answer(images, memory, 1 / temperature)


def without_temperature(images: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """The temperature is missing: divide the cosines by it before the softmax."""
    return answer(images, memory, 1.0)


def without_softmax(images: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """You weighted by the cosines themselves, some of them negative. Take a softmax of them."""
    return unit_norm((images @ memory.T / temperature) @ memory)


def nearest_only(images: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """You took the nearest caption alone, which is CLIPRe. DeCap mixes them all, by a softmax."""
    return memory[(images @ memory.T).argmax(dim=1)]


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        not_scaled_back,
        wrong_axis,
        times_temperature,
        without_temperature,
        without_softmax,
        nearest_only,
    ),
    at_home="`vizer_core.captioners.MemoryBank`, method `project`",
)
