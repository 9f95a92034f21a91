"""What CLIP may name in a drawn image, as word lists for Socratic Models' captioner."""

from __future__ import annotations

from collections.abc import Sequence

from vizer_core.captioners.socratic import WordList
from vizer_lab.world.lexicon import OBJECTS, PLACE_BY_NAME


def drawn_word_lists(
    places: Sequence[str], *, top_objects: int = 3, top_places: int = 1
) -> tuple[WordList, WordList]:
    """Return the drawn world's objects and some of its places, by name, as word lists."""
    unknown = sorted(set(places) - set(PLACE_BY_NAME))
    if unknown:
        raise ValueError(f"no such places: {unknown}; wanted some of {sorted(PLACE_BY_NAME)}")
    objects = WordList.from_template(
        "objects", [kind.name for kind in OBJECTS], "a photo of a {}", top=top_objects
    )
    phrases = [PLACE_BY_NAME[place].phrases[0] for place in places]
    return objects, WordList.from_template("place", phrases, "a photo {}", top=top_places)
