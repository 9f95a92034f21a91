"""README as a newcomer meets it, its image, and the map of the code in the book."""

from __future__ import annotations

import json
import re

import pytest
from built_book import ROOT
from PIL import Image

from tools import readme, readme_image
from tools.code_map import code_map_markdown
from vizer_core.metrics.grounding import ObjectTruth, SceneTruth
from vizer_lab.figures.marked import draw_marked_captions, named_parts
from vizer_lab.world import drawn_lexicon

MOST_LINES, MOST_BYTES = 195, 80_000
DOG = ObjectTruth("dog", "animal", None, "small", 0.2, 0.5, 0.1)
SCENE = SceneTruth((DOG,), "snow")


def text() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_is_short_and_its_links_lead_somewhere():
    assert len(text().splitlines()) <= MOST_LINES
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text())
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_image_is_what_the_models_say_today():
    file = ROOT / readme_image.FILE
    assert f"]({readme_image.FILE.as_posix()})" in text()
    assert file.stat().st_size < MOST_BYTES
    kept, drawn = file.read_text(encoding="utf-8"), readme_image.image()
    pixels = re.compile(r"base64,[^\"]+")  # another zlib packs the same image in other bytes
    assert pixels.sub("", kept) == pixels.sub("", drawn), "`make readme` draws it anew"


def test_the_index_shows_the_image_as_a_gallery_with_the_same_words_marked():
    image = Image.new("RGB", (8, 8))
    said = {"base": ["a dog and a cat", "two <b>"], "MacCap": ["snow", "a dog in the snow"]}
    svg = draw_marked_captions([image] * 2, [SCENE] * 2, said, drawn_lexicon())
    gallery = readme_image.gallery_of(svg)
    assert len(gallery.images) == 2
    assert {
        name: ["".join(part for part, _ in parts) for parts in rows]
        for name, rows in gallery.captions.items()
    } == said
    assert ("cat", False) in gallery.captions["base"][0]
    assert ("dog", True) in gallery.captions["base"][0]
    assert (" and a ", None) in gallery.captions["base"][0]
    with pytest.raises(ValueError, match=r"1 scenes, captions of .*wanted one each"):
        readme_image.gallery_of(svg.replace("<image", "<g", 1))


def test_a_thing_or_place_is_marked_by_whether_it_is_there():
    parts = named_parts("two cats and a dog on snowy ground", SCENE, drawn_lexicon())
    assert "".join(part for part, _ in parts) == "two cats and a dog on snowy ground"
    assert [(part, v) for part, v in parts if v is not None] == [
        ("cats", False),
        ("dog", True),
        ("on snowy ground", True),
    ]
    elsewhere = named_parts("a dog in the sea", SCENE, drawn_lexicon())
    assert ("in the sea", False) in elsewhere


def test_a_caption_that_names_nothing_stays_one_part():
    assert named_parts("what a day", SCENE, drawn_lexicon()) == [("what a day", None)]


def test_the_drawing_strikes_out_what_is_false_and_escapes_what_is_said():
    image = Image.new("RGB", (8, 8))
    svg = draw_marked_captions([image], [SCENE], {"a & b": ["a cat"]}, drawn_lexicon())
    assert re.search(r'line-through">cat<', svg) and "a &amp; b" in svg
    with pytest.raises(ValueError, match=r"captions of \[1, 1, 2\]: wanted as many of each"):
        draw_marked_captions([image], [SCENE], {"a": ["x", "y"]}, drawn_lexicon())


def test_chapters_are_listed_with_their_time_and_where_it_was_taken(tmp_path):
    cells = [{"cell_type": "markdown", "source": ["# The gap\n"]}]
    stamp = {"seconds": 41.7, "device": "CPU"}
    ran, fresh = tmp_path / "02_gap.ipynb", tmp_path / "03_new.ipynb"
    ran.write_text(json.dumps({"cells": cells, "metadata": {"vizer": stamp}}))
    fresh.write_text(json.dumps({"cells": cells, "metadata": {}}))
    lines = readme.chapter_lines([ran, fresh]).splitlines()
    assert lines[0] == "With what their stored outputs took, on CPU; nothing:"
    assert lines[2:] == [
        "2. [The gap](notebooks/02_gap.ipynb), 42 s",
        "3. [The gap](notebooks/03_new.ipynb), not run",
    ]


def test_every_file_of_the_packages_is_on_the_map_with_what_it_says_of_itself(tmp_path):
    packages = [ROOT / name for name in ("vizer_core", "vizer_lab")]
    page = code_map_markdown(packages)
    lines = set(re.findall(r"^\| `(\w+\.py)` \| \S", page, flags=re.MULTILINE))
    files = [file for package in packages for file in package.rglob("*.py")]
    assert {file.name for file in files} - lines == set()
    for init in (init for package in packages for init in package.glob("*/__init__.py")):
        assert f"### `{init.parent.parent.name}/{init.parent.name}`: " in page
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "__init__.py").write_text('"""A room.\n\nMore."""')
    (tmp_path / "room" / "one.py").write_text('"""One thing."""')
    assert code_map_markdown([tmp_path]).endswith(
        f"### `{tmp_path.name}/room`: A room\n\n"
        "| file | what it says of itself |\n|---|---|\n| `one.py` | One thing |"
    )
