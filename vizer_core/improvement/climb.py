"""Which first word or prompt, which decoder: tried without a label, the cheapest first.

A rung takes the place of the one before it only where it is sound (`gate.unsound`) and its score
is clearly higher (`gate.is_clear`), by intervals over images. So where a prompt does as well as
views, and views as well as an adapter, the cheaper one stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vizer_core.improvement.bench import Bench, Rung
from vizer_core.improvement.gate import is_clear, unsound
from vizer_core.improvement.ways import BASE, Way, with_beams
from vizer_core.vlm.first_words import first_word_mass

FIRST_WORDS, LEAST_MASS = 4, 0.01  # tried at most, and how likely each is at least
QUESTIONS = (
    "Describe the image in one short sentence.",
    "What does the image show? Answer in one sentence.",
)


def openings(bench: Bench) -> tuple[Way, ...]:
    """Return ways that begin with one of the likeliest first words, those of letters only."""
    with bench.vlm.adapter_off():
        mass = first_word_mass(bench.vlm, [bench.plain], top=2 * FIRST_WORDS)
    words = [word for word, share in mass.items() if word.isalpha() and share >= LEAST_MASS]
    return tuple(Way(f"first word {word!r}", opening=(word,)) for word in words[:FIRST_WORDS])


def prompts(vlm: Any, given: Sequence[str] = ()) -> tuple[Way, ...]:
    """Return ways that ask with another prompt: those given, two more of an instruct model.

    An instruct model is asked in its chat template, as `vizer caption --prompt` asks it.
    """
    asked = {text: vlm.prompt_of(text) for text in given}
    if vlm.is_instruct:
        asked |= {text: vlm.chat_prompt(text) for text in QUESTIONS}
    default = vlm.default_prompt
    return tuple(
        Way(f"prompt {name!r}", prompt=prompt)
        for name, prompt in asked.items()
        if prompt != default
    )


def best_of(bench: Bench, rungs: Sequence[Rung]) -> Rung:
    """Return the last rung that is clearly better than the one before it, the base at first.

    Rungs of one cost are tried from the highest score down, so the best of them is asked first.
    """
    best = bench.base
    ordered = sorted(rungs, key=lambda rung: (rung.way.effort, -rung.scores.mean()))
    for rung in ordered:
        if not unsound(rung, bench.base) and is_clear(bench.beside(rung, best)):
            best = rung
    return best


def first_look(bench: Bench, given: Sequence[str] = ()) -> tuple[list[Rung], Way]:
    """Try first words, prompts and decoders; return all rungs, and the way to go on with.

    That way takes one pass: the best first word or prompt where one is clearly better than the
    model as it is.
    """
    tried = [bench.rung(way) for way in (*openings(bench), *prompts(bench.vlm, given))]
    start = best_of(bench, tried).way
    return [bench.base, *tried, *(bench.rung(way) for way in decoders(start, bench.views))], start


def decoders(start: Way, views: int) -> tuple[Way, ...]:
    """Return beam search and views on top of a way; views of the model as it is too."""
    found = [with_beams(start)]
    if views > 1:
        ways = dict.fromkeys((BASE, start))
        for way in ways:
            said = "" if way == BASE else f"{way.name}, "
            found.append(replace(way, name=f"{said}{views} views", views=views))
    return tuple(found)


def last_look(bench: Bench, start: Way, *, trained: bool) -> list[Rung]:
    """Climb the ladder on images that nothing was chosen on: base, prompt, decoders, adapter."""
    ways = [*dict.fromkeys((start,)), *decoders(start, bench.views)]
    if trained:
        ways.append(Way("adapter", adapter=True))
        if bench.views > 1:
            ways.append(Way(f"adapter, {bench.views} views", views=bench.views, adapter=True))
    return [bench.base, *(bench.rung(way) for way in ways if way != BASE)]
