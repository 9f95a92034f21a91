"""Several captions per image: what the best of them scores, and what a chooser loses.

A system that writes k captions per image is cut short by a metric that reads the first.

===============  =================================================================================
best_candidate   per image the highest score among its k captions: SPIDEr-max (Labbe et al.
                 2211.08983), for any metric. It reads references, so it bounds choosers
                 from above and is no system
regret           that bound less the score of the caption that a chooser took (rank and fuse,
                 Bianco et al. 2306.11593; MLBCAP's judge, Kim et al. 2501.02552)
===============  =================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64, Int64

Metric = Callable[[Sequence[str], Sequence[Sequence[str]]], Sequence[float]]


def score_candidates(
    rows: Sequence[Sequence[str]], references: Sequence[Sequence[str]], metric: Metric
) -> Float64[np.ndarray, "n k"]:
    """Score every candidate of every image by a metric of captions and references.

    A metric that reads the whole set (CIDEr's document frequencies come from references) is asked
    once a candidate's place, so that no image stands in a set twice.
    """
    widths = {len(row) for row in rows}
    if len(widths) != 1 or not min(widths, default=0) or len(rows) != len(references):
        raise ValueError(
            f"{len(rows)} images with {sorted(widths)} candidates and references of "
            f"{len(references)}: wanted the same number of candidates an image, at least 1, and "
            "references of every image"
        )
    return np.stack(
        [
            np.asarray(metric([row[place] for row in rows], references), dtype=np.float64)
            for place in range(len(rows[0]))
        ],
        axis=1,
    )


def best_candidate(scores: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, " n"]:
    """Return each image's highest score (SPIDEr-max).

    >>> best_candidate(np.array([[0.1, 0.7], [0.3, 0.2]])).tolist()
    [0.7, 0.3]
    """
    if scores.ndim != 2 or not scores.shape[1]:
        raise ValueError(f"scores have shape {scores.shape}: wanted [images, candidates]")
    return scores.max(axis=1)


def regret(
    scores: Float64[np.ndarray, "n k"], chosen: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Return how much better than the chosen candidate the best one is; 0 is a perfect chooser.

    >>> regret(np.array([[0.1, 0.7], [0.3, 0.2]]), np.array([0, 0])).round(2).tolist()
    [0.6, 0.0]
    """
    chosen = np.asarray(chosen)
    if chosen.shape != (len(scores),) or not ((chosen >= 0) & (chosen < scores.shape[1])).all():
        raise ValueError(f"chosen {chosen.shape} of scores {scores.shape}: wanted one per image")
    return best_candidate(scores) - scores[np.arange(len(scores)), chosen]
