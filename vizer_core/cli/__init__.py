"""The command `vizer`: thin wrappers that read files, call the package, and write files.

Exit status: 0 done, 1 failed (the message says why; none if the reader of a pipe went away), 2
wrong use of the command line.

- `scores`: evaluate, compare; `gap`: gap; `lab`: lab
- `caption`: train-captioner, caption; `enhance`: fit-mapper, enhance
- `app`, `encoders`, `models`: what the commands share
"""

from vizer_core.cli import caption, enhance, gap, lab, scores
from vizer_core.cli.app import app

__all__ = ["app", "caption", "enhance", "gap", "lab", "scores"]
