"""Scenes, images and words: repeatable, inside their bounds, and true."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest

from benchmarks.drawing import measure
from vizer_lab.world import (
    captions_of,
    make_scene,
    render_scene,
    render_scenes,
)
from vizer_lab.world.backgrounds import PAINTERS, VARIANTS, background
from vizer_lab.world.captions import away_captions, home_captions
from vizer_lab.world.data import DrawnSplit, UnlabelledImage, unlabelled_stream
from vizer_lab.world.lexicon import (
    AWAY_PLACES,
    CATEGORY_WORDS,
    HOME_PLACES,
    KIND_BY_NAME,
    OBJECTS,
    PLACE_BY_NAME,
    WORLDS,
)
from vizer_lab.world.other_objects import OTHER_OBJECTS
from vizer_lab.world.questions import questions_of
from vizer_lab.world.settings import MOST_OBJECTS
from vizer_lab.world.sprites import art, check_art, sprite
from vizer_lab.world.world import (
    MAX_OVERLAP,
    SPLITS,
    Scene,
    SceneObject,
    _overlap,
    places_of,
    scene_rng,
    world_of,
)
from vizer_lab.zoo.tokenizer import (
    CONTEXT_LENGTH,
    DrawnTokenizer,
    split_words,
    vocabulary,
)

MANY = 3000
HOME_AND_AWAY = [split for split in SPLITS if world_of(split) == "second"]


def scenes(split: str = "second_train", n: int = MANY) -> list[Scene]:
    return [make_scene(split, i) for i in range(n)]


def test_the_world_is_as_large_as_promised() -> None:
    assert len(OBJECTS) >= 100
    assert len({kind.category for kind in OBJECTS}) >= 5
    assert {kind.category for kind in OBJECTS} == set(CATEGORY_WORDS)
    assert len(HOME_PLACES) >= 8 and len(AWAY_PLACES) >= 4
    assert not {p.name for p in HOME_PLACES} & {p.name for p in AWAY_PLACES}
    assert set(PAINTERS) == set(PLACE_BY_NAME)
    assert len(KIND_BY_NAME) == len(OBJECTS) + len(OTHER_OBJECTS), "two kinds share a name"


@pytest.mark.parametrize("world", WORLDS)
def test_every_object_has_its_drawing_and_no_two_of_a_world_look_alike(world: str) -> None:
    check_art()
    every = WORLDS[world].objects
    small = np.stack([np.asarray(art(k.code).resize((16, 16))).ravel() for k in every])
    distance = np.abs(small[:, None].astype(int) - small[None].astype(int)).mean(-1)
    np.fill_diagonal(distance, 255)
    worst = np.unravel_index(distance.argmin(), distance.shape)
    assert distance.min() > 15, [every[i].name for i in worst]


def test_a_missing_drawing_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no drawing FFFFF\.svg"):
        art("FFFFF")


HUES = {"red": (0, 12), "orange": (14, 42), "yellow": (43, 62), "green": (63, 160),
        "blue": (180, 235), "purple": (255, 300), "pink": (315, 352)}  # fmt: skip


@pytest.mark.parametrize(
    "kind", [k for k in KIND_BY_NAME.values() if k.colour], ids=lambda k: k.name
)
def test_the_colour_said_of_an_object_is_the_commonest_in_its_art(kind) -> None:
    hsv = np.asarray(art(kind.code).convert("RGB").convert("HSV")).reshape(-1, 3).astype(float)
    opaque = np.asarray(art(kind.code).getchannel("A")).ravel() > 128
    vivid = hsv[opaque & (hsv[:, 1] > 70) & (hsv[:, 2] > 70)]
    hue = vivid[:, 0] / 255 * 360
    shares = {
        name: float(((hue >= low) & (hue <= high)).mean()) for name, (low, high) in HUES.items()
    }
    shares["red"] += float((hue > 353).mean())
    shares["pink"] += float(((hue <= 12) & (vivid[:, 1] < 140)).mean())
    assert max(shares, key=shares.get) == kind.colour or shares[kind.colour] > 0.35, shares


def test_a_scene_repeats_byte_for_byte() -> None:
    again = [make_scene("second_test", i) for i in range(50)]
    assert again == [make_scene("second_test", i) for i in range(50)]
    pixels = render_scenes(again)
    assert np.array_equal(pixels, render_scenes([make_scene("second_test", i) for i in range(50)]))


def test_the_world_has_not_changed_since_the_shipped_models_were_trained() -> None:
    """If this hash must change, every shipped model must be trained again (`make lab`)."""
    text = io.StringIO()
    for split in HOME_AND_AWAY:
        for i in range(40):
            scene = make_scene(split, i)
            places = [(o.name, o.x, o.y, round(o.w, 6), o.flip) for o in scene.objects]
            print(scene.place, scene.variant, places, captions_of(scene), file=text)
    print(vocabulary(), file=text)
    digest = hashlib.sha256(text.getvalue().encode()).hexdigest()
    assert digest[:16] == WORLD_DIGEST


WORLD_DIGEST = "d920fed989768b9e"


def test_no_two_splits_share_a_scene() -> None:
    seen: dict[tuple, str] = {}
    for split in SPLITS:
        for scene in scenes(split, 300):
            key = (scene.place, scene.variant, scene.objects)
            assert seen.setdefault(key, split) == split
            seen[key] = split


def test_objects_stay_inside_and_barely_cover_each_other() -> None:
    for scene in scenes():
        assert 1 <= len(scene.objects) <= MOST_OBJECTS
        for k, item in enumerate(scene.objects):
            assert item.w / 2 - 1e-3 <= item.x <= 1 - item.w / 2 + 1e-3
            assert item.w / 2 - 1e-3 <= item.y <= 1 - item.w / 2 + 1e-3
            for other in scene.objects[:k]:
                assert _overlap((item.x, item.y, item.w), other) <= MAX_OVERLAP + 1e-3


def test_places_of_the_away_splits_are_others() -> None:
    home = {s.place for s in scenes("second_train", 400)}
    away = {s.place for s in scenes("second_away_train", 400)}
    assert home == {p.name for p in HOME_PLACES} == {p.name for p in places_of("second_test")}
    assert away == {p.name for p in AWAY_PLACES}


def test_an_unknown_split_or_place_is_named() -> None:
    with pytest.raises(ValueError, match="no split 'tset': wanted one of"):
        scene_rng("tset", 0, 0)
    with pytest.raises(ValueError, match="no place 'moon'"):
        background("moon", 0, 8)


def test_an_object_is_drawn_where_the_scene_says() -> None:
    item = SceneObject("basketball", x=0.25, y=0.75, w=0.4, flip=False)
    with_ball = render_scene(Scene("second_test", 0, (item,), "snow", 0)).astype(int)
    without = render_scene(Scene("second_test", 0, (), "snow", 0)).astype(int)
    changed = np.abs(with_ball - without).sum(-1) > 30
    rows, columns = np.nonzero(changed)
    assert abs(columns.mean() / 112 - 0.25) < 0.02 and abs(rows.mean() / 112 - 0.75) < 0.02
    assert changed[:, 62:].sum() == 0 and changed[:54].sum() == 0


def test_a_flip_mirrors_the_drawing() -> None:
    plain, flipped = sprite("1F40E", 24, False), sprite("1F40E", 24, True)
    apart = np.abs(plain.alpha[:, ::-1] - flipped.alpha)  # shrinking 121 to 24 pixels has a left
    assert apart.mean() < 0.02 < np.abs(plain.alpha - flipped.alpha).mean()


def test_backgrounds_differ_by_place_and_variant() -> None:
    flat = np.stack([background(p, v, 16).ravel() for p in PAINTERS for v in range(VARIANTS)])
    assert len(np.unique(flat, axis=0)) == len(flat)


def test_the_two_styles_do_not_read_alike() -> None:
    scene = make_scene("second_train", 5)
    assert not set(home_captions(scene)) & set(away_captions(scene))
    assert captions_of(make_scene("second_away_test", 5)) == away_captions(
        make_scene("second_away_test", 5)
    )


def test_the_tokenizer_knows_every_word_the_world_uses() -> None:
    tokenizer = DrawnTokenizer()
    said = [c for split in HOME_AND_AWAY for s in scenes(split, 300) for c in captions_of(s)]
    said += [q.text for s in scenes("second_test", 300) for q in questions_of(s)]
    said += [q.answer for s in scenes("second_test", 300) for q in questions_of(s)]
    assert not [text for text in said if tokenizer.ids["<unk>"] in tokenizer.encode(text)]
    assert max(len(split_words(text)) for text in said) <= CONTEXT_LENGTH - 2


def test_token_ids_have_marks_and_decode_back() -> None:
    tokenizer = DrawnTokenizer()
    ids = tokenizer(["a red car, two dogs", "xyzzy"])
    assert ids.shape == (2, CONTEXT_LENGTH)
    assert int(ids[0].argmax()) == 7, "the end mark is not the highest id"
    assert tokenizer.decode(ids[0].tolist()) == "a red car, two dogs"
    assert tokenizer.decode(ids[1].tolist()) == "<unk>"
    long = tokenizer(["a dog and " * 20])
    assert int(long[0, -1]) == tokenizer.eot_token_id


def test_questions_are_answered_by_the_scene() -> None:
    for scene in scenes("second_test", 500):
        there = [o.name for o in scene.objects]
        for question in questions_of(scene):
            if question.kind == "presence":
                asked = (
                    question.text.removeprefix("is there ").split(" in this")[0].split(" ", 1)[1]
                )
                assert (asked in there) == (question.answer == "yes")
            if question.kind == "place":
                assert question.answer == scene.place
            if question.kind == "relation":
                assert question.answer in there
    kinds = {q.kind for s in scenes("second_test", 100) for q in questions_of(s)}
    assert kinds == {"presence", "count", "place", "colour", "relation"}


def test_presence_questions_are_answered_no_half_of_the_time() -> None:
    answers = [questions_of(s)[0].answer for s in scenes("second_test", 1000)]
    assert 0.45 < answers.count("no") / len(answers) < 0.55


def test_the_stream_carries_no_words() -> None:
    first = next(unlabelled_stream(1))
    assert isinstance(first, UnlabelledImage)
    assert {name for name in vars(first)} == {"id", "pixels"}
    with pytest.raises(ValueError, match="no captions on purpose"):
        DrawnSplit("second_stream", 10)
    ids = [image.id for image in unlabelled_stream(3, start=7)]
    assert ids == ["second_stream-00007", "second_stream-00008", "second_stream-00009"]


def test_a_split_gives_images_captions_and_references_in_one_order() -> None:
    split = DrawnSplit("second_validation", 4)
    assert split.images.shape == (4, 112, 112, 3) and split.images.dtype == np.uint8
    assert list(split.references) == list(split.ids)
    assert split.references[split.ids[2]] == list(split.captions[2])
    with pytest.raises(ValueError, match="at least one scene"):
        DrawnSplit("second_test", 0)


def test_larger_images_show_the_same_scene() -> None:
    scene = make_scene("second_test", 9)
    small, large = render_scene(scene, 56).astype(int), render_scene(scene).astype(int)
    shrunk = large.reshape(56, 2, 56, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - shrunk).mean() < 15


def test_drawing_agrees_with_pasting_by_another_library() -> None:
    found = measure(60)
    assert found["max_abs_diff"] < 1.0, "more than a level of 255, on average over an image"
