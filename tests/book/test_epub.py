"""The book as an ePub: every chapter, every image, well-formed pages. Building takes a minute."""

from __future__ import annotations

import posixpath
import re
import zipfile
from xml.etree import ElementTree

import pytest
import yaml
from built_book import ROOT

from tools.epub import LEFT_OUT, build, epub_config, mend

SHARED = 20  # MB: a mail takes no more


def test_settings_have_no_button_no_script_and_no_mathjax():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    found = epub_config(config, "made")
    kept = found["sphinx"]["config"]
    assert "launch_buttons" not in found and kept["html_js_files"] == []
    assert "sphinx-mathjax-offline" not in kept["extensions"]
    assert kept["html_math_renderer"] == "mathml"
    assert config["sphinx"]["config"]["html_js_files"]  # the book's own are as they were


def test_a_page_that_cannot_be_mended_is_refused(tmp_path):
    file = tmp_path / "x.epub"
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("mimetype", "application/epub+zip")
        made.writestr("a.xhtml", "<html><p>one<br>two</p></html>")
    mend(file)
    with zipfile.ZipFile(file) as found:
        assert found.read("a.xhtml") == b"<html><p>one<br/>two</p></html>"
        assert found.infolist()[0].compress_type == zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("b.xhtml", "<html><p>one</html>")
    with pytest.raises(ValueError, match=r"b\.xhtml: mismatched tag.*wanted well-formed"):
        mend(file)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_epub_opens_and_has_every_chapter_and_every_image(tmp_path):
    file = build(ROOT, tmp_path)
    assert file.stat().st_size < SHARED * 2**20
    with zipfile.ZipFile(file) as book:
        assert book.testzip() is None
        names = set(book.namelist())
        assert book.read("mimetype") == b"application/epub+zip"
        ElementTree.fromstring(book.read("content.opf"))
        navigation = book.read("nav.xhtml").decode()
        toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
        pages = [f"{page}.xhtml" for page in re.findall(r"(?:file|root): (\S+)", toc)]
        for page in pages:
            if page.removesuffix(".xhtml") in LEFT_OUT:
                assert page not in names
                continue
            assert page in names and page in navigation, page
            text = book.read(page).decode()
            assert "<script" not in text, page
            for source in re.findall(r'<img[^>]* src="(?!data:)([^"]+)"', text):
                image = posixpath.normpath(posixpath.join(posixpath.dirname(page), source))
                assert image in names, f"{page}: {source}"
        assert "<math" in book.read("notebooks/02_modality_gap.xhtml").decode()
        assert "200 images and their captions" in book.read("book/index.xhtml").decode()
