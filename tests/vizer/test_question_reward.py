"""Answered questions as a reward: right answers count, and the control asks of another image."""

from __future__ import annotations

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.vizer.policy_gradient import Reward, group_rewards
from vizer_core.vizer.question_reward import Asked, QuestionReward, hard_questions
from vizer_core.vizer.targets import shuffled
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch

QUESTIONS = [
    [Asked("is there a cat?", "yes"), Asked("is there a dog?", "no")],
    [Asked("is there a cat?", "no")],
    [],
]


def reads(texts, questions):
    """Say yes where the caption has the last word of the question."""
    return ["yes" if q[:-1].split()[-1] in text else "no" for text, q in zip(texts, questions)]


def source(n: int) -> VisionBatch:
    return VisionBatch(
        torch.zeros(n, 3), tuple(torch.zeros(1, 2) for _ in range(n)), torch.ones(n, 3).long()
    )


def batch(*texts: str) -> CaptionBatch:
    return CaptionBatch(torch.ones(len(texts), 1).long(), torch.ones(len(texts), 1).bool(), texts)


REWARD = QuestionReward(QUESTIONS, reads)
CAPTIONS = batch("a cat", "a dog", "a cat", "a hat", "a cat", "x")


def test_the_share_of_right_answers():
    assert isinstance(REWARD, Reward)
    found = group_rewards(REWARD, source(3), CAPTIONS)
    assert found.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


def test_the_control_asks_the_questions_of_another_image():
    moved = shuffled(source(3), generator=seeded(0)).select([0, 1, 2])
    rows = moved.compared_with.index.tolist()
    wanted = REWARD.score_texts(CAPTIONS.texts, [r for r in rows for _ in range(2)])
    assert group_rewards(REWARD, moved, CAPTIONS).flatten().tolist() == wanted
    assert wanted != REWARD.score_texts(CAPTIONS.texts, [0, 0, 1, 1, 2, 2])


def test_what_needs_no_caption_is_not_asked():
    assert hard_questions(QUESTIONS, reads) == [(QUESTIONS[0][0],), (), ()]
    assert hard_questions([[], []], reads) == [(), ()]


def test_errors_by_message():
    with pytest.raises(ValueError, match="wanted a row per caption"):
        REWARD.score_texts(["a"], [])
    with pytest.raises(ValueError, match="0 answers to 2 questions"):
        QuestionReward(QUESTIONS, lambda texts, asked: []).score_texts(["a"], [0])
    with pytest.raises(ValueError, match="another source"):
        QuestionReward(QUESTIONS[:1], reads)(source(3), CAPTIONS)
