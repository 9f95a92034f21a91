"""Print the book as one PDF, for paper and for readers who want pages: `make pdf`.

    python -m tools.pdf             # _build/pdf/captions-across-the-gap.pdf
    python -m tools.pdf --output DIR

Made from the ePub (`tools.epub`): its pages, formulas as MathML among them, become one document
that Chromium prints. No TeX is needed; links between chapters stay links, headings become the
outline. The long tables of results are left out: they would fill hundreds of pages, and only the
book can sort them.
"""

from __future__ import annotations

import argparse
import posixpath
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from tools import epub
from tools.book import ROOT

XHTML = "{http://www.w3.org/1999/xhtml}"
OPF = "{http://www.idpf.org/2007/opf}"
LEFT_OUT = ("book/results_", "genindex", "nav")  # what their names begin with
MINUTES = 20
FLAGS = "headless no-sandbox disable-gpu no-first-run disable-background-networking "
FLAGS += "disable-component-update disable-sync no-pdf-header-footer generate-pdf-document-outline"
PRINT = """
@page { size: A4; margin: 18mm 16mm 20mm; @bottom-center { content: counter(page); } }
body { font: 10.5pt/1.45 Georgia, "DejaVu Serif", serif; }
section.page { break-before: page; }
section.page:first-child { break-before: auto; }
h1, h2, h3 { break-after: avoid; line-height: 1.2; }
img, svg, figure, tr { break-inside: avoid; }
img { max-height: 200mm; }
pre { font-size: 8pt; overflow-wrap: anywhere; }
table { font-size: 7.5pt; max-width: 100%; }
td, th { overflow-wrap: break-word; }
details.hide.above-input, details.hide > summary { display: none; }
a { color: #00609a; text-decoration: none; }
.headerlink { display: none; }
"""


def spine(folder: Path) -> list[str]:
    """Return the pages of an unpacked ePub in reading order, without those left out."""
    package = ElementTree.parse(folder / "content.opf").getroot()
    files = {item.get("id"): item.get("href", "") for item in package.iter(f"{OPF}item")}
    pages = [files.get(each.get("idref"), "") for each in package.iter(f"{OPF}itemref")]
    return [page for page in pages if page and not page.startswith(LEFT_OUT)]


def moved(link: str, page: str, pages: Sequence[str]) -> str:
    """Return a link of one page as it reads in the document of all pages.

    >>> moved("../book/b.xhtml#x", "book/a.xhtml", ["book/a.xhtml", "book/b.xhtml"])
    '#p1-x'
    >>> moved("#x", "book/a.xhtml", ["book/a.xhtml"]), moved("i.svg", "book/a.xhtml", [])
    ('#p0-x', 'book/i.svg')
    """
    if "://" in link or link.startswith(("mailto:", "data:")):
        return link
    path, _, place = link.partition("#")
    file = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
    if file in pages:
        number = pages.index(file)
        return f"#p{number}-{place}" if place else f"#p{number}"
    return file


def one_document(folder: Path, pages: Sequence[str]) -> ElementTree.Element:
    """Return all pages as one document; names of places get the page's number."""
    document = ElementTree.Element(f"{XHTML}html", {"lang": "en"})
    head = ElementTree.SubElement(document, f"{XHTML}head")
    ElementTree.SubElement(head, f"{XHTML}title").text = "Captions across the gap"
    ElementTree.SubElement(head, f"{XHTML}style").text = epub.PLAIN + PRINT
    body = ElementTree.SubElement(document, f"{XHTML}body")
    for number, page in enumerate(pages):
        found = ElementTree.parse(folder / page).getroot().find(f"{XHTML}body")
        if found is None:
            raise ValueError(f"{page} has no body: wanted a page of the ePub")
        section = ElementTree.SubElement(body, f"{XHTML}section", {"class": "page"})
        for node in found.iter():
            if node.tag == f"{XHTML}details":
                node.set("open", "open")  # answers and solutions; CSS leaves folded code out
            if name := node.get("id"):
                node.set("id", f"p{number}-{name}")
            for kind in ("href", "src"):
                if link := node.get(kind):
                    node.set(kind, moved(link, page, pages))
        section.set("id", f"p{number}")
        section.extend(found)
    return document


def print_page(page: Path, target: Path) -> None:
    """Print a page with Chromium; raise `FileNotFoundError` where there is none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("no chromium: apt-get install chromium, or read `make epub`")
    with tempfile.TemporaryDirectory() as profile:
        flags = [f"--{flag}" for flag in FLAGS.split()]
        command = [chromium, *flags, f"--user-data-dir={profile}", f"--print-to-pdf={target}"]
        subprocess.run(
            [*command, page.as_uri()], check=True, timeout=60 * MINUTES, capture_output=True
        )


def build(root: Path = ROOT, output: Path | None = None, book: Path | None = None) -> Path:
    """Print the book of the checkout at `root`, or a `book` that is an ePub already."""
    target = (output or root) / "_build" / "pdf"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        made = book or epub.build(root, output)
        if not zipfile.is_zipfile(made):
            raise ValueError(f"got {made}: wanted an ePub, as `make epub` writes")
        with zipfile.ZipFile(made) as packed:
            packed.extractall(folder)
        whole = folder / "whole.xhtml"
        ElementTree.register_namespace("", XHTML.strip("{}"))
        document = one_document(folder, spine(folder))
        ElementTree.ElementTree(document).write(whole, encoding="utf-8", xml_declaration=True)
        file = target / f"{epub.NAME}.pdf"
        print_page(whole, file)
    return file


def main() -> int:
    """Build, print the path and the size; exit 1 if a step fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT, help="folder that gets _build/pdf")
    parser.add_argument("--book", type=Path, help="an ePub that is made already")
    asked = parser.parse_args()
    try:
        file = build(ROOT, asked.output, asked.book)
    except (subprocess.SubprocessError, ValueError, OSError) as error:
        print(f"the PDF did not build: {error}", file=sys.stderr)
        return 1
    print(f"The book as a PDF: {file}, {file.stat().st_size / 2**20:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
