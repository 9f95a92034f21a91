"""Metrics on scored: metric_changes and rank agreement where the answer is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from vizer_core.metrics.grounding import GroundingCounts
from vizer_core.metrics.stats import Difference, mean_statistics
from vizer_lab.studies.metric_sensitivity import (
    ANOTHER_IMAGE,
    BEFORE,
    TRUTHS,
    Edited,
    ScoredEdits,
    caption_agreement,
    edit_captions,
    edit_texts,
    metric_changes,
    object_f1,
    relative,
    score_edits,
    score_texts,
    statement_accuracy,
    system_agreement,
)
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo import load_drawn_clip
from vizer_lab.zoo.clips import pixels_of

N = 30


@pytest.fixture(scope="module")
def scored() -> ScoredEdits:
    split, encoder = DrawnSplit("second_test", N), load_drawn_clip("drawn-clip-100")
    return score_edits(split.scenes, encoder.encode_image(pixels_of(split.images)), encoder)


def made(scores: dict[str, list[float]], truth: list[list[float]]) -> ScoredEdits:
    """Make a scored of three edits and four scenes with the given per-scene scores."""
    names = (BEFORE, "one", "two")
    here = np.ones(4, dtype=bool)
    metrics = {
        name: {metric: mean_statistics(np.array(rows[i])) for metric, rows in scores.items()}
        | {t: mean_statistics(np.array(truth[i])) for t in TRUTHS}
        for i, name in enumerate(names)
    }
    return ScoredEdits({name: Edited(("x",) * 4, here) for name in names}, metrics)


TRUTH = [[0.9, 0.8, 0.9, 1.0], [0.5, 0.4, 0.5, 0.6], [0.1, 0.2, 0.1, 0.0]]


def test_a_metric_that_is_the_truth_agrees_fully_and_its_opposite_not_at_all():
    flipped = [[-v for v in row] for row in TRUTH]
    one = made({"honest": TRUTH, "liar": flipped}, TRUTH)
    for agreement in (caption_agreement, system_agreement):
        found = agreement(one, "object_f1", edits=(BEFORE, "one", "two"), resamples=20)
        assert found["honest"].mean == found["honest"].low == 1
        assert found["liar"].mean == found["liar"].high == -1
        assert set(found) == {"honest", "liar"}


def test_agreement_per_caption_is_scipys_tau_averaged():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, (3, 4)).astype(float)
    truth = rng.random((3, 4)).round(1)
    one = made({"m": scores.tolist()}, truth.tolist())
    found = caption_agreement(one, "object_f1", edits=(BEFORE, "one", "two"), resamples=10)["m"]
    taus = [kendalltau(scores[:, i], truth[:, i]).statistic for i in range(4)]
    kept = [tau for tau in taus if np.isfinite(tau)]
    assert found.mean == pytest.approx(np.mean(kept)) and found.n == len(kept)


def test_known_reactions_of_real_metrics(scored):
    found = metric_changes(scored, resamples=50)
    assert found["shuffled_words", "bleu1"].mean == 0
    assert found["paraphrase", "object_f1"].mean == 0
    assert found["paraphrase", "statement_accuracy"].mean == 0
    assert found["object_swapped", "object_f1"].high < 0
    assert found["more_true_detail", "object_f1"].low >= 0
    assert found["more_true_detail", "length"].mean > 2
    assert found[ANOTHER_IMAGE, "clipscore"].high < 0
    assert found["truncated", "length"].mean < 0


def test_a_reaction_counts_only_the_scenes_where_the_edit_has_a_place(scored):
    found = metric_changes(scored, resamples=20)
    for name in ("object_dropped", "wrong_relation"):
        here = scored.edits[name].here
        assert 0 < here.sum() < N and found[name, "bleu1"].n == here.sum()
        before, after = (scored.metrics[k]["cider"].per_image for k in (BEFORE, name))
        assert found[name, "cider"].mean == pytest.approx((after - before)[here].mean())
        assert not (after - before)[~here].any()


def test_the_scale_puts_another_image_at_minus_one_and_leaves_length_out(scored):
    shares = relative(metric_changes(scored, resamples=20))
    assert shares[ANOTHER_IMAGE, "cider"].mean == pytest.approx(-1)
    assert all(metric != "length" for _, metric in shares)
    assert ("generic", "statement_accuracy") not in shares  # it states nothing
    assert all(np.isfinite(value.mean) for value in shares.values())
    moved = {("a", "m"): Difference(-1.0, -2.0, -0.5, 9, 0.1),
             (ANOTHER_IMAGE, "m"): Difference(-4.0, -5.0, -3.0, 9, 0.1)}  # fmt: skip
    half = relative(moved)["a", "m"]
    assert (half.mean, half.low, half.high, half.n) == (-0.25, -0.5, -0.125, 9)


def test_the_same_seed_gives_the_same_trial_and_batches_do_not_matter():
    scenes = DrawnSplit("second_test", 6).scenes
    all_at_once, few = edit_captions(scenes), edit_captions(scenes[:3])
    assert edit_captions(scenes)["paraphrase"].captions == all_at_once["paraphrase"].captions
    for name in all_at_once:
        if name != ANOTHER_IMAGE:
            assert all_at_once[name].captions[:3] == few[name].captions


def test_texts_without_scenes_are_edited_and_scored():
    captions = ["A dog runs on the grass.", "Two cats sleep on a bed."]
    others = ["A brown dog is running.", "Cats on the bed."]
    edits = edit_texts(captions, others)
    assert edits[ANOTHER_IMAGE].captions == tuple(reversed(captions))
    assert edits["truncated"].captions[0] == "A dog runs"
    scored = score_texts(edits, [[c, o] for c, o in zip(captions, others)])
    assert scored[BEFORE]["bleu1"].score == pytest.approx(1)
    assert scored["shuffled_words"]["bleu1"].score == pytest.approx(1)
    assert scored["shuffled_words"]["bleu4"].score < 0.9


def test_truths_as_sums():
    counts = [
        GroundingCounts(object_said=2, object_true=1, object_found=1, object_there=2),
        GroundingCounts(object_said=1, object_true=1, object_found=1, object_there=1,
                        relation_said=1),
    ]  # fmt: skip
    assert object_f1(counts).score == pytest.approx(4 / 6)
    assert statement_accuracy(counts).score == pytest.approx(2 / 4)
    assert object_f1(counts).per_image.tolist() == [0.5, 1.0]


def test_too_few_captions_are_refused():
    with pytest.raises(ValueError, match="got 1 scenes, wanted at least 2"):
        edit_captions(DrawnSplit("second_test", 1).scenes)
    with pytest.raises(ValueError, match="got 2 captions and 1 others"):
        edit_texts(["a", "b"], ["c"])
