"""METEOR 1.5 (Denkowski & Lavie 2014, sections 2 and 4): the reference aligner, our arithmetic.

The alignment (exact, stem, synonym, paraphrase) is the work of the authors' jar, which ships inside
pycocoevalcap. One JVM reads all captions at once and returns 23 counts per image; the score is then
computed here, so that sums, resamples and permutations need no Java:

columns 0-3    words of hypothesis and of reference; function words of each
columns 4-19   for each of the four stages: content words matched in hypothesis and in reference,
               function words matched in hypothesis and in reference
columns 20-22  chunks; words matched in the hypothesis and in the reference

P = sum_i w_i (d c_i + (1-d) f_i) / (d content + (1-d) function), R alike on the reference,
F = P R / (a P + (1-a) R), score = F (1 - g (chunks / matches)^b), with a, b, g, d as below. The
counts are of the reference that scores best. A fully matched caption in one chunk has no penalty,
in a sum too, so its chunk is counted as none. The corpus's score is the formula on summed counts,
not the mean over images.

What is faster than the common wrapper: the paraphrase table (5 million entries, most of the
start-up time) is cut to the captions' own words, which changes no alignment, and kept in the
user's cache.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped

from vizer_core.metrics.availability import MetricUnavailable, find_cocoevalcap, find_java
from vizer_core.metrics.paraphrases import paraphrase_table

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
STAGE_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # exact, stem, synonym, paraphrase
COLUMNS = 23
_JAR = "meteor/meteor-1.5.jar"
_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx768m", "-Dfile.encoding=UTF-8")


def missing() -> str | None:
    """Say why METEOR cannot run here, or None where it can."""
    try:
        find_java()
        find_cocoevalcap(_JAR)
    except MetricUnavailable as error:
        return str(error)
    return None


def _clean(caption: str) -> str:
    return " ".join(caption.replace("|||", " ").split())


def _line(hypothesis: str, references: Sequence[str]) -> str:
    return " ||| ".join(["SCORE", *map(_clean, references), _clean(hypothesis)])


def _run(lines: Sequence[str], table: Path, timeout: float) -> list[str]:
    """Send every line to one JVM and return its answers; the JVM is gone when this returns."""
    command = [
        *(str(find_java()), *_JVM, "-jar", str(find_cocoevalcap(_JAR))),
        *("-", "-", "-stdio", "-l", "en", "-norm", "-a", str(table.resolve())),
    ]
    text = "".join(f"{line}\n" for line in lines)
    try:
        done = subprocess.run(
            command, input=text.encode(errors="replace"), capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise MetricUnavailable(
            f"METEOR's JVM gave no answer in {timeout:g} s and was stopped: is {command[0]} a "
            "working Java? A long job may need a larger timeout."
        ) from error
    answers = done.stdout.decode(errors="replace").splitlines()
    if done.returncode or len(answers) != len(lines):
        said = done.stderr.decode(errors="replace").strip()[-300:] or "it said nothing"
        raise MetricUnavailable(
            f"METEOR's JVM ({command[0]}) ended with status {done.returncode} after "
            f"{len(answers)} of {len(lines)} answers: {said}"
        )
    return answers


def counts_from_answers(answers: Sequence[str]) -> Float64[np.ndarray, "n 23"]:
    """Read the jar's answers; the one chunk of a fully matched caption becomes none."""
    rows = [answer.split() for answer in answers]
    wrong = next((row for row in rows if len(row) != COLUMNS), None)
    if wrong is not None:
        raise MetricUnavailable(f"METEOR's jar answered {' '.join(wrong)[:80]!r}, not 23 counts")
    counts = np.array(rows, dtype=np.float64).reshape(-1, COLUMNS)
    perfect = (counts[:, 20] == 1) & (counts[:, 21:23] == counts[:, 0:2]).all(axis=1)
    counts[perfect, 20] = 0
    return counts


def meteor_counts(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, timeout: float | None = None
) -> Float64[np.ndarray, "n 23"]:
    """Return each image's sufficient statistics of tokenised captions; see the module's table.

    `timeout` is in seconds; by default two minutes and a twentieth of a second per image.
    """
    if len(hypotheses) != len(references):
        raise ValueError(
            f"got {len(hypotheses)} hypotheses for {len(references)} images: "
            "wanted one hypothesis an image"
        )
    if not hypotheses:
        return np.zeros((0, COLUMNS))
    lines = [_line(hypothesis, refs) for hypothesis, refs in zip(hypotheses, references)]
    words = {word for line in lines for word in line.split()}
    answers = _run(lines, paraphrase_table(words), timeout or 120 + len(lines) / 20)
    return counts_from_answers(answers)


def _weighted_share(
    content: np.ndarray, function: np.ndarray, words: np.ndarray, function_words: np.ndarray
) -> np.ndarray:
    matched = (STAGE_WEIGHTS * (DELTA * content + (1 - DELTA) * function)).sum(axis=-1)
    total = DELTA * (words - function_words) + (1 - DELTA) * function_words
    return np.divide(matched, total, out=np.zeros_like(matched), where=total > 0)


def meteor_from_counts(counts: Shaped[np.ndarray, "*rows 23"]) -> Float64[np.ndarray, "*rows"]:
    """Turn counts (one image's, or a sum over images) into METEOR.

    >>> counts = np.zeros((1, 23))
    >>> counts[0, [0, 1, 4, 5, 21, 22]] = 2.0  # two content words, both matched, no chunk counted
    >>> meteor_from_counts(counts).tolist()
    [1.0]
    """
    counts = np.asarray(counts, dtype=np.float64)
    stages = counts[..., 4:20].reshape(*counts.shape[:-1], 4, 4)
    precision = _weighted_share(stages[..., 0], stages[..., 2], counts[..., 0], counts[..., 2])
    recall = _weighted_share(stages[..., 1], stages[..., 3], counts[..., 1], counts[..., 3])
    weights = ALPHA * precision + (1 - ALPHA) * recall
    f_mean = np.divide(precision * recall, weights, out=np.zeros_like(weights), where=weights > 0)
    matches = (counts[..., 21] + counts[..., 22]) / 2
    fragments = np.divide(counts[..., 20], matches, out=np.zeros_like(matches), where=matches > 0)
    return f_mean * (1 - GAMMA * fragments**BETA)


def meteor(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the corpus's METEOR of tokenised captions."""
    counts = meteor_counts(hypotheses, references)
    return float(meteor_from_counts(counts.sum(axis=0, keepdims=True))[0])
