"""The base as listener: likelihoods by the long way, what a control reads, and what is refused."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import noise_images, tiny_qwen, tiny_smol

from vizer_core.decoding import Sample
from vizer_core.runtime import seeded
from vizer_core.vizer.information import (
    InformationReward,
    NeighbourReward,
    log_likelihood,
    prior_log_likelihood,
)
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vizer.targets import compared_rows, shuffled
from vizer_core.vizer.text_states import ImageSource

VLM = tiny_smol()
VISION = VLM.encode_image(noise_images(4))
CAPTIONS = VLM.generate(VISION, decoding=Sample(max_tokens=4), samples=2, generator=seeded(0))


def by_hand(vlm, vision, captions) -> list[float]:
    found = []
    for row in range(len(captions)):
        one = captions.select([row])
        states = vlm.caption_states(vision.select([row // 2]), one)
        logs = vlm.token_logits(states).log_softmax(-1)[0]
        ids = one.ids[0][one.mask[0]].tolist()
        found.append(sum(float(logs[j, token]) for j, token in enumerate(ids)))
    return found


@pytest.mark.parametrize("make", [tiny_smol, tiny_qwen])
def test_log_likelihood_is_the_sum_of_the_tokens_log_probabilities(make):
    vlm = make()
    vision = vlm.encode_image(noise_images(2))
    captions = vlm.generate(vision, decoding=Sample(max_tokens=4), samples=2, generator=seeded(1))
    found = log_likelihood(vlm, vision, captions)
    assert torch.allclose(found, torch.tensor(by_hand(vlm, vision, captions)), atol=1e-3)


def test_padding_and_the_batch_change_no_likelihood():
    alone = [prior_log_likelihood(VLM, CAPTIONS.select([i])) for i in range(8)]
    assert torch.allclose(torch.cat(alone), prior_log_likelihood(VLM, CAPTIONS), atol=1e-4)


def test_information_is_what_the_image_adds():
    own = log_likelihood(VLM, VISION, CAPTIONS)
    prior = prior_log_likelihood(VLM, CAPTIONS)
    for weight in (0.0, 0.5, 1.0):
        found = InformationReward(VLM, weight)(VISION, CAPTIONS)
        assert torch.allclose(found, own - weight * prior, atol=1e-4)
    lengths = CAPTIONS.mask.sum(dim=1)
    per_token = InformationReward(VLM, per_token=True)
    wanted = (own - prior) / lengths
    assert torch.allclose(per_token(VISION, CAPTIONS), wanted, atol=1e-4)
    assert InformationReward(VLM, 0.5).name == "information(0.5)"


def test_neighbours_are_the_images_named_in_the_table():
    table = torch.tensor([[1, 2], [2, 3], [3, 0], [0, 1]])
    reward = NeighbourReward(VLM, VISION, table)
    found = reward(VISION.select([1]), CAPTIONS.select([2, 3]))
    scores = [
        log_likelihood(VLM, VISION.select([image]), CAPTIONS.select([2, 3])) for image in (1, 2, 3)
    ]
    assert torch.allclose(found, scores[0] - (scores[1] + scores[2]) / 2, atol=1e-4)
    with pytest.raises(ValueError, match="neighbours of 3 images, and 4"):
        NeighbourReward(VLM, VISION, table[:3])


def test_the_control_reads_another_image():
    order = shuffled(VISION, generator=seeded(0))
    compared = compared_rows(order.select([0, 1, 2, 3]), 4)
    assert sorted(compared) == [0, 1, 2, 3] and all(i != row for i, row in enumerate(compared))
    reward = InformationReward(VLM)
    straight = reward(VISION.select([compared[0]]), CAPTIONS.select([0, 1]))
    assert torch.allclose(reward(order.select([0]), CAPTIONS.select([0, 1])), straight, atol=1e-5)


def test_the_adapter_does_not_listen():
    vlm = tiny_smol()
    reward = InformationReward(vlm)
    before = reward(VISION, CAPTIONS)
    add_lora(vlm, LoraSettings(rank=2), generator=seeded(0))
    for parameter in lora_parameters(vlm).values():
        torch.nn.init.normal_(parameter, generator=seeded(3))
    assert torch.allclose(reward(VISION, CAPTIONS), before, atol=1e-4)
    assert not torch.allclose(
        vlm.caption_states(VISION, CAPTIONS), tiny_smol().caption_states(VISION, CAPTIONS)
    )


class Counted(ImageSource):
    """A source that counts the images which it encodes."""

    def select(self, indices):
        COUNTS.append(len(indices))
        return super().select(indices)


COUNTS: list[int] = []


@pytest.mark.parametrize("make", [tiny_smol, tiny_qwen])
def test_what_the_batch_holds_is_what_encoding_again_gives(make):
    vlm = make()
    source = Counted(vlm, noise_images(4))
    for seen in (source, shuffled(source, generator=seeded(4))):
        vision = seen.select([2, 0])
        captions = vlm.generate(
            vision, decoding=Sample(max_tokens=4), samples=2, generator=seeded(1)
        )
        again = source.select(compared_rows(vision, 4))
        COUNTS.clear()
        found = InformationReward(vlm, 0.7)(vision, captions)
        wanted = log_likelihood(vlm, again, captions) - 0.7 * prior_log_likelihood(vlm, captions)
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
        assert not COUNTS


def test_what_a_table_has_no_row_for_is_refused():
    reward = NeighbourReward(VLM, VISION, torch.tensor([[1], [2], [3], [0]]))
    with pytest.raises(ValueError, match=r"row 9 of 4 images.*numbered\(range"):
        reward(VISION.numbered([0, 1, 9, 2]), CAPTIONS)
    with pytest.raises(ValueError, match="wanted 0 <= weight <= 2"):
        InformationReward(VLM, -1.0)


def test_the_prior_from_other_images_is_the_mean_of_their_probabilities():
    reward = InformationReward(VLM, 0.5, others=2)
    found = reward(VISION, CAPTIONS)
    for row in range(8):
        one = CAPTIONS.select([row])
        own = log_likelihood(VLM, VISION.select([row // 2]), one)
        others = [
            log_likelihood(VLM, VISION.select([(row // 2 + step) % 4]), one) for step in (1, 2)
        ]
        prior = torch.stack(others).double().exp().mean(dim=0).log()
        assert float(found[row]) == pytest.approx(float(own - 0.5 * prior), abs=2e-3)
    assert reward.name == "information(0.5, prior of 2 images)"


def test_other_images_are_those_of_the_whole_step():
    """A process that has two of four images compares with the same others as one that has all."""

    class Part:
        mine = range(2, 4)

        def gather(self, rows):
            whole = {
                VISION.image_features.shape[1]: VISION.image_features,
                3: VISION.grid,
                VISION.image_embeddings[0].shape[1]: torch.cat(VISION.image_embeddings),
            }
            if rows.ndim == 1:
                return torch.tensor([len(each) for each in VISION.image_embeddings])
            return whole[rows.shape[1]]

    reward = InformationReward(VLM, others=3)
    part, some = VISION.select([2, 3]), CAPTIONS.select([4, 5, 6, 7])
    found = reward.for_step(part, Part())(part, some)
    torch.testing.assert_close(found, reward(VISION, CAPTIONS)[4:], atol=1e-4, rtol=1e-4)
    assert InformationReward(VLM).for_step(part, Part()).others == 0


def test_a_prior_wants_another_image():
    with pytest.raises(ValueError, match="a prior from other images, and 1 in the step"):
        InformationReward(VLM, others=2)(VISION.select([0]), CAPTIONS.select([0, 1]))
    with pytest.raises(ValueError, match="others is -1"):
        InformationReward(VLM, others=-1)
