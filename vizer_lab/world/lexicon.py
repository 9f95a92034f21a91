"""The words of the drawn world: its objects, its places, and what may be said about them.

One table serves the caption writer, the question writer, the tokenizer and the exact scorer, so
that they cannot disagree. Objects are named by their OpenMoji code point; plural forms, synonyms
and the dominant colour are written by hand (a test compares the colours with the art itself).

There are two worlds. `second` is the one that nearly all shipped models know (`settings.PREFIX`
says why it is called so); `second_other` has other objects (`other_objects`) at the places that are
`away` from home, and is for asking whether a finding hangs on the things that it was found with.
"""

from __future__ import annotations

from dataclasses import dataclass

from vizer_core.metrics.grounding import Lexicon
from vizer_lab.world.kinds import ObjectKind, Place, read_kinds
from vizer_lab.world.other_objects import OTHER_OBJECTS
from vizer_lab.world.settings import NUMBERS_SAID

OBJECTS: tuple[ObjectKind, ...] = (
    *read_kinds(
        "animal",
        """
        dog | 1F415 | | puppy
        cat | 1F408 | | kitten
        horse | 1F40E
        cow | 1F404
        pig | 1F416 | | | pink
        sheep | 1F411 | sheep | lamb
        elephant | 1F418
        tiger | 1F405
        rabbit | 1F407 | | bunny
        duck | 1F986
        owl | 1F989
        penguin | 1F427
        rooster | 1F413
        parrot | 1F99C | | | red
        flamingo | 1F9A9 | | | pink
        turtle | 1F422 | | | green
        snake | 1F40D | | | green
        fish | 1F41F | fish | | blue
        whale | 1F40B | | | blue
        octopus | 1F419 | octopuses | | red
        crab | 1F980 | | | red
        snail | 1F40C
        butterfly | 1F98B | butterflies | | blue
        bee | 1F41D
        ladybug | 1F41E | | | red
        giraffe | 1F992
        zebra | 1F993
        camel | 1F42A
        monkey | 1F412
        hedgehog | 1F994
        """,
    ),
    *read_kinds(
        "food",
        """
        apple | 1F34E | | | red
        banana | 1F34C | | | yellow
        lemon | 1F34B | | | yellow
        orange | 1F34A
        strawberry | 1F353 | strawberries | | red
        pineapple | 1F34D
        watermelon | 1F349
        pear | 1F350 | | | green
        carrot | 1F955 | | | orange
        mushroom | 1F344
        eggplant | 1F346 | | | purple
        avocado | 1F951 | | | green
        pizza | 1F355 | | slice of pizza
        burger | 1F354 | | hamburger
        hot dog | 1F32D
        taco | 1F32E
        sandwich | 1F96A | sandwiches
        donut | 1F369 | | doughnut
        cookie | 1F36A
        cake | 1F382 | | birthday cake
        pretzel | 1F968
        """,
    ),
    *read_kinds(
        "vehicle",
        """
        car | 1F697 | | automobile | red
        bus | 1F68C | buses | | red
        truck | 1F69A
        tractor | 1F69C | | | green
        bicycle | 1F6B2 | | bike
        motorcycle | 1F3CD | | motorbike | red
        scooter | 1F6F4
        train | 1F682
        airplane | 2708 | | plane
        helicopter | 1F681 | | | red
        rocket | 1F680
        sailboat | 26F5 | | boat
        ambulance | 1F691
        fire truck | 1F692 | | | red
        """,
    ),
    *read_kinds(
        "toy",
        """
        guitar | 1F3B8
        piano | 1F3B9
        violin | 1F3BB | | fiddle
        trumpet | 1F3BA | | | yellow
        drum | 1F941
        soccer ball | 26BD
        basketball | 1F3C0 | | | orange
        kite | 1FA81 | | | pink
        balloon | 1F388 | | | red
        teddy bear | 1F9F8 | | stuffed bear
        robot | 1F916
        """,
    ),
    *read_kinds(
        "tool",
        """
        chair | 1FA91 | | | yellow
        clock | 23F0 | | alarm clock
        laptop | 1F4BB | | computer
        television | 1F4FA | | tv
        camera | 1F4F7
        book | 1F4D5 | | | red
        umbrella | 2602 | | | purple
        key | 1F511 | | | orange
        hammer | 1F528
        candle | 1F56F
        broom | 1F9F9
        bathtub | 1F6C1 | | tub
        gift | 1F381 | | present
        cup | 2615 | | mug
        """,
    ),
    *read_kinds(
        "clothing",
        """
        shirt | 1F455 | | t-shirt | blue
        dress | 1F457 | dresses | | blue
        hat | 1F452
        crown | 1F451 | | | yellow
        sneaker | 1F45F | | shoe
        boot | 1F462
        scarf | 1F9E3 | scarves | | red
        backpack | 1F392 | | | red
        """,
    ),
    *read_kinds(
        "plant",
        """
        tree | 1F333 | | | green
        palm tree | 1F334 | | palm
        cactus | 1F335 | cactuses | | green
        rose | 1F339
        tulip | 1F337
        sunflower | 1F33B
        """,
    ),
    *read_kinds(
        "building",
        """
        house | 1F3E0 | | home
        castle | 1F3F0
        tent | 26FA | | | yellow
        church | 26EA | churches
        """,
    ),
)

KIND_BY_NAME: dict[str, ObjectKind] = {kind.name: kind for kind in (*OBJECTS, *OTHER_OBJECTS)}

# surface forms (singular, plural) under which a caption may hide the exact kind
CATEGORY_WORDS: dict[str, tuple[str, str]] = {
    "animal": ("animal", "animals"),
    "food": ("snack", "snacks"),
    "vehicle": ("vehicle", "vehicles"),
    "toy": ("toy", "toys"),
    "tool": ("household item", "household items"),
    "clothing": ("piece of clothing", "clothes"),
    "plant": ("plant", "plants"),
    "building": ("building", "buildings"),
}

HOME_PLACES: tuple[Place, ...] = (
    Place("snow", ("in the snow", "on a snowy day", "on snowy ground"), "snowy scene"),
    Place("beach", ("on a beach", "on the sand", "by the seaside"), "beach scene"),
    Place("grass", ("on the grass", "in a green field", "on a lawn"), "grassy scene"),
    Place("street", ("on a street", "on the road", "in the city"), "street scene"),
    Place("forest", ("in a forest", "in the woods", "among the trunks"), "forest scene"),
    Place("night", ("at night", "under the stars", "in the dark"), "night scene"),
    Place("sea", ("on the water", "in the sea", "in the ocean"), "sea scene"),
    Place("room", ("in a room", "on a wooden floor", "indoors"), "room"),
    Place("sunset", ("at sunset", "in the evening light", "at dusk"), "sunset scene"),
    Place("mountains", ("in the mountains", "before some hills", "near a peak"), "mountain scene"),
)
AWAY_PLACES: tuple[Place, ...] = (
    Place("desert", ("in the desert", "on the dunes", "in dry land"), "desert scene"),
    Place("stage", ("on a stage", "before a red curtain", "at the theatre"), "stage"),
    Place("table", ("on a table", "on a checked cloth", "at a picnic"), "picnic scene"),
    Place("lake", ("by a lake", "at the lake", "near still water"), "lake scene"),
    Place("bricks", ("by a brick wall", "before some bricks", "in an alley"), "alley scene"),
    Place("space", ("in outer space", "near a planet", "among the planets"), "space scene"),
)
PLACE_BY_NAME: dict[str, Place] = {place.name: place for place in (*HOME_PLACES, *AWAY_PLACES)}


@dataclass(frozen=True)
class World:
    """What there is to see in one world, and so what its models have words for."""

    objects: tuple[ObjectKind, ...]
    places: tuple[Place, ...]


WORLDS: dict[str, World] = {
    "second": World(OBJECTS, (*HOME_PLACES, *AWAY_PLACES)),
    "second_other": World(OTHER_OBJECTS, AWAY_PLACES),
}


def world_named(name: str) -> World:
    """Return a world by its name.

    >>> len(world_named("second_other").places)
    6
    """
    if name not in WORLDS:
        raise ValueError(f"no world {name!r}: wanted one of {sorted(WORLDS)}")
    return WORLDS[name]


NUMBERS: dict[str, int] = {"a": 1, "an": 1, **{w: n for n, w in enumerate(NUMBERS_SAID, start=1)}}
COLOURS: tuple[str, ...] = ("red", "green", "blue", "yellow", "orange", "pink", "purple")
SIZE_WORDS: dict[str, str] = {"small": "small", "little": "small", "big": "big", "large": "big"}
RELATION_WORDS: dict[str, str] = {
    "to the left of": "left of",
    "left of": "left of",
    "to the right of": "right of",
    "right of": "right of",
    "above": "above",
    "over": "above",
    "below": "below",
    "under": "below",
    "next to": "next to",
    "beside": "next to",
}


def drawn_lexicon(world: str = "second") -> Lexicon:
    """Build the scorer's view of a world: every surface form and what it stands for."""
    found = world_named(world)
    nouns: dict[str, str] = {}
    plurals: set[str] = set()
    for kind in found.objects:
        nouns[kind.name] = kind.name
        nouns[kind.plural] = kind.name
        if kind.plural != kind.name:
            plurals.add(kind.plural)
        for synonym in kind.synonyms:
            nouns[synonym] = kind.name
    categories: dict[str, frozenset[str]] = {}
    for category, (singular, plural) in CATEGORY_WORDS.items():
        members = frozenset(kind.name for kind in found.objects if kind.category == category)
        categories[singular] = categories[plural] = members
    backgrounds = {
        phrase: place.name
        for place in found.places
        for phrase in (*place.phrases, place.scene_noun)
    }
    return Lexicon(
        nouns=nouns,
        plurals=frozenset(plurals),
        categories=categories,
        backgrounds=backgrounds,
        numbers=NUMBERS,
        colours=frozenset(COLOURS),
        sizes=SIZE_WORDS,
        relations=RELATION_WORDS,
    )
