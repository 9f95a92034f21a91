"""Claims about caption metrics, each with the rule that decides it and the numbers it reads.

A claim `holds` when its rule is true at the unfavourable end of every interval it reads, on the
rounded numbers that the file holds; else it `does not hold`. "Costs nothing" means less than a
tenth of the fall to another image's caption, up or down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vizer_core.metrics.stats import Interval
from vizer_lab.studies.metric_sensitivity import ANOTHER_WRITER, REFERENCE_METRICS

TENTH = 0.1
Key = tuple[str, str]  # system, metric
SHARE, COCO_SHARE = "share_of_fall:", "coco_share_of_fall:"
FORM_ON_COCO = ("shuffled_words", "keyword_list", "repetition", "truncated", "generic")
NAMES = {
    "bleu1": "BLEU-1",
    "bleu4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "meteor": "METEOR",
}


@dataclass(frozen=True)
class Claim:
    """A statement, where it comes from, the rule that tests it, and the rows that it reads."""

    claim: str
    source: str
    rule: str
    holds: Callable[[Mapping[Key, Interval]], bool]
    reads: tuple[Key, ...]


def _nothing(row: Interval) -> bool:
    return row.low > -TENTH and row.high < TENTH


def _shares(edit: str, metrics: tuple[str, ...]) -> tuple[Key, ...]:
    return tuple((SHARE + edit, metric) for metric in metrics)


def _costs_nothing(edit: str, metrics: tuple[str, ...], claim: str, source: str) -> Claim:
    reads = _shares(edit, metrics)
    return Claim(
        claim,
        source,
        "every interval within a tenth of the fall to another image's caption",
        lambda rows: all(_nothing(rows[key]) for key in reads),
        reads,
    )


def _costs(edit: str, metric: str, claim: str, source: str) -> Claim:
    key = (SHARE + edit, metric)
    return Claim(
        claim,
        source,
        "falls by more than a tenth of the fall to another image's caption",
        lambda rows: rows[key].high < -TENTH,
        (key,),
    )


def _punishes_detail(metric: str) -> Claim:
    key = (SHARE + "more_true_detail", metric)
    return Claim(
        f"{NAMES[metric]} punishes correct extra detail",
        "ViZer, discussion of the COCO results",
        "the change by adding only true detail lies below zero",
        lambda rows: rows[key].high < 0,
        (key,),
    )


def _same_on_coco(edit: str) -> Claim:
    pairs = [((SHARE + edit, m), (COCO_SHARE + edit, m)) for m in REFERENCE_METRICS]

    def same(rows: Mapping[Key, Interval]) -> bool:
        present = [(a, b) for a, b in pairs if a in rows and b in rows]
        return all((rows[a].mean < -TENTH) == (rows[b].mean < -TENTH) for a, b in present)

    return Claim(
        f"On real captions each reference metric judges '{edit}' as on the drawn world",
        "our check on COCO val2014, human captions",
        "costs more than a tenth of the fall in both, or in neither, for every metric",
        same,
        tuple(key for pair in pairs for key in pair),
    )


def _agreement(level: str, truth: str, metric: str) -> Key:
    return (f"agreement:{level}:{truth}", metric)


LEVELS = [
    (level, truth)
    for level in ("caption", "system")
    for truth in ("object_f1", "statement_accuracy")
]

CLAIMS = (
    *(_punishes_detail(metric) for metric in REFERENCE_METRICS),
    Claim(
        "CLIPScore rewards correct extra detail",
        "ViZer, discussion of the COCO results",
        "the change by adding only true detail lies above zero",
        lambda rows: rows[SHARE + "more_true_detail", "clipscore"].low > 0,
        _shares("more_true_detail", ("clipscore", "refclipscore", "self_retrieval_r1")),
    ),
    _costs_nothing(
        ANOTHER_WRITER,
        (*REFERENCE_METRICS, "clipscore"),
        "Another person's caption costs nothing",
        "control of this study",
    ),
    _costs_nothing(
        "paraphrase",
        REFERENCE_METRICS,
        "A paraphrase costs reference metrics nothing",
        "what a metric should do",
    ),
    _costs_nothing(
        "paraphrase",
        ("clipscore",),
        "A paraphrase costs CLIPScore nothing",
        "what a metric should do",
    ),
    _costs_nothing(
        "style_change",
        REFERENCE_METRICS,
        "Another style costs reference metrics nothing",
        "what a metric should do",
    ),
    Claim(
        "A false object costs every reference metric more than true extra detail does",
        "what a metric should do",
        "the fall by a swapped object is larger, intervals apart",
        lambda rows: all(
            rows[SHARE + "object_swapped", m].high < rows[SHARE + "more_true_detail", m].low
            for m in REFERENCE_METRICS
            if (SHARE + "object_swapped", m) in rows
        ),
        (
            *_shares("object_swapped", REFERENCE_METRICS),
            *_shares("more_true_detail", REFERENCE_METRICS),
        ),
    ),
    Claim(
        "BLEU-1 cannot see word order",
        "Papineni et al. 2002, section 2.1 (unigrams)",
        "shuffling the words changes nothing at all",
        lambda rows: (
            rows[SHARE + "shuffled_words", "bleu1"].low
            == 0
            == rows[SHARE + "shuffled_words", "bleu1"].high
        ),
        _shares("shuffled_words", REFERENCE_METRICS),
    ),
    _costs(
        "shuffled_words", "clipscore", "CLIPScore notices shuffled words", "what a metric should do"
    ),
    _costs(
        "keyword_list",
        "clipscore",
        "CLIPScore notices a bare list of keywords",
        "what a metric should do",
    ),
    _costs(
        "repetition",
        "clipscore",
        "CLIPScore notices that all is said twice",
        "what a metric should do",
    ),
    _costs(
        "wrong_count", "clipscore", "CLIPScore notices a wrong number", "what a metric should do"
    ),
    _costs(
        "wrong_attribute",
        "clipscore",
        "CLIPScore notices a wrong size or colour",
        "what a metric should do",
    ),
    _costs(
        "wrong_relation",
        "clipscore",
        "CLIPScore notices a wrong relation",
        "what a metric should do",
    ),
    _costs(
        "object_swapped",
        "clipscore",
        "CLIPScore notices a swapped object",
        "CHAIR's question, asked of CLIPScore",
    ),
    Claim(
        "A higher CIDEr means a better grounded caption",
        "how captioning tables are read",
        "Kendall's tau with the truth above .5, by caption and by system, for both truths",
        lambda rows: all(rows[_agreement(level, t, "cider")].low > 0.5 for level, t in LEVELS),
        tuple(_agreement(level, t, "cider") for level, t in LEVELS),
    ),
    Claim(
        "CLIPScore follows the truth better than CIDEr",
        "Hessel et al. 2021, section 4 (there: human judgement)",
        "larger tau by caption and by system, for both truths, intervals apart",
        lambda rows: all(
            rows[_agreement(level, t, "clipscore")].low > rows[_agreement(level, t, "cider")].high
            for level, t in LEVELS
        ),
        tuple(_agreement(level, t, m) for level, t in LEVELS for m in ("clipscore", "cider")),
    ),
    *(_same_on_coco(edit) for edit in FORM_ON_COCO),
    Claim(
        "On real captions another person's caption costs reference metrics nothing",
        "our check on COCO val2014, human captions",
        "every interval within a tenth of the fall to another image's caption",
        lambda rows: all(
            _nothing(rows[COCO_SHARE + ANOTHER_WRITER, m])
            for m in REFERENCE_METRICS
            if (COCO_SHARE + ANOTHER_WRITER, m) in rows
        ),
        tuple((COCO_SHARE + ANOTHER_WRITER, m) for m in REFERENCE_METRICS),
    ),
)


def _say(key: Key, row: Interval) -> str:
    return f"{key[0]} {key[1]} {row.mean:.3f} [{row.low:.3f}, {row.high:.3f}] (n = {row.n})"


def verdicts(rows: Mapping[Key, Interval]) -> list[dict[str, str]]:
    """Judge every claim by its rule; one whose metric was not run is not testable here."""
    judged = []
    for c in CLAIMS:
        present = [key for key in c.reads if key in rows]
        complete = len(present) == len(c.reads)
        judged.append(
            {
                "claim": c.claim,
                "source": c.source,
                "rule": c.rule,
                "verdict": "not testable here"
                if not complete
                else "holds"
                if c.holds(rows)
                else "does not hold",
                "evidence": "; ".join(_say(key, rows[key]) for key in present)
                or "a metric that it reads was not run",
            }
        )
    return judged
