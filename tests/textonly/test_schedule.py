"""Learning rates: the release's numbers, and runs too short for it (pitfall 16)."""

from __future__ import annotations

import pytest

from vizer_core.textonly.schedule import ReleaseSchedule, WarmupCosine

SCHEDULES = (ReleaseSchedule(), WarmupCosine())


def test_the_releases_rates_by_epoch():
    def by_epoch(epochs):
        return [
            round(ReleaseSchedule().factor(1000 * e + 999, steps_per_epoch=1000, epochs=epochs), 3)
            for e in range(epochs)
        ]

    assert by_epoch(8) == [1.0, 0.955, 0.831, 0.65, 0.45, 0.269, 0.145, 0.1]
    assert by_epoch(4) == [1.0, 0.775, 0.325, 0.1]


def test_the_release_warms_up_over_200_iterations_from_one_per_cent():
    rates = ReleaseSchedule()
    found = [rates.factor(s, steps_per_epoch=1000, epochs=8) for s in (0, 100, 200)]
    assert found == pytest.approx([0.01, 0.505, 1.0])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (50, 1), (50, 8), (1000, 1)])
def test_short_runs_have_rates_between_nought_and_one(schedule, steps, epochs):
    found = [
        schedule.factor(s, steps_per_epoch=steps, epochs=epochs) for s in range(steps * epochs)
    ]
    assert min(found) >= 0 and 0 < max(found) <= 1


def test_the_plain_cosine_falls_from_one_to_its_floor():
    rates = WarmupCosine(warmup=5, floor=0.2)
    found = [rates.factor(s, steps_per_epoch=100, epochs=2) for s in range(5, 200)]
    assert found[0] == 1.0 and found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_impossible_runs_are_refused(schedule):
    with pytest.raises(ValueError, match="got step 0, 0 steps an epoch, 1 epochs"):
        schedule.factor(0, steps_per_epoch=0, epochs=1)
