"""The book's diagrams: words inside the sheet in the widest font, legible ink, files up to date."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from contrast import contrast
from PIL import ImageFont

from tools.diagrams import FOLDER, ROOT, markdown
from vizer_lab.figures import draw_method
from vizer_lab.figures.method_diagrams import DIAGRAMS
from vizer_lab.figures.sketch import DARK, GROUND, LIGHT

FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")  # DejaVu: wider than what readers have
SVG = "{http://www.w3.org/2000/svg}"


def sheet_of(svg: ElementTree.Element) -> tuple[float, float]:
    """Return the width and height that the parts of a diagram are measured in."""
    *_, wide, high = map(float, svg.get("viewBox").split())
    return wide, high


def extent(text: ElementTree.Element) -> tuple[float, float]:
    """Return where a text of the sheet begins and ends, across."""
    bold = text.get("font-weight") == "bold"
    font = ImageFont.truetype(FONTS / f"DejaVuSans{'-Bold' if bold else ''}.ttf", 100)
    wide = font.getlength("".join(text.itertext())) * float(text.get("font-size")) / 100
    shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.get("text-anchor")]
    left = float(text.get("x")) - shift * wide
    return left, left + wide


@pytest.mark.parametrize("name", DIAGRAMS)
def test_no_word_leaves_the_sheet_or_its_box(name):
    svg = ElementTree.fromstring(draw_method(name).svg())
    wide, high = sheet_of(svg)
    boxes = [
        [float(box.get(key)) for key in ("x", "y", "width", "height")]
        for box in svg.iter(f"{SVG}rect")
        if box.get("class").startswith("box")
    ]
    texts = [t for t in svg.iter(f"{SVG}text") if not t.get("transform")]
    assert len(texts) > 5
    for text in texts:
        left, right = extent(text)
        words, x, y = "".join(text.itertext()), float(text.get("x")), float(text.get("y"))
        assert left >= 0 and right <= wide and 8 <= y <= high - 3, f"{words!r} leaves the sheet"
        for bx, by, bw, bh in boxes:
            if bx < x < bx + bw and by < y < by + bh:
                assert bx <= left and right <= bx + bw, f"{words!r} leaves its box"


@pytest.mark.parametrize("name", DIAGRAMS)
def test_words_are_11_px_on_a_phone(name):
    svg = ElementTree.fromstring(draw_method(name).svg())
    column = 368  # of a page that is 400 wide
    sizes = [float(t.get("font-size")) for t in svg.iter(f"{SVG}text")]
    assert min(sizes) * column / sheet_of(svg)[0] >= 10.5


@pytest.mark.parametrize(
    ("colours", "ground"), list(zip((LIGHT, DARK), GROUND)), ids=("light", "dark")
)
def test_ink_can_be_read_on_the_ground_and_on_every_tint(colours, ground):
    for role, (ink, tint) in colours.items():
        assert contrast(ink, ground) >= 4.5 and contrast(ink, tint) >= 4.5, role
        assert contrast(colours["ink"][0], tint) >= 7, f"small words on {role}"


@pytest.mark.parametrize("name", DIAGRAMS)
def test_the_files_are_what_the_package_draws(name):
    file = ROOT / FOLDER / f"{name}.svg"
    assert file.read_text("utf-8") == draw_method(name).svg(), "python -m tools.diagrams"


def test_every_diagram_says_in_words_what_it_shows():
    for name in DIAGRAMS:
        sheet = draw_method(name)
        assert len(sheet.words.split()) > 30 and sheet.words in markdown(name)
        assert not re.search(r"[\[\]]", sheet.words), "brackets would end the alt text"


def test_a_diagram_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no diagram 'tower': wanted one of clip_towers"):
        draw_method("tower")
