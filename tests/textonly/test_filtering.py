"""Sampling and filtering: one batched call says what the loop says (pitfall 17)."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from tests.textonly.tiny_models import CLIP_WIDTH, WIDTH, HashEncoder, tiny_language_model
from vizer_core.decoding import Beam, Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_core.textonly.filtering import (
    MACCAP_DECODING,
    Candidates,
    PrefixGenerator,
    clip_scores,
    draw_noise,
    filter_samples,
    sample_and_filter,
)
from vizer_core.textonly.noise import GaussianNoise, NoNoise, UniformNoise
from vizer_core.textonly.prefix_network import PrefixConfig, PrefixDecoder

NOISE = GaussianNoise(0.2)
IMAGES, REGIONS, SAMPLES = 3, 2, 4


def prefix_generator(**settings) -> PrefixGenerator:
    torch.manual_seed(0)
    sizes = PrefixConfig(CLIP_WIDTH, WIDTH, queries=3, heads=4, feedforward=32)
    options = {"decoding": Beam(2, max_tokens=6)} | settings
    prefix_network = PrefixDecoder(sizes).eval()
    with torch.no_grad():
        prefix_network.mlp[-1].weight.mul_(30)  # untrained, it would whisper: texts must differ
    return PrefixGenerator(prefix_network, tiny_language_model(), **options)


def images() -> torch.Tensor:
    return unit_norm(torch.randn(IMAGES, CLIP_WIDTH, generator=seeded(0)))


def mixed() -> torch.Tensor:
    return images()[:, None] + unit_norm(
        torch.randn(IMAGES, REGIONS, CLIP_WIDTH, generator=seeded(1))
    )


def sampled(samples: int = SAMPLES, **settings) -> Candidates:
    return sample_and_filter(
        prefix_generator(**settings), HashEncoder(), mixed(), images(),
        noise=NOISE, samples=samples, generator=seeded(2),
    )  # fmt: skip


@pytest.mark.parametrize("decoding", [Greedy(max_tokens=6), Beam(4, max_tokens=6)])
def test_one_call_writes_what_the_loop_over_images_and_samples_writes(decoding):
    noise = draw_noise(tuple(mixed().shape), SAMPLES, noise=NOISE, generator=seeded(2))
    inputs = unit_norm(mixed()[:, None] + noise)
    own, encoder = prefix_generator(decoding=decoding), HashEncoder()
    found = filter_samples(own, encoder, inputs, images())
    for i in range(IMAGES):
        texts = [own.generate(inputs[i, s][None])[0] for s in range(SAMPLES)]
        scores = [float(encoder.encode_text([text])[0] @ images()[i]) for text in texts]
        assert found.texts[i] == tuple(texts)
        assert found.scores[i].tolist() == pytest.approx(scores, abs=1e-6)
        assert found.best[i] == texts[max(range(SAMPLES), key=scores.__getitem__)]
    assert len({text for texts in found.texts for text in texts}) > 1


def test_the_limit_on_rows_changes_nothing():
    assert sampled(rows=5).texts == sampled(rows=512).texts


def test_more_samples_contain_fewer_and_never_score_worse():
    many, few = sampled(8), sampled(3)
    assert tuple(texts[:3] for texts in many.texts) == few.texts
    assert many.first(3).scores.equal(few.scores) and many.first(3).best == few.best
    best = [many.first(k).scores.max(1).values for k in range(1, 9)]
    assert all((b >= a).all() for a, b in pairwise(best))
    assert any((b > a).any() for a, b in pairwise(best))


def test_one_sample_is_no_choice():
    one = sampled(1)
    assert one.chosen.tolist() == [0] * IMAGES and one.best == [texts[0] for texts in one.texts]


def test_the_choice_ignores_the_scale_of_the_scores():
    found = sampled()
    for scores in (found.scores * 100, found.scores.softmax(1)):
        assert Candidates(found.texts, scores).chosen.equal(found.chosen)


def test_each_text_is_encoded_once():
    encoder = HashEncoder()
    texts = [["a dog", "a cat", "a dog"], ["a cat", "a cat", "the tree"]]
    scores = clip_scores(texts, images()[:2], encoder)
    assert encoder.calls == ["a dog", "a cat", "the tree"]
    assert scores[0, 0] == scores[0, 2] and scores.shape == (2, 3)
    assert scores[1, 2] == pytest.approx(float(encoder.encode_text(["the tree"])[0] @ images()[1]))


def test_long_texts_are_judged_to_their_end():
    """MacCap's release shows CLIP the first 80 characters of each text."""
    long = "a dog and " * 9  # 90 characters
    texts = [[f"{long}a cat", f"{long}a tree"]]
    scores = clip_scores(texts, images()[:1], HashEncoder())
    whole = HashEncoder().encode_text(texts[0]) @ images()[0]
    assert scores[0].tolist() == pytest.approx(whole.tolist(), abs=1e-6)
    assert scores[0, 0] != scores[0, 1]


def test_without_noise_all_samples_are_one():
    found = sample_and_filter(
        prefix_generator(), HashEncoder(), mixed(), images(),
        noise=NoNoise(), samples=3, generator=seeded(0),
    )  # fmt: skip
    assert all(len(set(texts)) == 1 for texts in found.texts) and found.chosen.eq(0).all()


def test_sampled_words_repeat_with_their_seed():
    rule = Sample(temperature=1.0, max_tokens=6)
    assert sampled(decoding=rule).texts == sampled(decoding=rule).texts


@pytest.mark.parametrize("noise", [NOISE, UniformNoise(0.3)])
def test_noise_of_images_and_samples_differs(noise):
    drawn = draw_noise((3, 2, 8), 4, noise=noise, generator=seeded(0)).flatten(0, 2)
    assert len(drawn.unique(dim=0)) == 24


def test_the_papers_rule_is_four_beams():
    assert Beam(4, max_tokens=16) == MACCAP_DECODING


def test_wrong_uses_are_named():
    with pytest.raises(ValueError, match="got readings of 2 images and 3 image features"):
        filter_samples(prefix_generator(), HashEncoder(), torch.ones(2, 1, 1, CLIP_WIDTH), images())
    with pytest.raises(ValueError, match="asked for 0 samples"):
        sampled(0)
    with pytest.raises(ValueError, match="asked for 5 of 4 samples"):
        sampled().first(5)
    with pytest.raises(ValueError, match="image_features must be unit-norm"):
        clip_scores([["a dog"]], images()[:1] * 2, HashEncoder())
    own = prefix_generator()
    own.prefix_network.train()
    with pytest.raises(ValueError, match="the prefix network is in training mode"):
        own.generate(mixed())
