"""Write the page of the command line from the commands themselves: help, options, examples.

What the page says is what `vizer COMMAND --help` says, since both read the same objects.
"""

from __future__ import annotations

import re
from typing import Any

from typer.main import get_command

from tools.tables import cell, table
from vizer_core.cli import app
from vizer_core.cli.examples import example_lines

OPTION = re.compile(r"(?<![\w`-])(--?[a-z][\w-]*)")
HELP, COMPLETION = "-h", ("--install-completion", "--show-completion")


def prose(text: str) -> str:
    """Return help text as Markdown: options as code, since two hyphens would become a dash.

    >>> prose("Give --json FILE (or --out-dir); a model-free run.")
    'Give `--json` FILE (or `--out-dir`); a model-free run.'
    """
    return OPTION.sub(r"`\1`", text.strip()).replace("$", "\\$").replace("*", "\\*")


def default_of(option: Any) -> str:
    """Return what an option is when it is not given, in words."""
    if option.required:
        return "required"
    value = option.default
    if value is None or value is False or callable(value) or value == ():
        return ""
    return f"`{value}`"


def options_markdown(command: Any) -> str:
    """Return a table of a command's arguments and options, hidden ones and --help left out."""
    rows = []
    for option in command.params:
        shown = [name for name in option.opts if name != HELP]
        if getattr(option, "hidden", False) or HELP in option.opts:
            continue
        is_argument = not shown[0].startswith("-")
        name = (option.metavar or option.name.upper()) if is_argument else ", ".join(shown)
        more = " Several times." if getattr(option, "multiple", False) else ""
        rows.append([f"`{name}`", default_of(option), cell(prose(option.help or "")) + more])
    return table(["option", "default", "what it does"], rows)


def command_markdown(name: str, command: Any) -> str:
    """Return a command's section: what it does, its examples, its options."""
    examples = "\n".join(["```sh", *example_lines(name), "```"])
    heading = f"(command-{name})=\n## vizer {name}"
    parts = [heading, prose(command.help), examples, options_markdown(command)]
    return "\n\n".join(parts)


def commands_markdown() -> str:
    """Return all commands, the options before a command's name first."""
    group = get_command(app)
    listed = [
        f"- [vizer {name}](#command-{name}): {prose(command.get_short_help_str(limit=200))}"
        for name, command in group.commands.items()
    ]
    parts = ["\n".join(listed), "## Before the command's name", options_markdown(group)]
    return "\n\n".join(parts + [command_markdown(*one) for one in group.commands.items()])
