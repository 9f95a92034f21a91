"""Rewards: cosines by hand, the reader that never sees the image, and what each guard costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.decoding import Sample
from vizer_core.runtime import seeded
from vizer_core.vizer.ensemble import EnsembleReward, least_of_readers
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vizer.mapper import MapperConfig, random_mapper
from vizer_core.vizer.policy_gradient import Reward, name_of, reward_of_step, score_captions
from vizer_core.vizer.rewards import (
    ClipReward,
    LengthWindow,
    PairReward,
    ReadBackReward,
    RepetitionPenalty,
    SelfRetrievalReward,
    UnfinishedPenalty,
    repeated_share,
)
from vizer_core.vizer.targets import centre, shuffled
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch


class WordsEncoder:
    """A joint space with one axis a word: the reward of a caption can be worked out by hand."""

    name, words = "words", ("cat", "dog", "mat")
    image_size, logit_scale = (8, 8), 1.0
    embed_dim, device, fingerprint = 3, torch.device("cpu"), "none"

    def encode_text(self, texts, *, batch_size=256):
        counts = torch.tensor([[1.0 * (w in t.split()) for w in self.words] for t in texts])
        return counts / counts.norm(dim=1, keepdim=True)

    def preprocess(self, image): ...
    def encode_image(self, images, *, batch_size=128): ...
    def image_states(self, images, *, batch_size=128): ...


@dataclass(frozen=True, eq=False)
class Flat:
    """A reward of one for every caption, to see what a guard takes away."""

    name: str = "flat"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> torch.Tensor:
        return torch.ones(len(captions))


def batch(*texts: str) -> CaptionBatch:
    ids = torch.tensor([[5, 3], [5, 5]] * len(texts))[: len(texts)]
    return CaptionBatch(ids, torch.ones_like(ids, dtype=torch.bool), texts)


def images(features: torch.Tensor) -> VisionBatch:
    return VisionBatch(
        features,
        tuple(torch.zeros(1, 4) for _ in features),
        torch.ones(len(features), 3, dtype=torch.long),
    )


CAPTIONS = batch("a cat", "a dog", "a cat and a dog", "a mat")
TWO = images(torch.eye(3)[:2])  # a cat, a dog


def test_clip_reward_is_the_cosine_in_the_order_a_a_b_b():
    encoder = WordsEncoder()
    scores = ClipReward(encoder)(TWO, CAPTIONS)
    assert torch.allclose(scores, torch.tensor([1.0, 0.0, math.sqrt(0.5), 0.0]))


def test_self_retrieval_wants_what_singles_out_the_image():
    reward = SelfRetrievalReward(ClipReward(WordsEncoder()), scale=2.0)
    cat, dog, both, mat = reward(TWO, CAPTIONS).tolist()
    right = -math.log(1 + math.exp(-2.0))
    assert cat == pytest.approx(right, abs=1e-6) and dog == pytest.approx(right - 2, abs=1e-6)
    assert both == pytest.approx(-math.log(2), abs=1e-6) == pytest.approx(mat, abs=1e-6)


class SecondProcess:
    """The part of a process that has the last of two images."""

    mine = range(1, 2)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.cat([TWO.image_features[:1], rows])


RETRIEVAL = SelfRetrievalReward(ClipReward(WordsEncoder()), scale=2.0)
OF_THE_WORDS = ClipReward(WordsEncoder())


@pytest.mark.parametrize(
    "whole",
    [
        RETRIEVAL,
        RepetitionPenalty(RETRIEVAL, price=0.0),
        LengthWindow(RETRIEVAL, 1, 3, price=0.1),
        UnfinishedPenalty(RETRIEVAL, (3,), price=0.1),
        EnsembleReward((OF_THE_WORDS, RETRIEVAL)),
        RepetitionPenalty(EnsembleReward((RETRIEVAL, OF_THE_WORDS), least_of_readers), price=0.5),
        EnsembleReward((OF_THE_WORDS, LengthWindow(RETRIEVAL, 1, 3, price=0.1))),
    ],
    ids=lambda reward: reward.name,
)
def test_self_retrieval_of_a_part_is_that_of_the_whole_step(whole):
    mine, said = TWO.select([1]), CAPTIONS.select(range(2, 4))
    among = reward_of_step(whole, mine, SecondProcess())
    assert among.name == whole.name
    torch.testing.assert_close(among(mine, said), whole(TWO, CAPTIONS)[2:])


def test_a_reward_of_single_images_is_the_same_in_every_process():
    reward = ClipReward(WordsEncoder())
    assert reward_of_step(reward, TWO, SecondProcess()) is reward


def words(vision: VisionBatch, captions: CaptionBatch) -> list[int]:
    """Count words: a reward of a user, who knows nothing of names and steps."""
    return [len(text.split()) for text in captions.texts]


class Rank:
    """A reward of a user that wants the step: how many of its images come before this one."""

    start = 0

    def __call__(self, images, captions):
        return torch.arange(self.start, self.start + len(images)).repeat_interleave(2)

    def for_step(self, images, part):
        inner = Rank()
        inner.start = part.mine.start
        return inner


@pytest.mark.parametrize(
    ("reward", "name"),
    [
        (words, "words"),
        (partial(words), "words"),
        (lambda images, captions: np.array([2.0, 2.0, 5.0, 2.0]), "<lambda>"),
        (lambda images, captions: torch.tensor([2, 2, 5, 2]), "<lambda>"),
    ],
)
def test_any_function_is_a_reward(reward, name):
    assert isinstance(reward, Reward) and name_of(reward) == name
    said = score_captions(reward, TWO, CAPTIONS)
    assert said.is_floating_point() and said.tolist() == [2, 2, 5, 2]
    assert reward_of_step(reward, TWO, SecondProcess()) is reward
    guarded = LengthWindow(reward, 1, 3, price=1.0)
    assert guarded(TWO, CAPTIONS).tolist() == [2, 2, 3, 2]
    assert guarded.name == f"{name}+length(1-3)"
    both = EnsembleReward((reward, guarded), least_of_readers)
    assert both(TWO, CAPTIONS).tolist() == [2, 2, 3, 2] and name in both.name


def test_what_asks_for_the_step_gets_it_within_others_too():
    mine, said = TWO.select([1]), CAPTIONS.select(range(2, 4))
    assert score_captions(Rank(), mine, said).tolist() == [0, 0] and name_of(Rank()) == "Rank"
    for whole in (Rank(), EnsembleReward((Rank(), RepetitionPenalty(Rank(), price=0.0)))):
        among = reward_of_step(whole, mine, SecondProcess())
        assert score_captions(among, mine, said).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "lambda> gave NoneType: wanted one finite number per caption"),
        ("good", "gave str: wanted one"),
        ([[1.0]], r"gave scores \(1, 1\), 1 of them finite, for 4 captions: wanted one"),
        ([0.0, 1.0, float("nan"), 1.0], r"scores \(4,\), 3 of them finite, for 4 captions"),
    ],
)
def test_what_is_no_score_is_refused_by_the_inner_name(given, message):
    reward = UnfinishedPenalty(lambda images, captions: given, (3,), price=0.1)
    with pytest.raises(ValueError, match=message):
        reward(TWO, CAPTIONS)


@pytest.fixture(scope="module")
def read_back() -> tuple[ReadBackReward, VisionBatch, CaptionBatch]:
    """Return a read-back reward with a random mapper, three images and two captions each."""
    vlm = tiny_smol()
    vision = vlm.encode_image(noise_images(3))
    config = MapperConfig(vlm.lm_width, vlm.vision_width, width=16)
    fitted = random_mapper(config, centre(vision.image_features), generator=seeded(0))
    captions = vlm.generate(vision, decoding=Sample(max_tokens=6), samples=2, generator=seeded(1))
    return ReadBackReward(vlm, fitted), vision, captions


def test_read_back_is_the_mappers_cosine_on_the_text_alone(read_back):
    reward, vision, captions = read_back
    states = reward.vlm.text_states(captions)
    wanted = reward.fitted.cosines(
        states, captions.mask, vision.image_features.repeat_interleave(2, dim=0)
    )
    scores = reward(vision, captions)
    assert torch.allclose(scores, wanted, atol=1e-6) and not scores.requires_grad
    assert isinstance(reward, PairReward) and isinstance(Flat(), Reward)


def test_read_back_sees_the_words_and_not_the_image_in_context(read_back):
    """Other pixels under the same target change nothing; the target does."""
    reward, vision, captions = read_back
    blank = VisionBatch(
        vision.image_features,
        tuple(torch.zeros_like(each) for each in vision.image_embeddings),
        vision.grid,
    )
    assert torch.equal(reward(blank, captions), reward(vision, captions))
    other = shuffled(vision, generator=seeded(2)).select([0, 1, 2])
    assert not torch.allclose(reward(other, captions), reward(vision, captions))


def test_the_reader_stays_the_base_model_while_lora_learns(read_back):
    reward, vision, captions = read_back
    vlm = tiny_smol()
    mine = ReadBackReward(vlm, reward.fitted)
    before = mine(vision, captions)
    add_lora(vlm, LoraSettings(rank=2, alpha=4), generator=seeded(3))
    with torch.no_grad():
        for parameter in lora_parameters(vlm).values():
            parameter.normal_(generator=seeded(4))
    assert not torch.allclose(vlm.text_states(captions), reward.vlm.text_states(captions))
    assert torch.equal(mine(vision, captions), before)


def test_targets_travel_with_the_images(read_back):
    _, vision, _ = read_back
    features = torch.eye(3)
    source = vision.with_targets(features)
    got = source.select([2, 0])
    assert torch.equal(got.targets, features[[2, 0]])
    assert torch.equal(got.image_embeddings[0], vision.image_embeddings[2])
    assert torch.equal(got.image_features, vision.image_features[[2, 0]])
    control = shuffled(source, generator=seeded(5)).select([0, 1, 2])
    assert not (control.targets.argmax(dim=1) == torch.arange(3)).any()


@pytest.mark.parametrize(
    ("guard", "wanted"),
    [
        (LengthWindow(Flat(), 2, 3, price=0.1), [1.0, 1.0, 0.8, 1.0]),
        (LengthWindow(Flat(), 4, 9, price=0.1), [0.8, 0.8, 1.0, 0.8]),
        (UnfinishedPenalty(Flat(), eos_ids=(3, 4), price=0.5), [1.0, 0.5, 1.0, 0.5]),
        (RepetitionPenalty(Flat(), price=0.5, n=1), [1.0, 1.0, 0.9, 1.0]),
    ],
)
def test_a_guard_takes_its_price(guard, wanted):
    assert torch.allclose(guard(TWO, CAPTIONS), torch.tensor(wanted))
    assert guard.name.startswith("flat+")


def test_repetition_is_counted_within_a_caption():
    assert repeated_share("a cat a cat", n=2) == pytest.approx(1 / 3)
    assert repeated_share("", n=2) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ClipReward(WordsEncoder())(TWO, batch("a cat", "a", "b")), "3 captions for 2"),
        (
            lambda: ClipReward(WordsEncoder())(images(torch.ones(2, 5)), CAPTIONS),
            r"5 wide, clip:words has 3: give the images CLIP's features",
        ),
        (lambda: ClipReward(WordsEncoder())(images(torch.ones(2, 3)), CAPTIONS), "unit-norm"),
        (
            lambda: SelfRetrievalReward(ClipReward(WordsEncoder()), 1.0)(
                images(torch.eye(3)[:1]), CAPTIONS
            ),
            "among 1 image",
        ),
        (lambda: SelfRetrievalReward(ClipReward(WordsEncoder()), 0.0), "scale is 0.0"),
        (lambda: LengthWindow(Flat(), 4, 2, price=0.1), "wanted 0 <= low <= high"),
        (lambda: TWO.with_targets(torch.eye(3)), "3 targets for 2 images"),
    ],
)
def test_errors_by_message(call, message):
    with pytest.raises(ValueError, match=message):
        call()
