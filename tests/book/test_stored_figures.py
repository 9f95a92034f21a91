"""Figures of chapters: plots are SVG whose words a telephone can show; only images are pixels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from built_book import ROOT

TELEPHONE = 352  # pixels that a figure has on a screen of 400
LEAST = 8.0  # pixels of a letter there
LARGEST = 300_000  # characters of one SVG
# what draws images, and so gives pixels
OF_IMAGES = re.compile(
    r"draw_(images|patch_maps|pair_gap|neighbour_cosines|sub_regions|candidates)\b"
)
FONT = re.compile(r"font-size: ?([\d.]+)px|font: [^;\"]*?([\d.]+)px|font-size=\"([\d.]+)")
# words that leave the figure, and pairs of words that run into each other
FAULTS = """
document.body.innerHTML = arguments[0];
const svg = document.querySelector('svg'), sheet = svg.getBoundingClientRect(), faults = [];
const words = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim())
  .map(t => ({said: t.textContent, at: t.getBoundingClientRect(),
              slanted: /rotate\\(-?40/.test(t.getAttribute('transform'))}));
words.forEach(({said, at}, k) => {
  if (at.left < sheet.left - 1 || at.right > sheet.right + 1 || at.top < sheet.top - 1
      || at.bottom > sheet.bottom + 1) faults.push(`cut: ${said}`);
  for (const other of words.slice(k + 1)) {
    const wide = Math.min(at.right, other.at.right) - Math.max(at.left, other.at.left);
    const high = Math.min(at.bottom, other.at.bottom) - Math.max(at.top, other.at.top);
    if (wide > 3 && high > 4 && !words[k].slanted)
      faults.push(`on each other: ${said} | ${other.said}`);
  }
});
return faults;
"""


def outputs(folder: Path = ROOT / "notebooks") -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield where an output stands, the code of its cell, and the output by its kind."""
    for path in sorted(folder.glob("[0-9]*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                data = {kind: "".join(said) for kind, said in output.get("data", {}).items()}
                yield f"{path.name}, {cell['id']}", "".join(cell["source"]), data


def plots(folder: Path = ROOT / "notebooks") -> list[tuple[str, str]]:
    """Return the SVG figures of matplotlib and where they stand; diagrams have their own tests."""
    svg = [(where, data.get("image/svg+xml", "")) for where, _, data in outputs(folder)]
    return [(where, drawn) for where, drawn in svg if "*{stroke-linejoin" in drawn]


def least_letter(svg: str) -> float:
    """Return how many pixels the smallest letter has on a telephone.

    >>> least_letter('<svg viewBox="0 0 704 9"><text style="font-size: 20px">a</text></svg>')
    10.0
    """
    wide = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
    return min(float("".join(size)) for size in FONT.findall(svg)) * TELEPHONE / wide


def test_plots_are_svg_and_pixels_show_images():
    assert len(plots()) > 30
    for where, code, data in outputs():
        if "image/png" in data:
            assert OF_IMAGES.search(code), f"{where}: a plot in pixels, wanted SVG"


def test_no_plot_is_heavy_and_every_letter_can_be_read_on_a_telephone():
    for where, svg in plots():
        assert len(svg) <= LARGEST, f"{where}: {len(svg):,} characters"
        assert least_letter(svg) >= LEAST, f"{where}: letters of {least_letter(svg):.1f} pixels"


@pytest.mark.book
def test_no_word_of_a_plot_is_cut_or_lies_on_another(browser):
    browser.get("data:text/html,<body></body>")
    faults = {where: browser.execute_script(FAULTS, svg) for where, svg in plots()}
    assert {where: found for where, found in faults.items() if found} == {}


@pytest.mark.book
def test_a_cut_word_and_words_on_each_other_are_found(browser):
    browser.get("data:text/html,<body></body>")
    start = '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="60" viewBox="0 0 200 60">'
    good = f'{start}<text x="9" y="20">one</text><text x="9" y="50">two</text></svg>'
    assert browser.execute_script(FAULTS, good) == []
    cut = f'{start}<text x="190" y="20">a long word</text></svg>'
    assert browser.execute_script(FAULTS, cut) == ["cut: a long word"]
    both = f'{start}<text x="9" y="20">one</text><text x="15" y="22">two</text></svg>'
    assert browser.execute_script(FAULTS, both) == ["on each other: one | two"]
