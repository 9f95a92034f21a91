"""One caption word by word, as HTML: the more nats a word has, the darker its ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from vizer_lab.figures.gallery import BOX, CELL, ROW, system_style

MOST = 8.0  # nats; from here on the ground is as dark as it gets
TINT = "213,94,0"  # `COLOURS["text"]`
WORD = "display:inline-block;text-align:center;padding:0 3px;margin:1px"


@dataclass(frozen=True)
class TintedCaption:
    """The words of a caption, and for each way of reading it the nats of every word."""

    words: Sequence[str]
    nats: Mapping[str, Sequence[float]]

    def _repr_html_(self) -> str:
        rows = []
        for way, values in self.nats.items():
            words = "".join(_word(word, value) for word, value in zip(self.words, values))
            name = f'<td style="{system_style(self.nats)}">{escape(way)}</td>'
            rows.append(f'{ROW}{name}<td style="{CELL}">{words}</td></tr>')
        return f'<div style="{BOX}"><table style="border:none">{"".join(rows)}</table></div>'

    def __repr__(self) -> str:
        lines = [" ".join(self.words)]
        lines += [f"{way}: {' '.join(f'{v:.1f}' for v in row)}" for way, row in self.nats.items()]
        return "\n".join(lines)


def tint_words(words: Sequence[str], nats: Mapping[str, Sequence[float]]) -> TintedCaption:
    """Show a caption once for each row of `nats`, its words tinted by their number there.

    Raises `ValueError` unless every row has one number per word.

    >>> tint_words(["a", "dog"], {"right image": [0.1, 2.0]})
    a dog
    right image: 0.1 2.0
    """
    if not nats or any(len(row) != len(words) for row in nats.values()):
        counts = {way: len(row) for way, row in nats.items()}
        raise ValueError(f"got {len(words)} words and numbers {counts}: wanted one number per word")
    return TintedCaption(list(words), {way: list(row) for way, row in nats.items()})


def _word(word: str, nats: float) -> str:
    dark = min(max(nats, 0.0) / MOST, 1.0) * 0.75
    small = f"<br><small>{nats:.1f}</small>"
    return f'<span style="{WORD};background:rgba({TINT},{dark:.2f})">{escape(word)}{small}</span>'
