"""The study of BERTScore: its rows on a made-up scored, and the stored file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.bertscore_real import COUNTING, preferred_rows, rank_rows, real_scores, spearman
from experiments.metrics_drawn import coco_edits
from vizer_core.metrics.stats import mean_statistics
from vizer_lab.studies.metric_sensitivity import BEFORE, Edited, ScoredEdits

STORED = Path(__file__).resolve().parents[2] / "results" / "bertscore_real.json"


def scores_of(**scores: dict[str, list[float]]) -> ScoredEdits:
    """A scored with per-image scores; an edit has a place where it changes one of them."""
    before = scores[BEFORE]
    edits = {
        name: Edited(
            tuple("abcd"),
            np.array([any(m[i] != before[k][i] for k, m in metrics.items()) for i in range(4)]),
        )
        for name, metrics in scores.items()
    }
    metrics = {
        name: {metric: mean_statistics(values) for metric, values in each.items()}
        for name, each in scores.items()
    }
    return ScoredEdits(edits, metrics)


def test_the_better_of_two_captions_is_counted_where_the_edit_had_a_place():
    scored = scores_of(
        unedited={"cider": [3, 3, 3, 3], "bert": [1, 1, 1, 1]},
        worse={"cider": [3, 2, 3, 4], "bert": [1, 0.5, 0.9, 1]},
    )
    rows = preferred_rows(scored)
    assert scored.edits["worse"].here.tolist() == [False, True, True, True]
    assert rows["coco_preferred:worse", "cider"].mean == pytest.approx((1 + 0.5 + 0) / 3, abs=1e-5)
    assert rows["coco_preferred:worse", "bert"].mean == pytest.approx((1 + 1 + 0.5) / 3, abs=1e-5)
    assert rows["coco_preferred:worse", "bert"].n == 3
    assert ("coco_preferred:unedited", "bert") not in rows


def test_ranks_over_edits_are_those_of_their_means():
    scored = scores_of(
        unedited={"cider": [3, 3, 3, 3], "bert": [0.9, 0.9, 0.9, 0.9], "odd": [0, 0, 0, 0]},
        middle={"cider": [2, 2, 2, 2], "bert": [0.8, 0.8, 0.8, 0.8], "odd": [1, 1, 1, 1]},
        last={"cider": [1, 1, 1, 1], "bert": [0.1, 0.1, 0.1, 0.1], "odd": [2, 2, 2, 2]},
    )
    rows = rank_rows(scored, resamples=20)
    same, turned = rows["coco_rank_with_cider", "bert"], rows["coco_rank_with_cider", "odd"]
    assert (same.mean, same.low, same.high) == (1, 1, 1) and turned.mean == -1
    assert ("coco_rank_with_cider", "cider") not in rows
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(
        0.8660254
    )


def test_references_are_of_other_writers_than_the_caption_on_trial():
    edits, references = coco_edits(5)
    assert len(references) == 5 and all(len(texts) == 3 for texts in references)
    for caption, other, texts in zip(
        edits[BEFORE].captions, edits["another_writer"].captions, references
    ):
        assert caption not in texts and other not in texts


def test_every_metric_scores_every_edit(tmp_path):
    import transformers

    from vizer_core.metrics.bertscore import BertEncoder, bertscore

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "man", "on", "with"]
    tokenizer = transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)})
    config = transformers.BertConfig(
        vocab_size=10,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    encoder = BertEncoder(transformers.BertModel(config).eval(), tokenizer, 1, "tiny")
    scored = real_scores(4, {"bertscore_layer1": encoder})
    edits, references = coco_edits(4)
    for name in (BEFORE, "another_image"):
        alone = bertscore(edits[name].captions, references, encoder=encoder).f1
        found = scored.metrics[name]["bertscore_layer1"].per_image
        assert found == pytest.approx(alone, abs=1e-6) and len(set(found.tolist())) > 1
    for metrics in scored.metrics.values():
        assert set(metrics) == {*COUNTING, "bertscore_layer1"}
        assert all(len(each) == 4 for each in metrics.values())


def test_the_stored_file_says_what_the_chapter_says():
    record = json.loads(STORED.read_text(encoding="utf-8"))
    found = {(row["system"], row["metric"]): row for row in record["scores"]}
    assert set(record["signatures"]) == {"bertscore_layer3", "bertscore_layer6"}
    for metric in record["signatures"]:
        human, other = (found[f"coco:{edit}", metric] for edit in ("unedited", "another_image"))
        assert human["low"] > other["high"]
