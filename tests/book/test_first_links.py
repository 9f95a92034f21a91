"""Words of the glossary and public names are links where a page first uses them, and only there."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from built_book import ROOT
from docutils import nodes

from tools.api_pages import public_names
from tools.first_links import (
    EVERYDAY,
    first_uses,
    link_code,
    link_names,
    link_terms,
    read_glossary,
    word_pattern,
)

GLOSSARY = read_glossary((ROOT / "book" / "glossary.md").read_text(encoding="utf-8"))
TERMS = {name: (f"glossary.html#term-{name}", f"what {name} is") for name in ("gap", "mix", "seed")}


def page(*parts: nodes.Node) -> nodes.document:
    document = nodes.document(None, None)
    document += parts
    return document


def said(*words: nodes.Node | str) -> nodes.paragraph:
    return nodes.paragraph("", "", *[nodes.Text(w) if isinstance(w, str) else w for w in words])


def links(document: nodes.document) -> list[tuple[str, str]]:
    return [(node.astext(), node["refuri"]) for node in document.findall(nodes.reference)]


def test_the_first_use_alone_becomes_a_link_with_its_meaning():
    document = page(said("A gap, then a gap."), said("Gaps again."))
    assert link_terms(document, TERMS) == ["gap"]
    assert links(document) == [("gap", "glossary.html#term-gap")]
    assert document.astext() == "A gap, then a gap.\n\nGaps again."
    (node,) = document.findall(nodes.reference)
    assert node["reftitle"] == "what gap is"


def test_an_everyday_word_is_a_term_only_where_it_is_set_off():
    document = page(said("The mix of all. "), said("We call it ", nodes.emphasis("", "mix"), "."))
    assert link_terms(document, TERMS) == ["mix"]
    (node,) = document.findall(nodes.reference)
    assert isinstance(node.parent, nodes.emphasis)


@pytest.mark.parametrize("kind", [nodes.literal, nodes.math, nodes.title])
def test_headings_code_and_formulas_stay_as_they_are(kind):
    document = page(said(kind("", "gap")), said("the gap"))
    link_terms(document, TERMS)
    (node,) = document.findall(nodes.reference)
    assert isinstance(node.parent, nodes.paragraph)


def test_folded_parts_and_lists_of_papers_have_no_links():
    fold = nodes.raw("", "<details><summary>S</summary>", format="html")
    end = nodes.raw("", "</details>", format="html")
    papers = nodes.section("", said("the gap"), ids=["references"])
    document = page(fold, said("a gap"), end, papers)
    assert link_terms(document, TERMS) == []
    document += said("a gap")
    assert link_terms(document, TERMS) == ["gap"]


def test_a_link_to_the_glossary_is_sent_to_its_term():
    by_hand = nodes.reference("", "gaps", refuri="../book/glossary.html")
    document = page(said(by_hand, " and a gap"))
    assert link_terms(document, TERMS) == ["gap"]
    assert links(document) == [("gaps", "glossary.html#term-gap")]


def test_a_name_set_as_code_is_a_link_once():
    document = page(said(nodes.literal("", "vizer_core.gap.gap_norm()"), " ", "gap_norm"))
    document += said(nodes.literal("", "gap_norm"), nodes.literal("", "other"))
    assert link_names(document, {"gap_norm": "api.html#x"}) == ["gap_norm"]
    assert links(document) == [("vizer_core.gap.gap_norm()", "api.html#x")]


def test_a_call_in_code_is_a_link_unless_the_page_defines_the_name():
    call = '<span class="n">f_1</span><span class="p">(</span>'
    once = link_code(call + call, {"f_1": "a.html#f"})
    assert once.count("<a ") == 1 and once.index("<a ") == 0
    own = '<span class="nf">f_1</span>' + call
    assert link_code(own, {"f_1": "a.html#f"}) == own


def test_every_everyday_word_is_a_term():
    assert set(GLOSSARY) >= EVERYDAY


def test_a_name_that_two_files_have_is_no_link(tmp_path):
    package = tmp_path / "vizer_core"
    package.mkdir()
    for file, functions in {"a": ("twice", "once"), "b": ("twice", "_hidden")}.items():
        (package / f"{file}.py").write_text("\n".join(f"def {name}(): ..." for name in functions))
    assert public_names(package) == {"once": ("book/api/vizer_core", "vizer-core-a-once")}


def plain_first_uses(article) -> set[str]:
    """Find terms in what a reader sees of a page's paragraphs, by a reading of its own."""
    for tag in article.select("details, pre, code, h1, h2, h3, .math, .cell_output, script"):
        tag.decompose()
    prose = " ".join(p.get_text() for p in article.select("p, li, td") if not p.find_parent("li"))
    patterns = {name: word_pattern(name) for name in set(GLOSSARY) - EVERYDAY}
    return {name for _, _, name in first_uses(prose, patterns)}


@pytest.mark.book
@pytest.mark.timeout(900)
def test_every_chapter_links_the_terms_that_it_uses(site):
    for path in sorted((site / "notebooks").glob("[0-9]*.html")):
        article = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").find("article")
        for name in ("references", "environment", "what-it-costs"):
            for section in article.select(f"section#{name}"):
                section.decompose()
        linked = [re.sub(r".*#term-", "", a["href"]) for a in article.select("a.term")]
        assert len(linked) == len(set(linked)) > 0, path.name
        wanted = {re.sub(r"[^A-Za-z0-9]+", "-", name) for name in plain_first_uses(article)}
        assert wanted - set(linked) - _by_hand(article) == set(), path.name


def _by_hand(article) -> set[str]:
    return {a["href"].partition("#term-")[2] for a in article.select("a[href*='#term-']")}
