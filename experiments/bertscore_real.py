"""Make `results/bertscore_real.json`: BERTScore with a real encoder under edits of real captions.

    make real
    python -m experiments.bertscore_real                 500 images of COCO, seven minutes of a core

The captions and edits are those of `metrics_drawn`'s second part: one human caption an image of
COCO val2014, taken in rotation, against three others. BERTScore compares the states of MiniLM's
third and of its last layer; beside it stand the metrics that count words. Kinds of rows:

=====================================  =========================================================
`coco:EDIT`, metric                    the score of the edited captions
`coco_share_of_fall:EDIT`, metric      its change on the scale of the fall to another image's
`coco_preferred:EDIT`, metric          images whose own caption scores higher; ties count half
`coco_rank_with_cider`, metric         Spearman's rank correlation with CIDEr over the edits
=====================================  =========================================================

All intervals are 95%, over images.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from experiments.metrics_drawn import (
    Rows,
    as_differences,
    as_scores,
    coco_edits,
    rounded,
    score_rows,
    share_rows,
)
from vizer_core.files import write_json
from vizer_core.metrics.bertscore import BertEncoder, bertscore, load_bert_encoder
from vizer_core.metrics.stats import (
    Interval,
    bootstrap,
    mean_statistics,
    resampled_scores,
)
from vizer_core.runtime import git_commit, hardware
from vizer_lab.studies.metric_sensitivity import BEFORE, ScoredEdits, metric_changes, score_texts

OUT = Path("results/bertscore_real.json")
ENCODER, LAYERS = "all-minilm-l6-v2", (3, 6)
COUNTING = ("bleu1", "bleu4", "rouge_l", "cider")


def real_scores(n: int, encoders: dict[str, BertEncoder]) -> ScoredEdits:
    """Edit one human caption an image and score it by words and by each encoder's states."""
    edits, references = coco_edits(n)
    scored = score_texts(edits, references)
    found = {name: {m: scored[name][m] for m in COUNTING} for name in edits}
    captions = [caption for edit in edits.values() for caption in edit.captions]
    for metric, encoder in encoders.items():
        # all edits at once: each different text is encoded once
        f1 = bertscore(captions, references * len(edits), encoder=encoder).f1
        for name, part in zip(edits, np.split(f1, len(edits)), strict=True):
            found[name][metric] = mean_statistics(part)
    return ScoredEdits(edits, found)


def preferred_rows(scored: ScoredEdits) -> Rows:
    """Return how often the caption before an edit scores higher, over images where it had a place.

    An edit without an image left has no row.
    """
    rows: Rows = {}
    for name, edit in scored.edits.items():
        if name == BEFORE or not edit.here.any():
            continue
        for metric in scored.names:
            before = scored.metrics[BEFORE][metric].per_image[edit.here]
            after = scored.metrics[name][metric].per_image[edit.here]
            wins = (before > after) + 0.5 * (before == after)
            rows[f"coco_preferred:{name}", metric] = rounded(bootstrap(mean_statistics(wins)))
    return rows


def rank_rows(scored: ScoredEdits, *, resamples: int = 1000) -> Rows:
    """Return Spearman's correlation with CIDEr over the edits' scores, images resampled."""
    keys = [(name, metric) for name in scored.edits for metric in scored.names]
    systems = [scored.metrics[name][metric] for name, metric in keys]
    drawn = resampled_scores(systems, resamples=resamples, seed=0)  # the same images for all
    column = {key: drawn[:, i] for i, key in enumerate(keys)}
    rows: Rows = {}
    for metric in scored.names:
        if metric == "cider":
            continue
        ours, ciders = (
            np.column_stack([column[name, each] for name in scored.edits])
            for each in (metric, "cider")
        )
        low, high = np.percentile(
            [spearman(a, b) for a, b in zip(ours, ciders, strict=True)], [2.5, 97.5]
        )
        here = [
            np.array([scored.metrics[name][each].score for name in scored.edits])
            for each in (metric, "cider")
        ]
        count = len(scored.edits[BEFORE])
        interval = Interval(spearman(*here), float(low), float(high), n=count)
        rows["coco_rank_with_cider", metric] = rounded(interval)
    return rows


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation of ranks.

    >>> round(spearman(np.array([1.0, 2.0, 9.0]), np.array([0.1, 0.3, 0.2])), 6)
    0.5
    """
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def main() -> None:
    """Score, resample, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=500, help="images of COCO val2014")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    began = time.monotonic()
    encoders = {
        f"bertscore_layer{layer}": load_bert_encoder(ENCODER, layer=layer) for layer in LAYERS
    }
    scored = real_scores(options.n, encoders)
    moved = metric_changes(scored)
    scores = score_rows(scored, "coco:") | share_rows(moved, "coco_share_of_fall:")
    scores |= preferred_rows(scored) | rank_rows(scored)
    record = {
        "experiment": "bertscore_real",
        "command": f"python -m experiments.bertscore_real --n {options.n}",
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": round(time.monotonic() - began, 1),
        "interval": "95% bootstrap over images; differences are paired",
        "signatures": {name: encoder.signature for name, encoder in encoders.items()},
        "scores": as_scores(scores),
        "differences": as_differences(moved, "coco:"),
        "claims": [],
    }
    write_json(options.out, record)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
