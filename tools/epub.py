"""Build the book as one ePub, for readers without a browser: `make epub`.

    python -m tools.epub            # _build/epub/captions-across-the-gap.epub
    python -m tools.epub --output DIR

The same pages as the book's, from the stored outputs. Diagrams are the same files; where the book
has something to play with, the still figure shows; formulas are MathML, answers and solutions open.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from tools import generated
from tools.book import ROOT

NAME = "captions-across-the-gap"
# what needs a browser, or a button; MathJax among them
WITHOUT = ("sphinx-mathjax-offline", "sphinx_copybutton", "sphinx_togglebutton", "sphinx_comments")
BARE = re.compile(r"<(\w+)((?:\s+[\w:-]+=\"[^\"]*\")*)\s+(open|hidden)(?=[\s>])")
LEFT_OUT = ("book/api",)  # megabytes on one page, and of no use away from the code
PLAIN = """\
img, svg { max-width: 100%; }
pre { white-space: pre-wrap; font-size: 0.8em; }
table { border-collapse: collapse; font-size: 0.8em; }
td, th { border: 1px solid #999; padding: 0.1em 0.3em; text-align: left; vertical-align: top; }
.figure-words { display: none; }
summary { font-weight: bold; }
div.math { margin: 0.6em 0; text-align: center; }
"""


def epub_config(config: dict[str, Any], static: str) -> dict[str, Any]:
    """Return the book's settings for an ePub: no buttons, no scripts, one style sheet.

    >>> sphinx = {"config": {"extensions": ["myst_nb", "sphinx_copybutton"], "language": "en"}}
    >>> found = epub_config({"html": {"favicon": "x.svg"}, "sphinx": sphinx}, "made")
    >>> found["sphinx"]["config"]["extensions"], found["sphinx"]["config"]["html_static_path"]
    (['myst_nb', 'tools.mathml'], ['made'])
    """
    kept = dict(config["sphinx"]["config"])
    kept["extensions"] = [name for name in kept["extensions"] if name not in WITHOUT]
    kept["extensions"].append("tools.mathml")
    kept |= {
        "html_math_renderer": "mathml",
        "html_static_path": [static],
        "html_css_files": [],
        "html_js_files": [],
        "epub_css_files": ["plain.css"],
        "epub_basename": NAME,
        "epub_show_urls": "no",
        "epub_tocdepth": 2,
        "epub_tocscope": "includehidden",
        "epub_description": config.get("title", ""),
        "epub_identifier": NAME,
        "epub_uid": "book",
        "version": "1",
    }
    kept.pop("html_theme_options", None)
    return {
        **{key: value for key, value in config.items() if key not in ("logo", "html")},
        "html": {"use_repository_button": False, "use_issues_button": False},
        "sphinx": {**config["sphinx"], "config": kept},
    }


def without_pages(toc: dict[str, Any]) -> dict[str, Any]:
    """Return a table of contents without the pages that a reader's device would choke on.

    >>> without_pages({"parts": [{"chapters": [{"file": "book/api"}, {"file": "book/start"}]}]})
    {'parts': [{'chapters': [{'file': 'book/start'}]}]}
    """
    parts = [
        {**part, "chapters": [c for c in part["chapters"] if c["file"] not in LEFT_OUT]}
        for part in toc["parts"]
    ]
    return {**toc, "parts": parts}


def well_formed(page: str) -> str:
    """Turn what HTML allows and XML does not: what stands in outputs and in raw HTML.

    >>> well_formed('<p>a<br>b <img src="x"></p><style scoped>p {}</style><details open>')
    '<p>a<br/>b <img src="x"/></p><details open="open">'
    """
    page = re.sub(r"<(style|script)\b(?! type=)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)
    page = re.sub(r"<(br|img|hr|input|col|wbr)\b([^>]*?)\s*/?>", r"<\1\2/>", page)
    return BARE.sub(r'<\1\2 \3="\3"', page)


def in_order(package: str, toc: Sequence[str]) -> str:
    """Return an ePub's package with its pages in the order of the table of contents.

    The builder orders them by folder, and names a page that it does not have.

    >>> items = '<item id="a" href="book/x.xhtml" /><item id="b" href="notebooks/1.xhtml" />'
    >>> spine = '<itemref idref="a" /><itemref idref="b" /><itemref idref="c" />'
    >>> in_order(items + "<spine>" + spine + "</spine>", ["notebooks/1", "book/x"])[-57:]
    '<spine><itemref idref="b" /><itemref idref="a" /></spine>'
    """
    files = dict(re.findall(r'<item id="([^"]+)" href="([^"]+)\.xhtml"', package))
    pages = [name for name in re.findall(r'<itemref idref="([^"]+)"', package) if name in files]

    def place(name: str) -> int:
        return toc.index(files[name]) if files[name] in toc else len(toc)

    spine = "".join(f'<itemref idref="{name}" />' for name in sorted(pages, key=place))
    return re.sub(r"(<itemref [^>]*/>\s*)+", spine, package)


def mend(file: Path, toc: Sequence[str] = ()) -> None:
    """Write an ePub anew with pages that are well-formed, in the order of `toc`.

    Raises `ValueError` where a page is not well-formed.
    """
    made = file.with_suffix(".mended")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == "content.opf":
                content = in_order(content.decode("utf-8"), toc).encode("utf-8")
            if entry.filename.endswith(".xhtml"):
                content = well_formed(content.decode("utf-8")).encode("utf-8")
                try:
                    ElementTree.fromstring(content)
                except ElementTree.ParseError as error:
                    raise ValueError(f"{entry.filename}: {error}: wanted well-formed XML") from None
            stored = entry.filename == "mimetype"  # comes first, and as it is
            new.writestr(entry, content, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    made.replace(file)


def build(root: Path = ROOT, output: Path | None = None) -> Path:
    """Build the ePub of the checkout at `root` and return its path."""
    target = (output or root) / "_build" / "epub"
    made = target / "static"
    shutil.rmtree(target, ignore_errors=True)
    made.mkdir(parents=True)
    (made / "plain.css").write_text(PLAIN, encoding="utf-8")
    generated.write_all(root)
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    merged = target / "_config.yml"
    merged.write_text(yaml.safe_dump(epub_config(config, str(made)), sort_keys=False), "utf-8")
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(root)]
    contents = target / "_toc.yml"
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    contents.write_text(yaml.safe_dump(without_pages(toc), sort_keys=False), encoding="utf-8")
    command += ["--config", str(merged), "--toc", str(contents)]
    command += ["--path-output", str(target), "--builder", "custom", "--custom-builder", "epub"]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    subprocess.run(command, check=True, cwd=root, env={**os.environ, "PYTHONPATH": path})
    found = next(target.rglob(f"{NAME}.epub"))
    mend(found, re.findall(r"(?:file|root): (\S+)", contents.read_text(encoding="utf-8")))
    return Path(shutil.move(found, target / found.name))


def main() -> int:
    """Build, print the path and the size; exit 1 if the builder fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT, help="folder that gets _build/epub")
    try:
        file = build(ROOT, parser.parse_args().output)
    except (subprocess.CalledProcessError, ValueError) as error:
        print(f"the ePub did not build: {error}", file=sys.stderr)
        return 1
    print(f"The book as an ePub: {file}, {file.stat().st_size / 2**20:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
