"""What travels with a batch of images: its rows, its targets, and in the control the others."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import noise_images, tiny_qwen, tiny_smol

from vizer_core.runtime import seeded
from vizer_core.vizer.targets import Slice, compared_rows, shuffled
from vizer_core.vizer.text_states import ImageSource
from vizer_core.vlm import VisionBatch


def batch(n: int) -> VisionBatch:
    rows = torch.arange(n, dtype=torch.float32)[:, None]
    return VisionBatch(rows, tuple(rows[:, None]), torch.ones(n, 3).long())


def rows(vision: VisionBatch) -> list[int]:
    """Return the rows that the embeddings tell."""
    return [int(each) for each in vision.image_embeddings]


def test_rows_count_from_0_and_targets_are_the_features_unless_told_otherwise():
    vision = batch(3)
    assert vision.index.tolist() == [0, 1, 2] and vision.index.dtype == torch.long
    assert vision.targets is vision.image_features and vision.compared_with is vision
    numbered = vision.numbered(range(7, 10))
    assert numbered.index.tolist() == [7, 8, 9] and rows(numbered) == [0, 1, 2]
    with pytest.raises(ValueError, match="2 targets for 3 images: wanted one per image"):
        vision.with_targets(torch.zeros(2, 5))


def test_rows_targets_and_the_control_are_chosen_with_their_images():
    vision = batch(6).with_targets(torch.arange(12.0).reshape(6, 2))
    some = vision.select([4, 1, 4]).select([1, 2])
    assert some.index.tolist() == rows(some) == [1, 4]
    assert some.targets.tolist() == [[2.0, 3.0], [8.0, 9.0]]
    control = shuffled(vision, generator=seeded(0))
    drawn = control.select([5, 2, 0]).select([2, 1])
    wanted = [int(control.order[i]) for i in (0, 2)]
    assert rows(drawn) == drawn.index.tolist() == [0, 2]
    assert rows(drawn.compared_with) == compared_rows(drawn, 6) == wanted
    assert torch.equal(drawn.targets, vision.targets[wanted])


def test_moving_keeps_everything():
    moved = shuffled(batch(3), generator=seeded(0)).select([2, 0]).to("meta")
    assert moved.index.tolist() == [2, 0] and moved.swapped is not None
    held = (moved.targets, moved.swapped.targets, moved.swapped.image_embeddings[0], moved.grid)
    assert all(each.device.type == "meta" for each in held)


def test_joined_images_are_numbered_anew_and_keep_what_they_are_compared_with():
    vision = batch(4).with_targets(torch.arange(4.0)[:, None] * 10)
    joined = VisionBatch.concatenate([vision.select([3, 1]), vision.select([0])])
    assert joined.index.tolist() == [0, 1, 2] and rows(joined) == [3, 1, 0]
    assert joined.targets[:, 0].tolist() == [30.0, 10.0, 0.0] and joined.swapped is None
    control = shuffled(vision, generator=seeded(0))
    both = VisionBatch.concatenate([control.select([3, 1]), vision.select([2])])
    wanted = [int(control.order[3]), int(control.order[1]), 2]
    assert compared_rows(both, 4) == rows(both.compared_with) == wanted


@pytest.mark.parametrize("make", [tiny_smol, tiny_qwen])
def test_sources_number_their_images(make):
    vlm, images = make(), noise_images(4)
    whole = vlm.encode_image(images, batch_size=3)
    assert whole.index.tolist() == [0, 1, 2, 3] and whole.targets is whole.image_features
    some = ImageSource(vlm, images).select([3, 1])
    assert some.index.tolist() == [3, 1]
    torch.testing.assert_close(some.targets, whole.targets[[3, 1]])
    part = Slice(ImageSource(vlm, images), range(2, 4)).select([1])
    assert part.index.tolist() == [3]  # the row in what the slice is of
    given = ImageSource(vlm, images, targets=torch.eye(4))
    assert given.select([2, 0]).targets.tolist() == torch.eye(4)[[2, 0]].tolist()
    with pytest.raises(ValueError, match="3 targets for 4 images"):
        ImageSource(vlm, images, targets=torch.eye(3))


def test_the_control_of_an_encoding_source_is_that_of_the_encoded_images():
    vlm, images = tiny_smol(), noise_images(4)
    order = shuffled(ImageSource(vlm, images), generator=seeded(1)).select([0, 3])
    wanted = shuffled(vlm.encode_image(images), generator=seeded(1)).select([0, 3])
    torch.testing.assert_close(order.targets, wanted.targets)
    assert compared_rows(order, 4) == compared_rows(wanted, 4)
    torch.testing.assert_close(
        order.compared_with.image_embeddings[0], wanted.compared_with.image_embeddings[0]
    )
