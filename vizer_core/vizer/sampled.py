"""Score what a model would say, not only what it says first: k captions per scene, exact truth.

Greedy decoding shows one caption in thousands. Two models with nearly the same probabilities can
differ in every greedy caption, and the other way round, so each number of a trained model comes
twice: greedy, and averaged over captions drawn at T = 1 (names begin with `sampled_`).

A scene's k captions are not k scenes: their statistics are averaged *within* the scene first, and
`metrics.stats` then resamples scenes, and training seeds over them (`bootstrap_seeds`).

====================  ===========================================================================
object_precision      true object mentions / mentions (`metrics.grounding`); recall likewise
object_f1             2 P R / (P + R) of the two sums
exact                 share of captions that name every object of the scene, nothing else, and its
                      place
vague                 share of captions that name no object at all
====================  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from vizer_core.metrics.diversity import caption_lengths
from vizer_core.metrics.grounding import (
    RATES,
    GroundingCounts,
    Lexicon,
    SceneTruth,
    check_caption,
    is_exact,
    parse_caption,
)
from vizer_core.metrics.stats import Statistics, mean_statistics, rate_statistics
from vizer_core.metrics.tokenize import tokenize_captions

PREFIX = "sampled_"
_F1_OF = ("object_true", "object_said", "object_found", "object_there")


def _f1(sums: np.ndarray) -> np.ndarray:
    """Return F1 of (true, said, found, there); nothing said is 0, not undefined."""
    true, said, found, there = (sums[..., i] for i in range(4))
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(said > 0, true / said, 0.0)
        recall = np.where(there > 0, found / there, 0.0)
        f1 = 2 * precision * recall / (precision + recall)
    return np.where(precision + recall > 0, f1, 0.0)


def grounding_statistics(
    samples: Sequence[Sequence[str]], truths: Sequence[SceneTruth], *, lexicon: Lexicon
) -> dict[str, Statistics]:
    """Ground k captions per scene and average within the scene; one greedy caption is k = 1.

    A rate of statements that nobody made is absent.
    """
    counts = _counts(samples, truths, lexicon)
    fields = sorted({field for pair in RATES.values() for field in pair})
    found = count_statistics({field: _mean_of(counts, field) for field in fields})
    found["exact"] = mean_statistics([np.mean([is_exact(c) for c in row]) for row in counts])
    found["vague"] = mean_statistics([np.mean([not c.object_said for c in row]) for row in counts])
    lengths = caption_lengths(tokenize_captions([text for row in samples for text in row]))
    found["length"] = mean_statistics(lengths.reshape(len(samples), -1).mean(axis=1))
    return found


def count_statistics(columns: Mapping[str, Float64[np.ndarray, " n"]]) -> dict[str, Statistics]:
    """Turn counts per scene, by the names of `GroundingCounts`, into rates and the F1 of objects.

    A rate of statements that nobody made is absent, and one whose counts are not there.

    >>> counts = {"object_true": [1.0, 0.0], "object_said": [1.0, 1.0]}
    >>> found = count_statistics({name: np.array(column) for name, column in counts.items()})
    >>> {name: statistics.score for name, statistics in found.items()}
    {'object_precision': 0.5}
    """
    found = {
        name: rate_statistics(columns[true], columns[said])
        for name, (true, said) in RATES.items()
        if true in columns and said in columns and columns[said].sum() > 0
    }
    if all(name in columns for name in _F1_OF):
        found["object_f1"] = Statistics(np.column_stack([columns[name] for name in _F1_OF]), _f1)
    return found


def sampled_grounding(
    samples: Sequence[Sequence[str]], truths: Sequence[SceneTruth], *, lexicon: Lexicon
) -> dict[str, Statistics]:
    """Return `grounding_statistics` under the names of sampled metrics."""
    found = grounding_statistics(samples, truths, lexicon=lexicon)
    return {PREFIX + name: value for name, value in found.items()}


def pool_draws(draws: Sequence[Mapping[str, Statistics]]) -> dict[str, Statistics]:
    """Average the statistics of k draws, each one caption per image, image by image.

    `draws[j]` is what any metric says of draw j: `Evaluation.statistics`, for instance. Names gain
    the prefix; a metric that some draw does not have is left out.
    """
    if not draws:
        raise ValueError("no draws to pool: got 0, wanted at least 1")
    names = [name for name in draws[0] if all(name in draw for draw in draws)]
    pooled = {}
    for name in names:
        sizes = {draw[name].rows.shape for draw in draws}
        if len(sizes) > 1:
            raise ValueError(f"{name}: draws have statistics of shapes {sorted(sizes)}")
        rows = np.mean([draw[name].rows for draw in draws], axis=0)
        pooled[PREFIX + name] = Statistics(rows, draws[0][name].value)
    return pooled


def draws_of(samples: Sequence[Sequence[str]]) -> list[list[str]]:
    """Turn k captions per image into k lists of one caption per image.

    >>> draws_of([("a cat", "a dog"), ("a mat", "a hat")])
    [['a cat', 'a mat'], ['a dog', 'a hat']]
    """
    _require_rows(samples)
    return [list(draw) for draw in zip(*samples, strict=True)]


def _require_rows(samples: Sequence[Sequence[str]]) -> None:
    sizes = sorted({len(row) for row in samples})
    if len(sizes) != 1 or sizes[0] < 1:
        raise ValueError(f"scenes have {sizes} captions: wanted the same number, at least 1, each")


def _counts(
    samples: Sequence[Sequence[str]], truths: Sequence[SceneTruth], lexicon: Lexicon
) -> list[list[GroundingCounts]]:
    if len(samples) != len(truths):
        raise ValueError(f"captions of {len(samples)} scenes for {len(truths)} truths")
    _require_rows(samples)
    parsed = {text: parse_caption(text, lexicon) for row in samples for text in row}
    return [[check_caption(parsed[t], truth) for t in row] for row, truth in zip(samples, truths)]


def _mean_of(counts: list[list[GroundingCounts]], field: str) -> Float64[np.ndarray, " n"]:
    return np.array([[getattr(c, field) for c in row] for row in counts], dtype=float).mean(axis=1)
