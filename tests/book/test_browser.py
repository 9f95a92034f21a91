"""The pages as a reader sees them, in Chromium, at the width of a desktop and of a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = [pytest.mark.book, pytest.mark.timeout(900)]

WIDTHS = {"phone": 400, "desktop": 1300}
VISIBLE_TEX = (r"\(", r"\[", "$$", r"\frac", r"\lVert", r"\begin{")
BROKEN_IMAGES = """
return [...document.images]
  .filter(image => image.getAttribute('src') && (!image.complete || image.naturalWidth === 0))
  .map(image => image.src)
"""
# asked again and again: the page may have been replaced by a redirect in between
READY = """
if (document.readyState !== 'complete') return false;
const startup = window.MathJax && MathJax.startup && MathJax.startup.promise;
if (startup && window.mathIsSet === undefined) {
  window.mathIsSet = false;
  startup.then(() => { window.mathIsSet = true });
}
return !startup || window.mathIsSet
"""
# what a reader reads: the article without code, without the copies of formulas for screen readers
PROSE = """
const copy = document.querySelector('article').cloneNode(true);
copy.querySelectorAll('pre, code, script, style, mjx-container').forEach(node => node.remove());
return copy.textContent
"""
CUT_FORMULAS = (
    "return [...document.querySelectorAll('article mjx-container[display=true]')]"
    ".filter(n => n.scrollWidth > n.clientWidth + 1).map(n => n.textContent.slice(0, 40))"
)
# the first figure, gallery, diagram or explorer that is in sight, as its top and its height
FIRST_PICTURE = """
const kinds = 'figure img, p > img, .cell_output :is(img, svg), [data-explorer]';
const boxes = [...document.querySelectorAll('article :is(' + kinds + ')')]
  .map(picture => (picture.closest('table') || picture).getBoundingClientRect());
const seen = boxes.filter(box => box.height > 40);
return [seen[0].top, seen[0].height]
"""
SCREEN, PART, ENOUGH = 900, 1 / 3, 200


def pages_of(site: Path) -> list[str]:
    """List the pages of the book, not the theme's own."""
    found = [*site.glob("book/**/*.html"), *site.glob("notebooks/*.html")]
    return sorted(path.relative_to(site).as_posix() for path in found)


def set_width(browser, width: int) -> None:
    """Give the page itself this width: a window has a least width, an emulated screen has not."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )


def open_page(browser, address: str) -> None:
    """Open a page and wait until its formulas are set."""
    browser.get(address)
    WebDriverWait(browser, 120).until(lambda b: b.execute_script(READY))


@pytest.fixture(scope="module")
def faults_at(site, address, browser) -> Callable[[str], dict[str, list[str]]]:
    """Return what looks at every page of the book at a width, once, and lists what is wrong."""

    @cache
    def look(screen: str) -> dict[str, list[str]]:
        set_width(browser, WIDTHS[screen])
        browser.get_log("browser")
        faults: dict[str, list[str]] = {"page": [], "formula": [], "picture": []}
        for page in pages_of(site):
            open_page(browser, f"{address}/{page}")
            if page.startswith("notebooks/"):
                faults["picture"] += late_pictures(browser, page)
            browser.execute_script("window.revealAnswers()")
            faults["page"] += faults_of(browser, page, WIDTHS[screen])
            faults["formula"] += [f"{page}: {cut}" for cut in browser.execute_script(CUT_FORMULAS)]
        return faults

    return look


def faults_of(browser, page: str, width: int) -> list[str]:
    """List what keeps the open page from being whole: images, formulas, width, errors."""
    for image in browser.find_elements(By.CSS_SELECTOR, "img[loading=lazy]"):
        browser.execute_script("arguments[0].scrollIntoView()", image)
    faults = [f"{page}: broken image {source}" for source in browser.execute_script(BROKEN_IMAGES)]
    prose = browser.execute_script(PROSE)
    faults += [f"{page}: a reader sees {tex!r}" for tex in VISIBLE_TEX if tex in prose]
    unset = browser.find_elements(By.CSS_SELECTOR, "mjx-merror")
    faults += [f"{page}: no formula: {e.get_property('textContent')}" for e in unset]
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    if wide > width:
        faults.append(f"{page}: {wide} px wide on a screen of {width} px")
    errors = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    faults += [f"{page}: console says {message}" for message in errors]
    if not browser.find_elements(By.CSS_SELECTOR, "article h1"):
        faults.append(f"{page}: no heading")
    return faults


def late_pictures(browser, page: str) -> list[str]:
    """Name the open chapter if too little of its first picture stands on the first screen."""
    top, height = browser.execute_script(FIRST_PICTURE)
    late = SCREEN - top < min(PART * height, ENOUGH)
    return [f"{page}: {height:.0f} px high, begins at {top:.0f}"] if late else []


@pytest.mark.parametrize("screen", WIDTHS)
def test_every_page_is_whole(site, faults_at, screen):
    assert "book/index.html" in pages_of(site)
    found = faults_at(screen)["page"]
    assert not found, "\n".join(found)


def test_on_a_desktop_every_formula_is_seen_to_its_end(faults_at):
    found = faults_at("desktop")["formula"]
    assert not found, "\n".join(found)


def test_the_first_picture_of_a_chapter_begins_on_the_first_screen(faults_at):
    """A third of it, or 200 pixels, stand above the edge of a laptop's screen."""
    found = faults_at("desktop")["picture"]
    assert not found, "\n".join(found)


def test_an_answer_is_revealed_by_a_click_and_all_of_them_for_good(site, address, browser):
    set_width(browser, WIDTHS["desktop"])
    page = f"{address}/notebooks/02_modality_gap.html"
    open_page(browser, page)
    hidden = "return document.querySelectorAll('.answer[hidden]').length"
    before = browser.execute_script(hidden)
    questions = browser.find_elements(
        By.XPATH, "//article//p[strong[1][starts-with(., 'Predict')]]"
    )
    assert before == len(questions) > 5
    first, *_ = browser.find_elements(By.CSS_SELECTOR, ".reveal button")
    browser.execute_script("arguments[0].click()", first)
    assert browser.execute_script(hidden) == before - 1
    assert browser.find_element(By.ID, "answer-1").is_displayed()
    browser.execute_script("window.localStorage.setItem('answers-shown', 'yes')")
    open_page(browser, page)
    assert browser.execute_script(hidden) == 0
    assert browser.find_elements(By.CSS_SELECTOR, ".reveal") == []
    browser.execute_script("window.localStorage.clear()")


def test_one_switch_hides_all_code_and_is_kept(site, address, browser):
    set_width(browser, WIDTHS["desktop"])
    page = f"{address}/notebooks/02_modality_gap.html"
    shown = (
        "return [...document.querySelectorAll('.cell_input')].filter(n => n.offsetParent).length"
    )
    open_page(browser, page)
    assert browser.execute_script(shown) > 3
    switch = browser.find_element(By.CSS_SELECTOR, ".code-switch")
    browser.execute_script("arguments[0].click()", switch)
    assert browser.execute_script(shown) == 0
    open_page(browser, page)
    assert browser.execute_script(shown) == 0
    assert browser.find_element(By.CSS_SELECTOR, ".code-switch").text == "Show code"
    browser.execute_script("window.localStorage.clear()")


def test_a_figure_is_shown_larger_by_keyboard_and_escape_gives_the_focus_back(
    site, address, browser
):
    set_width(browser, WIDTHS["phone"])
    open_page(browser, f"{address}/notebooks/02_modality_gap.html")
    buttons = browser.find_elements(By.CSS_SELECTOR, "button.enlarge")
    figures = browser.find_elements(By.CSS_SELECTOR, ".bd-article .cell_output img")
    assert len(buttons) >= len(figures) > 5
    button = next(b for b in buttons if b.is_displayed())  # others are answers, not yet revealed
    small = button.find_element(By.TAG_NAME, "img")
    width, words = small.size["width"], small.get_attribute("alt")
    button.send_keys(Keys.ENTER)
    large = browser.find_element(By.CSS_SELECTOR, "dialog[open] img")
    assert large.size["width"] > 1.5 * width
    assert large.get_attribute("alt") == words
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert browser.find_elements(By.CSS_SELECTOR, "dialog[open]") == []
    assert browser.switch_to.active_element == button


def test_the_address_of_the_book_leads_to_its_first_page(address, browser):
    open_page(browser, f"{address}/index.html")
    WebDriverWait(browser, 120).until(lambda b: "book/index.html" in b.current_url)
    assert browser.find_element(By.CSS_SELECTOR, "article h1").is_displayed()


def test_a_link_to_a_name_on_the_page_of_all_names_leads_to_its_folder(address, browser):
    open_page(browser, f"{address}/book/api.html#vizer-core-gap-stats-measure-gap")
    wanted = f"{address}/book/api/vizer_core_gap.html#vizer-core-gap-stats-measure-gap"
    WebDriverWait(browser, 120).until(lambda b: b.current_url == wanted)
    assert "measure_gap(" in browser.find_element(By.ID, wanted.partition("#")[2]).text


def test_the_formulas_are_set_by_the_books_own_mathjax(address, browser):
    open_page(browser, f"{address}/book/notation.html")
    assert len(browser.find_elements(By.CSS_SELECTOR, "article mjx-container")) > 10


def test_a_formula_wider_than_a_phone_begins_at_its_left_end(address, browser):
    """It has a number, (7.1), and scrolls where it is: what is cut off lies to the right."""
    set_width(browser, WIDTHS["phone"])
    open_page(browser, f"{address}/notebooks/07_zero_shot_captioning.html")
    formula = browser.find_element(By.CSS_SELECTOR, "div.math")
    assert "(7.1)" in formula.get_property("textContent")
    box, inside = (
        browser.execute_script("return arguments[0].getBoundingClientRect().left", element)
        for element in (formula, formula.find_element(By.CSS_SELECTOR, "mjx-math"))
    )
    assert inside >= box - 1


def test_on_a_phone_printed_columns_stay_below_each_other_and_plots_are_as_wide_as_the_screen(
    address, browser
):
    set_width(browser, WIDTHS["phone"])
    open_page(browser, f"{address}/notebooks/01_clip_features.html")
    box = browser.find_element(By.CSS_SELECTOR, ".cell_output .columns")
    assert len(box.get_property("textContent").strip("\n").splitlines()) == 2
    assert box.value_of_css_property("white-space") in ("pre", "preserve nowrap")
    lines = box.size["height"] / float(box.value_of_css_property("line-height").rstrip("px"))
    assert lines < 3  # with its scroll bar
    plot = browser.find_element(By.CSS_SELECTOR, ".cell_output > figure > button img")
    scene, *_, widest = sorted(
        image.size["width"]
        for image in browser.find_elements(By.CSS_SELECTOR, ".cell_output > figure img")
    )
    text = browser.find_element(By.CSS_SELECTOR, "article p").size["width"]
    assert plot.is_displayed() and scene <= text < widest <= WIDTHS["phone"]


def test_dark_mode_keeps_figures_on_white_and_galleries_on_dark(address, browser):
    open_page(browser, f"{address}/notebooks/02_modality_gap.html")
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    image = browser.find_element(By.CSS_SELECTOR, "article figure img")
    assert "255, 255, 255" in image.value_of_css_property("background-color")
    open_page(browser, f"{address}/book/index.html")
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    gallery = browser.find_element(By.CSS_SELECTOR, "article figure div[style*=overflow]")
    ground, ink = (gallery.value_of_css_property(key) for key in ("background-color", "color"))
    assert brightness(ground) < 80 and brightness(ink) > 180
    browser.execute_script("document.documentElement.dataset.theme = 'light'")


def brightness(colour: str) -> float:
    """Return the mean of a colour's red, green and blue, 0 to 255."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_on_a_phone_a_gallery_is_no_wider_than_the_page(address, browser):
    set_width(browser, WIDTHS["phone"])
    open_page(browser, f"{address}/book/index.html")
    gallery = browser.find_element(By.CSS_SELECTOR, "article figure div[style*=overflow]")
    assert gallery.get_property("scrollWidth") <= gallery.get_property("clientWidth")
    cells = gallery.find_elements(By.CSS_SELECTOR, "td:last-child")
    assert min(cell.size["width"] for cell in cells) > WIDTHS["phone"] / 2


def test_search_finds_a_page_without_a_network(address, browser):
    browser.get(f"{address}/search.html?q=temperature")
    found = WebDriverWait(browser, 120).until(
        lambda b: b.find_elements(By.CSS_SELECTOR, "#search-results li a")
    )
    assert any("glossary" in link.get_attribute("href") for link in found)
