"""Options that `vizer caption` would ignore: refused, since one letter can change a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

TRAINED = ("maccap", "maccap_pass", "baseline", "capdec", "decap")
UNTRAINED = ("clipre", "magic", "zerocap")
METHODS = (*TRAINED, *UNTRAINED)
# models and corpus are given alike to training and to every method
DEFAULTS = {"adapter": None, "adaptor": None, "clip": "micro", "pretrained": None,
            "quick_gelu": False, "language_model": "micro-lm", "corpus": "micro-home",
            "memory": 20_000}  # fmt: skip


def used_by(method: str | None) -> set[str]:
    """Return which of `DEFAULTS` a method uses; of None, what --model does.

    >>> used_by(None)
    {'adapter'}
    """
    if method is None:
        return {"adapter"}
    used = {"clip", "pretrained", "quick_gelu", "language_model", "corpus"}
    if method in TRAINED:
        used.add("adaptor")
    if method in ("clipre", "decap"):
        used.add("memory")
    return used


def refuse_unused(method: str | None, given: Mapping[str, Any]) -> None:
    """End with status 2 where an option has a value that the chosen way of captioning ignores."""
    for name, value in given.items():
        if name in used_by(method) or value == DEFAULTS[name]:
            continue
        way = "--model" if method is None else f"--method {method}"
        users = ", ".join(other for other in METHODS if name in used_by(other))
        whose = "--model" if name == "adapter" else f"--method {users}"
        raise typer.BadParameter(
            f"--{name.replace('_', '-')} is not used by {way}, it belongs to {whose}: leave it out"
        )
