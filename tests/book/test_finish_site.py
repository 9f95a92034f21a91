"""What is done to a rendered book after Sphinx: lighter, and named for whoever cannot see it."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from built_book import ROOT
from PIL import Image

from tools.finish_site import ICON_NAME, MATHJAX, finish, mend_page, size_of
from tools.social_card import FILE, SIZE, first_words, with_card, write_social_card

ICONS = 'x={"sun":[8,8,["sol"],"f1","M0"],"moon":[8,8,[],"f2","M1"],bars:[8,8,[],"f3","M2"]};'


@pytest.fixture
def small_site(tmp_path):
    """A site of one page with what the theme puts into its folder."""
    files = {
        "book/a.html": '<head></head><i class="fa-solid fa-sol"></i><i class="fas fa-bars"></i>',
        "_static/scripts/fontawesome.js": ICONS,
        "_static/scripts/theme.js": "b.className='fa-moon'",
        "_static/scripts/theme.js.map": "{}",
        "_static/styles/t.css": '@font-face{src:url(a.woff2) format("woff2"),url(a.ttf) '
        'format("truetype")}',
        "_static/a.ttf": "0",
        "_static/mathjax/tex-svg.js": "0" * 99,
        "_static/mathjax/startup.js": "0",
        "_static/mathjax/input/tex/extensions/ams.js": "0",
        "_static/mathjax/sre/mathmaps/en.json": "0",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_what_no_page_uses_is_taken_away(small_site):
    saved = finish(small_site)
    static = small_site / "_static"
    assert saved > 99
    assert (static / "scripts/fontawesome.js").read_text() == ICONS  # all three are shown
    assert not [*static.rglob("*.ttf"), *static.rglob("*.map")]
    assert (static / "styles/t.css").read_text() == '@font-face{src:url(a.woff2) format("woff2")}'
    kept = {p.relative_to(static / "mathjax").as_posix() for p in static.rglob("mathjax/**/*.js")}
    assert kept == {"startup.js", "input/tex/extensions/ams.js"}
    assert not (static / "mathjax/sre").exists()


def test_an_icon_that_is_not_shown_goes(small_site):
    (small_site / "_static/scripts/theme.js").write_text("")
    finish(small_site)
    script = (small_site / "_static/scripts/fontawesome.js").read_text()
    assert "moon" not in script and "sun" in script and "bars" in script


def test_a_theme_without_its_icons_is_told(small_site):
    (small_site / "_static/scripts/fontawesome.js").unlink()
    with pytest.raises(FileNotFoundError, match="mend finish_site"):
        finish(small_site)


def test_controls_are_called_what_stands_on_them():
    page = (
        '<div id="p" class="bd-sidebar-primary bd-sidebar"></div>'
        '<button class="btn search-button-field x" title="Search" aria-label="Search" data-a="b">'
        'Search</button><i class="theme-switch fa-sun" data-mode="light" title="Light"></i>'
        '<li><a href="r.html">Results</a><details><summary><span class="toctree-toggle" '
        'role="presentation"></span></summary></details></li>'
        '<summary aria-label="Toggle hidden content">Show code</summary>'
    )
    soup = BeautifulSoup(mend_page(page), "html.parser")
    assert soup.div["aria-label"] == "The book" and soup.div["role"] == "region"
    assert soup.button.attrs.keys() == {"class", "data-a"}
    assert soup.i["aria-hidden"] == "true" and "title" not in soup.i.attrs
    first, second = soup.find_all("summary")
    assert first["aria-label"] == "Pages under Results" and "aria-label" not in second.attrs


def test_a_page_that_is_made_offers_no_source():
    link = '<li><a href="../../_sources/{}"\n class="x"><span>.md</span></a>\n</li>'
    kept = link.format("book/start.md")
    assert mend_page(kept + link.format("book/api/vizer_lab.md") + "<li>a</li>") == (
        kept + "<li>a</li>"
    )


def test_words_of_a_data_frame_stand_left_and_numbers_right():
    page = (
        '<table border="1" class="dataframe"><tr><th></th><th>n</th><th>said</th></tr>'
        "<tr><th>0</th><td>1.5 [1.0, 2.0]</td><td>a dog</td></tr></table>"
    )
    marked = [c.text for c in BeautifulSoup(mend_page(page), "html.parser").select(".words")]
    assert marked == ["said", "a dog"]


def test_each_page_has_an_image_and_words_of_its_own(tmp_path):
    head = (
        '<meta content="x" lang="en" name="description" /><meta content="x" property="og:title" />'
        '<meta content="y" property="og:description" /><title>Gap &#8212; Book</title>'
    )
    page = f"{head}<article><p>What lies between images and captions?</p></article>"
    soup = BeautifulSoup(with_card(page, 2, None), "html.parser")
    found = {tag.get("property", tag.get("name")): tag["content"] for tag in soup.find_all("meta")}
    words = "What lies between images and captions?"
    assert found["og:title"] == "Gap" and found["og:image"] == "../../_static/social.png"
    assert found["description"] == found["og:description"] == words
    assert first_words("<article><p>Let \\(x\\) be any number at all.</p></article>") == ""
    file = write_social_card(ROOT, tmp_path)
    with Image.open(file) as image:
        assert image.size == SIZE and file == tmp_path / FILE


@pytest.mark.book
def test_the_book_is_light_and_has_all_that_it_asks_for(site):
    icons = (site / "_static/scripts/fontawesome.js").read_text(encoding="utf-8")
    assert len(icons) < 150_000
    for page in (*site.glob("book/*.html"), *site.glob("notebooks/*.html")):
        text = page.read_text(encoding="utf-8")
        for name in set(ICON_NAME.findall(text)) - {"solid", "regular", "lg", "brands"}:
            assert re.search(rf'"?\b{name}"?(?::\[|[",])', icons), f"{page.name}: no icon {name}"
        assert 'property="og:image"' in text
    assert not (site / "_static/locales").exists() and not (site / "_sources/book/api").exists()
    assert size_of(site) < 23_000_000
    mathjax = site / "_static/mathjax"
    assert all((mathjax / part).exists() for part in MATHJAX)
    assert sum(f.stat().st_size for f in mathjax.rglob("*") if f.is_file()) < 2_500_000
    assert (site / "_static/social.png").stat().st_size < 200_000
