"""How the next word is chosen: named rules that language models and vision-language models share.

A rule has its own limits and nothing about a model. `Beam(4, max_tokens=16)` is MacCap's rule,
`Sample(temperature=1.0)` draws from the model as it is, which is what reinforcement learning and
every `sampled_` metric need.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias


def _require_tokens(max_tokens: int) -> None:
    if max_tokens < 1:
        raise ValueError(f"max_tokens is {max_tokens}: wanted at least 1")


@dataclass(frozen=True)
class Greedy:
    """Take the likeliest token each time."""

    max_tokens: int = 24

    def __post_init__(self) -> None:
        _require_tokens(self.max_tokens)

    def generate_options(self) -> dict[str, Any]:
        """Return the rule as keyword arguments of transformers' `generate`."""
        return {"do_sample": False, "num_beams": 1, "max_new_tokens": self.max_tokens}


@dataclass(frozen=True)
class Beam:
    """Keep the `width` likeliest beginnings; the sum of log-probabilities is divided by length."""

    width: int = 4
    max_tokens: int = 24
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        _require_tokens(self.max_tokens)
        if self.width < 2:
            raise ValueError(f"beam width is {self.width}: wanted at least 2; one beam is Greedy()")

    def generate_options(self) -> dict[str, Any]:
        """Return the rule as keyword arguments of transformers' `generate`."""
        return {
            "do_sample": False,
            "num_beams": self.width,
            "max_new_tokens": self.max_tokens,
            "length_penalty": self.length_penalty,
        }


@dataclass(frozen=True)
class Sample:
    """Draw from the smallest set of tokens that contains `top_p` of the mass, at a temperature."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 24

    def __post_init__(self) -> None:
        _require_tokens(self.max_tokens)
        if not self.temperature > 0:
            raise ValueError(
                f"temperature is {self.temperature}: wanted more than 0; use Greedy() for the limit"
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: wanted 0 < top_p <= 1")

    def generate_options(self) -> dict[str, Any]:
        """Return the rule as keyword arguments of transformers' `generate`.

        >>> Sample(max_tokens=8).generate_options()["top_k"]
        0
        """
        return {
            "do_sample": True,
            "num_beams": 1,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": 0,
            "max_new_tokens": self.max_tokens,
        }


Decoding: TypeAlias = Greedy | Beam | Sample


@dataclass(frozen=True)
class Style:
    """How a caption is to be generated; None leaves it to the method or the model.

    Raises `ValueError` where beams and a temperature are both asked for, or one that means nothing.
    """

    prompt: str | None = None
    max_tokens: int | None = None
    beams: int | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        self.rule(Greedy())

    def rule(self, default: Decoding) -> Decoding:
        """Return the rule of decoding that is meant.

        >>> Style(beams=3).rule(Greedy(16))
        Beam(width=3, max_tokens=16, length_penalty=1.0)
        """
        return decoding_with(
            default, max_tokens=self.max_tokens, beams=self.beams, temperature=self.temperature
        )

    def given(self) -> dict[str, Any]:
        """Return what was asked for, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def decoding_with(
    default: Decoding,
    *,
    max_tokens: int | None = None,
    beams: int | None = None,
    temperature: float | None = None,
) -> Decoding:
    """Return the rule that is asked for; what is None is as in `default`.

    `beams` asks for beam search (1: greedy), `temperature` for drawing (0: greedy). Raises
    `ValueError` where both are asked for, on beams below 1 and on a temperature below 0.

    >>> decoding_with(Beam(4, max_tokens=16, length_penalty=0.5), max_tokens=8)
    Beam(width=4, max_tokens=8, length_penalty=0.5)
    >>> decoding_with(Greedy(), beams=3)
    Beam(width=3, max_tokens=24, length_penalty=1.0)
    >>> decoding_with(Beam(4), temperature=0.7)
    Sample(temperature=0.7, top_p=1.0, max_tokens=24)
    """
    if beams is not None and beams < 1:
        raise ValueError(f"beams is {beams}: wanted at least 1, which is greedy")
    if temperature is not None and not temperature >= 0:
        raise ValueError(f"temperature is {temperature}: wanted at least 0, which is greedy")
    limit = default.max_tokens if max_tokens is None else max_tokens
    wide, drawn = (beams or 1) > 1, (temperature or 0) > 0
    if wide and drawn:
        raise ValueError(
            f"beams={beams} keeps the likeliest words and temperature={temperature:g} draws them: "
            "give one of the two"
        )
    if beams is not None and wide:
        beam = default if isinstance(default, Beam) else Beam()
        return replace(beam, width=beams, max_tokens=limit)
    if temperature is not None and drawn:
        sample = default if isinstance(default, Sample) else Sample()
        return replace(sample, temperature=temperature, max_tokens=limit)
    if beams is not None or temperature is not None:
        return Greedy(limit)
    return replace(default, max_tokens=limit)
