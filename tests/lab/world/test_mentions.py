"""What captions name: against scenes written by hand, where the answer can be counted."""

from __future__ import annotations

import pytest
import torch

from vizer_lab.world import DrawnSplit
from vizer_lab.world.mentions import (
    covered_patches,
    find_named_objects,
    kinds_left_out,
    named_kinds,
)
from vizer_lab.world.world import Scene, SceneObject


def scene(*objects: tuple[str, float, float, float]) -> Scene:
    placed = tuple(SceneObject(name, x, y, w, flip=False) for name, x, y, w in objects)
    return Scene("second_test", 0, placed, "a meadow", 0)


DOG_AND_CAT = scene(("dog", 0.25, 0.25, 0.5), ("cat", 0.875, 0.875, 0.25))


def test_kinds_are_named_but_categories_are_not():
    assert named_kinds("a dog and an animal") == {"dog"}
    assert named_kinds("something on the ground") == frozenset()


def test_a_kind_that_is_not_named_is_left_out_once_however_often_it_is_there():
    pack = scene(("dog", 0.2, 0.2, 0.2), ("cat", 0.5, 0.5, 0.2), ("cat", 0.8, 0.8, 0.2))
    assert kinds_left_out(pack, "a dog") == 1
    assert kinds_left_out(pack, "a dog and two cats") == 0
    assert kinds_left_out(pack, "some animals") == 2


def test_patches_are_covered_where_their_centre_lies_in_the_box():
    dog = covered_patches(DOG_AND_CAT, frozenset({"dog"}), (4, 4)).reshape(4, 4)
    assert dog[:2, :2].all() and int(dog.sum()) == 4
    cat = covered_patches(DOG_AND_CAT, frozenset({"cat"}), (4, 4)).reshape(4, 4)
    assert cat[3, 3] and int(cat.sum()) == 1  # x to the right, y downward: last row, last column


def test_only_captions_that_choose_one_of_several_kinds_are_kept():
    alone = scene(("dog", 0.5, 0.5, 0.4))
    scenes = [DOG_AND_CAT, alone, DOG_AND_CAT, DOG_AND_CAT]
    found = find_named_objects(scenes, ["a cat", "a dog", "a dog and a cat", "a car"], (4, 4))
    assert found.rows.tolist() == [0] and found.chance.tolist() == [1 / 16]


def test_hits_follow_the_best_patch_and_ignore_the_scale_of_the_scores():
    found = find_named_objects([DOG_AND_CAT, DOG_AND_CAT], ["a cat", "a dog"], (4, 4))
    scores = torch.zeros(2, 16)
    scores[:, 15] = 1.0
    assert found.hits(scores).tolist() == [1.0, 0.0]
    assert found.hits(5 * scores - 3).tolist() == [1.0, 0.0]


def test_blind_scores_hit_as_often_as_chance_says():
    split = DrawnSplit("second_test", 300)
    texts = [captions[0] for captions in split.captions]
    found = find_named_objects(split.scenes, texts, (7, 7))
    rng = torch.Generator().manual_seed(0)
    rate = torch.stack([found.hits(torch.rand(300, 49, generator=rng)) for _ in range(50)]).mean()
    assert float(rate) == pytest.approx(float(found.chance.mean()), abs=0.02)


def test_scores_of_another_shape_are_refused():
    found = find_named_objects([DOG_AND_CAT], ["a cat"], (4, 4))
    with pytest.raises(ValueError, match=r"scores \(1, 49\) do not fit.*16 patches"):
        found.hits(torch.zeros(1, 49))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a cat", "a dog"], "got 1 scenes and 2 texts"),
        (["a dog and a cat"], "none of 1 captions names one kind of several"),
    ],
)
def test_pairs_that_ask_nothing_are_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        find_named_objects([DOG_AND_CAT], texts, (4, 4))
