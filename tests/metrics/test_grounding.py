"""Exact grounding: the parser reads what is stated, the checker says whether it is true."""

from __future__ import annotations

import re
from functools import cache

import pytest

from vizer_core.metrics.grounding import (
    RELATION_MARGIN,
    RELATIONS,
    GroundingCounts,
    Lexicon,
    ObjectTruth,
    SceneTruth,
    check_caption,
    ground_captions,
    grounding_rates,
    is_exact,
    parse_caption,
    relation_holds,
)

LEXICON = Lexicon(
    nouns={
        "dog": "dog",
        "dogs": "dog",
        "puppy": "dog",
        "hot dog": "hot dog",
        "hot dogs": "hot dog",
        "cat": "cat",
        "cats": "cat",
        "orange": "orange",
        "oranges": "orange",
        "tree": "tree",
    },
    plurals=frozenset({"dogs", "hot dogs", "cats", "oranges"}),
    categories={"animal": frozenset({"dog", "cat"}), "animals": frozenset({"dog", "cat"})},
    backgrounds={"in the snow": "snow", "under the stars": "night"},
    numbers={"a": 1, "an": 1, "one": 1, "two": 2, "three": 3},
    colours=frozenset({"red", "orange"}),
    sizes={"small": "small", "tiny": "small", "big": "big"},
    relations={"to the left of": "left of", "under": "below", "next to": "next to"},
)


def thing(name: str, x: float = 0.5, y: float = 0.5, **more) -> ObjectTruth:
    fields = {"category": "any", "colour": None, "size": "medium", "w": 0.2} | more
    return ObjectTruth(name=name, x=x, y=y, **fields)


SCENE = SceneTruth(
    objects=(
        thing("dog", 0.1, 0.5, size="small", colour="red"),
        thing("dog", 0.3, 0.5, size="big", colour="red"),
        thing("cat", 0.8, 0.6),
        thing("tree", 0.8, 0.1),
    ),
    background="snow",
)


def rates(caption: str, scene: SceneTruth = SCENE) -> dict[str, float]:
    return grounding_rates(check_caption(parse_caption(caption, LEXICON), scene))


def test_longest_phrase_wins_over_its_parts():
    parsed = parse_caption("a hot dog under the stars", LEXICON)
    assert [m.surface for m in parsed.mentions] == ["hot dog"]
    assert parsed.backgrounds == ("night",)
    assert parsed.relations == ()  # "under" belongs to the place


def test_a_word_that_is_colour_and_noun_is_read_by_what_follows():
    said = parse_caption("an orange orange and an orange next to an orange small cat", LEXICON)
    found = [(m.surface, m.colour) for m in said.mentions]
    assert found == [("orange", "orange"), ("orange", None), ("cat", "orange")]


def test_modifiers_count_only_directly_before_their_noun():
    parsed = parse_caption("two red things and dogs", LEXICON)
    assert [(m.number, m.colour) for m in parsed.mentions] == [(None, None)]


def test_relation_joins_the_nouns_around_it():
    parsed = parse_caption("a cat and a dog to the left of two red oranges", LEXICON)
    claim = parsed.relations[0]
    names = [m.surface for m in parsed.mentions]
    assert (names[claim.subject], claim.relation, names[claim.target]) == (
        "dog",
        "left of",
        "oranges",
    )


def test_dangling_relation_claims_nothing():
    assert parse_caption("a cat next to", LEXICON).relations == ()
    assert parse_caption("next to a cat", LEXICON).relations == ()


@pytest.mark.parametrize(
    ("caption", "rate", "expected"),
    [
        ("a dog and an orange", "object_precision", 0.5),
        ("a dog and a puppy", "object_precision", 1.0),
        ("a dog and a puppy", "object_recall", 1 / 3),
        ("some animals", "object_precision", 1.0),
        ("some animals", "object_recall", 0.0),
        ("two dogs", "count_accuracy", 1.0),
        ("three dogs", "count_accuracy", 0.0),
        ("one dog", "count_accuracy", 0.0),
        ("dogs", "count_accuracy", 1.0),
        ("cats", "count_accuracy", 0.0),
        ("three animals", "count_accuracy", 1.0),
        ("two oranges", "count_accuracy", 0.0),
        ("a small dog", "attribute_accuracy", 1.0),
        ("a small red dog", "attribute_accuracy", 1.0),
        ("a big cat", "attribute_accuracy", 0.0),
        ("an orange dog", "attribute_accuracy", 0.0),
        ("a red orange", "attribute_accuracy", 0.0),
        ("a dog to the left of a cat", "relation_accuracy", 1.0),
        ("a cat to the left of a dog", "relation_accuracy", 0.0),
        ("a cat under a tree", "relation_accuracy", 1.0),
        ("a cat next to an orange", "relation_accuracy", 0.0),
        ("a dog next to a dog", "relation_accuracy", 1.0),
        ("a cat next to a cat", "relation_accuracy", 0.0),
        ("a cat in the snow", "background_accuracy", 1.0),
        ("a cat under the stars", "background_accuracy", 0.0),
    ],
)
def test_known_verdicts(caption, rate, expected):
    assert rates(caption)[rate] == pytest.approx(expected)


def test_what_is_not_said_has_no_rate():
    assert set(rates("nothing at all")) == {"object_recall"}
    assert "count_accuracy" not in rates("a dog")  # an article states no count


def test_colour_that_the_truth_does_not_record_is_not_judged():
    assert "attribute_accuracy" not in rates("a red cat")


@pytest.mark.parametrize(
    ("dx", "dy", "true"),
    [
        (-0.5, 0.1, {"left of", "next to"}),
        (0.5, -0.1, {"right of", "next to"}),
        (0.1, -0.5, {"above"}),
        (-0.1, 0.5, {"below"}),
        (0.3, 0.3, {"right of", "next to"}),
        (-RELATION_MARGIN / 2, 0.0, {"next to"}),
        (0.0, RELATION_MARGIN / 2, set()),
    ],
)
def test_relations_by_centres(dx, dy, true):
    a, b = thing("cat", 0.5 + dx, 0.5 + dy), thing("dog", 0.5, 0.5)
    assert {r for r in RELATIONS if relation_holds(a, b, r)} == true


def test_sides_are_mirror_images():
    a, b = thing("cat", 0.2, 0.3), thing("dog", 0.7, 0.4)
    for side, mirror in (("left of", "right of"), ("above", "below"), ("next to", "next to")):
        assert relation_holds(a, b, side) == relation_holds(b, a, mirror)


def test_counts_add_up_over_captions():
    captions = ["a dog in the snow", "two cats", "a red orange"]
    parts = ground_captions(captions, [SCENE] * 3, lexicon=LEXICON)
    total = sum(parts, GroundingCounts())
    assert total.object_said == 3
    assert grounding_rates(total)["object_precision"] == pytest.approx(2 / 3)


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="got 1 captions for 2 scenes"):
        ground_captions(["a dog"], [SCENE, SCENE], lexicon=LEXICON)
    with pytest.raises(ValueError, match="unknown relation 'behind'"):
        relation_holds(thing("a"), thing("b"), "behind")
    with pytest.raises(ValueError, match=r"stands for \['cow'\], which no noun names"):
        Lexicon(
            {"dog": "dog"}, frozenset(), {"pet": frozenset({"cow"})}, {}, {}, frozenset(), {}, {}
        )
    with pytest.raises(ValueError, match=r"relations \['behind'\]"):
        Lexicon({"dog": "dog"}, frozenset(), {}, {}, {}, frozenset(), {}, {"behind": "behind"})


# --- the drawn world's own captions: all of them true, and all of what they say is read ---------

SCENES = 200


@cache
def generated(split: str):
    from vizer_lab.world.captions import captions_of
    from vizer_lab.world.world import make_scene

    scenes = [make_scene(split, i) for i in range(SCENES)]
    return [(scene, caption) for scene in scenes for caption in captions_of(scene)]


@pytest.mark.parametrize("split", ["second_test", "second_away_test"])
def test_every_generated_caption_is_true_of_its_scene(split):
    from vizer_lab.world.lexicon import drawn_lexicon

    lexicon = drawn_lexicon()
    for scene, caption in generated(split):
        counts = check_caption(parse_caption(caption, lexicon), scene.truth)
        for kind in ("object", "attribute", "count", "relation", "background"):
            said, true = getattr(counts, f"{kind}_said"), getattr(counts, f"{kind}_true")
            assert said == true, f"{kind} of {caption!r} in {scene}"


@pytest.mark.parametrize("split", ["second_test", "second_away_test"])
def test_every_statement_of_a_generated_caption_is_read(split):
    """Count statements with plain regular expressions, longest first, and compare."""
    from vizer_lab.world import lexicon as words

    lexicon = words.drawn_lexicon()

    def pattern(surfaces) -> re.Pattern[str]:
        ordered = sorted(surfaces, key=len, reverse=True)
        return re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, ordered)) + r")(?![\w-])")

    places, sides = pattern(lexicon.backgrounds), pattern(lexicon.relations)
    nouns = pattern([*lexicon.nouns, *lexicon.categories])
    modifiers = rf"(?:{'|'.join([*lexicon.sizes, *lexicon.colours])})"
    modified = re.compile(rf"(?<![\w-]){modifiers} (?=(?:{modifiers} )*{nouns.pattern})")
    said_in_all = 0
    for _, caption in generated(split):
        parsed = parse_caption(caption, lexicon)
        bare = places.sub("@", caption)
        assert len(parsed.backgrounds) == bare.count("@"), caption
        assert len(parsed.relations) == len(sides.findall(bare)), caption
        attributes = sum((m.colour is not None) + (m.size is not None) for m in parsed.mentions)
        assert attributes == len(modified.findall(bare)), caption
        without = modified.sub("", bare)
        assert [m.surface for m in parsed.mentions] == nouns.findall(without), caption
        said_in_all += len(parsed.mentions)
    assert said_in_all > SCENES


def test_another_scenes_captions_are_mostly_false():
    from vizer_lab.world.lexicon import drawn_lexicon

    pairs = generated("second_test")
    captions = [caption for _, caption in pairs]
    shifted = [scene.truth for scene, _ in pairs[5:] + pairs[:5]]
    total = sum(ground_captions(captions, shifted, lexicon=drawn_lexicon()), GroundingCounts())
    found = grounding_rates(total)
    assert found["object_precision"] < 0.25
    assert found["relation_accuracy"] < 0.15


def test_exact_wants_all_objects_nothing_else_and_the_place():
    right = GroundingCounts(2, 2, 2, 2, background_true=1, background_said=1)
    assert is_exact(right)
    for wrong in (
        GroundingCounts(2, 3, 2, 2, background_true=1, background_said=1),
        GroundingCounts(1, 1, 1, 2, background_true=1, background_said=1),
        GroundingCounts(2, 2, 2, 2),
        GroundingCounts(2, 2, 2, 2, background_true=0, background_said=1),
    ):
        assert not is_exact(wrong)
