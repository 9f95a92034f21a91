"""A reader that remembers: each different prompt is answered once, captions matter."""

from __future__ import annotations

import pytest

from vizer_core.vqa import VqaProtocol, reader
from vizer_core.vqa.reader import LanguageReader


def protocol() -> VqaProtocol:
    """Return a protocol of which only the prompt is asked for."""
    made = object.__new__(VqaProtocol)
    object.__setattr__(made, "prompt", lambda caption, question: f"{caption}|{question}")
    return made


def test_answers_are_looked_up_the_second_time(monkeypatch):
    asked = []

    def answers(protocol, prompts):
        asked.extend(prompts)
        return tuple(prompt.upper() for prompt in prompts)

    monkeypatch.setattr(reader, "generate_answers", answers)
    mine = LanguageReader(protocol())
    assert mine(["a", "b", "a"], ["q", "q", "q"]) == ["A|Q", "B|Q", "A|Q"]
    assert mine(["b"], ["q"]) == ["B|Q"] and asked == ["a|q", "b|q"]
    with pytest.raises(ValueError, match="a caption each"):
        mine(["a"], [])
