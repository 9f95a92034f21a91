"""Types are checked at every call of the packages, and cheaply where no array is involved.

jaxtyping's hook decorates every function. Its wrapper binds the arguments, keeps a table of axes
and lets beartype read the parameters twice: 60 us a call, which made drawn scenes and captions
four times as slow. A function whose signature names no array has no axes to keep, so beartype alone
reads it here, once. Functions with arrays keep jaxtyping's wrapper. As in jaxtyping, a hint that
cannot be resolved when the function is made is not checked.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

# jaxtyping raises a TypeError, and so does this
_checked = beartype(conf=BeartypeConf(violation_type=TypeError))


def install() -> None:
    """Stand in for the decorator that the import hook writes before each function and class."""
    full = jaxtyping.jaxtyped

    def jaxtyped(function: Any = None, **options: Any) -> Any:
        if function is None:
            return functools.partial(jaxtyped, **options)
        if inspect.isclass(function):
            init = vars(function).get("__init__")
            if is_dataclass(function) and isinstance(init, types.FunctionType):
                function.__init__ = jaxtyped(init, **options)
            return function
        if not isinstance(function, types.FunctionType):
            return full(function, **options)
        hints = resolved(function)
        if any(names_an_array(hint) for hint in hints.values()):
            return full(function, **options)
        return with_hints(function, hints)

    jaxtyping.jaxtyped = jaxtyped


def resolved(function: Callable) -> dict[str, Any]:
    """Return the hints of a function, without those that name what is not there yet."""
    found = {}
    for name, hint in function.__annotations__.items():
        probe = types.SimpleNamespace(__annotations__={name: hint})
        try:
            found |= get_type_hints(probe, function.__globals__, include_extras=True)
        except Exception:  # whatever the text of a hint may raise
            continue
    return found


def names_an_array(hint: Any) -> bool:
    """Tell whether a hint is, or holds, a jaxtyping array."""
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(names_an_array(part) for part in get_args(hint))


def with_hints(function: Any, hints: dict[str, Any]) -> Any:
    """Let beartype check a function by these hints; it keeps its own for whoever reads them."""
    written = function.__annotations__
    function.__annotations__ = {name: h for name, h in hints.items() if h is not Any}
    try:
        checked = _checked(function)
    finally:
        function.__annotations__ = written
    if checked is not function:
        checked.__annotations__ = written
    return checked
