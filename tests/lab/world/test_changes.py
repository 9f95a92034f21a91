"""Changed pairs: exactly one kind vanishes, one may appear, and the rest stays where it was."""

from __future__ import annotations

import pytest

from vizer_lab.world import make_scene
from vizer_lab.world.changes import CHANGES, can_change, changed_pair

SCENES = [s for s in (make_scene("second_test", i) for i in range(60)) if can_change(s)]


@pytest.mark.parametrize("change", CHANGES)
def test_the_answer_is_the_difference_of_the_scenes(change):
    for scene in SCENES:
        pair = changed_pair(scene, change)
        before, after = ({o.name for o in s.objects} for s in (pair.before, pair.after))
        assert before - after == ({pair.vanished} - {None})
        assert after - before == ({pair.appeared} - {None})
        assert pair == changed_pair(scene, change)


def test_what_stays_stays_where_it_was():
    pair = changed_pair(SCENES[0], "swapped")
    places = [[(o.x, o.y, o.w) for o in s.objects] for s in (pair.before, pair.after)]
    assert places[0] == places[1]


def test_errors_by_message():
    alone = next(s for s in (make_scene("second_test", i) for i in range(60)) if not can_change(s))
    with pytest.raises(ValueError, match="no kind that is there once"):
        changed_pair(alone, "gone")
    with pytest.raises(ValueError, match="no change 'moved'"):
        changed_pair(SCENES[0], "moved")
