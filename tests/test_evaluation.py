"""evaluate, compare and their commands: sound numbers, honest failures."""

from __future__ import annotations

import json
import stat

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vizer_core.cli import app
from vizer_core.data.coco import write_results
from vizer_core.evaluation import (
    Inputs,
    MetricUnavailable,
    arena,
    compare,
    evaluate,
    make_references,
)
from vizer_core.metrics import scorers
from vizer_core.metrics.cider import document_frequency
from vizer_core.metrics.grounding import Lexicon, ObjectTruth, SceneTruth

TEXT = ["bleu", "rouge_l", "cider", "length"]
REFERENCES = {
    i: [f"a {colour} {thing} on a table", f"the {thing} that is {colour}"]
    for i, (colour, thing) in enumerate(
        (c, t) for c in ("red", "blue", "green") for t in ("cat", "dog", "car", "cup")
    )
}
GOOD = {i: refs[0] for i, refs in REFERENCES.items()}
BAD = {i: "a thing on a table" for i in REFERENCES}


def score(hypotheses, metrics=TEXT, **more):
    return evaluate(hypotheses, REFERENCES, metrics=metrics, **more)


def test_every_score_has_an_interval_a_count_and_a_signature():
    result = score(GOOD)
    names = ["bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider", "length"]
    assert list(result.scores) == names
    for name, interval in result.scores.items():
        assert interval.low <= interval.mean <= interval.high
        assert interval.n == 12
        assert "tok:ptb-py.1" in result.signatures[name] and "n:12" in result.signatures[name]
    assert result.scores["bleu4"].mean == pytest.approx(1)
    assert "variant:D|df:references(12)|refs:2" in result.signatures["cider"]


def test_corpus_scores_are_those_of_the_statistics():
    result = score(BAD)
    assert result.scores["rouge_l"].mean == pytest.approx(result.per_image("rouge_l").mean())
    assert result.scores["bleu4"].mean != pytest.approx(result.per_image("bleu4").mean(), rel=1e-3)
    with pytest.raises(ValueError, match="no metric 'spice' here"):
        result.per_image("spice")


def test_a_carriage_return_in_one_caption_changes_no_other_image():
    dirty = GOOD | {3: GOOD[3].replace(" on ", "\r\n on \u2028")}
    for name in ("rouge_l", "cider", "bleu4"):
        assert (score(dirty).per_image(name) == score(GOOD).per_image(name)).all()


def test_order_of_the_files_changes_nothing():
    moved = dict(reversed(GOOD.items()))
    assert score(moved).scores == score(GOOD).scores


def test_references_object_scores_many_systems_as_fresh_ones_do():
    shared = make_references(REFERENCES)
    for system in (GOOD, BAD):
        assert evaluate(system, shared, metrics=TEXT).scores == score(system).scores


def test_shorter_lists_of_metrics_give_the_same_numbers():
    assert score(BAD, ["cider"]).scores["cider"] == score(BAD).scores["cider"]
    assert list(score(BAD, ["bleu4"]).scores) == ["bleu1", "bleu2", "bleu3", "bleu4"]


def test_fixed_document_frequencies_enter_the_signature():
    df = document_frequency("elsewhere", [["a cat"], ["a dog"], ["a mat"]])
    result = score(GOOD, ["cider"], inputs=Inputs(df=df))
    assert "df:elsewhere(3)" in result.signatures["cider"]


def test_few_images_are_warned_of(caplog):
    score(GOOD, ["cider"])
    assert "CIDEr of 12 images takes its document frequencies from them alone" in caplog.text


def test_very_long_captions_are_warned_of(caplog):
    score(GOOD | {0: "red " * 30}, ["rouge_l"])
    assert "1 captions have over 3 times their references' words" in caplog.text


# --- features and scenes ------------------------------------------------------------------------


def test_features_give_clipscore_refclipscore_and_self_retrieval():
    eye = torch.eye(12)
    inputs = Inputs(
        image_features=eye,
        text_features=eye,
        reference_features=eye.repeat_interleave(2, dim=0),
        encoder_name="identity",
    )
    result = score(GOOD, ["clipscore", "refclipscore", "self_retrieval"], inputs=inputs)
    means = {name: interval.mean for name, interval in result.scores.items()}
    assert means == pytest.approx(
        {"clipscore": 2.5, "clip_cosine": 1, "refclipscore": 5 / 3.5, "self_retrieval_r1": 1}
    )
    assert "gallery:12|encoder:identity|prefix:none" in result.signatures["self_retrieval_r1"]
    assert "w:2.5|clamp:pair|encoder:identity|prefix:none|" in result.signatures["clipscore"]
    assert "w:2.5|clamp:image only|encoder:" in result.signatures["refclipscore"]


class Reader:
    """An encoder that keeps what it read."""

    name = "reader"

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        self.read += texts
        return torch.eye(12)[torch.arange(len(texts)) % 12]


@pytest.mark.parametrize(
    ("options", "prefix", "signed"),
    [
        ({}, "A photo depicts ", 'encoder:reader|prefix:"A photo depicts "|'),
        ({"prefix": ""}, "", "encoder:reader|prefix:none|"),
    ],
)
def test_a_prefix_that_is_signed_stood_before_every_text(options, prefix, signed):
    reader, pairs = Reader(), [["a dog", "a cat"]] * 12
    captions = list(GOOD.values())
    inputs = Inputs(image_features=torch.eye(12)).encoded(
        reader, captions, references=pairs, **options
    )
    every = captions + [reference for texts in pairs for reference in texts]
    assert reader.read == [prefix + text for text in every]
    result = score(GOOD, ["clipscore", "refclipscore", "self_retrieval"], inputs=inputs)
    assert all(signed in signature for signature in result.signatures.values())
    bare = Inputs(image_features=torch.eye(12)).encoded(Reader(), captions)
    assert bare.reference_features is None


def test_features_of_references_made_otherwise_are_left_out():
    captions, pairs = list(GOOD.values()), [["a dog", "a cat"]] * 12
    bare = Inputs().encoded(Reader(), captions, references=pairs, prefix="")
    assert bare.encoded(Reader(), captions).reference_features is None
    assert bare.encoded(Reader(), captions, prefix="").reference_features is not None


def test_scores_with_and_without_a_prefix_are_not_compared():
    given = Inputs(image_features=torch.eye(12))
    one, other = (
        score(GOOD, ["clipscore"], inputs=given.encoded(Reader(), list(GOOD.values()), prefix=p))
        for p in ("", "A photo depicts ")
    )
    with pytest.raises(ValueError, match=r"other settings: .*prefix:none.* against .*A photo dep"):
        compare(one, other)


def test_feature_rows_must_fit():
    inputs = Inputs(image_features=torch.eye(3), text_features=torch.eye(3))
    with pytest.raises(ValueError, match="image_features has 3 rows for 12 scored images"):
        score(GOOD, ["clipscore"], inputs=inputs)


def test_scenes_give_exact_grounding_and_rates_nobody_stated_are_absent():
    lexicon = Lexicon(
        nouns={"cat": "cat", "dog": "dog", "car": "car", "cup": "cup"},
        plurals=frozenset(),
        categories={},
        backgrounds={},
        numbers={"a": 1},
        colours=frozenset({"red", "blue", "green"}),
        sizes={},
        relations={},
    )

    def scene(caption: str) -> SceneTruth:
        _, colour, thing = caption.split()[:3]
        return SceneTruth((ObjectTruth(thing, "thing", colour, "medium", 0.5, 0.5, 0.2),), "table")

    inputs = Inputs(scenes={i: scene(refs[0]) for i, refs in REFERENCES.items()}, lexicon=lexicon)
    right = score(GOOD, ["grounding"], inputs=inputs).scores
    assert {name: s.mean for name, s in right.items()} == {
        "object_precision": 1.0,
        "object_recall": 1.0,
        "attribute_accuracy": 1.0,
    }
    vague = score(BAD, ["grounding"], inputs=inputs).scores
    assert {name: s.mean for name, s in vague.items()} == {"object_recall": 0.0}


# --- what cannot run, and what breaks -----------------------------------------------------------


def test_named_but_unavailable_raises_before_scoring(monkeypatch):
    monkeypatch.setattr(scorers.meteor, "missing", lambda: "needs a Java")
    with pytest.raises(MetricUnavailable, match="meteor: needs a Java"):
        score(GOOD, ["bleu", "meteor"])


def test_auto_lists_the_reason_of_what_it_skips(monkeypatch):
    monkeypatch.setattr(scorers.meteor, "missing", lambda: "needs a Java")
    result = score(GOOD, "auto")
    assert result.skipped["meteor"] == "needs a Java"
    assert result.skipped["clipscore"] == "needs image_features and text_features"
    assert "bleu4" in result.scores and "needs a Java" in result.table()


def test_one_broken_metric_costs_the_others_nothing(monkeypatch, caplog):
    def broken(job):
        raise RuntimeError("the JVM died")

    monkeypatch.setitem(scorers.SCORERS, "rouge_l", broken)
    result = score(GOOD)
    assert result.failed == {"rouge_l": "RuntimeError: the JVM died"}
    assert set(result.scores) == {"bleu1", "bleu2", "bleu3", "bleu4", "cider", "length"}
    with pytest.raises(RuntimeError, match="the JVM died"):
        score(GOOD, ["rouge_l"])


def test_unknown_metrics_are_named_with_the_choices():
    with pytest.raises(ValueError, match=r"unknown metrics \['blue4'\]: wanted 'auto' or some of"):
        score(GOOD, ["blue4"])
    with pytest.raises(ValueError, match="no metrics"):
        score(GOOD, [])


def test_no_images_is_an_error_not_a_nan():
    with pytest.raises(ValueError, match="no references"):
        evaluate({}, {}, metrics=TEXT)


# --- compare ------------------------------------------------------------------------------------


def test_compare_finds_a_real_difference_and_no_difference_with_itself():
    good, bad = score(GOOD), score(BAD)
    found = compare(good, bad, permutations=2000)
    assert found.differences["rouge_l"].low > 0
    assert found.differences["rouge_l"].p < 0.01
    same = compare(good, good, permutations=200)
    assert all(d.p == 1 and d.mean == 0 for d in same.differences.values())
    assert all(p == 1 for p in same.holm.values())
    assert found.holm["rouge_l"] >= found.differences["rouge_l"].p


def test_compare_refuses_other_images_and_other_settings():
    good = score(GOOD)
    fewer = evaluate({0: "a"}, {0: REFERENCES[0]}, metrics=TEXT)
    with pytest.raises(ValueError, match=r"different images \(12 and 1, 1 in common\)"):
        compare(good, fewer)
    df = document_frequency("elsewhere", [["a cat"]])
    other = score(GOOD, inputs=Inputs(df=df))
    with pytest.raises(ValueError, match="cider was computed with other settings"):
        compare(good, other)
    with pytest.raises(ValueError, match="no metric in common"):
        compare(score(GOOD, ["cider"]), score(GOOD, ["rouge_l"]))


# --- commands -----------------------------------------------------------------------------------

RUN = CliRunner()


@pytest.fixture
def files(tmp_path):
    rows = [{"image_id": i, "caption": c} for i, refs in REFERENCES.items() for c in refs]
    (tmp_path / "refs.json").write_text(json.dumps({"annotations": rows}))
    write_results(tmp_path / "good.json", GOOD)
    write_results(tmp_path / "bad.json", BAD)
    return tmp_path


def vizer(*arguments):
    return RUN.invoke(app, [str(a) for a in arguments])


def test_evaluate_command_writes_the_agreed_json(files):
    done = vizer(
        *("evaluate", "--captions", files / "good.json", "--references", files / "refs.json"),
        *("--json", files / "out.json", "--metrics", "bleu,rouge_l,cider"),
    )
    assert done.exit_code == 0, done.output
    written = json.loads((files / "out.json").read_text())
    for name in ("bleu1", "bleu4", "rouge_l", "cider"):
        assert written["scores"][name].keys() == {"mean", "low", "high", "n"}
    assert written["scores"]["bleu4"]["mean"] == pytest.approx(1)
    assert "bleu4" in done.stdout


def test_compare_command(files):
    done = vizer(
        *("compare", "--captions", files / "good.json", "--against", files / "bad.json"),
        *("--references", files / "refs.json", "--metrics", "rouge_l", "--json", files / "d.json"),
    )
    assert done.exit_code == 0, done.output
    difference = json.loads((files / "d.json").read_text())["differences"]["rouge_l"]
    assert difference["low"] > 0 and difference["p_holm"] < 0.01


def test_captions_of_cocos_files_meet_cocos_annotations(files):
    """As `vizer caption FOLDER --json` writes them; one system by names, the other by numbers."""
    names = {i: f"COCO_val2014_{i:012d}.jpg" for i in REFERENCES}
    write_results(files / "named.json", {names[i]: text for i, text in GOOD.items()})
    for with_images in (True, False):
        content = json.loads((files / "refs.json").read_text())
        if with_images:
            content["images"] = [{"id": i, "file_name": name} for i, name in names.items()]
        (files / "coco.json").write_text(json.dumps(content))
        shared = ("--references", files / "coco.json", "--metrics", "rouge_l")
        done = vizer(
            *("evaluate", "--captions", files / "named.json", *shared),
            *("--json", files / f"{with_images}.json"),
        )
        assert done.exit_code == 0, done.output
        found = json.loads((files / f"{with_images}.json").read_text())["scores"]["rouge_l"]["mean"]
        assert found == pytest.approx(score(GOOD, ["rouge_l"]).scores["rouge_l"].mean)
        done = vizer(
            *("compare", "--captions", files / "named.json", "--against", files / "bad.json"),
            *shared,
        )
        assert done.exit_code == 0, done.output
    write_results(files / "named.json", {"cat.jpg": "a cat"})
    done = vizer("evaluate", "--captions", files / "named.json", *shared)
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    assert "first 'cat.jpg'" in done.stderr and "coco.json has 0." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--captions", "none.json", "--references", "refs.json"], 1, "no such file: none.json"),
        (["--captions", "good.json"], 2, "--references"),
        (["--captions", "good.json", "--references", "refs.json", "--df", "x"], 2, "choose from"),
        (["--captions", "good.json", "--references", "refs.json", "--metrics", "x"], 1, "unknown"),
        (
            ["--captions", "refs.json", "--references", "refs.json"],
            1,
            "contains a dict, wanted a list",
        ),
        (["--captions", "short.json", "--references", "refs.json"], 1, "11 have no caption"),
    ],
)
def test_exit_status_and_message(files, monkeypatch, arguments, status, message):
    monkeypatch.chdir(files)
    write_results(files / "short.json", {0: "a cat"})
    done = vizer("evaluate", *arguments)
    assert done.exit_code == status
    assert message in done.output
    assert "Traceback" not in done.output


def test_a_java_that_fails_costs_only_meteor(files, monkeypatch, tmp_path):
    pytest.importorskip("pycocoevalcap", reason="METEOR's jar comes with pycocoevalcap")
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    monkeypatch.setattr(scorers.meteor, "paraphrase_table", lambda words: tmp_path / "t.gz")
    done = vizer(
        *("evaluate", "--captions", files / "good.json", "--references", files / "refs.json"),
        *("--json", files / "out.json"),
    )
    assert done.exit_code == 1
    written = json.loads((files / "out.json").read_text())
    assert "ended with status 1" in written["failed"]["meteor"]
    assert written["scores"]["cider"]["mean"] > 0


def test_six_hundred_identical_captions_are_one_distinct_caption():
    result = evaluate(["a cat"] * 600, [["a cat on a mat"]] * 600, metrics=["length"])
    assert result.diversity.commonest_share == 1
    assert np.ptp(result.per_image("length")) == 0


def test_systems_meet_image_by_image_and_must_have_seen_the_same():
    references = [["a cat on a mat"], ["two dogs"], ["a red hat"]]
    texts = {"right": ["a cat on a mat", "two dogs", "a red hat"], "wrong": ["x", "two dogs", "y"]}
    scored = {name: evaluate(said, references, metrics="rouge_l") for name, said in texts.items()}
    first, second = arena(scored, metric="rouge_l", resamples=20)
    assert (first.system, second.system) == ("right", "wrong")
    assert first.won == pytest.approx(5 / 6)  # two wins and a draw
    fewer = evaluate(["a cat"], references[:1], metrics="rouge_l")
    with pytest.raises(ValueError, match="2 systems were scored on 2 sets of images"):
        arena({"right": scored["right"], "fewer": fewer}, metric="rouge_l")
    with pytest.raises(ValueError, match="no metric 'cider' here"):
        arena(scored)
