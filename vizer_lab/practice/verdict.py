"""Judge what a reader wrote, and say what is wrong in words.

The answer is compared with the package's own function on every case. If it is wrong, it is compared
with the known mistakes of the task: the same numbers mean the same mistake. Only if none fits is it
described: its shape, its sign, a constant factor, or the two numbers.
"""

from __future__ import annotations

import copy
import inspect
import math
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vizer_lab.practice.task import Case, Task

NOT_TASKS = {"__init__", "task", "verdict"}
WIDTH = 76  # of a printed line


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and what to tell its author."""

    right: bool
    says: str


def task_names() -> list[str]:
    """Return the names of the functions that `check` knows."""
    folder = Path(__file__).parent
    return sorted(file.stem for file in folder.glob("*.py") if file.stem not in NOT_TASKS)


def check(function: Callable[..., Any]) -> None:
    """Print what is wrong with a reader's function, or that it is right.

    The function's own name says which task it answers. Nothing is raised, whatever the function
    does: a chapter runs through with its answers unwritten.

    >>> def contrastive_loss(images, texts, logit_scale): ...
    >>> check(contrastive_loss)
    contrastive_loss is not written yet. Put your lines in place of the `...`,
    then run its cell and this one.
    >>> check(len)
    `len` is none of the functions to write: keep the name that the cell gives.
    """
    name = getattr(function, "__name__", str(function))
    if name not in task_names():
        print(f"`{name}` is none of the functions to write: keep the name that the cell gives.")
        return
    task: Task = import_module(f"vizer_lab.practice.{name}").TASK
    print(textwrap.fill(f"{name} {judge(function, task).says}", WIDTH))


def judge(function: Callable[..., Any], task: Task) -> Verdict:
    """Run a function on every case of a task and say how it does; never raises."""
    cases = list(task.cases())
    found = []
    for case in cases:
        given = copy.deepcopy(case.arguments)
        try:
            value = function(*given)
        except Exception as error:
            return Verdict(False, _stopped(error, case, function))
        if value is None or value is Ellipsis or value is NotImplemented:
            return Verdict(False, _nothing(function))
        if not _same(given, case.arguments, 0.0):
            return Verdict(
                False,
                f"changes what it is given ({case.says}): compute new values instead of "
                "writing into the arguments.",
            )
        found.append(value)
    wanted = [task.answer(*copy.deepcopy(case.arguments)) for case in cases]
    if _all_same(found, wanted, task.tolerance):
        if task.learns and not _lets_gradients_through(function, cases[0]):
            return Verdict(
                False,
                "gives the right numbers, but no gradient flows back to its first argument: leave "
                "out .item(), .detach(), float() and no_grad.",
            )
        home = f" In the package: {task.at_home}." if task.at_home else ""
        return Verdict(True, f"is right, on all {len(cases)} cases.{home}")
    for mistake in task.mistakes:
        wrong = [mistake(*copy.deepcopy(case.arguments)) for case in cases]
        if _all_same(found, wrong, task.tolerance):
            return Verdict(False, f"is not right yet. {inspect.getdoc(mistake)}")
    return Verdict(False, f"is not right yet. {_described(found, wanted, cases, task.tolerance)}")


def _stopped(error: Exception, case: Case, function: Callable[..., Any]) -> str:
    """Say where and with what a function stopped."""
    code = getattr(function, "__code__", None)
    if isinstance(error, NotImplementedError):
        return _nothing(function)
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if code and f.name == code.co_name
    ]
    first = code.co_firstlineno if code else 1
    where = (
        f" in line {frames[-1].lineno - first + 1} of it" if frames and frames[-1].lineno else ""
    )
    told = f"stops{where} with {case.says}: {type(error).__name__}: {error}"
    if not isinstance(error, RuntimeError | IndexError):
        return told
    names = list(inspect.signature(function).parameters)
    shapes = [
        f"{name} {[*value.shape]}"
        for name, value in zip(names, case.arguments, strict=False)
        if isinstance(value, Tensor)
    ]
    return f"{told}. Shapes: {', '.join(shapes)}."


def _nothing(function: Callable[..., Any]) -> str:
    """Tell an unwritten function from one that forgot its `return`."""
    code = getattr(function, "__code__", None)
    names = code.co_names if code is not None else ()  # what a written function calls
    if names and "NotImplementedError" not in names:
        return "gives nothing back: is its `return` missing?"
    return (
        "is not written yet. Put your lines in place of the `...`, then run its cell and this one."
    )


def _described(
    found: Sequence[Any], wanted: Sequence[Any], cases: Sequence[Case], tolerance: float
) -> str:
    """Describe the first wrong value: by its kind, shape, sign or factor, else by the numbers."""
    place = next(
        i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if not _same(a, b, tolerance)
    )
    got, right, says = _tensor(found[place]), _tensor(wanted[place]), cases[place].says
    if right is None and isinstance(wanted[place], list | tuple):
        return _described_part(found, wanted, cases, tolerance)
    if got is None or right is None:
        return f"With {says}: wanted {_short(wanted[place])}, got {_short(found[place])}."
    if got.shape != right.shape:
        turned = " Is it transposed?" if got.ndim == 2 and got.mT.shape == right.shape else ""
        return f"With {says}: wanted the shape {[*right.shape]}, got {[*got.shape]}.{turned}"
    if not torch.isfinite(got).all():
        return f"With {says}: some values are not finite. A division by 0, or a log of 0?"
    if _all_same([-_tensor(v) for v in found], wanted, tolerance):  # type: ignore[operator]
        return "Right but for the sign: every value has the other one."
    factors = [_factor(a, b) for a, b in zip(found, wanted, strict=True)]
    if _tells(factors, wanted):
        each = ", ".join(f"{f:.4g} ({c.says})" for f, c in zip(factors, cases, strict=True))
        hint = " A sum where a mean belongs?" if all(_whole(f) and f > 1 for f in factors) else ""
        return f"Right but for a factor: yours is what is wanted times {each}.{hint}"
    worst = int((got - right).abs().argmax())
    one = f"the number at place {worst} " if got.numel() > 1 else ""
    return f"With {says}: wanted {one}{right.flatten()[worst]:.4f}, got {got.flatten()[worst]:.4f}."


def _described_part(
    found: Sequence[Any], wanted: Sequence[Any], cases: Sequence[Case], tolerance: float
) -> str:
    """Describe the first wrong one of several values that a function returns together."""
    count = len(wanted[0])
    for value, case in zip(found, cases, strict=True):
        if not isinstance(value, list | tuple) or len(value) != count:
            got = f"{len(value)}" if isinstance(value, list | tuple) else "one"
            return f"With {case.says}: wanted {count} values, got {got}."
    parts = [([f[i] for f in found], [w[i] for w in wanted]) for i in range(count)]
    number, (got, right) = next(
        (i, part) for i, part in enumerate(parts, 1) if not _all_same(*part, tolerance)
    )
    return f"Of the {count} values, number {number}: {_described(got, right, cases, tolerance)}"


def _tells(factors: Sequence[float | None], wanted: Sequence[Any]) -> bool:
    """Whether factors say something: for single numbers each has one, whatever the mistake was."""
    known = [factor for factor in factors if factor is not None]
    if len(known) < len(factors):
        return False
    if any(part.numel() > 1 for part in map(_tensor, wanted) if part is not None):
        return True
    same = max(known) - min(known) < 1e-3 * max(known)
    return (same and len(known) > 1) or all(_whole(f) or _whole(1 / f) for f in known)


def _whole(number: float | None) -> bool:
    return number is not None and abs(number - round(number)) < 1e-3 * number


def _factor(found: Any, wanted: Any) -> float | None:
    """Return the one number by which `found` is too large, if there is one."""
    a, b = _tensor(found), _tensor(wanted)
    if a is None or b is None or a.shape != b.shape or float(b.abs().max()) < 1e-8:
        return None
    factor = float((a * b).sum() / (b * b).sum())
    return factor if factor > 0 and torch.allclose(a, factor * b, rtol=1e-3, atol=1e-6) else None


def _all_same(found: Sequence[Any], wanted: Sequence[Any], tolerance: float) -> bool:
    return all(_same(a, b, tolerance) for a, b in zip(found, wanted, strict=True))


def _same(a: Any, b: Any, tolerance: float) -> bool:
    """Compare two values: numbers and tensors within a tolerance, all else exactly."""
    first, second = _tensor(a), _tensor(b)
    if first is not None and second is not None:
        if first.shape != second.shape:
            return False
        return torch.allclose(first, second, rtol=tolerance, atol=tolerance, equal_nan=True)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if isinstance(a, torch.Generator) and isinstance(b, torch.Generator):
        return True  # drawing from it is what it is for
    if callable(a) and callable(b):
        return True
    return bool(type(a) is type(b) and a == b)


def _tensor(value: Any) -> Tensor | None:
    """Return numbers in any wrapping as one tensor on the CPU; None for what has no numbers."""
    if isinstance(value, str | bytes | bool) or value is None:
        return None
    if isinstance(value, Tensor):
        return value.detach().double().cpu()
    try:
        return torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        return None


def _lets_gradients_through(function: Callable[..., Any], case: Case) -> bool:
    first, *rest = copy.deepcopy(case.arguments)
    first = first.detach().clone().requires_grad_()
    value = function(first, *rest)
    if not (isinstance(value, Tensor) and value.requires_grad):
        return False
    (gradient,) = torch.autograd.grad(value.sum(), first, allow_unused=True)
    return gradient is not None and math.isfinite(float(gradient.sum()))


def _short(value: Any) -> str:
    return textwrap.shorten(repr(value), 60)
