"""Chapter 3: a gap that no pool sees, a second pass, two noisy copies, swapped pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.gap import GapHistogram, measure_gap
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.exercises.goal import Goal, Number, judge_goals, judge_number
from vizer_lab.practice import Verdict

SHARE = 0.001  # of a second pass that took its vector off
NEAR_NULL = 2.0


def judge_unseen_gap(vector: Tensor, width: int) -> Verdict:
    """Judge a vector of length 1 whose pooled mean is 0."""
    if vector.shape != (width,):
        return Verdict(False, f"Wanted {width} numbers, got the shape {[*vector.shape]}.")
    mean, length = float(vector.mean()), float(vector.norm())
    both = f"Mean {mean:.3f} (wanted 0), length {length:.3f} (wanted 1)."
    if abs(mean) < 1e-6 and abs(length - 1) < 1e-5:
        return Verdict(True, both)
    if length == 0:
        advice = "A vector of zeros is no gap: it has no length."
    elif abs(mean) >= 1e-6:
        advice = "The pooled mean sees this gap: its positive and negative entries do not cancel."
    else:
        advice = "The entries cancel. Now divide them all by the length."
    return Verdict(False, f"{advice} {both}")


def judge_second_pass(histogram: GapHistogram, image: Tensor, text: Tensor) -> Verdict:
    """Judge a histogram of centred gaps by the constant share that is left."""
    first = GapHistogram(image.shape[1])
    first.update(image, text)
    means = first.dimension_means.float()
    if histogram.count != first.count:
        return Verdict(
            False,
            f"Your pass counted {histogram.count:,} entries, the first one {first.count:,}: "
            "update it once with the image and the text features.",
        )
    book = GapHistogram(image.shape[1], centre=means)
    book.update(image, text)
    goals = [
        Goal("constant share", below=SHARE, places=4),
        Goal("spread, times the first", below=1.0, places=3),
    ]
    mine, ours = ([h.constant_share, h.moments.std / first.moments.std] for h in (histogram, book))
    if not histogram.centre.any():
        advice = "Nothing was subtracted: give it a `centre`."
    elif torch.allclose(histogram.centre, -means, atol=1e-4):
        advice = "The centre has the wrong sign: it is subtracted, so the gap was added once more."
    elif float(histogram.centre.std()) < 1e-6:
        advice = (
            "You subtracted the same number from each dimension. The pooled mean is near 0 anyway; "
            "each dimension has a mean of its own."
        )
    else:
        advice = "Another vector was subtracted than the mean of each dimension of the gap."
    return judge_goals(goals, mine, ours, advice)


def judge_two_copies(cosine: Number, pair_cosine: float, text: Tensor, std: float) -> Verdict:
    """Judge the mean cosine of two noisy copies of one caption, against sampled noise."""
    noise = seeded(5)
    one, two = (unit_norm(text + std * torch.randn(text.shape, generator=noise)) for _ in range(2))
    sampled = float((one * two).sum(dim=1).mean())
    c = pair_cosine
    known = [
        (c, "That is a noisy copy and its clean caption. Here both are noisy."),
        (2 * c * c - 1, "That adds the two angles, as if both noises lay in one plane."),
        (c / 2, "Noise does not halve a cosine: look at the lengths of the two noisy vectors."),
        (c**0.5, "Two noises cannot bring the copies nearer to each other than to the caption."),
        (1.0, "They would be the same only without noise."),
        (0.0, "The noises have nothing in common, but the caption is in both copies."),
    ]
    return judge_number(cosine, sampled, known, within=0.02)


def judge_swap(left: Tensor, right: Tensor, image: Tensor, text: Tensor) -> Verdict:
    """Judge a random swap of image and caption within half of the pairs."""
    from_image = (left == image).all(dim=1) & (right == text).all(dim=1)
    from_text = (left == text).all(dim=1) & (right == image).all(dim=1)
    if not bool((from_image | from_text).all()):
        lost = int((~(from_image | from_text)).sum())
        return Verdict(
            False,
            f"{lost:,} rows are no longer an image and its own caption. Toss one coin for each "
            "pair, and move whole rows.",
        )
    coin = torch.rand(len(image), 1, generator=seeded(6)) < 0.5
    ours = torch.where(coin, text, image), torch.where(coin, image, text)
    mine, book = (measure_gap(*pair) for pair in ((left, right), ours))
    goal = Goal("gap norm", below=NEAR_NULL * mine.gap_norm_null, places=3)
    share = float(from_text.float().mean())
    advice = f"{share:.0%} of the pairs are swapped. " + (
        "All of them only turns the gap round."
        if share > 0.99
        else "Each swap cancels one pair: half are wanted."
    )
    return judge_goals([goal], [mine.gap_norm], [book.gap_norm], advice)
