"""The ways into the book: the start page does what it says, the zip starts, the costs are there."""

from __future__ import annotations

import re
import zipfile
from inspect import signature

import pytest
from built_book import ROOT

from tools.folder_page import folder_markdown, improve_plan
from tools.ways_in import get_it_markdown, write_zip
from vizer_core.improvement.job import ImproveJob
from vizer_core.vlm.budget import StepPlan
from vizer_core.vlm.published import smolvlm_256m_config
from vizer_core.vlm.sizes import size_of
from vizer_lab.costs import zero_label_plan

START = (ROOT / "book" / "start.md").read_text(encoding="utf-8")


def test_the_start_pages_program_prints_what_the_page_shows(capsys):
    (program,) = re.findall(r"```python\n(.*?)```", START, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", START, re.DOTALL)
    exec(program, {})
    assert capsys.readouterr().out == shown


def test_without_an_address_nobody_is_sent_to_one():
    assert "http" not in get_it_markdown(None)
    assert "cd book" in get_it_markdown("https://github.com/someone/book")


def test_the_zip_holds_what_a_notebook_needs(tmp_path):
    wheel = tmp_path / "vizer_core-0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    with zipfile.ZipFile(write_zip(ROOT, wheel, tmp_path / "made" / "book.zip")) as archive:
        names = set(archive.namelist())
        said = archive.read("README.txt").decode()
    assert {"_toc.yml", wheel.name, "results/improvement.json"} <= names
    assert {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")} <= names
    assert wheel.name in said


def test_each_step_with_photographs_has_its_price():
    rows = [line.split(" | ") for line in folder_markdown().splitlines()[2:]]
    assert len(rows) == 9
    assert all(re.search(r"\d (min|h)$|does not fit", price) for row in rows for price in row[2:5])


@pytest.mark.parametrize("page", ["start", "photographs"])
def test_each_command_of_the_pages_has_only_options_that_there_are(page):
    from typer.testing import CliRunner

    from vizer_core.cli import app

    text = (ROOT / "book" / f"{page}.md").read_text(encoding="utf-8").replace("\\\n", " ")
    for command, rest in re.findall(r"^(?:\.venv/bin/)?vizer ([a-z-]+)(.*)$", text, re.MULTILINE):
        said = CliRunner().invoke(app, [command, "--help"], terminal_width=200).output
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in said, f"vizer {command} has no {option}"


def test_the_price_of_improving_is_that_of_its_job():
    size = size_of(smolvlm_256m_config())
    step = StepPlan(batch=32, caption_tokens=32, head=True, kl=True, merged=True)
    job = signature(ImproveJob).parameters
    assert job["images_per_step"].default == step.batch
    assert improve_plan(size).memory >= zero_label_plan(size, 2560, step=step).memory
