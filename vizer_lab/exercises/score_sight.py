"""Chapter 14: a weight that counts no words, rivals that look alike, a lie that a CLIP misses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn.functional import cosine_similarity

from vizer_core.vizer.neighbours import nearest_images
from vizer_lab.exercises.goal import Goal, judge_goals
from vizer_lab.practice import Verdict

LEVEL = 0.05  # a correlation with length
BOOK_STEPS = 41  # weights from 0 to 1
ALIKE = 0.9  # of the cosine of the most similar image
LEAST_CHANGED, OVERLOOKED, NOTICED, LIES = 10, 0.7, 0.7, 0.9

Shares = Callable[[Sequence[str]], Sequence[float]]


def book_weight(length_at: Callable[[float], float]) -> float:
    """Return the weight from 0 to 1 whose correlation with length is nearest to 0.

    >>> book_weight(lambda weight: weight - 0.4)
    0.4
    """
    weights = [step / (BOOK_STEPS - 1) for step in range(BOOK_STEPS)]
    return min(weights, key=lambda weight: abs(length_at(weight)))


def judge_weight(
    function: Callable[[Callable[[float], float]], float],
    length_at: Callable[[float], float],
    liked_at: Callable[[float], float],
) -> Verdict:
    """Judge a search for the weight at which a score neither likes captions long nor short."""
    mine, book = function(length_at), book_weight(length_at)
    if mine is None:
        return Verdict(False, "Your function gives nothing back: is its `return` missing?")
    mine = float(mine)
    if not 0 <= mine <= 1:
        what = f"A weight lies between 0 and 1, yours is {mine:.2f}."
        if -1 <= mine < 0:
            what += " Did you give the correlation back, in place of its weight?"
        return Verdict(False, what)
    goals = [
        Goal("correlation with length, size", below=max(LEVEL, abs(length_at(book)) + 0.01)),
        Goal("prefers the better", above=liked_at(0.0)),
    ]
    numbers = [[abs(length_at(weight)), liked_at(weight)] for weight in (mine, book)]
    liked, more = ("short", "a larger") if length_at(mine) < 0 else ("long", "a smaller")
    advice = f"At {mine:.2f} the score likes captions {liked}: try {more} weight."
    return judge_goals(goals, *numbers, advice)


def judge_rivals(rivals: Sequence[int], features: Tensor) -> Verdict:
    """Judge another image for each, by how similar it is: cosine of centred features [n, d]."""
    rivals, count = [int(rival) for rival in rivals], len(features)
    if len(rivals) != count or not set(rivals) <= set(range(count)):
        return Verdict(False, f"Wanted {count} places of images, each from 0 to {count - 1}.")
    own = sum(rival == i for i, rival in enumerate(rivals))
    if own:
        return Verdict(
            False,
            f"{own} images are their own rival, and a caption cannot lose to itself. Each image is "
            "the most similar to itself: leave it out.",
        )
    centred = features - features.mean(dim=0)

    def alike(some: Sequence[int]) -> float:
        return float(cosine_similarity(centred, centred[list(some)], dim=-1).mean())

    book = alike(nearest_images(centred, count=1)[:, 0].tolist())
    mine = alike(rivals)
    goal = Goal("cosine of image and rival", above=ALIKE * book)
    if mine < -0.05:
        advice = "These are the images that look least alike: take the largest cosine."
    elif len(set(rivals)) < count // 10:
        advice = "Nearly all images have the same rival. Each has a neighbour of its own."
    else:
        advice = "These rivals look no more alike than any two images."
    return judge_goals([goal], [mine], [book], advice)


def book_lie(caption: str) -> str:
    """Return a caption whose things stand on the other side of each other.

    >>> book_lie("a cat above a dog")
    'a cat below a dog'
    """
    turned = {"above": "below", "below": "above", "over": "under", "under": "over"}
    return " ".join(turned.get(word, word) for word in caption.split())


def judge_lie(
    lie: Callable[[str], str],
    captions: Sequence[str],
    noticed: Callable[[Sequence[str], Sequence[int]], tuple[float, float]],
    is_false: Callable[[int, str], bool],
) -> Verdict:
    """Judge a lie that the CLIP overlooks and the model's own probabilities notice.

    `noticed` gives the two shares among some images; `is_false` whether a caption states something
    that is not so in an image.
    """

    def numbers(of: Callable[[str], str]) -> tuple[list[float], list[int]]:
        lies = [of(text) for text in captions]
        there = [i for i, (a, b) in enumerate(zip(captions, lies, strict=True)) if a != b]
        if not there:
            return [0.0] * 3, there
        clip, information = noticed(lies, there)
        return [clip, information, sum(is_false(i, lies[i]) for i in there) / len(there)], there

    mine, there = numbers(lie)
    if len(there) < LEAST_CHANGED:
        return Verdict(
            False,
            f"{len(there)} captions change, wanted at least {LEAST_CHANGED}: are there other words "
            "of the same kind?",
        )
    goals = [
        Goal("noticed by the CLIP", below=OVERLOOKED),
        Goal("noticed by information", above=NOTICED),
        Goal("really a lie", above=LIES),
    ]
    if not goals[2].met(mine[2]):
        advice = (
            "Many of these captions still state nothing false. Words in disorder, or left out, are "
            "no lie."
        )
    elif not goals[0].met(mine[0]):
        advice = "The CLIP notices. It sees what things are and how they look; what else is stated?"
    else:
        advice = "The CLIP overlooks it, and so do the model's probabilities: try another lie."
    return judge_goals(goals, mine, numbers(book_lie)[0], f"{len(there)} captions change. {advice}")
