"""The objects of the other world: none of them is drawn, or named, in the first.

A finding may hang on the things that it was found with. The other world has the same rules of
layout and the same ways of speaking, but other drawings, other nouns and other places; models that
are trained in it have a vocabulary of their own.
"""

from __future__ import annotations

from vizer_lab.world.kinds import ObjectKind, read_kinds

OTHER_OBJECTS: tuple[ObjectKind, ...] = (
    *read_kinds(
        "animal",
        """
        lion | 1F981
        bear | 1F43B
        panda | 1F43C
        koala | 1F428
        fox | 1F98A | foxes
        frog | 1F438 | | toad | green
        mouse | 1F401 | mice
        squirrel | 1F43F
        kangaroo | 1F998
        skunk | 1F9A8
        llama | 1F999
        goat | 1F410
        bat | 1F987
        eagle | 1F985
        swan | 1F9A2
        peacock | 1F99A
        dolphin | 1F42C
        shark | 1F988
        lobster | 1F99E | | | red
        spider | 1F577
        lizard | 1F98E | | | green
        gorilla | 1F98D | | ape
        rhino | 1F98F
        unicorn | 1F984
        """,
    ),
    *read_kinds(
        "food",
        """
        grape | 1F347 | | | purple
        peach | 1F351 | peaches | | pink
        cherry | 1F352 | cherries | | red
        mango | 1F96D | mangoes | | yellow
        coconut | 1F965
        tomato | 1F345 | tomatoes | | red
        broccoli | 1F966 | broccoli | | green
        corn | 1F33D | corn | maize
        potato | 1F954 | potatoes
        onion | 1F9C5 | | | orange
        garlic | 1F9C4 | garlic
        bagel | 1F96F
        croissant | 1F950
        cheese | 1F9C0 | cheeses | | yellow
        egg | 1F95A
        popcorn | 1F37F | popcorn
        lollipop | 1F36D | | candy
        cupcake | 1F9C1 | | muffin
        """,
    ),
    *read_kinds(
        "vehicle",
        """
        tram | 1F68A | | streetcar
        canoe | 1F6F6 | | kayak | blue
        taxi | 1F695 | | cab | yellow
        van | 1F690
        skateboard | 1F6F9
        satellite | 1F6F0
        wheelchair | 1F9BD
        """,
    ),
    *read_kinds(
        "toy",
        """
        saxophone | 1F3B7 | | sax | yellow
        banjo | 1FA95
        accordion | 1FA97
        puzzle | 1F9E9 | | | blue
        football | 1F3C8
        tennis ball | 1F3BE | | | yellow
        trophy | 1F3C6 | trophies | | yellow
        """,
    ),
    *read_kinds(
        "tool",
        """
        telephone | 260E | | phone | red
        magnet | 1F9F2
        ladder | 1FA9C
        bucket | 1FAA3 | | pail | blue
        microscope | 1F52C
        telescope | 1F52D
        toilet | 1F6BD
        bed | 1F6CF
        door | 1F6AA
        mirror | 1FA9E
        wrench | 1F527 | wrenches | spanner
        pencil | 270F
        briefcase | 1F4BC | | suitcase
        envelope | 2709 | | letter
        battery | 1F50B | batteries
        """,
    ),
    *read_kinds(
        "clothing",
        """
        sock | 1F9E6 | | | orange
        coat | 1F9E5 | | jacket
        sandal | 1F461
        necktie | 1F454 | | tie | blue
        ring | 1F48D
        """,
    ),
    *read_kinds(
        "plant",
        """
        bouquet | 1F490
        hibiscus | 1F33A | hibiscuses | | pink
        clover | 1F340 | | shamrock | green
        pine tree | 1F332 | | evergreen | green
        """,
    ),
    *read_kinds(
        "building",
        """
        hospital | 1F3E5 | | clinic
        hut | 1F6D6 | | cabin
        stadium | 1F3DF | | arena
        fountain | 26F2
        """,
    ),
)
