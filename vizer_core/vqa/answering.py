"""Answer a question from a caption: MacCap's zero-shot VQA (section 4.4), step by step.

1. The image's caption and the question become a prompt, "[caption] Question: [question] Answer:".
2. The frozen language model goes on; its first line is the answer. No image is seen here.
3. CLIP's *text* tower embeds that answer and every candidate; cosines rank the candidates. (The
   paper calls this image-text retrieval; by its own description both sides are text.)

Where the paper says nothing, ours: greedy decoding, the first line only, candidates as bare words,
and an answer of no words gets no rank. The release's prompt, which has no place for a caption, and
its decoding are `release_prompt` and `RELEASE_DECODING`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from vizer_core.clip import ImageTextEncoder
from vizer_core.data.vqav2 import AnswerList
from vizer_core.decoding import Beam, Greedy
from vizer_core.language import PrefixLanguageModel, no_prefix
from vizer_core.shapes import require_unit_norm
from vizer_core.shipped import shipped, shipped_names

Prompt: TypeAlias = Callable[[str, str], str]  # caption ("" for none), question -> prompt
TOP = 10  # candidates kept for an answer: the paper reports the first 1, 5 and 10
NO_ANSWER = -1
GREEDY = Greedy(max_tokens=10)
RELEASE_DECODING = Beam(width=5, max_tokens=8, length_penalty=-1.0)
_ROWS = 2048  # answers ranked at once, so that 20,000 x 3,128 cosines are never held


def answer_prompt(caption: str, question: str) -> str:
    """Write the paper's prompt; without a caption it is that of the question-only baseline.

    >>> answer_prompt("A dog on a lawn.", "What animal is it?")
    'A dog on a lawn. Question: What animal is it? Answer:'
    >>> answer_prompt("", "What animal is it?")
    'Question: What animal is it? Answer:'
    """
    return f"{caption.strip()} Question: {question.strip()} Answer:".lstrip()


def release_prompt(caption: str, question: str) -> str:
    """Write the prompt of MacCap's release, behind the caption if there is one.

    >>> release_prompt("", "What animal is it?")
    'Question: What animal is it? Short answer:'
    """
    return f"{caption.strip()} Question: {question.strip()} Short answer:".lstrip()


def first_line(text: str) -> str:
    r"""Return the first line that contains words: where an open-ended answer is cut.

    >>> first_line("\n two dogs.\nQuestion: what else?")
    'two dogs.'
    """
    return text.strip().split("\n", 1)[0].strip()


@dataclass(frozen=True, eq=False)
class VqaProtocol:
    """Which model generates, which compares, and among which answers."""

    language_model: PrefixLanguageModel
    encoder: ImageTextEncoder
    candidates: AnswerList
    prompt: Prompt = answer_prompt
    decoding: Greedy | Beam = GREEDY
    batch_size: int = 64

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}: wanted at least 1")

    @property
    def top(self) -> int:
        """How many candidates an answer gets: ten, or all where there are fewer."""
        return min(TOP, len(self.candidates))


def generate_answers(
    protocol: VqaProtocol, prompts: Sequence[str], *, progress: bool = False
) -> tuple[str, ...]:
    """Let the language model go on after each prompt, from words alone, and keep a first line.

    A prompt that occurs often is answered once; prompts of like length share a batch.
    """
    if not prompts:
        raise ValueError("no prompts to answer: got an empty list")
    lm, size = protocol.language_model, protocol.batch_size
    distinct = sorted(dict.fromkeys(prompts), key=len)
    generated: dict[str, str] = {}
    for start in tqdm(range(0, len(distinct), size), "answers", disable=not progress):
        batch = distinct[start : start + size]
        texts = lm.generate(
            no_prefix(lm, len(batch)), decoding=protocol.decoding, prompts=batch
        ).texts
        generated |= {prompt: first_line(text) for prompt, text in zip(batch, texts)}
    return tuple(generated[prompt] for prompt in prompts)


def rank_candidates(
    answer_features: Float[Tensor, "n d"], candidate_features: Float[Tensor, "k d"], *, top: int
) -> Int[Tensor, "n top"]:
    """Return the indices of the `top` candidates by cosine, best first; ties go to the earlier one.

    >>> rank_candidates(torch.eye(3)[1:2], torch.eye(3), top=2)
    tensor([[1, 0]])
    """
    require_unit_norm(answer_features, "answer_features")
    require_unit_norm(candidate_features, "candidate_features")
    if not 1 <= top <= len(candidate_features):
        raise ValueError(f"top is {top}: wanted 1 to {len(candidate_features)}, the candidates")
    parts = [
        torch.sort(rows @ candidate_features.T, dim=1, descending=True, stable=True).indices[
            :, :top
        ]
        for rows in answer_features.split(_ROWS)
    ]
    return torch.cat(parts).cpu()


def retrieve_answers(
    protocol: VqaProtocol,
    answers: Sequence[str],
    candidate_features: Float[Tensor, "k d"],
) -> Int[Tensor, "n top"]:
    """Rank the candidates for each generated answer; one without words gets `NO_ANSWER` throughout.

    `candidate_features` are `protocol.encoder.encode_text(protocol.candidates.answers)`.
    """
    if len(candidate_features) != len(protocol.candidates):
        raise ValueError(
            f"{len(candidate_features)} candidate features for {len(protocol.candidates)} "
            "candidates: encode the protocol's own list"
        )
    ranked = torch.full((len(answers), protocol.top), NO_ANSWER)
    distinct = {text: index for index, text in enumerate(dict.fromkeys(filter(None, answers)))}
    if distinct:
        features = protocol.encoder.encode_text(list(distinct))
        found = rank_candidates(features, candidate_features, top=protocol.top)
        rows = [row for row, text in enumerate(answers) if text]
        ranked[rows] = found[[distinct[answers[row]] for row in rows]]
    return ranked


def protocol_for(
    lm: PrefixLanguageModel,
    encoder: ImageTextEncoder,
    candidates: AnswerList,
    *,
    prompt: str = "auto",
    batch_size: int = 64,
) -> VqaProtocol:
    """Return who answers: by the paper's prompt, the release's, or (auto) the model's own.

    A shipped language model is asked in the form that it was trained on; of any other model auto
    is the paper's. Raises `ValueError` on another prompt.
    """
    if prompt not in ("auto", "paper", "release"):
        raise ValueError(f"prompt is {prompt!r}: wanted auto, paper or release")
    words, rule = answer_prompt, GREEDY
    if prompt == "release":
        words, rule = release_prompt, RELEASE_DECODING
    elif prompt == "auto" and lm.name in shipped_names("vqa_prompt"):
        words = shipped("vqa_prompt", lm.name)()
    return VqaProtocol(lm, encoder, candidates, words, rule, batch_size)
