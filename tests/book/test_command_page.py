"""The page of the command line says what the commands say, and nothing that they hide."""

from __future__ import annotations

import re

import pytest
from built_book import ROOT
from typer.main import get_command

from tools import command_page
from vizer_core.cli import app
from vizer_core.cli.examples import example_lines

PAGE = command_page.commands_markdown()
COMMANDS = get_command(app).commands


def section(name):
    return PAGE.split(f"\n## vizer {name}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_stands_there_with_its_options_and_examples(name):
    assert f"- [vizer {name}](#command-{name}): " in PAGE and f"(command-{name})=" in PAGE
    shown = re.findall(r"^\| `(--[\w-]+)", section(name), flags=re.MULTILINE)
    wanted = [
        option.opts[0]
        for option in COMMANDS[name].params
        if option.opts[0].startswith("--") and not getattr(option, "hidden", False)
    ]
    assert shown == [option for option in wanted if option != "--help"]
    assert "\n".join(example_lines(name)) in section(name)


def test_what_is_hidden_and_help_itself_are_left_out():
    assert "--adaptor" not in PAGE and "`-h`" not in PAGE and "--help`" not in PAGE
    assert "| `--version` |" in PAGE and "| `--install-completion` |" in PAGE


def test_defaults_and_arguments_are_shown():
    assert "| `--clip` | `drawn` |" in section("caption")
    assert "| `--out` | required |" in section("enhance")
    assert "| `IMAGES` | required |" in section("features")
    assert re.search(r"\| `--captions` \| required \| [^\n]* Several times\. \|", section("vqa"))


def test_no_option_in_the_text_would_be_set_as_a_dash():
    prose = re.sub(r"```.*?```|`[^`]*`", "", PAGE, flags=re.DOTALL)
    assert re.findall(r"(?<!\|)--\w+", prose) == []


def test_the_book_lists_the_page_and_points_to_it():
    assert "- file: book/command_line\n" in (ROOT / "_toc.yml").read_text()
    page = (ROOT / "book" / "command_line.md").read_text()
    assert "```{include} _generated/command_line.md\n" in page
    for other in ("index", "api"):
        assert "(command_line.md)" in (ROOT / "book" / f"{other}.md").read_text()
