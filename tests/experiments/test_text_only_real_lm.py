"""Text-only captioners before another language model, in small: rows, controls, stopped runs."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from experiments import text_only_real_lm as study
from vizer_lab.zoo.language_models import load_drawn_lm


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    monkeypatch.setattr(study, "load_lm", lambda *_, **__: load_drawn_lm(name="drawn-lm"))
    monkeypatch.setattr(study.world, "encode", _only_what_is_read(study.world.encode))
    study.language_model.cache_clear()
    yield argparse.Namespace(
        n=3,
        scenes=40,
        steps=1,
        networks=["single_noise", "multi_noise"],
        language_models=["real", "drawn"],
        runs=tmp_path,
    )
    study.language_model.cache_clear()


def _only_what_is_read(encode):
    def encoded(runs, clip, *, n, scenes):
        small = {("home", "test"): "second_test"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(study.world, "IMAGES", small)
            patch.setattr(study.world, "TEXTS", {"home": "second_train"})
            encode(runs, clip, n=n, scenes=scenes)

    return encoded


def test_every_network_has_its_systems_and_they_their_control(options, monkeypatch):
    record = study.study(options)
    systems = {row["system"] for row in record["scores"]}
    rows = ("capdec", "maccap_pass", "maccap_pass_global")
    own = {"clipre", *(f"{kind}:{row}" for kind in ("real", "drawn") for row in rows)}
    assert systems == own | {name + study.ANOTHER for name in own}
    assert {name: row["steps"] for name, row in record["training"].items()} == {
        f"{kind}:{name}": 1 for kind in ("real", "drawn") for name in options.networks
    }
    pairs = {(row["system"], row["against"]) for row in record["differences"]}
    assert ("real:maccap_pass", "real:capdec") in pairs
    assert ("real:capdec", "real:capdec|another") in pairs
    assert ("drawn:capdec", "real:capdec") in pairs and ("drawn:capdec", "clipre") in pairs
    assert ("drawn:maccap_pass", "real:capdec") not in pairs
    # what is finished is not made again
    monkeypatch.setattr(study, "fit_text_only", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr(study, "captioner_of", lambda *_: pytest.fail("captioned again"))
    assert study.study(options)["scores"] == record["scores"]


def test_noise_is_the_studys_own_choice(options):
    run = study.run_of(options)
    assert run.variance_of("multi_noise") == study.DRAWN_MACCAP.noise.variance
    assert run.variance_of("single_noise") == study.MATCHED
    assert run.variance_of("single_clean") == run.variance_of("supervised") == 0.0


def test_a_claim_waits_for_its_rows_and_for_the_row_that_is_trained_on_pairs():
    def row(system, against, mean):
        return [
            {"system": system, "against": against, "metric": metric}
            | {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}
            for metric in ("object_f1", "cider")
        ]

    rows = row("real:baseline", "real:capdec", -0.2)
    assert study.verdicts(rows, ["real"]) == []
    (found,) = study.verdicts(rows + row("real:clipcap", "clipre", 0.1), ["real", "drawn"])
    assert found["verdict"] == "holds" and "one token" in found["claim"]
    assert "real:capdec - real:baseline: object F1 +0.200" in found["evidence"]
    (shut,) = study.verdicts(rows + row("real:clipcap", "clipre", -0.1), ["real"])
    assert shut["verdict"] == "not testable here"
