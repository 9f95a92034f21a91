"""Sampled grounding: scenes scored by hand, averages within a scene, intervals over scenes."""

from __future__ import annotations

import numpy as np
import pytest

from vizer_core.metrics.grounding import ObjectTruth, SceneTruth
from vizer_core.metrics.stats import bootstrap, bootstrap_seeds, mean_statistics, rate_statistics
from vizer_core.vizer.sampled import (
    draws_of,
    grounding_statistics,
    pool_draws,
    sampled_grounding,
)
from vizer_lab.world.lexicon import HOME_PLACES, drawn_lexicon

PLACE = HOME_PLACES[0]
LEXICON = drawn_lexicon()


def scene(*names: str) -> SceneTruth:
    objects = tuple(
        ObjectTruth(name, "animal", None, "medium", 0.2 + 0.3 * i, 0.5, 0.2)
        for i, name in enumerate(names)
    )
    return SceneTruth(objects, PLACE.name)


TRUTHS = [scene("dog", "cat"), scene("dog")]
FULL = f"a dog and a cat {PLACE.phrases[0]}"
SAMPLES = [(FULL, "a dog and a crab"), ("a nice view", "a dog")]


def test_scores_by_hand():
    found = grounding_statistics(SAMPLES, TRUTHS, lexicon=LEXICON)
    assert found["object_precision"].score == 4 / 5  # dog, cat; dog of dog, crab; none; dog
    assert found["object_recall"].score == 4 / 6  # both; dog of two; none; dog
    assert found["object_precision"].per_image.tolist() == [3 / 4, 1.0]
    assert found["exact"].per_image.tolist() == [0.5, 0.0]
    assert found["vague"].per_image.tolist() == [0.0, 0.5]
    assert found["length"].per_image.tolist() == [(len(FULL.split()) + 5) / 2, 2.5]
    p, r = 4 / 5, 4 / 6
    assert found["object_f1"].score == pytest.approx(2 * p * r / (p + r))


def test_nothing_said_scores_zero_and_no_rate():
    found = grounding_statistics([("a nice view",)], TRUTHS[:1], lexicon=LEXICON)
    assert found["object_f1"].score == 0.0 and "object_precision" not in found
    assert found["vague"].score == 1.0 and found["object_recall"].score == 0.0


def test_the_order_of_samples_and_their_repetition_change_nothing():
    once = grounding_statistics(SAMPLES, TRUTHS, lexicon=LEXICON)
    turned = grounding_statistics([(row * 2)[::-1] for row in SAMPLES], TRUTHS, lexicon=LEXICON)
    for name, value in once.items():
        assert turned[name].score == pytest.approx(value.score), name
        np.testing.assert_allclose(turned[name].rows, value.rows)


def test_the_interval_is_over_scenes_not_over_captions():
    """Many captions of the same scenes do not make it narrower."""
    rows = [("a dog",) if i % 2 else ("a crab",) for i in range(60)]
    few = grounding_statistics(rows, [TRUTHS[1]] * 60, lexicon=LEXICON)["object_precision"]
    many = grounding_statistics([r * 8 for r in rows], [TRUTHS[1]] * 60, lexicon=LEXICON)
    assert bootstrap(few, seed=1) == bootstrap(many["object_precision"], seed=1)


def test_sampled_names_go_into_seeds_and_differences():
    found = sampled_grounding(SAMPLES, TRUTHS, lexicon=LEXICON)
    assert set(found) == {
        "sampled_" + name for name in grounding_statistics(SAMPLES, TRUTHS, lexicon=LEXICON)
    }
    f1 = found["sampled_object_f1"]
    gone = bootstrap_seeds([f1, f1], against=[f1, f1], resamples=50)
    assert (gone.mean, gone.low, gone.high, gone.n) == (0, 0, 0, 2)


def test_pooling_draws_averages_rows_and_keeps_ratios_of_sums():
    first = {"rate": rate_statistics([1, 0], [1, 1]), "mean": mean_statistics([0.2, 0.4])}
    second = {"rate": rate_statistics([0, 0], [3, 1]), "mean": mean_statistics([0.4, 0.8])}
    pooled = pool_draws([first, second])
    assert pooled["sampled_rate"].score == pytest.approx(1 / 6)
    assert pooled["sampled_mean"].per_image.tolist() == pytest.approx([0.3, 0.6])
    assert list(pool_draws([first, {"rate": first["rate"]}])) == ["sampled_rate"]
    assert draws_of(SAMPLES) == [[FULL, "a nice view"], ["a dog and a crab", "a dog"]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grounding_statistics(SAMPLES, TRUTHS[:1], lexicon=LEXICON), "2 scenes for 1"),
        (
            lambda: grounding_statistics([("a", "b"), ("a",)], TRUTHS, lexicon=LEXICON),
            r"scenes have \[1, 2\] captions",
        ),
        (lambda: draws_of([]), r"scenes have \[\] captions"),
        (lambda: pool_draws([]), "no draws to pool"),
        (
            lambda: pool_draws([{"a": mean_statistics([1])}, {"a": mean_statistics([1, 2])}]),
            "a: draws have statistics of shapes",
        ),
    ],
)
def test_errors_by_message(call, message):
    with pytest.raises(ValueError, match=message):
        call()
