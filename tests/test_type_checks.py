"""What the tests' own type checks refuse: wrong types anywhere, axes that do not agree."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import jaxtyping
import pytest
import torch
from beartype import beartype
from jaxtyping import Float
from torch import Tensor

from vizer_core.captioners.registry import Method, method_named
from vizer_core.shapes import unit_norm
from vizer_lab.world import world

checked = jaxtyping.jaxtyped(typechecker=beartype)


@checked
def half(n: int, *, of: Sequence[str] = ()) -> int:
    return n / 2 if of else n // 2


@checked
def matched(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"]) -> list[Float[Tensor, " d"]]:
    return [*a, *b]


@checked
def letters(text: str, unknown: NotThereYet = 3) -> Iterator[str]:  # noqa: F821
    yield from text


def test_parameters_and_results_without_arrays_are_checked():
    assert half(4) == 2 and half.__annotations__["n"] == "int"
    with pytest.raises(TypeError, match="parameter n='4'"):
        half("4")
    with pytest.raises(TypeError, match=r"return 2\.0 "):
        half(4, of=["a"])
    with pytest.raises(TypeError, match="parameter of=3"):
        half(4, of=3)


def test_axes_are_checked():
    assert len(matched(torch.ones(2, 3), torch.ones(2, 3))) == 4
    with pytest.raises(TypeError, match="n=2"):
        matched(torch.ones(2, 3), torch.ones(4, 3))


def test_a_hint_that_names_nothing_yet_is_not_checked_and_the_others_are():
    assert list(letters("ab", unknown=None)) == ["a", "b"]
    with pytest.raises(TypeError, match="parameter text=3"):
        list(letters(3))


def test_a_dataclass_is_checked_when_it_is_made():
    @checked
    @dataclass
    class Row:
        n: int
        words: list[str] = field(default_factory=list)

    assert Row(3).words == []
    with pytest.raises(TypeError, match="parameter n='3'"):
        Row("3")


def test_both_packages_are_checked():
    with pytest.raises(TypeError, match="parameter name=3"):
        method_named(3)
    with pytest.raises(TypeError, match="unit_norm"):
        unit_norm([1.0])
    with pytest.raises(TypeError, match="parameter name="):
        Method(name=3, says="", make=print)
    with pytest.raises(TypeError, match=r"parameter split="):
        world.scene_rng(split=3, index=0, purpose=0)
    assert isinstance(method_named, types.FunctionType)
