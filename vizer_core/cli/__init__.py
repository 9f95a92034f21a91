"""The command `vizer`: thin wrappers that read files, call the package, and write files.

Exit status: 0 done, 1 failed (the message says why; none if the reader of a pipe went away), 2
wrong use of the command line, 130 stopped by Ctrl-C.

- `scores`, `score_inputs`: evaluate, compare; `features`: features; `gap`: gap; `vqa`: vqa
- `train_captioner`: train-captioner; `caption`, `caption_vlm`: caption; `tune_lm`: tune-lm
- `improve`; `enhance`: fit-mapper, enhance; `merge`; `training_options`: enhance's own
- `app`, `encoders`, `models`, `captioner_options`, `decoding_options`, `reading_options`: what the
  commands share
- `examples`: what the help of each command ends with

Other packages add commands by entry points of the group `vizer_core.commands`: each names a
function that is given `app`.
"""

from vizer_core.cli import train_captioner, caption, improve, enhance, features, gap, vqa  # isort: skip
from vizer_core.cli import merge, scores, tune_lm  # isort: skip
from vizer_core.cli.app import app
from vizer_core.cli.examples import EXAMPLES, epilog
from vizer_core.shipped import declared

for _entry in declared("vizer_core.commands"):
    _entry.load()(app)
for _command in app.registered_commands:
    if _command.name in EXAMPLES:
        _command.epilog = epilog(_command.name)

__all__ = [
    "app",
    "caption",
    "enhance",
    "features",
    "gap",
    "improve",
    "merge",
    "scores",
    "train_captioner",
    "tune_lm",
    "vqa",
]
