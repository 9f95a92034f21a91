"""Verdicts follow from rows: held, refused, and left out where nothing was run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments import maccap_claims

ROOT = Path(__file__).resolve().parents[2]


SHAPES = {
    name: {"gap_norm": 0.8, "constant_share": 0.5}
    for name in ("real", *maccap_claims.CLIP_OF.values(), maccap_claims.MAIN_CLIP)
}
GATE = [("clipcap", "clipre", metric) for metric in maccap_claims.CAPTIONS]


def row(key, low, high):
    system, against, metric = key
    mean = (low + high) / 2
    return {"system": system, "against": against, "metric": metric, "mean": mean, "low": low,
            "high": high, "n": 9, "seeds": 3}  # fmt: skip


@pytest.mark.parametrize(("low", "verdict"), [(0.01, "holds"), (-0.01, "does not hold")])
def test_a_gain_has_to_clear_zero_in_every_row(low, verdict):
    claim = maccap_claims.CLAIMS[0]
    rows = [row(key, 0.01, 0.2) for key in claim.keys]
    rows[-1] = row(claim.keys[-1], low, 0.2)
    gates = [row(key, 0.1, 0.2) for key in GATE]
    judged, not_run = maccap_claims.verdicts([], [*rows, *gates], SHAPES)
    assert [c["verdict"] for c in judged if c["claim"] == claim.claim] == [verdict]
    assert claim.claim not in not_run


def test_what_was_not_run_is_named_and_not_judged():
    judged, not_run = maccap_claims.verdicts([], [], SHAPES)
    assert judged == [] and len(not_run) == len(set(not_run)) >= len(maccap_claims.CLAIMS)


def test_maccap_rows_are_read_from_either_side():
    claim = maccap_claims.CLAIMS[0]
    rows = [row((b, a, m), -0.2, -0.01) for a, b, m in (*claim.keys, *GATE)]
    judged, _ = maccap_claims.verdicts([], rows, SHAPES)
    assert judged[0]["verdict"] == "holds"


@pytest.mark.parametrize("kind", ["level with retrieval", "another gap"])
def test_no_verdict_where_the_supervised_row_or_the_gap_cannot_carry_one(kind):
    claim = maccap_claims.CLAIMS[0]
    level = kind == "level with retrieval"
    gates = [row(GATE[0], 0.1, 0.2), row(GATE[1], -0.01 if level else 0.1, 0.2)]
    shapes = SHAPES | ({} if level else {"real": {"gap_norm": 0.8, "constant_share": 0.9}})
    judged, not_run = maccap_claims.verdicts(
        [], [*gates, *(row(key, 0.1, 0.2) for key in claim.keys)], shapes
    )
    assert [c["verdict"] for c in judged] == ["not testable here"]
    assert "clipcap - clipre: CIDEr" in judged[0]["evidence"]
    assert "real CLIP 0.800" in judged[0]["evidence"]
    assert claim.claim not in not_run


def test_a_claim_is_gated_by_its_own_setting_and_ours_by_no_shape():
    ours = next(claim for claim in maccap_claims.CLAIMS if claim.setting == "large_gap:")
    shapes = SHAPES | {"drawn-clip-100": {"gap_norm": 2.0, "constant_share": 0.9}}
    rows = [row(key, 0.1, 0.2) for key in ours.keys]
    home = [row(key, 0.1, 0.2) for key in GATE]
    assert maccap_claims.verdicts([], [*rows, *home], shapes)[0] == []
    own = [row(("large_gap:" + a, "large_gap:" + b, m), 0.1, 0.2) for a, b, m in GATE]
    judged, _ = maccap_claims.verdicts([], [*rows, *own], shapes)
    assert [c["verdict"] for c in judged] == ["holds"]


@pytest.mark.parametrize(("best", "verdict"), [("1", "holds"), ("3", "does not hold")])
def test_the_matched_noise_has_to_lead(best, verdict):
    scores = [
        {"system": f"variance_{m}:maccap_pass", "metric": "object_f1",
         "mean": 0.5 if m == best else 0.3}
        for m in ("0.33", "1", "3")
    ]  # fmt: skip
    system = "variance_1:maccap_pass"
    rows = [
        row((system, f"variance_{m}:maccap_pass", "object_f1"), 0.1, 0.3) for m in ("0.33", "3")
    ]
    rows += [row(key, 0.1, 0.3) for key in GATE]
    judged, _ = maccap_claims.verdicts(scores, rows, SHAPES)
    assert [c["verdict"] for c in judged] == [verdict]


def test_perceptrons_wait_for_a_supervised_perceptron():
    claim = next(c for c in maccap_claims.CLAIMS if c.upper != "clipcap")
    rows = [row(key, 0.1, 0.2) for key in (*claim.keys, *GATE)]
    assert claim.claim in maccap_claims.verdicts([], rows, SHAPES)[1]
    own = [row(("clipcap_mlp", "clipre", m), -0.2, -0.1) for m in maccap_claims.CAPTIONS]
    judged, _ = maccap_claims.verdicts([], [*rows, *own], SHAPES)
    assert [c["verdict"] for c in judged] == ["not testable here"]


def test_the_stored_verdicts_of_the_captioning_study_follow_from_its_rows():
    path = ROOT / "results" / "maccap_drawn.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    judged, not_run = maccap_claims.verdicts(result["scores"], result["differences"], result["gap"])
    assert judged == result["claims"] and not_run == result["not_run"]
