"""View agreement: the score by the long way, what it is compared with, and what is refused."""

from __future__ import annotations

from math import log

import pytest
import torch
from tiny_vlm import noise_images, tiny_qwen, tiny_smol

from vizer_core.decoding import Greedy
from vizer_core.runtime import seeded
from vizer_core.vizer import ViewAgreement, log_likelihood
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vlm import encode_views
from vizer_core.vlm.views import held_out_offsets

IMAGES = noise_images(4)
TEXTS = ["a dog", "the red boat", "a cat on the mat", "itap of a ball"]


@pytest.mark.parametrize("make", [tiny_smol, tiny_qwen])
def test_the_score_is_that_of_held_out_views_less_half_of_other_images(make):
    vlm = make()
    agreement = ViewAgreement.of(vlm, IMAGES, others=3)
    views = encode_views(vlm, IMAGES, views=held_out_offsets(4))
    captions = vlm.tokenize(TEXTS)
    found = agreement.scores(TEXTS)
    for row in range(4):
        one = captions.select([row])
        own = [float(log_likelihood(vlm, view.select([row]), one)) for view in views]
        others = [
            log_likelihood(vlm, views[i].select([(row + i + 1) % 4]), one).double().exp()
            for i in range(3)
        ]
        wanted = sum(own) / 4 - 0.5 * log(float(sum(others)) / 3)
        assert float(found[row]) == pytest.approx(wanted, abs=2e-3)


def test_other_images_are_spread_over_the_set_and_never_the_own():
    class Seen:
        """Remembers which images were read for the first caption."""

        asked: list[int] = []  # noqa: RUF012

    agreement = ViewAgreement.of(tiny_smol(), noise_images(20), others=4)
    read = type(agreement)._read

    def watched(self, view, rows, captions):
        Seen.asked.append(next(iter(rows)))
        return read(self, view, rows, captions)

    type(agreement)._read = watched
    try:
        agreement.scores(["a dog"] * 20)
    finally:
        type(agreement)._read = read
    assert Seen.asked == [0, 0, 0, 0, 1, 5, 10, 15]


def test_the_base_judges_whatever_the_adapter_says():
    vlm = tiny_smol()
    agreement = ViewAgreement.of(vlm, IMAGES)
    before = agreement.scores(TEXTS)
    add_lora(vlm, LoraSettings(2, 4), generator=seeded(0))
    with torch.no_grad():
        for weight in lora_parameters(vlm).values():
            weight.normal_(generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(agreement.scores(TEXTS), before)


def test_captions_beside_a_reference_in_units_that_can_be_read():
    vlm = tiny_smol()
    agreement = ViewAgreement.of(vlm, IMAGES)
    same = agreement.beside(TEXTS, TEXTS)
    assert (same.preferred.mean, same.per_image.mean, same.changed) == (0.5, 0.0, 0.0)
    other = [*TEXTS[:2], "a dog", "a boat"]
    found = agreement.beside(other, TEXTS)
    mine, theirs = agreement.scores(other), agreement.scores(TEXTS)
    assert found.changed == 0.5
    assert found.per_image.mean == pytest.approx(float((mine - theirs).mean()), abs=1e-3)
    assert found.preferred.mean == (1.0 + float((mine > theirs)[2:].sum())) / 4
    lengths = vlm.tokenize(TEXTS).mask.sum(dim=1)
    assert found.per_token.mean == pytest.approx(
        float(((mine - theirs) / lengths).mean()), abs=1e-3
    )
    assert "of 4 images" in found.say()


def test_generated_tokens_are_scored_as_they_are():
    vlm = tiny_smol()
    agreement = ViewAgreement.of(vlm, IMAGES)
    captions = vlm.generate(vlm.encode_image(IMAGES), decoding=Greedy(3))
    assert agreement.score_tokens(captions).shape == (4,)


def test_bad_requests_say_what_is_wrong():
    vlm = tiny_smol()
    agreement = ViewAgreement.of(vlm, IMAGES)
    with pytest.raises(ValueError, match="3 captions for 4 images"):
        agreement.scores(TEXTS[:3])
    with pytest.raises(ValueError, match="1 views of \\[1\\] images and 8 others"):
        ViewAgreement.of(vlm, IMAGES[:1], views=[(1, 0)])
    with pytest.raises(ValueError, match="and 0 others"):
        ViewAgreement.of(vlm, IMAGES, others=0)


def test_no_views_are_not_the_default_ones():
    with pytest.raises(ValueError, match="no views"):
        ViewAgreement.of(tiny_smol(), IMAGES, views=())
