"""Finished cells of the captioning study in one file: what is kept, and what is laid again."""

from __future__ import annotations

import gzip

import pytest

from experiments.grid import Cell, answer_of
from experiments.maccap_store import ELSEWHERE, pack, unpack
from vizer_core.files import read_json, write_json


def caption_cell(system: str, runs: str) -> list[str]:
    raise AssertionError("a finished cell is not run again")


def cell(runs) -> Cell:
    return Cell("caption/test-blind-0", caption_cell, {"system": "blind", "runs": str(runs)})


def finished(runs) -> None:
    record = {"cell": cell(runs).signature, "cpu_seconds": 2.0, "answer": ["a dog", "a cat"]}
    write_json(cell(runs).path(runs), record)
    write_json(runs / "train" / "home-multi_noise-0.json", {"answer": {"loss": 1.5, "steps": 9}})


def test_packed_cells_answer_in_another_folder_and_no_training_seems_done(tmp_path):
    here, there, packed = tmp_path / "here", tmp_path / "there", tmp_path / "p.json.gz"
    finished(here)
    assert (
        pack(here, packed) == 2 and str(here) not in gzip.decompress(packed.read_bytes()).decode()
    )
    assert unpack(packed, there) == 2 and unpack(packed, there) == 0
    assert answer_of(cell(there), there)["answer"] == ["a dog", "a cat"]
    assert not (there / "train").exists()  # the weights are not there: it would be trained anew
    assert read_json(there / ELSEWHERE / "home-multi_noise-0.json")["answer"]["loss"] == 1.5


def test_equal_cells_are_equal_bytes_and_go_through_a_second_machine(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    finished(here)
    pack(here, tmp_path / "a.gz")
    unpack(tmp_path / "a.gz", there)
    assert pack(there, tmp_path / "b.gz") == 2
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_nothing_packed_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="pack finished runs first"):
        unpack(tmp_path / "none.gz", tmp_path)
