"""Make `results/metrics_drawn.json`: what each caption metric does when a caption changes.

    python -m experiments.metrics_drawn                    1,000 scenes, 4,000 COCO images
    python -m experiments.metrics_drawn --n 100 --coco 100 --no-meteor --out /tmp/try.json

Two parts. *Drawn world*: a sixth writer's caption of every scene, edited in known ways, against
the scene's five; the truth is exact grounding. *COCO val2014*: the first human caption in rotation
against three others, with the edits that need no image. About three minutes on one core; METEOR
needs Java. All intervals are 95%, over scenes or images, paired where it is a difference.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping
from pathlib import Path

from experiments.metrics_claims import COCO_SHARE, SHARE, verdicts
from vizer_core.data.coco import coco2014
from vizer_core.files import write_json
from vizer_core.metrics.stats import Difference, Interval, bootstrap_many
from vizer_core.runtime import git_commit, hardware
from vizer_lab.studies.metric_sensitivity import (
    BEFORE,
    TEXT_FAMILIES,
    TRUTHS,
    Edited,
    ScoredEdits,
    caption_agreement,
    edit_texts,
    metric_changes,
    relative,
    score_edits,
    score_texts,
    system_agreement,
)
from vizer_lab.world import DrawnSplit
from vizer_lab.world.world import split_in
from vizer_lab.zoo import CLIPS, load_drawn_clip
from vizer_lab.zoo.clips import pixels_of

OUT = Path("results/metrics_drawn.json")
DIGITS = 5
Rows = dict[tuple[str, str], Interval]


def drawn_scores(n: int, *, model: str, meteor: bool) -> ScoredEdits:
    """Edit the captions of the first n test scenes, and score them."""
    encoder = load_drawn_clip(model)
    split = DrawnSplit(split_in(CLIPS[model].recipe.model.world, "test"), n)
    images = encoder.encode_image(pixels_of(split.images))
    return score_edits(split.scenes, images, encoder, meteor=meteor)


def coco_edits(n: int) -> tuple[dict[str, Edited], list[tuple[str, ...]]]:
    """Edit one human caption an image, taken in rotation, and return three others as references."""
    records = [record for record in coco2014("val") if len(record.captions) >= 5]
    chosen = records[:: len(records) // n][:n]
    turned = [
        record.captions[i % 5 : 5] + record.captions[: i % 5] for i, record in enumerate(chosen)
    ]
    edits = edit_texts([c[0] for c in turned], [c[1] for c in turned])
    return edits, [captions[2:5] for captions in turned]


def coco_scores(n: int, *, meteor: bool) -> ScoredEdits:
    """Score the edits of COCO's captions."""
    edits, references = coco_edits(n)
    families = [*TEXT_FAMILIES, "meteor"] if meteor else TEXT_FAMILIES
    scored = score_texts(edits, references, families=families)
    return ScoredEdits(
        edits,
        {
            name: {k: v for k, v in metrics.items() if k not in ("bleu2", "bleu3")}
            for name, metrics in scored.items()
        },
    )


def rounded(row: Interval | Difference) -> Interval:
    """Round to what the file holds, so that verdicts can be checked from the file."""
    return Interval(*(round(v, DIGITS) for v in (row.mean, row.low, row.high)), n=row.n)


def score_rows(scored: ScoredEdits, prefix: str = "") -> Rows:
    """Return each edit's own scores, over the scenes where it has a place or stays as before."""
    return {
        (prefix + edit, metric): rounded(interval)
        for edit, metrics in scored.metrics.items()
        for metric, interval in bootstrap_many(metrics).items()
    }


def share_rows(found: dict[tuple[str, str], Difference], prefix: str) -> Rows:
    """Return the metric_changes on the scale of the fall to another image's caption."""
    return {(prefix + e, m): rounded(v) for (e, m), v in relative(found).items()}


def agreement_rows(scored: ScoredEdits) -> Rows:
    """Return rank agreement with both truths at both levels."""
    rows: Rows = {}
    for truth in TRUTHS:
        for level, agree in (("caption", caption_agreement), ("system", system_agreement)):
            for metric, interval in agree(scored, truth).items():
                rows[f"agreement:{level}:{truth}", metric] = rounded(interval)
    return rows


def known(rows: Mapping[tuple[str, str], Interval | Difference]) -> Rows:
    """Leave out what does not exist: the accuracy of captions that state nothing."""
    return {key: rounded(row) for key, row in rows.items() if math.isfinite(row.mean)}


def as_scores(rows: Rows) -> list[dict]:
    """Write rows in the form of every results file."""
    return [
        {"system": system, "metric": metric, **row.as_dict(), "seeds": 1}
        for (system, metric), row in known(rows).items()
    ]


def as_differences(found: dict[tuple[str, str], Difference], prefix: str = "") -> list[dict]:
    """Write metric_changes as differences from the unedited captions."""
    return [
        {
            "system": prefix + edit,
            "against": prefix + BEFORE,
            "metric": metric,
            **d.as_dict(),
            "seeds": 1,
        }
        for (edit, metric), d in known(found).items()
    ]


def main() -> None:
    """Run both parts, judge the claims, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=1000, help="test scenes")
    parser.add_argument("--coco", type=int, default=4000, help="images of COCO val2014")
    parser.add_argument("--model", default="drawn-clip-100", help="the CLIP behind CLIPScore")
    parser.add_argument("--no-meteor", action="store_true", help="for machines without Java")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    began, meteor = time.monotonic(), not options.no_meteor
    drawn = drawn_scores(options.n, model=options.model, meteor=meteor)
    coco = coco_scores(options.coco, meteor=meteor)
    moved, coco_moved = metric_changes(drawn), metric_changes(coco)
    judged = known(
        share_rows(moved, SHARE) | share_rows(coco_moved, COCO_SHARE) | agreement_rows(drawn)
    )
    scores = score_rows(drawn) | score_rows(coco, "coco:") | judged
    write_json(
        options.out,
        {
            "experiment": "metrics_drawn",
            "command": f"python -m experiments.metrics_drawn --n {options.n} --coco {options.coco} "
            f"--model {options.model}" + ("" if meteor else " --no-meteor"),
            "commit": git_commit(),
            "hardware": hardware(),
            "seconds": round(time.monotonic() - began, 1),
            "interval": "95% bootstrap over scenes or images; differences are paired",
            "scores": as_scores(scores),
            "differences": as_differences(moved) + as_differences(coco_moved, "coco:"),
            "claims": verdicts(judged),
        },
    )
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
