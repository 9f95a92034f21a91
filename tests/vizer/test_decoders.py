"""Decoders by name: each gives one caption per image, draws repeat, errors name what is wanted."""

from __future__ import annotations

import pytest
from tiny_vlm import noise_images, tiny_smol

from vizer_core.decoding import Style
from vizer_core.runtime import seeded
from vizer_core.vizer.decoders import COMPARING, DECODERS, _whole, decode_with

SHORT = Style(max_tokens=4)


@pytest.fixture(scope="module")
def seen():
    vlm = tiny_smol()
    return vlm, vlm.encode_image(noise_images(3))


@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_captions_every_image_and_repeats(name, seen):
    vlm, vision = seen
    found = [
        decode_with(name, vlm, vision, word="a", style=SHORT, generator=seeded(0)) for _ in range(2)
    ]
    assert len(found[0]) == 3 and found[0] == found[1]


def test_captions_begin_with_the_word(seen):
    vlm, vision = seen
    for name in ("guidance", "consensus", "diverse"):
        texts = decode_with(name, vlm, vision, word="a", style=SHORT, generator=seeded(0))
        assert all(text.split()[0] == "a" for text in texts)


def test_no_image_stands_alone_where_images_are_compared():
    for images in range(2, 300):
        size = _whole(images, 64, "guidance")
        assert images % size != 1 and 64 <= size <= 66
    assert _whole(65, 64, "consensus") == 64
    with pytest.raises(ValueError, match="compares images of a batch: got 1"):
        _whole(1, 64, COMPARING[0])


def test_an_unknown_name_is_refused(seen):
    with pytest.raises(ValueError, match="no decoder 'magic': wanted one of guidance"):
        decode_with("magic", *seen, generator=seeded(0))
