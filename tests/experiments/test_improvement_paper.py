"""ViZer's seven claims on the drawn world: metrics that read words, verdicts and their gates."""

from __future__ import annotations

import pytest

from experiments.improvement_paper import POOR, VARIANTS, vizer_claims
from experiments.improvement_record import pack_captions
from experiments.improvement_words import WORDS, word_statistics
from experiments.improvement_world import CORE, scenes_of
from experiments.scoring import Exam, score
from vizer_lab.zoo.clips import load_drawn_clip

N = 6
SPLIT = scenes_of(CORE[0], "test", N)
MINE = [texts[0] for texts in SPLIT.captions[:-1]] + ["untitled"]


def test_packed_captions_are_scored_as_the_captions_themselves():
    found = word_statistics({"captions": pack_captions(MINE)}, CORE[1], "test", N)
    wanted = score(MINE, Exam.of(SPLIT, load_drawn_clip("drawn-clip")))
    assert set(found) == set(WORDS)
    for name in WORDS:
        assert found[name].score == pytest.approx(wanted[name].score), name
    worse = word_statistics({"captions": pack_captions(["a"] * N)}, CORE[0], "test", N)
    assert all(worse[name].score < found[name].score for name in WORDS)


def test_no_clip_judges_the_other_world_and_every_scene_wants_a_caption():
    other = word_statistics({"captions": pack_captions(MINE)}, "drawn-vlm-other-web", "test", N)
    assert set(other) == {"bleu1", "cider"}
    with pytest.raises(ValueError, match="got 6 captions of 4 scenes: wanted one of each"):
        word_statistics({"captions": pack_captions(MINE)}, CORE[0], "test", 4)


def row(base: str, system: str, metric: str, mean: float, *, seeds: int = 3) -> dict:
    names = {"base": base, "system": system, "against": "base", "metric": metric}
    ends = {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}
    return names | ends | {"n": N, "seeds": seeds}


def all_rows(system: str, mean: float, *, seeds: int = 3) -> list[dict]:
    return [row(b, system, m, mean, seeds=seeds) for b in CORE for m in WORDS]


def verdict(claim: str, differences: list[dict], ablations: list[dict] | None = None) -> dict:
    (found,) = [
        each for each in vizer_claims(differences, ablations or []) if each["claim"] == claim
    ]
    return found


GAINS = "ViZer_G, without labels, raises BLEU-1, CIDEr and CLIPScore over the base"
ALL = "CLIPScore rises for every variant of ViZer"
FLAT = "Reinforcement learning on a CLIP reward changes next to nothing"
LESS = "A base that writes very poor captions gains less from ViZer_G"
HURTS = "More mapper data than the middle size hurts ViZer_G"
HELPS_NOT = "More mapper data than the middle size does not help ViZer_GT"
WIDTH = "A mapper of width 256 is the best"


@pytest.mark.parametrize(
    ("claim", "differences", "wanted"),
    [
        (GAINS, all_rows("vizer_g", 0.1), "holds"),
        (GAINS, all_rows("vizer_g", 0.1, seeds=2), "not testable here"),
        (GAINS, all_rows("vizer_g", 0.1)[:3], "not testable here"),
        (GAINS, [*all_rows("vizer_g", 0.1)[:-1], row(CORE[1], "vizer_g", "clipscore", 0)],
         "does not hold"),
        (ALL, [r for v in VARIANTS for r in all_rows(v, 0.1)], "holds"),
        (ALL, [r for v in VARIANTS for r in all_rows(v, -0.1 if v == "vizer_gt" else 0.1)],
         "does not hold"),
        (ALL, all_rows("vizer_g", 0.1), "not testable here"),
        (FLAT, all_rows("clip_reward", 0.01), "holds"),
        (FLAT, all_rows("clip_reward", -0.012), "does not hold"),
        (FLAT, all_rows("clip_reward", 0.3), "does not hold"),
        (LESS, [*all_rows("vizer_g", 0.1), row(POOR, "vizer_g", "cider", 0.05)], "holds"),
        (LESS, [*all_rows("vizer_g", 0.1), row(POOR, "vizer_g", "cider", 0.09)], "does not hold"),
        (LESS, all_rows("vizer_g", 0.1), "not testable here"),
    ],
)  # fmt: skip
def test_a_claim_of_the_paper_is_judged_by_its_rule(claim, differences, wanted):
    found = verdict(claim, differences)
    assert found["verdict"] == wanted, found["evidence"]
    assert "gate" in found["rule"] and found["source"].startswith("ViZer")


def ablation(system: str, setting: str, value: float, mean: float) -> dict:
    about = {"base": CORE[0], "system": system, "setting": setting, "value": value}
    return about | {"object_f1_difference": [mean, mean - 0.01, mean + 0.01]}


@pytest.mark.parametrize(
    ("claim", "rows", "wanted"),
    [
        (HURTS, [("vizer_g", "mapper_captions", 16000, -0.1)], "holds"),
        (HURTS, [("vizer_g", "mapper_captions", 16000, 0.0)], "does not hold"),
        (HURTS, [("vizer_g", "mapper_captions", 1000, -0.1)], "not testable here"),
        (HELPS_NOT, [("vizer_gt", "mapper_captions", 16000, 0.0)], "holds"),
        (HELPS_NOT, [("vizer_gt", "mapper_captions", 16000, 0.1)], "does not hold"),
        (WIDTH, [("vizer_g", "mapper_width", w, -0.1) for w in (64, 1024)], "holds"),
        (WIDTH, [("vizer_g", "mapper_width", w, 0.0) for w in (64, 1024)], "does not hold"),
        (WIDTH, [("vizer_g", "mapper_width", 64, -0.1)], "not testable here"),
    ],
)
def test_data_and_width_are_judged_by_the_ablations(claim, rows, wanted):
    found = verdict(claim, [], [ablation(*each) for each in rows])
    assert found["verdict"] == wanted and "one seed" in found["rule"]


def test_few_seeds_of_the_poor_base_are_said():
    rows = [*all_rows("vizer_g", 0.1), row(POOR, "vizer_g", "cider", 0.0, seeds=1)]
    assert "With one seed on a base" in verdict(LESS, rows)["evidence"]
    assert (
        "With one seed"
        not in verdict(LESS, [*rows[:-1], row(POOR, "vizer_g", "cider", 0)])["evidence"]
    )


def test_nothing_is_said_where_nothing_was_run():
    found = vizer_claims([], [])
    assert {each["verdict"] for each in found} == {"not testable here"}
    assert len({each["claim"] for each in found}) == len(found)
