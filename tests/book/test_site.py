"""The rendered book as files: nothing broken, nothing fetched, buttons only with an address."""

from __future__ import annotations

import json
import re

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from built_book import ROOT, build_book
from probe import probe_notebook

from tools.book import book_config, colab_link, repository_url
from tools.check_html import check_site
from tools.notebook_cells import normalise, write_colab_cell

pytestmark = [pytest.mark.book, pytest.mark.timeout(900)]

LARGEST = 900_000  # bytes of one page: above, a phone is slow to open it
URL = "https://github.com/someone/some-book"


def soup_of(page):
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def test_the_book_has_no_faults(site):
    assert check_site(site, repository_url(ROOT)) == []


def test_next_leads_through_every_page_and_previous_back(site):
    pages = [*site.glob("book/**/*.html"), *site.glob("notebooks/*.html")]
    forward = walk(site / "book" / "index.html", "right-next")
    assert sorted(forward) == sorted(pages)
    assert walk(forward[-1], "left-prev") == forward[::-1]


def walk(page, link):
    """Follow links of a class from page to page until there is none; return the pages in order."""
    seen = []
    while True:
        assert page not in seen, f"{link} leads in a circle: {seen} then {page}"
        seen.append(page)
        found = re.search(rf'<a class="{link}"\s+href="([^"]+)"', page.read_text(encoding="utf-8"))
        if found is None:
            return seen
        page = (page.parent / found[1]).resolve()


def test_pages_of_results_open_fast_and_hold_every_row(site):
    for source in sorted((ROOT / "results").glob("*.json")):
        result = json.loads(source.read_text(encoding="utf-8"))
        rows = sum(len(result.get(key, [])) for key in ("scores", "differences"))
        if rows:
            page = site / "book" / f"results_{source.stem}.html"
            assert page.stat().st_size < LARGEST, f"{page.name}: {page.stat().st_size} bytes"
            told = re.findall(r"<td>(?:[^<]*\]|not run)", page.read_text(encoding="utf-8"))
            assert len(told) >= rows
    assert (site / "book" / "results.html").stat().st_size < LARGEST


def test_pages_of_names_open_fast_and_are_all_listed(site):
    listed = soup_of(site / "book" / "api.html")
    links = {a["href"].partition("#")[0] for a in listed.select("article td a")}
    pages = list((site / "book" / "api").glob("*.html"))
    assert links == {f"api/{page.name}" for page in pages} and len(pages) > 10
    for page in [*pages, site / "book" / "api.html"]:
        assert page.stat().st_size < LARGEST, f"{page.name}: {page.stat().st_size} bytes"


def test_toc_and_disk_agree():
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"(?:file|root): (\S+)", toc))
    on_disk = {f"book/{path.stem}" for path in (ROOT / "book").glob("*.md")}
    on_disk |= {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert sorted(on_disk - listed) == [], "pages on disk that _toc.yml does not list"
    assert sorted(listed - on_disk) == [], "pages that _toc.yml lists and that do not exist"


SMALL = {  # the pages that a notebook of the book links to
    "index": "# A small book\n\nIt has an address.",
    "notation": "# Notation\n\n$x$ is a number.",
    "glossary": "# Glossary\n\n```{glossary}\nnull\n  Nothing.\n```",
}


@pytest.fixture(scope="module")
def site_with_address(checkout_copy, tmp_path_factory):
    """A book of one notebook and three pages, built by this checkout's tools, with an address."""
    project = checkout_copy / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    if "[project.urls]" not in text:
        text = text.replace(
            "[project.scripts]", f'[project.urls]\nRepository = "{URL}"\n\n[project.scripts]'
        )
    project.write_text(text, encoding="utf-8")
    for name, page in SMALL.items():
        (checkout_copy / "book" / f"{name}.md").write_text(page, encoding="utf-8")
    link = colab_link(URL, "notebooks/99_probe.ipynb")
    probe = normalise(write_colab_cell(probe_notebook(), link), "99_probe.ipynb")
    nbformat.write(probe, checkout_copy / "notebooks/99_probe.ipynb")
    pages = ["book/notation", "book/glossary", "notebooks/99_probe"]
    toc = yaml.safe_load((checkout_copy / "_toc.yml").read_text(encoding="utf-8"))
    toc["parts"] = [{"caption": "All", "chapters": [{"file": page} for page in pages]}]
    (checkout_copy / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    return build_book(checkout_copy, tmp_path_factory.mktemp("with_address"))


def test_with_an_address_each_notebook_opens_in_colab(site_with_address):
    page = soup_of(site_with_address / "notebooks/99_probe.html")
    links = [a["href"] for a in page.find_all("a", href=True) if "colab" in a["href"]]
    wanted = "/blob/main/notebooks/99_probe.ipynb"
    assert len(links) == 1 and links[0].endswith(wanted), links
    assert links[0].startswith("https://colab.research.google.com/github/")


def test_with_an_address_text_pages_offer_no_colab(site_with_address):
    page = soup_of(site_with_address / "book/notation.html")
    assert [a["href"] for a in page.find_all("a", href=True) if "colab" in a["href"]] == []
    assert any("/issues/new" in a["href"] for a in page.find_all("a", href=True))


@pytest.mark.skipif(repository_url(ROOT) is not None, reason="this checkout has an address")
def test_without_an_address_there_is_no_button(site):
    for page in site.glob("*/*.html"):
        if "_static" not in page.parts:
            text = page.read_text(encoding="utf-8")
            assert "colab.research.google.com" not in text, page.name
            assert "/issues/new" not in text, page.name


def test_an_address_that_is_no_link_is_refused(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nurls = {Repository = "someone/book"}\n')
    with pytest.raises(ValueError, match="wanted an https:// address"):
        repository_url(tmp_path)


def test_without_an_address_the_settings_stay_as_they_are():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert book_config(config, None) == config
    assert book_config(config, URL)["html"]["use_issues_button"] is True
    assert config["html"]["use_issues_button"] is False
