"""What a folder exports, imported when it is asked for: an import of one name loads one file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, home: Mapping[str, Sequence[str]]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__all__`, `__getattr__` and `__dir__` of a package, of the names in each module.

    Modules are named in full, so that `tools.stamps` finds them. No name may be that of a file of
    the package: importing the file would put the module into the name's place.

    >>> names, get, _ = lazy_names("vizer_core", {"vizer_core.decoding": ["Greedy", "Sample"]})
    >>> names, get("Sample").__name__
    (['Greedy', 'Sample'], 'Sample')
    >>> get("Sampel")
    Traceback (most recent call last):
    ...
    AttributeError: module 'vizer_core' has no attribute 'Sampel'
    """
    modules = {name: module for module, names in home.items() for name in names}

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(modules[name]), name)
        setattr(sys.modules[package], name, found)  # the next time Python finds it by itself
        return found

    def names_there() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return sorted(modules), get, names_there
