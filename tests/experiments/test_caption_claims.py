"""Verdicts follow from rows: held, refused, and left out where nothing was run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments import maccap_claims, vizer_claims

ROOT = Path(__file__).resolve().parents[2]


def row(key, low, high):
    system, against, metric = key
    mean = (low + high) / 2
    return {"system": system, "against": against, "metric": metric, "mean": mean, "low": low,
            "high": high, "n": 9, "seeds": 3}  # fmt: skip


@pytest.mark.parametrize(("low", "verdict"), [(0.01, "holds"), (-0.01, "does not hold")])
def test_a_gain_has_to_clear_zero_in_every_row(low, verdict):
    for module in (maccap_claims, vizer_claims):
        claim = module.CLAIMS[0]
        keys = claim.keys if module is maccap_claims else claim.above
        rows = [row(key, 0.01, 0.2) for key in keys]
        rows[-1] = row(keys[-1], low, 0.2)
        judged, not_run = module.verdicts([], rows)
        assert [c["verdict"] for c in judged if c["claim"] == claim.claim] == [verdict]
        assert claim.claim not in not_run


def test_no_change_means_that_the_interval_holds_zero():
    claim = next(c for c in vizer_claims.CLAIMS if c.around and not c.above)
    flat = [row(key, -0.1, 0.1) for key in claim.around]
    moved = [*flat[:-1], row(claim.around[-1], 0.01, 0.1)]
    for rows, verdict in ((flat, "holds"), (moved, "does not hold")):
        judged, _ = vizer_claims.verdicts([], rows)
        assert [c["verdict"] for c in judged if c["claim"] == claim.claim] == [verdict]


@pytest.mark.parametrize("module", [maccap_claims, vizer_claims])
def test_what_was_not_run_is_named_and_not_judged(module):
    judged, not_run = module.verdicts([], [])
    assert judged == [] and len(not_run) == len(set(not_run)) >= len(module.CLAIMS)


def test_maccap_rows_are_read_from_either_side():
    claim = maccap_claims.CLAIMS[0]
    rows = [row((b, a, m), -0.2, -0.01) for a, b, m in claim.keys]
    judged, _ = maccap_claims.verdicts([], rows)
    assert judged[0]["verdict"] == "holds"


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
    judged, _ = maccap_claims.verdicts(scores, rows)
    assert [c["verdict"] for c in judged] == [verdict]


def test_the_widths_claim_wants_256_ahead_everywhere():
    def scores(ahead):
        return [
            {"system": f"ablation:vizer_g:m9:w{w}", "metric": m, "mean": 1.0 if w == ahead else 0.5}
            for w in (64, 256) for m in vizer_claims.PAPER_METRICS
        ]  # fmt: skip

    for ahead, verdict in ((256, "holds"), (64, "does not hold")):
        judged, _ = vizer_claims.verdicts(scores(ahead), [])
        assert [c["verdict"] for c in judged] == [verdict]


def test_the_stored_verdicts_follow_from_the_stored_rows():
    result = json.loads((ROOT / "results" / "vizer_micro.json").read_text(encoding="utf-8"))
    judged, not_run = vizer_claims.verdicts(result["scores"], result["differences"])
    assert judged == result["claims"] and not_run == result["not_run"]
    assert vizer_claims.recommended(result["differences"]) == result["best"]
    gains = result["best"]["differences"]
    assert len(gains) == 12 and all(row in result["differences"] for row in gains)
