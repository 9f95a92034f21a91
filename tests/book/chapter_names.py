"""Run of a chapter only what gives some of its names: its exercises need no figure and no table."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

CHANGES = {  # calls that change what they return nothing of
    "add_lora": {"vlm"},
    "reset_lora": {"vlm"},
    "run": {"vlm", "histories", "said"},  # a training of chapter 11
}


def needed(source: str, wanted: Iterable[str]) -> str:
    """Return the statements that give the wanted names, and all that these need, in their order.

    >>> print(needed("import os\\na = 1\\nb = [a]\\nb.append(2)\\nprint(b)\\nc = os", {"b"}))
    a = 1
    b = [a]
    b.append(2)
    """
    missing, kept = set(wanted), []
    for statement in reversed(ast.parse(source).body):
        if made_by(statement) & missing:
            kept.append(statement)
            missing |= read_by(statement)
    return "\n".join(ast.unparse(statement) for statement in reversed(kept))


def read_by(statement: ast.AST) -> set[str]:
    """Return the names that a statement reads, those inside a function too.

    >>> sorted(read_by(ast.parse("a += b")))
    ['a', 'b']
    """
    nodes = list(ast.walk(statement))
    added_to = {id(node.target) for node in nodes if isinstance(node, ast.AugAssign)}
    return {
        node.id
        for node in nodes
        if isinstance(node, ast.Name) and (isinstance(node.ctx, ast.Load) or id(node) in added_to)
    }


def made_by(statement: ast.stmt) -> set[str]:
    """Return the names that a statement gives or changes."""
    if isinstance(statement, ast.FunctionDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        called = statement.value.func
        if isinstance(called, ast.Name):
            return CHANGES.get(called.id, set())
        return _owner(called)  # a method may change what it belongs to
    made: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name | ast.Subscript | ast.Attribute) and isinstance(
            node.ctx, ast.Store
        ):
            made |= _owner(node)
    return made


def _owner(node: ast.AST) -> set[str]:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def names_of(source: str, wanted: Iterable[str]) -> dict[str, Any]:
    """Run what the wanted names need of a chapter's code; return all names that this gives."""
    known: dict[str, Any] = {}
    exec(needed(source, wanted), known)
    return known
