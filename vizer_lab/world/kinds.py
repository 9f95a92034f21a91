"""What the tables of the drawn world are made of: kinds of object and places."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectKind:
    """A kind of object: `code` is its OpenMoji file name, `name` its canonical noun."""

    name: str
    code: str
    category: str
    plural: str
    synonyms: tuple[str, ...] = ()
    colour: str | None = None


@dataclass(frozen=True)
class Place:
    """A background: its canonical name and the phrases that people use for it."""

    name: str
    phrases: tuple[str, ...]
    scene_noun: str


def read_kinds(category: str, table: str) -> tuple[ObjectKind, ...]:
    """Read rows `name | code | plural | synonym[, synonym] | colour` (last two optional).

    >>> read_kinds("animal", "dog | 1F415 | | puppy")[0].plural
    'dogs'
    """
    rows = []
    for line in table.strip().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        name, code = cells[:2]
        plural = cells[2] if len(cells) > 2 and cells[2] else f"{name}s"
        synonyms = tuple(s.strip() for s in cells[3].split(",") if s.strip()) if cells[3:] else ()
        colour = cells[4] if len(cells) > 4 and cells[4] else None
        rows.append(ObjectKind(name, code, category, plural, synonyms, colour))
    return tuple(rows)
