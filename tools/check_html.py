"""Check a rendered book: readable with no network, nothing broken, every image described.

    python -m tools.check_html _build/html

Each fault is one line: page, what was found, what was wanted.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, NavigableString

NO_CONTENT = ("search.html", "genindex.html", "py-modindex.html")
LOADS = (("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src"))
LINK_RELS = {"stylesheet", "preload", "icon", "shortcut", "modulepreload", "manifest"}
RAW_TEX = re.compile(r"\\\(|\\\[|\$\$|\\(?:frac|cos|sum|lVert|mathbf|text|hat)\b|\\begin\{")
MATH_OR_CODE = ["script", "style", "code", "pre", "mjx-container", "textarea"]


def external(address: str) -> bool:
    """Tell whether an address leaves the site.

    >>> external("https://a.b/c.js"), external("//a.b/c.js"), external("_static/c.js")
    (True, True, False)
    """
    return address.startswith(("http://", "https://", "//"))


def external_loads(soup: BeautifulSoup) -> list[str]:
    """List what a page would fetch from other hosts: scripts, styles, images, fonts."""
    found = []
    for name, attribute in LOADS:
        for tag in soup.find_all(name):
            address = str(tag.get(attribute, ""))
            if name == "link" and not LINK_RELS & set(tag.get("rel") or []):
                continue
            if external(address):
                found.append(f"<{name}> loads {address}: wanted a file of the book")
    for style in soup.find_all("style"):
        for address in re.findall(r"url\(['\"]?((?:https?:)?//[^)'\"]+)", style.get_text()):
            found.append(f"<style> loads {address}: wanted a file of the book")
    return found


def image_faults(soup: BeautifulSoup) -> list[str]:
    """List content images whose alt text is missing, empty or a file path."""
    article = soup.find("article") or soup
    found = []
    for image in article.find_all("img"):
        alt = str(image.get("alt") or "").strip()
        if not alt or "_images/" in alt or "_static/" in alt:
            found.append(f"image {image.get('src', '')[:60]} has alt {alt!r}: wanted a description")
    return found


def tex_faults(soup: BeautifulSoup) -> list[str]:
    """List TeX that a reader would see as source: outside math containers and code."""
    found = []
    for text in (soup.find("article") or soup).find_all(string=RAW_TEX):
        parents = {parent.name for parent in text.parents}
        classes = {name for parent in text.parents for name in parent.get("class") or []}
        if isinstance(text, NavigableString) and not (
            parents & set(MATH_OR_CODE) or "math" in classes
        ):
            found.append(f"raw TeX {str(text).strip()[:60]!r}: wanted a math container around it")
    return found


def link_faults(page: Path, soup: BeautifulSoup, ids: dict[Path, set[str]]) -> list[str]:
    """List links of a page to pages or anchors that do not exist in the site."""
    found = []
    for tag in soup.find_all("a", href=True):
        parts = urlsplit(str(tag["href"]))
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page.resolve()
        if target.is_dir():
            target = target / "index.html"
        if not target.is_file():
            found.append(f"link to {tag['href']}: no such file in the book")
        elif parts.fragment and target.suffix == ".html":
            if target not in ids:
                ids[target] = _ids(target)
            if unquote(parts.fragment) not in ids[target]:
                found.append(f"link to {tag['href']}: no such anchor")
    return found


def _ids(page: Path) -> set[str]:
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    names = {str(tag["id"]) for tag in soup.find_all(id=True)}
    return names | {str(tag["name"]) for tag in soup.find_all("a", attrs={"name": True})} | {"top"}


def button_faults(page: Path, soup: BeautifulSoup, url: str | None) -> list[str]:
    """List repository buttons that are missing where there is an address, or dead where none is."""
    is_notebook = page.parent.name == "notebooks"
    colab = [str(a["href"]) for a in soup.find_all("a", href=re.compile("colab.research.google"))]
    if url is None:
        dead = colab + [
            str(a["href"]) for a in soup.select("a.btn[href*='github.com']") if a.get("href")
        ]
        return [f"button to {link}: the repository address is unset" for link in dead]
    wanted = f"/blob/main/notebooks/{page.stem}.ipynb"
    if is_notebook and not any(link.endswith(wanted) for link in colab):
        return [f"no Colab button that ends in {wanted}: got {colab}"]
    return []


def check_site(site: Path, url: str | None) -> list[str]:
    """List every fault of a rendered book, as `page: what was found: what was wanted`."""
    if not (site / "index.html").is_file():
        return [f"{site}/index.html: missing, the build wrote nothing"]
    faults: list[str] = []
    ids: dict[Path, set[str]] = {}
    for page in sorted(site.rglob("*.html")):
        if "_static" in page.relative_to(site).parts:
            continue
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        found = external_loads(soup) + link_faults(page, soup, ids)
        if page.name not in NO_CONTENT and soup.find("article"):
            found += image_faults(soup) + tex_faults(soup) + button_faults(page, soup, url)
        faults += [f"{page.relative_to(site)}: {fault}" for fault in found]
    for sheet in sorted(site.rglob("*.css")):
        for address in re.findall(
            r"(?:url\(|@import )['\"]?((?:https?:)?//[^)'\";]+)", sheet.read_text("utf-8")
        ):
            faults.append(f"{sheet.relative_to(site)}: loads {address}: wanted a file of the book")
    return faults


def main() -> int:
    """Check the folder given on the command line; exit 1 if anything is wrong."""
    from tools.book import repository_url

    faults = check_site(Path(sys.argv[1] if len(sys.argv) > 1 else "_build/html"), repository_url())
    print("\n".join(faults) or "no faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
