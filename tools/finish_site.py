"""Finish a rendered book: what its pages need and no more, and names for all that can be used.

The theme brings all icons of Font Awesome (1.5 MB on every page), MathJax with every output and
language (24 MB on disk), fonts twice, source maps, and its words in every language. Of these stay
the icons that some page shows, and the parts of MathJax that the book loads. `mend_page` corrects
what the theme and docutils write, where a screen reader would stumble.

    python -m tools.finish_site _build/html     # what tools.book does after each build
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from tools.social_card import with_card

ICON = re.compile(
    r'(?:"(?P<quoted>[a-z0-9-]+)"|(?P<bare>[a-z0-9]+)):'
    r'\[\d+,\d+,(?P<others>\[[^\]]*\]),"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?'
)
ICON_NAME = re.compile(r"\bfa-([a-z0-9-]+)")
# of MathJax: what `mathjax3_config` in _config.yml loads, and what a formula may ask for
MATHJAX = (
    *("startup.js", "core.js", "input/tex.js", "input/tex/extensions", "output/chtml.js"),
    *("output/chtml/fonts", "a11y/assistive-mml.js"),
)
HYPHEN = r"(?<![\w.-])-(?=\.?\d)|(?<=\de)-(?=\d)"  # before a number or an exponent
INTERVAL = r"(\[[^\s\]]+,) (?=[^\s\]]+\])"  # up to its space
WHOLE = 18  # letters of a name in a table that stays on one line, on a phone too
NAME = 34  # letters of a name that stays on one line where a table has room (book.css)
JOINER = "&#8288;"  # no line breaks at it, and it has no width
FORMULA = re.compile(
    r"(?P<before>[(\[“]?)(?P<formula><span class=\"math notranslate[^>]*>[^<]*</span>)"
    r"(?P<after>[,.;:!?)\]”’]?)"
)
CELL = re.compile(r"<(t[hd])([^>]*)>(.*?)</\1>", re.DOTALL)
FRAME = re.compile(r'<table border="1" class="dataframe.*?</table>', re.DOTALL)
# of pages that are made anew at each build there is no source to download
MADE = "book/api"
# the pages under them, in the list of pages at the side: 3 kB that only they need
UNDER_MADE = re.compile(
    rf'(<a [^>]*href="[^"]*{MADE.partition("/")[2]}\.html">[^<]*</a>)<details>.*?</details>',
    re.DOTALL,
)
CORRECTIONS: tuple[tuple[str, str], ...] = (
    # the parts of MathJax that are loaded, in place of one file with all of them
    (r"_static/mathjax/tex-chtml\.js", "_static/mathjax/startup.js"),
    (rf'<li><a href="[^"]*_sources/{MADE}/(?:(?!</li>).)*</li>', ""),
    # a button is called what stands on it
    (r'(<button class="btn search-button-field[^>]*?) title="Search" aria-label="Search"', r"\1"),
    (r'(<i class="theme-switch [^>]*?) title="[^"]*"', r'\1 aria-hidden="true"'),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    # roles that are deprecated, or that hold other things than they may
    (r' role="doc-[a-z]+"', ""),
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
    # the arrow that opens the pages under a page
    (
        r"(<a [^>]*>)([^<]+)(</a><details[^>]*>)<summary>(?=<span class=\"toctree-toggle)",
        r'\1\2\3<summary aria-label="Pages under \2">',
    ),
    # the head of a column without a name is no head
    (r"<th(?P<a>[^>]*)>\s*(?:<p>\s*</p>)?\s*</th>", r"<td\g<a>></td>"),
    # the logo stands in no landmark otherwise
    (
        r'(class="bd-sidebar-primary bd-sidebar[^"]*")',
        r'\1 role="region" aria-label="The book"',
    ),
)


def mend_page(html: str) -> str:
    """Correct the markup of one page.

    >>> mend_page('<thead><tr><th></th><th class="head"><p>n</p></th></tr></thead>')
    '<thead><tr><td></td><th class="head"><p>n</p></th></tr></thead>'
    >>> mend_page('<div class="citation" id="a" role="doc-biblioentry">')
    '<div class="citation" id="a">'
    """
    for pattern, instead in CORRECTIONS:
        html = re.sub(pattern, instead, html, flags=re.DOTALL)
    html = FRAME.sub(lambda table: words_left(table[0]), tie_formulas(html))
    return re.sub(
        r"<td\b.*?</td>", lambda cell: break_code(true_minus(cell[0])), html, flags=re.DOTALL
    )


def tie_formulas(html: str) -> str:
    """Keep a comma, a full stop and a bracket on the line of the formula that they touch.

    >>> tie_formulas('(<span class="math notranslate">x</span>, a')
    '(&#8288;<span class="math notranslate">x</span>&#8288;, a'
    """
    return FORMULA.sub(
        lambda found: "".join(
            (
                found["before"] and f"{found['before']}{JOINER}",
                found["formula"],
                found["after"] and f"{JOINER}{found['after']}",
            )
        ),
        html,
    )


def break_code(cell: str) -> str:
    """Say where a name in a table may break: a short one nowhere, a long one after its marks.

    >>> break_code('<td><code class="a"><span class="pre">--max-kl</span></code></td>')
    '<td><code class="whole a"><span class="pre">--max-kl</span></code></td>'
    >>> break_code('<td><code class="a">clip.regions.regions_release</code></td>')
    '<td><code class="name a">clip.<wbr>regions.<wbr>regions_<wbr>release</code></td>'
    """

    def one(code: re.Match[str]) -> str:
        parts = re.split(r"(<[^>]*>)", code[0])
        letters = len("".join(parts[::2]))
        if letters <= WHOLE:
            return code[0].replace('class="', 'class="whole ', 1)
        if letters <= NAME:
            parts[1] = parts[1].replace('class="', 'class="name ', 1)
        parts[::2] = [re.sub(r"(?<=[\w)])([._/=]+)(?=\w)", r"\1<wbr>", text) for text in parts[::2]]
        return "".join(parts)

    return re.sub(r"<code\b.*?</code>", one, cell, flags=re.DOTALL)


def true_minus(cell: str) -> str:
    """Write the minus of the numbers of a table's cell as a minus, where code has a hyphen.

    An interval stays on one line.

    >>> true_minus('<td>1e-05 of -3</td>') == '<td>1e\u221205 of \u22123</td>'
    True
    >>> true_minus('<td>-0.10 [-0.20, +.05] of 2026-11 <code>x-1</code></td>') == (
    ...     '<td>\u22120.10 [\u22120.20,\u00a0+.05] of 2026-11 <code>x-1</code></td>')
    True
    """
    parts = re.split(r"(<code.*?</code>|<[^>]*>)", cell, flags=re.DOTALL)
    for wrong, right in ((HYPHEN, "\u2212"), (INTERVAL, "\\1\u00a0")):
        parts[::2] = [re.sub(wrong, right, text) for text in parts[::2]]
    return "".join(parts)


def words_left(table: str) -> str:
    """Mark the columns of a data frame that hold words, which the style sheet sets to the left.

    >>> print(words_left('<tr><th></th><th>n</th><th>said</th></tr>'
    ...     '<tr><th>0</th><td>2</td><td>a cat</td></tr>').replace("<tr>", "\\n<tr>"))
    <BLANKLINE>
    <tr><th></th><th>n</th><th class="words">said</th></tr>
    <tr><th class="number">0</th><td>2</td><td class="words">a cat</td></tr>
    >>> words_left('<tbody><tr><th>0</th><td>2</td></tr></tbody>')  # rows without names
    '<tbody><tr><th class="number">0</th><td>2</td></tr></tbody>'
    >>> rows = '<tr><th rowspan="2">a</th><td>a cat</td></tr><tr><td>one</td></tr>'
    >>> words_left(rows).count("words")
    2
    """
    rows = [(row, CELL.findall(row)) for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)]
    widest = max((len(cells) for _, cells in rows), default=0)
    words = {
        place
        for _, cells in rows
        for place, (kind, _, text) in enumerate(cells, widest - len(cells))
        if kind == "td" and re.search(r"[a-z]+ [a-z]", text)
    }
    for row, cells in rows:
        places = count(widest - len(cells))  # a head that spans rows is missing on the left

        def one(cell: re.Match[str], places: Iterator[int] = places) -> str:
            kind, about, text = cell.groups()
            mark = ' class="words"' if next(places) in words else ""
            if kind == "th" and re.fullmatch(r"\d+", text) and not about:
                mark = ' class="number"'
            return f"<{kind}{mark}{about}>{text}</{kind}>"

        table = table.replace(row, CELL.sub(one, row))
    return table


def thin_icons(script: str, used: set[str]) -> str:
    """Keep of Font Awesome's script only the icons of these names, or with one as another name.

    >>> thin_icons('x={"sun":[8,8,[],"f1","M0"],"lens":[8,8,["glass"],"f2","M1"]}', {"glass"})
    'x={"lens":[8,8,["glass"],"f2","M1"]}'
    """

    def one(entry: re.Match[str]) -> str:
        names = {entry["quoted"] or entry["bare"], *re.findall(r'"([^"]+)"', entry["others"])}
        return entry[0] if names & used else ""

    return ICON.sub(one, script)


def _thin_mathjax(folder: Path) -> None:
    for file in [path for path in folder.rglob("*") if path.is_file()]:
        name = file.relative_to(folder).as_posix()
        if not any(name == kept or name.startswith(f"{kept}/") for kept in MATHJAX):
            file.unlink()
    for inner in sorted(folder.rglob("*"), reverse=True):
        if inner.is_dir() and not any(inner.iterdir()):
            inner.rmdir()


def _thin_fonts(static: Path) -> None:
    """Drop fonts of brands, those that stand there in a larger format too, and maps of sources."""
    for sheet in static.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        kept = re.sub(r',\s*url\([^)]*\.ttf\) format\("truetype"\)', "", text)
        kept = re.sub(r"@font-face\{[^}]*fa-brands[^}]*\}", "", kept)
        if kept != text:
            sheet.write_text(kept, encoding="utf-8")
    for file in [
        file for kind in ("*.ttf", "*.map", "fa-brands*.woff2") for file in static.rglob(kind)
    ]:
        file.unlink()


def size_of(folder: Path) -> int:
    """Return the bytes of all files of a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def finish(site: Path, address: str | None = None) -> int:
    """Finish a book that is to be read at `address`; return the bytes that it is lighter by."""
    static, before = site / "_static", size_of(site)
    pages = [page for page in site.rglob("*.html") if static not in page.parents]
    used: set[str] = set()
    for page in pages:
        text = page.read_text(encoding="utf-8")
        used |= set(ICON_NAME.findall(text))
        if not page.relative_to(site).as_posix().startswith(MADE):
            text = UNDER_MADE.sub(r"\1", text)
        depth = len(page.relative_to(site).parts) - 1
        page.write_text(with_card(mend_page(text), depth, address), encoding="utf-8")
    icons = static / "scripts" / "fontawesome.js"
    for script in static.rglob("*.js"):
        if script != icons and "mathjax" not in script.parts:
            used |= set(ICON_NAME.findall(script.read_text(encoding="utf-8")))
    if not icons.is_file():
        raise FileNotFoundError(f"{icons}: the theme has put its icons elsewhere: mend finish_site")
    icons.write_text(thin_icons(icons.read_text(encoding="utf-8"), used), encoding="utf-8")
    _thin_mathjax(static / "mathjax")
    _thin_fonts(static)
    for folder in (static / "locales", site / "_sources" / MADE):
        shutil.rmtree(folder, ignore_errors=True)
    return before - size_of(site)


if __name__ == "__main__":
    saved = finish(Path(sys.argv[1] if len(sys.argv) > 1 else "_build/html"))
    print(f"lighter by {saved / 2**20:.1f} MB")
