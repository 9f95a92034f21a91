"""Run the command line: `python -m vizer_core`."""

from vizer_core.cli import app

app()
