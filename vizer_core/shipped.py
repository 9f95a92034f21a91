"""Models that come with the installation, found by kind and name through entry points.

A distribution that ships models declares each in its metadata, in the group `vizer_core.shipped`:

    [project.entry-points."vizer_core.shipped"]
    "clip.my-clip" = "my_package.models:load_clip"

The name is a kind, a dot and the model's own name. The value is a function that takes the name
first; what it takes and returns besides depends on the kind:

==================  =====================================================
kind                what the function makes
==================  =====================================================
clip                `(name, device)` -> an image and text encoder
language_model      `(name, device)` -> a causal language model
vlm                 `(name, device)` -> a vision-language model
captioner, adapter  `(name)` -> the path of a trained part
corpus              `(name, limit)` -> captions to train on
vqa_prompt          `(name)` -> how the language model of that name is asked
==================  =====================================================

A checkout that is only on the path has no metadata; there `pyproject.toml` says the same.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

GROUP = "vizer_core.shipped"
PROJECT = "vizer-core"
CHECKOUT = Path(__file__).resolve().parents[1]


def shipped(kind: str, name: str) -> Callable[..., Any]:
    """Return the function that loads a shipped thing: `shipped("clip", "drawn-clip")("cpu")`.

    Raises `ImportError` if nothing of this kind is installed, and `ValueError` that lists what
    there is if the name is unknown.
    """
    known = _of_kind(kind)
    if not known:
        raise ImportError(
            f"no shipped {kind} is installed, so none is called {name!r}: vizer_lab brings them, "
            'from the same wheel as vizer_core; from the checkout: pip install -e "."'
        )
    if name not in known:
        raise ValueError(f"no shipped {kind} {name!r}: wanted one of {', '.join(known)}")
    return partial(known[name].load(), name)


def shipped_names(kind: str) -> tuple[str, ...]:
    """Return the names of everything of a kind that is shipped; none if nothing is installed."""
    return tuple(_of_kind(kind))


@cache
def declared(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group, by name: the checkout's own, then the installed ones.

    What an installation of this project says does not count beside its checkout: after a change of
    `pyproject.toml` an editable one still names what was there when it was installed.
    """
    own = _of_checkout(group, CHECKOUT)
    found = {each.name: each for each in entry_points(group=group) if not (own and _ours(each))}
    found |= {each.name: each for each in own}
    return tuple(found[name] for name in sorted(found))


def _ours(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == PROJECT


def _of_kind(kind: str) -> dict[str, EntryPoint]:
    mark = f"{kind}."
    return {e.name.removeprefix(mark): e for e in declared(GROUP) if e.name.startswith(mark)}


def _of_checkout(group: str, folder: Path) -> list[EntryPoint]:
    """Read the entry points that a checkout declares; an installed package has no such file."""
    file = folder / "pyproject.toml"
    if not file.is_file():
        return []
    project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    if project.get("name") != PROJECT:  # somebody else's folder
        return []
    rows = project.get("entry-points", {}).get(group, {})
    return [EntryPoint(name, value, group) for name, value in rows.items()]
