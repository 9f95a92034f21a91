"""A language model as somebody who answers questions from a caption and remembers what it said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vizer_core.vqa.answering import VqaProtocol, generate_answers


@dataclass(eq=False)
class LanguageReader:
    """Answers from words alone, by a protocol's prompt and decoding; the form a reward asks for.

    Captions of one image differ little from step to step, so what was once answered is looked up.
    """

    protocol: VqaProtocol
    _answered: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, captions: Sequence[str], questions: Sequence[str]) -> list[str]:
        """Answer each question from the caption beside it; "" is no caption."""
        if len(captions) != len(questions):
            raise ValueError(
                f"{len(captions)} captions and {len(questions)} questions: wanted a caption each"
            )
        prompts = [self.protocol.prompt(c, q) for c, q in zip(captions, questions)]
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._answered]
        if new:
            self._answered |= dict(zip(new, generate_answers(self.protocol, new)))
        return [self._answered[prompt] for prompt in prompts]
