"""Ways of captioning: a first word or a prompt, a rule of decoding, views, an adapter or none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from vizer_core.decoding import Beam, Decoding, Greedy

MAX_TOKENS = 32
BEAMS = 4


@dataclass(frozen=True)
class Way:
    """How to caption: `name` is what tables show.

    `opening` are words of which one comes first, `prompt` what the model is asked, its default
    where it is None; `views` are averaged before decoding; `adapter` says that the trained one is
    on.
    """

    name: str
    opening: tuple[str, ...] = ()
    prompt: str | None = None
    decoding: Decoding = field(default_factory=lambda: Greedy(MAX_TOKENS))
    views: int = 1
    adapter: bool = False

    @property
    def decodes(self) -> int:
        """Beginnings of a caption that are kept at once."""
        return self.decoding.width if isinstance(self.decoding, Beam) else 1

    @property
    def cost(self) -> str:
        """Say what a caption costs.

        >>> Way("views", views=5).cost, Way("beam", decoding=Beam(4)).cost
        ('5 vision passes, 1 decode', '1 vision pass, 4 decodes')
        """
        vision = f"{self.views} vision pass{'es' if self.views > 1 else ''}"
        return f"{vision}, {self.decodes} decode{'s' if self.decodes > 1 else ''}"

    @property
    def effort(self) -> tuple[bool, int]:
        """What ways are ordered by, the cheapest first; what must be trained comes last."""
        return self.adapter, self.views + self.decodes

    def options(self) -> str:
        """Return the options of `vizer caption` that caption this way.

        >>> Way("a", opening=("a",), views=5).options()
        ' --first-word a --max-tokens 32 --views 5'
        """
        said = "".join(f" --first-word {word}" for word in self.opening)
        said += f' --prompt "{self.prompt}"' if self.prompt is not None else ""
        said += f" --max-tokens {self.decoding.max_tokens}"
        said += f" --beams {self.decodes}" if self.decodes > 1 else ""
        return said + (f" --views {self.views}" if self.views > 1 else "")

    def to_dict(self) -> dict[str, Any]:
        """The way as plain JSON values."""
        return {
            "name": self.name,
            "opening": list(self.opening),
            "prompt": self.prompt,
            "beams": self.decodes,
            "max_tokens": self.decoding.max_tokens,
            "views": self.views,
            "adapter": self.adapter,
        }

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> Way:
        """Read what `to_dict` wrote.

        >>> way = Way("x", opening=("a",), decoding=Beam(4, max_tokens=32), views=3)
        >>> Way.from_dict(way.to_dict()) == way
        True
        """
        beams, limit = kept["beams"], kept["max_tokens"]
        return cls(
            kept["name"],
            tuple(kept["opening"]),
            kept["prompt"],
            Beam(beams, max_tokens=limit) if beams > 1 else Greedy(limit),
            kept["views"],
            kept["adapter"],
        )


def with_beams(way: Way) -> Way:
    """Return a way with beam search in the place of greedy decoding.

    >>> with_beams(Way("first word 'a'", opening=("a",))).name
    "first word 'a', beam 4"
    """
    name = f"beam {BEAMS}" if way == BASE else f"{way.name}, beam {BEAMS}"
    return replace(way, name=name, decoding=Beam(BEAMS, max_tokens=MAX_TOKENS))


BASE = Way("as it is")
