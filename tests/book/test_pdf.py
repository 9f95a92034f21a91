"""The book as a PDF: pages of an ePub in their order, as one document that Chromium prints."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tools import pdf

PAGE = '<html xmlns="http://www.w3.org/1999/xhtml"><body><h1 id="t">{}</h1>{}</body></html>'
PAGES = {
    "book/a.xhtml": PAGE.format("First", '<a href="b.xhtml#t">on</a>'),
    "book/b.xhtml": PAGE.format("Second", "<details><p>An answer.</p></details>"),
    "book/results_x.xhtml": PAGE.format("Numbers", "9" * 40),
}


def epub_of(file: Path) -> Path:
    items = "".join(f'<item id="i{n}" href="{name}"/>' for n, name in enumerate(PAGES))
    order = "".join(f'<itemref idref="i{n}"/>' for n in (1, 0, 2))
    package = f'<package xmlns="{pdf.OPF[1:-1]}">{items}<spine>{order}</spine></package>'
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("content.opf", package)
        for name, text in PAGES.items():
            made.writestr(name, text)
    return file


def test_pages_keep_their_order_links_stay_inside_and_tables_of_results_are_left_out(tmp_path):
    with zipfile.ZipFile(epub_of(tmp_path / "x.epub")) as packed:
        packed.extractall(tmp_path)
    pages = pdf.spine(tmp_path)
    assert pages == ["book/b.xhtml", "book/a.xhtml"]
    found = pdf.one_document(tmp_path, pages)
    assert [head.text for head in found.iter(f"{pdf.XHTML}h1")] == ["Second", "First"]
    assert [link.get("href") for link in found.iter(f"{pdf.XHTML}a")] == ["#p0-t"]
    assert {box.get("open") for box in found.iter(f"{pdf.XHTML}details")} == {"open"}


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
def test_a_book_is_printed(tmp_path):
    file = pdf.build(output=tmp_path, book=epub_of(tmp_path / "x.epub"))
    assert file.read_bytes().startswith(b"%PDF-") and file.stat().st_size > 2000


def test_what_is_no_epub_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "x.epub").write_text("no zip")
    words = ["pdf", "--output", str(tmp_path), "--book"]
    for name in ("x.epub", "missing.epub"):
        monkeypatch.setattr(sys, "argv", [*words, str(tmp_path / name)])
        assert pdf.main() == 1
        assert f"got {tmp_path / name}: wanted an ePub" in capsys.readouterr().err
