"""Crops: the pixels of the box and no others, boxes inside the image, errors by message."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vizer_core.vlm.crops import QUARTERS, WHOLE, box_around, crops_of


def test_a_crop_holds_the_pixels_of_its_box():
    pixels = np.arange(100, dtype=np.uint8).reshape(10, 10)
    cut = crops_of(Image.fromarray(pixels), [(0.2, 0.4, 0.5, 0.9)])[0]
    assert (np.asarray(cut) == pixels[4:9, 2:5]).all()
    assert (np.asarray(crops_of(Image.fromarray(pixels), [WHOLE])[0]) == pixels).all()
    assert crops_of(Image.fromarray(pixels), [(0.5, 0.5, 0.501, 0.501)])[0].size == (1, 1)


def test_quarters_cover_the_image_and_overlap():
    covered = np.zeros((10, 10), dtype=int)
    for left, top, right, bottom in QUARTERS:
        covered[round(top * 10) : round(bottom * 10), round(left * 10) : round(right * 10)] += 1
    assert covered.min() == 1 and covered.max() == 4


def test_boxes_around_a_centre_stay_inside():
    assert box_around(0.5, 0.5, 0.2, context=0.0) == pytest.approx((0.4, 0.4, 0.6, 0.6))
    assert box_around(0.0, 1.0, 0.4) == pytest.approx((0.0, 0.7, 0.3, 1.0))
    with pytest.raises(ValueError, match="wanted w > 0"):
        box_around(0.5, 0.5, 0.0)
    with pytest.raises(ValueError, match="wanted 0 <= left < right"):
        crops_of(Image.new("L", (4, 4)), [(0.5, 0.0, 0.5, 1.0)])
