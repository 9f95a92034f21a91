"""Chapter 7: MAGIC's score, by which a language model and CLIP choose the next word together."""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.captioners.magic import degeneration_penalty, magic_term
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.practice.task import Case, Task


def answer(
    probabilities: Tensor,
    repeats: Tensor,
    image: Tensor,
    texts: Tensor,
    logit_scale: float,
    alpha: float,
    beta: float,
) -> Tensor:
    """Return the score of each candidate, CLIP's vote by the package."""
    votes = magic_term(image[None], texts[None], logit_scale=logit_scale)[0]
    return (1 - alpha) * probabilities - alpha * repeats + beta * votes


def cases() -> list[Case]:
    """A few candidates, with what a language model and CLIP say of them."""
    found = []
    for k, scale, alpha, beta in ((3, 10.0, 0.1, 2.0), (5, 20.0, 0.5, 1.0), (4, 5.0, 0.3, 0.5)):
        drawn = seeded(k)
        probabilities = torch.randn(k, generator=drawn).softmax(dim=0)
        states = torch.randn(1, k, 6, generator=drawn)
        repeats = degeneration_penalty(states, torch.randn(1, 4, 6, generator=drawn))[0]
        image = unit_norm(torch.randn(7, generator=drawn))
        texts = unit_norm(torch.randn(k, 7, generator=drawn))
        says = f"{k} candidates, alpha {alpha}, beta {beta}"
        found.append(Case(says, (probabilities, repeats, image, texts, scale, alpha, beta)))
    return found


def raw_cosines(p: Tensor, r: Tensor, i: Tensor, t: Tensor, s: float, a: float, b: float) -> Tensor:
    """CLIP's part is a softmax over the candidates. You added the cosines themselves."""
    return (1 - a) * p - a * r + b * (t @ i)


def no_scale(p: Tensor, r: Tensor, i: Tensor, t: Tensor, s: float, a: float, b: float) -> Tensor:
    """The logit scale is missing: multiply the cosines by it before the softmax, or CLIP has
    hardly a preference."""
    return answer(p, r, i, t, 1.0, a, b)


def repeats_wanted(
    p: Tensor, r: Tensor, i: Tensor, t: Tensor, s: float, a: float, b: float
) -> Tensor:
    """You added the penalty. Subtract it: a word like those before it is worse."""
    return answer(p, -r, i, t, s, a, b)


def not_shared(p: Tensor, r: Tensor, i: Tensor, t: Tensor, s: float, a: float, b: float) -> Tensor:
    """The language model's probability has the weight 1 - alpha."""
    return answer(p, r, i, t, s, a, b) + a * p


def clip_alone(p: Tensor, r: Tensor, i: Tensor, t: Tensor, s: float, a: float, b: float) -> Tensor:
    """That is CLIP's vote alone. The language model has its say too, and the penalty."""
    return b * (s * (t @ i)).softmax(dim=0)


def model_alone(p: Tensor, r: Tensor, i: Tensor, t: Tensor, s: float, a: float, b: float) -> Tensor:
    """CLIP's vote is missing: without it the words know nothing of the image."""
    return answer(p, r, i, t, s, a, 0.0)


def the_best(p: Tensor, r: Tensor, i: Tensor, t: Tensor, s: float, a: float, b: float) -> Tensor:
    """You chose already. Return the score of every candidate, [k]."""
    return answer(p, r, i, t, s, a, b).amax()


def log_probabilities(
    p: Tensor, r: Tensor, i: Tensor, t: Tensor, s: float, a: float, b: float
) -> Tensor:
    """You took the logarithm of the language model's probability. MAGIC adds the probability."""
    return answer(p.log(), r, i, t, s, a, b)


def beta_shared(p: Tensor, r: Tensor, i: Tensor, t: Tensor, s: float, a: float, b: float) -> Tensor:
    """You gave CLIP's vote the weight 1 - beta. Its weight is beta alone, which may be above 1."""
    return answer(p, r, i, t, s, a, 1 - b)


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        raw_cosines,
        no_scale,
        repeats_wanted,
        not_shared,
        clip_alone,
        model_alone,
        the_best,
        log_probabilities,
        beta_shared,
    ),
    at_home="`vizer_core.captioners.magic.magic_search`, for a whole batch",
)
