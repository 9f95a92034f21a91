"""The study's file, read by base and system, and the paragraph made of it, whatever it says."""

from __future__ import annotations

import json
import re

import pytest

from vizer_lab.studies.clip_study import RESULTS
from vizer_lab.studies.improvement_study import (
    F1,
    PRECISION,
    RECALL,
    Measured,
    quotable,
    read_improvement,
)

P, R = f"sampled_{PRECISION}", f"sampled_{RECALL}"


def score(system, metric, mean, **more):
    row = {"mean": mean, "low": mean - 0.02, "high": mean + 0.02, "n": 900, "seeds": 3}
    return {"system": system, "metric": metric} | row | more


def record(gains=(0.1, 0.2)):
    """Make a file of two bases; `gains` are those of precision over the base."""
    scores, differences = [], []
    for base, quality, gain in zip(("good", "poor"), (0.4, 0.1), gains):
        for variant in ("base", "primed", "best", "best_shuffled"):
            system = f"{base}:home:{variant}"
            metrics = {P: quality, R: quality, f"sampled_{F1}": quality}
            metrics |= {PRECISION: quality + 0.2, RECALL: quality + 0.2}
            scores += [score(system, metric, mean) for metric, mean in metrics.items()]
        for other in ("base", "primed"):
            pair = {"against": f"{base}:home:{other}"}
            differences += [score(f"{base}:home:best", P, gain, **pair),
                            score(f"{base}:home:best", R, 0.01, **pair)]  # fmt: skip
    scores.append(score("good:home:cool", P, 0.5))
    scores.append(score("good:home:cool", R, 0.6))
    return {
        "scores": scores,
        "differences": differences,
        "settings": {"n": 1000, "samples": 2, "images": 640},
        "choices": {"best": {"variant": "information_70"}},
        "runs": {"good:home:best_shuffled": [{"kl": 1.25}, {"kl": None}]},
    }


@pytest.fixture
def study(tmp_path):
    def make(content):
        path = tmp_path / "study.json"
        path.write_text(json.dumps(content))
        return read_improvement(path)

    return make


def test_bases_come_weakest_first_and_what_was_not_run_is_absent(study):
    found = study(record())
    assert found.bases() == ("poor", "good") and found.bases("away") == ()
    assert list(found.column(P, "base")) == ["poor", "good"]
    assert found.column(P, "cool").keys() == {"good"} and found.column(P, "banned") == {}
    assert found.gains(P, "best", "base")["good"] == Measured(
        0.1, 0.08, 0.12000000000000001, 900, 3
    )
    assert found.gains(P, "best", "cool") == {}


def test_a_curve_goes_from_warm_to_greedy_recall_first(study):
    curve = study(record()).curve("good", "base")
    means = {way: tuple(round(v.mean, 6) for v in point) for way, point in curve.items()}
    assert means == {"drawn, T = 1": (0.4, 0.4), "drawn, T = .7": (0.6, 0.5), "greedy": (0.6, 0.6)}
    assert list(study(record()).curve("poor", "primed")) == ["drawn, T = 1", "greedy"]


def test_the_paragraph_follows_the_rows(study):
    text = quotable(study(record(gains=(0.1, -0.2))))
    assert "2 base models of the micro world (poor, good)" in text
    assert "1,000 test scenes" in text and "3 training seeds" in text and "640" in text
    assert "precision rose clear of zero on 1 of 2 and fell on 1" in text
    assert "(least: poor -.200 [-.220,\u00a0-.180])" in text
    assert "recall rose clear of zero on 0 of 2 (least: poor +.010 [-.010,\u00a0+.030])" in text
    assert "drawn at T = 1 on 2 of 2 bases" in text and "KL 1.2 to 1.2" in text
    assert "T = .7," not in text and "away" not in text and "backgrounds" not in text


def test_a_first_word_that_does_not_beat_training_is_not_said_to(study):
    content = record()
    for row in content["scores"]:
        if row["system"] == "good:home:best" and row["metric"] == R:
            row |= {"mean": 0.9, "low": 0.8, "high": 0.95}
    assert "on 1 of 2 bases (intervals apart)" in quotable(study(content))


def test_every_number_of_the_real_paragraph_stands_in_the_file():
    """Recompute, from the rows alone, each interval that the paragraph names."""
    content = json.loads((RESULTS / "vizer_study.json").read_text())
    text = quotable(read_improvement())
    signed = re.compile(r"(\w+) ([+-]\.\d{3}) \[([+-]\.\d{3}),\s([+-]\.\d{3})\]")
    rows = {
        (r["system"].split(":")[0], *(f"{r[k]:+.3f}".replace("0.", ".", 1)
                                      for k in ("mean", "low", "high")))
        for r in content["differences"]
        if r["metric"] in (P, R, PRECISION, RECALL) and r["system"].split(":")[2][:4] == "best"
    }  # fmt: skip
    found = signed.findall(text)
    assert len(found) >= 10 and set(found) <= rows
    assert f"{content['settings']['n']:,} test scenes" in text
    seeds = {r["seeds"] for r in content["scores"] if r["system"].endswith(":home:best")}
    assert f"{min(seeds)} training seeds" in text
    bases = {
        r["system"].split(":")[0] for r in content["scores"] if r["system"].endswith(":home:best")
    }
    assert f"On {len(bases)} base models" in text


def test_the_other_world_has_a_sentence_and_the_forecast_its_share(study):
    content = record()
    moved = [json.loads(json.dumps(row).replace("poor:home", "new:other"))
             for key in ("scores", "differences") for row in content[key]
             if row["system"].startswith("poor")]  # fmt: skip
    for row in moved:
        content["differences" if "against" in row else "scores"].append(row)
    text = quotable(study(content))
    assert "bases of its own (new)" in text and "2 base models" in text
    assert "least: new +.200 [+.180,\u00a0+.220]" in text and "foretells" not in text
    content["outlook"] = {"other": {"accuracy": 0.75, "n": 8, "always_yes": 0.5}}
    assert "right on 6 of 8 runs there (4 of them helped)" in quotable(study(content))
    assert "another world" not in quotable(study(record()))


def test_what_cannot_be_read_is_refused(study, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no .*absent\.json: the results lie"):
        read_improvement(tmp_path / "absent.json")
    with pytest.raises(ValueError, match="no base with a row of `best`"):
        quotable(study(record() | {"scores": [], "differences": []}))
