"""Link words of the glossary and names of the packages where a page first uses them.

A Sphinx extension, named in _config.yml. It changes the rendered book only: the notebooks stay
plain Markdown, so nothing has to be kept up by hand. A word gets its meaning as a tooltip. What
stands in headings, code, formulas, links, folded parts and lists of papers stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docutils import nodes

from tools.api_pages import public_names

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = "book/glossary"
PAGES = re.compile(r"notebooks/\d\d_|book/(?:start|drawn_world)$")
# words of everyday English: linked only where the text sets them off, as `*references*`
EVERYDAY = frozenset(
    (
        *("baseline", "coverage", "credit", "domain", "estimate", "guidance", "mix", "null"),
        *("oracle", "prior", "process", "proxy", "reference", "retrieval", "reward", "seed"),
        *("shard", "statement"),
    )
)
ALSO = {
    "VQA": "visual question answering",
    "CLS": "class token",
    "VLM": "vision-language model",
}  # other names of a term
UNTOUCHED = (
    nodes.title,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.reference,
    nodes.raw,
    nodes.comment,
)
LISTS_OF_PAPERS = {"references", "environment", "what-it-costs"}  # sections without links
SET_OFF = (nodes.emphasis, nodes.strong)


def read_glossary(page: str) -> dict[str, str]:
    r"""Return the terms of the glossary page and what they mean, without its roles.

    >>> read_glossary("```{glossary}\ngap\n  A {term}`null` is\n  none {cite}`a`. B.\n```")
    {'gap': 'A null is none. B.'}
    """
    inside = page.partition("```{glossary}\n")[2].partition("\n```")[0]
    terms = {}
    for entry in re.split(r"\n(?=\S)", inside.strip()):
        name, _, meaning = entry.partition("\n")
        plain = re.sub(r"\s*\{cite\}`[^`]*`", "", " ".join(meaning.split()))
        terms[name.strip()] = re.sub(r"\{\w+\}`([^`]*)`", r"\1", plain)
    return terms


def word_pattern(name: str) -> re.Pattern[str]:
    """Return what finds a term as a word of its own: plural too, a capital at a sentence's start.

    >>> [bool(word_pattern("patch").search(t)) for t in ("Patches of", "dispatch", "patch-wise")]
    [True, False, False]
    >>> [bool(word_pattern(n).search(t)) for n, t in (("CLIP", "a clip"), ("patch", "by Patch Co"))]
    [False, False]
    """
    first, rest = re.escape(name[0]), re.escape(name[1:])
    if name[0].islower():
        first = rf"(?:{first}|(?:^|(?<=[.:?!] )){first.upper()})"
    return re.compile(rf"(?<![\w-]){first}{rest}(?:e?s)?(?![\w-])")


def first_uses(text: str, patterns: Mapping[str, re.Pattern[str]]) -> list[tuple[int, int, str]]:
    """Return start, end and name of the first use of each term; of two that overlap, the longer.

    >>> names = {n: word_pattern(n) for n in ("gap", "gap norm")}
    >>> first_uses("The gap norm is the length of the gap; a gap", names)
    [(4, 12, 'gap norm'), (34, 37, 'gap')]
    """
    found: list[tuple[int, int, str]] = []
    for name in sorted(patterns, key=len, reverse=True):
        for match in patterns[name].finditer(text):
            start, end = match.span()
            if all(end <= low or start >= high for low, high, _ in found):
                found.append((start, end, name))
                break
    return sorted(found)


def reading(document: nodes.document) -> Iterator[nodes.Node]:
    """Yield the nodes of a page in the order of reading, without folded parts."""
    depth = 0
    for node in document.findall():
        if isinstance(node, nodes.raw):
            html = node.astext()
            depth += html.count("<details") - html.count("</details")
        elif depth == 0:
            yield node


def ancestors(node: nodes.Node) -> Iterator[nodes.Node]:
    """Yield what a node stands in, from the inside out."""
    while node.parent is not None:
        node = node.parent
        yield node


def is_plain(text: nodes.Text) -> bool:
    """Tell whether a piece of text is prose in which a word may become a link."""
    above = list(ancestors(text))
    sections = {i for node in above if isinstance(node, nodes.section) for i in node["ids"]}
    return not any(isinstance(n, UNTOUCHED) for n in above) and not sections & LISTS_OF_PAPERS


def link(address: str, children: list[nodes.Node], kind: str, meaning: str = "") -> nodes.reference:
    """Return a link within the book; `meaning` becomes its tooltip."""
    node = nodes.reference("", "", refuri=address, internal=True, classes=[kind])
    if meaning:
        node["reftitle"] = meaning
    node += children
    return node


def link_terms(document: nodes.document, terms: Mapping[str, tuple[str, str]]) -> list[str]:
    """Link the first use of each term, given as `name: (address, meaning)`; return those linked.

    Links to the glossary that the text has already lead to their term from here on.
    """
    left = {name: word_pattern(name) for name in terms}
    left |= {short: word_pattern(short) for short, name in ALSO.items() if name in terms}
    done: list[str] = []
    for node in list(reading(document)):
        if isinstance(node, nodes.reference):
            done += _point(node, terms)
            left = _without(left, done)
        elif isinstance(node, nodes.Text) and is_plain(node):
            set_off = any(isinstance(above, SET_OFF) for above in ancestors(node))
            open_here = {n: p for n, p in left.items() if set_off or n not in EVERYDAY}
            done += _split(node, first_uses(str(node), open_here), terms)
            left = _without(left, done)
    return done


def _without(left: Mapping[str, Any], done: list[str]) -> dict[str, Any]:
    return {n: p for n, p in left.items() if ALSO.get(n, n) not in done}


def _point(node: nodes.reference, terms: Mapping[str, tuple[str, str]]) -> list[str]:
    """Send a link to the glossary page on to the term that it names."""
    if not re.search(r"book/glossary\.\w+$|^glossary\.\w+$", node.get("refuri", "")):
        return []
    uses = first_uses(node.astext(), {name: word_pattern(name) for name in terms})
    if not uses:
        return []
    name = uses[0][2]
    node["refuri"], node["reftitle"] = terms[name]
    return [name]


def _split(
    text: nodes.Text, uses: list[tuple[int, int, str]], terms: Mapping[str, tuple[str, str]]
) -> list[str]:
    """Put links into a piece of text."""
    if not uses:
        return []
    whole, at, parts = str(text), 0, []
    for start, end, name in uses:
        address, meaning = terms[ALSO.get(name, name)]
        parts += [nodes.Text(whole[at:start])] if start > at else []
        parts.append(link(address, [nodes.Text(whole[start:end])], "term", meaning))
        at = end
    parts += [nodes.Text(whole[at:])] if at < len(whole) else []
    text.parent.replace(text, parts)
    return [ALSO.get(name, name) for _, _, name in uses]


def link_names(document: nodes.document, names: Mapping[str, str]) -> list[str]:
    """Link the first use, set as code, of each public name, given as `name: address`."""
    done: list[str] = []
    for node in list(reading(document)):
        if not isinstance(node, nodes.literal) or not is_plain(nodes_text(node)):
            continue
        said = node.astext().removesuffix("()")
        name = said.rpartition(".")[2] if said.startswith(("vizer_core.", "vizer_lab.")) else said
        if name in names and name not in done:
            done.append(name)
            new = link(names[name], [node.deepcopy()], "name")
            node.parent.replace(node, new)
    return done


def link_code(body: str, names: Mapping[str, str]) -> str:
    """Link the first call of each public name in a page's code cells; `names` is `name: address`.

    A name that the page itself defines is left alone.

    >>> link_code('<span class="n">f_1</span><span class="p">(</span>', {"f_1": "a.html#f"})
    '<a class="name" href="a.html#f"><span class="n">f_1</span></a><span class="p">(</span>'
    """
    own = set(re.findall(r'<span class="n[fc]">(\w+)</span>', body))
    for name in sorted(set(re.findall(r'<span class="n">(\w+)</span><span class="p">\(', body))):
        if name in names and name not in own:
            plain = f'<span class="n">{name}</span>'
            linked = f'<a class="name" href="{names[name]}">{plain}</a>'
            body = body.replace(f'{plain}<span class="p">(', f'{linked}<span class="p">(', 1)
    return body


def nodes_text(node: nodes.literal) -> nodes.Text:
    """Return a piece of text that stands where a literal stands."""
    text = nodes.Text("")
    text.parent = node.parent
    return text


def link_page(app: Any, document: nodes.document, docname: str) -> None:
    """Link one page of the book; called by Sphinx when a page's references are resolved."""
    if not PAGES.match(docname):
        return
    here = app.builder.get_relative_uri
    meanings = app.vizer_links["terms"]
    known = app.env.get_domain("std").objects
    terms = {
        name: (f"{here(docname, GLOSSARY)}#{known['term', name][1]}", meaning)
        for name, meaning in meanings.items()
        if ("term", name) in known
    }
    link_terms(document, terms)
    link_names(document, _addresses(app, docname))


def _addresses(app: Any, docname: str) -> dict[str, str]:
    here = app.builder.get_relative_uri
    return {
        name: f"{here(docname, page)}#{place}"
        for name, (page, place) in app.vizer_links["names"].items()
        if page in app.env.all_docs  # the ePub leaves these pages out
    }


def link_code_of_page(app: Any, docname: str, _t: str, context: dict[str, Any], _d: Any) -> None:
    """Link the code of one page; called by Sphinx before it writes the page."""
    if PAGES.match(docname) and "body" in context:
        context["body"] = link_code(context["body"], _addresses(app, docname))


def read_sources(app: Any) -> None:
    """Read the glossary and the packages' public names, once a build."""
    root = Path(app.srcdir)
    names: dict[str, tuple[str, str]] = {}
    for package in ("vizer_lab", "vizer_core"):  # the library's name wins
        names |= public_names(root / package)
    names = {n: place for n, place in names.items() if "_" in n or n != n.lower()}  # no plain words
    page = (root / f"{GLOSSARY}.md").read_text(encoding="utf-8")
    app.vizer_links = {"terms": read_glossary(page), "names": names}


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", read_sources)
    app.connect("doctree-resolved", link_page)
    app.connect("html-page-context", link_code_of_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
