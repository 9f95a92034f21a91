"""Who is optimised may not judge: the CLIP of a reward and the CLIP of its scores are two."""

from __future__ import annotations

from experiments import maccap_world


def test_captions_chosen_by_one_clip_are_judged_by_another():
    assert maccap_world.JUDGES
    for reader, judge in maccap_world.JUDGES.items():
        assert judge != reader
