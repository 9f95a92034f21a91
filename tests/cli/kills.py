"""Commands that are stopped in the middle, and commands that come to their end."""

from __future__ import annotations

import pytest


class Killed(BaseException):
    """What a kill looks like from inside: no handler of the package may catch it."""


def killed(vizer, *words) -> None:
    """Run a command that must not come to its end."""
    with pytest.raises(Killed):
        vizer(*words)


def finished(vizer, *words):
    """Run a command that must come to a good end, and return its result."""
    done = vizer(*words)
    assert done.exit_code == 0, done.output
    return done
