"""Draw n captions per image and keep the one that a reward likes best: no training.

What a policy gradient is trained to do, this does at n times the price of a caption. It bounds
from above what the reward can teach in a few steps, and shows a bad reward for what it is: its
favourite out of many is what training will make.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.decoding import Sample
from vizer_core.vizer.generate_captions import BATCH, Samples, vision_batches
from vizer_core.vizer.policy_gradient import Reward, group_rewards
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm.protocol import VisionLanguageModel


@dataclass(frozen=True, eq=False)
class Candidates:
    """n captions per image with their scores; any first m of them make a best-of-m."""

    texts: Samples
    scores: Float[Tensor, "b n"]

    def best(self, of: int | None = None) -> tuple[str, ...]:
        """Return each image's best caption among its first `of`, all unless told otherwise."""
        indices = best_index(self.scores, of=self.scores.shape[1] if of is None else of)
        return tuple(row[index] for row, index in zip(self.texts, indices.tolist(), strict=True))


def best_index(scores: Float[Tensor, "b n"], *, of: int) -> Int[Tensor, " b"]:
    """Return where the best of the first `of` scores is; the earliest of equals.

    >>> best_index(torch.tensor([[1.0, 1.0, 3.0]]), of=2), best_index(torch.eye(3), of=3)
    (tensor([0]), tensor([0, 1, 2]))
    """
    if not 1 <= of <= scores.shape[1]:
        raise ValueError(f"best of {of}: there are {scores.shape[1]} candidates an image")
    some = scores[:, :of]
    indices = torch.arange(of, device=scores.device).expand_as(some)
    at_best = some == some.amax(dim=1, keepdim=True)
    return torch.where(at_best, indices, of).amin(dim=1)


@torch.no_grad()
def best_of_n(
    vlm: VisionLanguageModel,
    source: VisionSource,
    reward: Reward,
    *,
    n: int,
    generator: torch.Generator,
    decoding: Sample | None = None,
    progress: bool = False,
) -> Candidates:
    """Draw n captions per image at T = 1 and score them; `best()` chooses."""
    if n < 1:
        raise ValueError(f"n is {n}: wanted at least 1 caption per image")
    rule, texts, scores = decoding or Sample(), [], []
    batch = max(1, 4 * BATCH // n)
    for vision in vision_batches(source, batch=batch, label="best of n", progress=progress):
        captions = vlm.generate(vision, decoding=rule, samples=n, generator=generator)
        scores.append(group_rewards(reward, vision, captions).cpu())
        texts += [captions.texts[i : i + n] for i in range(0, len(captions), n)]
    return Candidates(tuple(texts), torch.cat(scores))
