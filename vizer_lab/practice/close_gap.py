"""Chapter 2: move images and texts towards each other along the gap vector."""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.gap import gap_vector, shift_images, shift_modalities
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.practice.task import Case, Task

Moved = tuple[Tensor, Tensor]


def answer(images: Tensor, texts: Tensor, delta: float) -> Moved:
    """Return both clouds, moved, by the package."""
    moved = shift_modalities(images, texts, delta)
    return moved.image_features, moved.text_features


def cases() -> list[Case]:
    """Two clouds with a gap: left alone, closed in part, and widened."""
    noise = seeded(0)
    images = unit_norm(torch.randn(6, 4, generator=noise) + torch.tensor([2.0, 0, 0, 0]))
    texts = unit_norm(torch.randn(6, 4, generator=noise) + torch.tensor([0, 1.0, 0, 0]))
    return [Case(f"delta {d:g}", (images, texts, d)) for d in (0.3, 0.8, -0.5)]


def wrong_way(images: Tensor, texts: Tensor, delta: float) -> Moved:
    """The clouds move apart: a delta above 0 must close the gap. Images go towards the texts, and
    texts towards the images."""
    return answer(images, texts, -delta)


def not_scaled_back(images: Tensor, texts: Tensor, delta: float) -> Moved:
    """The vectors have left the sphere: scale each one back to length 1 after moving it."""
    gap = gap_vector(images, texts).float()
    step = delta / 2 * gap / gap.norm()
    return images + step, texts - step


def gap_itself(images: Tensor, texts: Tensor, delta: float) -> Moved:
    """You moved by a part of the gap vector. Delta is a length: divide the gap vector by its norm
    first, so that the direction has length 1."""
    step = delta / 2 * gap_vector(images, texts).float()
    return unit_norm(images + step), unit_norm(texts - step)


def whole_delta_each(images: Tensor, texts: Tensor, delta: float) -> Moved:
    """Each cloud moves by all of delta. Each goes half of the way: delta / 2."""
    return answer(images, texts, 2 * delta)


def images_only(images: Tensor, texts: Tensor, delta: float) -> Moved:
    """Only the images moved. Move both clouds, each by half of delta."""
    moved = shift_images(images, texts, delta)
    return moved.image_features, moved.text_features


def same_direction(images: Tensor, texts: Tensor, delta: float) -> Moved:
    """Both clouds moved the same way, so the gap went along. They must move towards each other: add
    the step to one, subtract it from the other."""
    gap = gap_vector(images, texts).float()
    step = delta / 2 * gap / gap.norm()
    return unit_norm(images + step), unit_norm(texts + step)


def pair_by_pair(images: Tensor, texts: Tensor, delta: float) -> Moved:
    """Each pair moved along its own difference. The gap vector is one for all: take the mean over
    the pairs, `dim=0`, before you subtract."""
    gap = texts - images
    step = delta / 2 * gap / gap.norm(dim=1, keepdim=True)
    return unit_norm(images + step), unit_norm(texts - step)


def over_dimensions(images: Tensor, texts: Tensor, delta: float) -> Moved:
    """Your means run over the dimensions of each vector. The gap vector is a mean over the pairs:
    take it over `dim=0`, so that it has d entries."""
    gap = texts.mean(dim=1, keepdim=True) - images.mean(dim=1, keepdim=True)
    step = delta / 2 * gap / gap.norm()
    return unit_norm(images + step), unit_norm(texts - step)


def scaled_together(images: Tensor, texts: Tensor, delta: float) -> Moved:
    """You divided all vectors by one length, that of the whole table. Each row has its own: take
    the norm over `dim=1`, with `keepdim=True`."""
    moved_images, moved_texts = not_scaled_back(images, texts, delta)
    return moved_images / moved_images.norm(), moved_texts / moved_texts.norm()


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        wrong_way,
        not_scaled_back,
        gap_itself,
        whole_delta_each,
        images_only,
        same_direction,
        pair_by_pair,
        over_dimensions,
        scaled_together,
    ),
    at_home="`vizer_core.gap.shift_modalities`",
)
