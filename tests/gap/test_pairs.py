"""What `require_pairs` refuses; called directly, so that no type hook stands before it."""

import numpy as np
import pytest
import torch

from vizer_core.gap.pairs import require_pairs


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.eye(4), "is a ndarray, wanted a torch.Tensor"),
        (torch.eye(4, dtype=torch.int64), "dtype torch.int64"),
        (torch.eye(4)[0], r"shape \(4,\), wanted \[n, d\]"),
        (torch.eye(4)[None], r"shape \(1, 4, 4\)"),
        (torch.eye(5), r"\(5, 5\) and text_features \(4, 4\)"),
    ],
)
def test_wrong_kinds_are_named(image, message):
    with pytest.raises(ValueError, match=message):
        require_pairs(image, torch.eye(4))


def test_good_pairs_pass():
    assert require_pairs(torch.eye(4), torch.eye(4)) is None
