"""Chapter 9: what an image is worth, image tokens out of order, a first word that says nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vizer_core.runtime import seeded
from vizer_lab.exercises.goal import Goal, Number, judge_goals, judge_number
from vizer_lab.practice import Verdict

BOOK_WORD = "throwback"
ARTICLES = {"a", "an", "the"}
NUMBERS = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
NOTHING = 1e-4  # a distance between rows that are the same
MOVED = 1.05  # times the surprisal in order: what is out of order surprises by more

Rearrange = Callable[[Tensor], Tensor]


def judge_caption_nats(mine: Number, per_token: float, tokens: float, captions: int) -> Verdict:
    """Judge nats that the image decides of a whole caption, from those per token."""
    if float(mine) == 0:
        return Verdict(False, "Nothing is decided, you say. Look at the table's first row.")
    each = tokens / captions
    known = [
        (per_token, "That is per token, and a caption has several."),
        (per_token * tokens, "That is of all captions together: divide by their number."),
        (each, "Those are tokens per caption. Each of them is worth some nats."),
        (per_token / each, "You divided by the tokens of a caption. Each one adds its nats."),
        (per_token / captions, "You divided by the captions. What is per token already is a mean."),
    ]
    wanted = per_token * each
    return judge_number(mine, wanted, known, within=0.01 * wanted)


def book_order(embeddings: Tensor) -> Tensor:
    """Return the image tokens [n, h] in another order."""
    order = torch.randperm(len(embeddings), generator=seeded(2))
    return embeddings[order.to(embeddings.device)]


def judge_rearranged(
    function: Rearrange,
    embeddings: Tensor,
    nats: Callable[[Rearrange], float],
    ends: tuple[float, float],
    name: str,
) -> Verdict:
    """Judge a new order of an image's tokens [n, h]: how much do its captions surprise then?

    `nats` measures it over all images; `ends` are the surprisals with the right image and with
    another one.
    """
    moved, count = function(embeddings), len(embeddings)
    if not isinstance(moved, Tensor) or moved.shape != embeddings.shape:
        got = [*moved.shape] if isinstance(moved, Tensor) else type(moved).__name__
        return Verdict(False, f"Wanted all {count} image tokens, {[*embeddings.shape]}, got {got}.")
    stayed = _stayed(moved, embeddings)
    if stayed is None:
        return Verdict(
            False,
            f"These are no longer the {count} tokens of the image. Index its rows with an order of "
            "them, and leave the numbers of a row as they are.",
        )
    advice = f"{stayed} of {count} tokens stand where they stood: move more of them."
    if stayed == count:
        advice = "Nothing has moved: give each image token another's place."
    goal = Goal(f"nats per {name}", above=MOVED * ends[0], below=ends[1])
    return judge_goals([goal], [nats(function)], [nats(book_order)], advice)


def _stayed(moved: Tensor, embeddings: Tensor) -> int | None:
    """Count the rows that stand where they stood; None if these are not the old rows."""
    one, other = moved.detach().double().cpu(), embeddings.detach().double().cpu()
    far = torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")
    same = torch.allclose(one.sort(dim=0).values, other.sort(dim=0).values, atol=NOTHING)
    if not same or bool((far.min(dim=1).values > NOTHING).any()):
        return None
    return int(((one - other).norm(dim=1) <= NOTHING).sum())


def judge_first_word(
    word: str, likely: Sequence[str], score: Callable[[str], float], goal: Goal
) -> Verdict:
    """Judge a first word that says nothing of the image, by the captions that begin with it."""
    word = word.strip()
    if len(word.split()) != 1:
        return Verdict(False, f"Wanted one word, got {len(word.split())}.")
    if word in ARTICLES | NUMBERS:
        kind = "an article" if word in ARTICLES else "a number"
        return Verdict(
            False, f"{word!r} is {kind}: it says something of what comes. Find a word that is none."
        )
    if word not in likely:
        return Verdict(
            False,
            f"The model hardly ever begins with {word!r}, so it has no habit of going on from "
            "there. Choose one of the likely first words.",
        )
    advice = f"After {word!r} most captions name one thing and end."
    return judge_goals([goal], [score(word)], [score(BOOK_WORD)], advice)
