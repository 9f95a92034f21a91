"""What the house is made of: counted by hand on a small checkout, and files that a call crosses."""

from __future__ import annotations

import json
import sys

from tools import house_numbers
from tools.house_numbers import by_folder, files_crossed, programs, static_lines, training_step


def test_files_lines_marks_and_chapters_imports_by_hand(tmp_path):
    for package in ("vizer_core", "vizer_lab"):
        (tmp_path / package / "gap").mkdir(parents=True)
        (tmp_path / package / "gap" / "a.py").write_text(
            f"x = 1  # {house_numbers.SKIPPED}\ny = 2\n"
        )
    code = "%matplotlib inline\nimport os\nfrom vizer_core.gap import a, b\n"
    cells = [
        {"cell_type": "code", "source": [code]},
        {"cell_type": "markdown", "source": ["from vizer_core import no_code"]},
        {
            "cell_type": "code",
            "source": ["from vizer_lab.zoo.clips import c\nfrom torch import nn"],
        },
    ]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_x.ipynb").write_text(json.dumps({"cells": cells}))
    core, lab, chapters, exports = static_lines(tmp_path)
    assert core == "vizer_core: 1 files, 2 lines, 1 marked " + house_numbers.SKIPPED
    assert lab == core.replace("core", "lab")
    assert chapters == "chapters import 3 names, 1 of them from a file inside a folder"
    assert exports.startswith("vizer_core exports ")


def test_a_call_crosses_the_files_whose_functions_run():
    import torch

    from vizer_core.shapes import unit_norm
    from vizer_core.vizer.policy_gradient import rloo_scaled

    before = sys.getprofile()
    assert files_crossed(lambda: unit_norm(torch.ones(2, 3))) == ["vizer_core/shapes.py"]
    assert files_crossed(lambda: rloo_scaled(torch.rand(2, 3))) == [
        "vizer_core/vizer/policy_gradient.py"
    ]
    assert files_crossed(lambda: None) == [] and sys.getprofile() is before


def test_what_an_import_runs_is_not_crossed():
    code = "def f(): pass\nclass A: pass\n"
    file = str(house_numbers.ROOT / "vizer_core" / "made_up.py")

    def run(more: str) -> list[str]:
        names: dict = {"__name__": "vizer_core.made_up"}
        exec(compile(code + more, file, "exec"), names)
        return files_crossed(names["f"]) if not more else []

    assert files_crossed(lambda: run("f()")) == []
    assert run("") == ["vizer_core/made_up.py"]


def test_a_training_step_crosses_few_files():
    """One loop, read from top to bottom: nothing of it may lie anywhere else."""
    crossed = [file.removeprefix("vizer_core/") for file in files_crossed(training_step(4))]
    # in tests alone: beartype asks the protocol for each of its properties, `lora_targets` too
    crossed = [file for file in crossed if file != "vlm/modules.py"]
    assert crossed == [
        "distributed.py",  # several processes, one step
        "runtime.py",
        "token_loop.py",  # what a loop over tokens asks of transformers
        "vizer/adapter_run.py",  # settings, record, steps
        "vizer/information.py",  # the reward that was asked for
        "vizer/lora.py",  # which weights are trained
        "vizer/policy_gradient.py",  # the reward asked, advantages, the loss
        "vizer/read_ahead.py",  # the next images, prepared in a thread
        "vizer/rollout.py",  # images among processes, captions read again
        "vizer/train.py",  # the loop
        "vlm/generation.py",  # captions, token by token
        "vlm/language_side.py",  # states, log p
        "vlm/prompts.py",  # the processor's side
        "vlm/protocol.py",
        "vlm/smolvlm.py",  # the family
    ]


def test_the_programs_are_those_of_the_page():
    titles = [title for title, _ in programs()]
    assert [title[0] for title in titles] == list("12345678")
    assert by_folder([]) == "0 files: "
