"""What stands before a command's name, and what the help of every command ends with."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import subprocess
import sys

import pytest
from typer.main import get_command

import vizer_core
from vizer_core.cli import app
from vizer_core.cli.app import RENAMED, is_quiet, say
from vizer_core.cli.examples import EXAMPLES, WIDTH, example_lines

COMMANDS = get_command(app).commands


def run_in_shell(*words, **env):
    """Run a command line in a process of its own, as a terminal does."""
    command = [sys.executable, "-m", "vizer_core", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=os.environ | env
    )


def test_the_version_is_the_installed_packages(vizer):
    wanted = importlib.metadata.version("vizer-core")
    assert vizer_core.__version__ == wanted
    done = vizer("--version")
    assert (done.exit_code, done.stdout) == (0, f"vizer {wanted}\n")
    assert vizer("--version", "no-such-command").stdout == f"vizer {wanted}\n"


def test_a_package_that_is_not_installed_says_so(vizer, monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(ImportError, match=r"has no version: .* pip install -e"):
        vizer_core.__version__  # noqa: B018
    done = vizer("--version")
    assert done.exit_code == 1 and done.stderr.startswith("error: vizer_core has no version")


def test_a_name_that_the_package_lacks_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'versoin'"):
        vizer_core.versoin  # noqa: B018


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_h_is_help_everywhere(command, vizer):
    short, long = (vizer(*command.split(), option) for option in ("-h", "--help"))
    assert short.exit_code == 0 and short.stdout == long.stdout
    assert "-h, --help" in short.stdout and "--adaptor" not in short.stdout


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_help_ends_with_examples_as_they_are_typed(command, vizer):
    said = vizer(command, "-h").stdout
    assert "Example" in said.splitlines()[-1 - len(example_lines(command))]
    assert [line.strip() for line in said.splitlines()[-len(example_lines(command)) :]] == [
        line.strip() for line in example_lines(command)
    ]
    assert max(map(len, said.splitlines())) <= 80, "no line is wider than a terminal"


@pytest.mark.parametrize("example", [one for of in EXAMPLES.values() for one in of])
def test_every_example_goes_through_the_option_parser(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program, command, *words = shlex.split(example)
    assert program == "vizer"
    COMMANDS[command].make_context(command, words)


def test_every_command_has_an_example_of_itself():
    assert EXAMPLES.keys() == COMMANDS.keys()
    assert all(one.split()[1] == name for name, of in EXAMPLES.items() for one in of)


def test_a_long_example_is_cut_into_lines_that_a_shell_joins():
    lines = example_lines("vqa")
    assert all(len(line) <= WIDTH for line in lines) and lines[0].endswith(" \\")
    (joined,) = EXAMPLES["vqa"]
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(joined)


@pytest.mark.parametrize("former", [["--images-at-once", "4"], ["--images-at-once=4"]])
def test_the_former_name_of_an_option_is_told_its_new_one(former, vizer):
    done = vizer("enhance", "--images", "few", "--out", "new", *former)
    assert done.exit_code == 2
    assert done.stderr.endswith("--images-at-once is called --micro-batch-size now\n")
    assert all(
        name in {word for option in COMMANDS[command].params for word in option.opts}
        for (command, _), name in RENAMED.items()
    )


def test_quiet_and_verbose_together_are_refused(vizer):
    done = vizer("--quiet", "--verbose", "lab")
    assert done.exit_code == 2 and "give one of them" in done.stderr


@pytest.fixture
def spoiled(tmp_path):
    from PIL import Image

    Image.new("RGB", (60, 60), "red").save(tmp_path / "red.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    return tmp_path


def test_quiet_leaves_results_and_errors_alone(spoiled):
    words = ("caption", spoiled, "--method", "clipre", "--memory", 20)
    loud, quiet = run_in_shell(*words), run_in_shell("--quiet", *words)
    assert loud.returncode == quiet.returncode == 0, loud.stderr
    assert loud.stdout == quiet.stdout != ""
    assert "skipped 1 of 2 files" in loud.stderr and quiet.stderr == ""
    wrong = run_in_shell("--quiet", "caption", spoiled / "none", "--method", "clipre")
    assert wrong.returncode == 1 and wrong.stderr.startswith("error: no image")


def test_quiet_shows_no_progress(spoiled):
    words = ("features", spoiled, "--out")
    loud = run_in_shell(*words, spoiled / "a.safetensors")
    quiet = run_in_shell("--quiet", *words, spoiled / "b.safetensors")
    assert "2/2" in loud.stderr and "skipped broken.png" in loud.stderr
    assert quiet.returncode == 0 and quiet.stderr == ""
    assert quiet.stdout.endswith("1 images, 1 left out, 0 texts, d = 128\n")


def test_quiet_holds_for_one_command_line(vizer, monkeypatch, capsys):
    for name in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setenv(name, "0")  # put back afterwards
    vizer("--quiet", "gap")
    assert is_quiet()
    say("a remark", err=True)
    say("a result")
    assert capsys.readouterr() == ("a result\n", "")
    vizer("gap")
    assert not is_quiet()
    say("a remark", err=True)
    assert capsys.readouterr().err == "a remark\n"


def test_a_shell_completes_commands_and_options():
    asked = {"_VIZER_COMPLETE": "complete_bash", "COMP_WORDS": "vizer tr", "COMP_CWORD": "1"}
    program = [sys.executable, "-c", "from vizer_core.cli import app; app(prog_name='vizer')"]
    done = subprocess.run(
        program, capture_output=True, text=True, timeout=240, env=os.environ | asked
    )
    assert done.stdout.split() == ["train-captioner"], done.stderr
    asked |= {"COMP_WORDS": "vizer gap --te", "COMP_CWORD": "2"}
    done = subprocess.run(
        program, capture_output=True, text=True, timeout=240, env=os.environ | asked
    )
    assert done.stdout.split() == ["--texts"], done.stderr


def test_options_of_the_root_may_stand_behind_the_command(spoiled):
    words = ("caption", spoiled, "--method", "clipre", "--memory", 20)
    assert run_in_shell(*words, "--quiet").stderr == ""
    wrong = ("caption", spoiled / "none", "--method", "clipre")
    assert "Traceback" not in run_in_shell(*wrong).stderr
    assert "Traceback" in run_in_shell(*wrong, "--debug").stderr


def test_what_nobody_foresaw_is_one_line_too(spoiled, vizer, monkeypatch):
    def broken(*_, **__):
        return {}["noise"]

    monkeypatch.setattr("vizer_core.captioners.caption_images", broken)
    done = vizer("caption", spoiled, "--method", "clipre", "--memory", 20)
    assert done.exit_code == 1 and done.stdout == ""
    said = done.stderr.splitlines()[-1]
    assert said.startswith("error: ") and "KeyError: 'noise' (in " in said
    assert "call it as vizer --debug COMMAND" in said
