"""The HTML checker: each fault is put into a small site once and must be named."""

from __future__ import annotations

import pytest

from tools.check_html import check_site

GOOD = """<html><head><link rel="stylesheet" href="_static/a.css"></head><body><article>
<h1 id="top-of-it">Title</h1> <img src="x.png" alt="A cat on a mat">
<a href="other.html#there">other</a> <a href="#top-of-it">up</a> <a href="https://e.org">out</a>
<span class="math notranslate">\\(x\\)</span> <code>$$</code>
{extra}</article></body></html>"""
URL = "https://github.com/a/b"


@pytest.fixture
def site(tmp_path):
    def make(extra: str = "", page: str = "index.html"):
        (tmp_path / "_static").mkdir(exist_ok=True)
        (tmp_path / "_static" / "a.css").write_text("body { color: black }")
        (tmp_path / "other.html").write_text('<html><article id="there"></article></html>')
        (tmp_path / "index.html").write_text(GOOD.format(extra=""))
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text(GOOD.format(extra=extra))
        return tmp_path

    return make


def test_a_good_site_has_no_faults(site):
    assert check_site(site(), None) == []


def test_an_empty_folder_is_a_fault(tmp_path):
    assert check_site(tmp_path, None) == [
        f"{tmp_path}/index.html: missing, the build wrote nothing"
    ]


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        ('<script src="https://cdn.org/x.js"></script>', "<script> loads https://cdn.org/x.js"),
        ('<link rel="stylesheet" href="//cdn.org/x.css">', "<link> loads //cdn.org/x.css"),
        ('<img src="https://e.org/a.png" alt="a badge">', "<img> loads https://e.org/a.png"),
        (
            "<style>@font-face {src: url('https://f.org/f')}</style>",
            "<style> loads https://f.org/f",
        ),
        ('<img src="x.png">', "has alt ''"),
        ('<img src="x.png" alt="../_images/x.png">', "has alt '../_images/x.png'"),
        (r"<p>so \(x\) is</p>", r"raw TeX 'so \\(x\\) is'"),
        ("<p>$$y$$</p>", "raw TeX '$$y$$'"),
        (r"<p>\frac{1}{2}</p>", "raw TeX"),
        ('<a href="gone.html">x</a>', "link to gone.html: no such file"),
        ('<a href="other.html#here">x</a>', "link to other.html#here: no such anchor"),
        ('<a href="#nowhere">x</a>', "link to #nowhere: no such anchor"),
        ('<a class="btn" href="https://colab.research.google.com/x">c</a>', "address is unset"),
        ('<a class="btn" href="https://github.com/a/b/issues/new">c</a>', "address is unset"),
    ],
)
def test_each_fault_is_named(extra, wanted, site):
    faults = check_site(site(extra), None)
    assert len(faults) == 1 and wanted in faults[0], faults
    assert faults[0].startswith("index.html: ")


def test_a_style_sheet_that_loads_from_elsewhere_is_named(site):
    folder = site()
    (folder / "_static" / "a.css").write_text('@import "https://fonts.org/a";')
    assert check_site(folder, None) == [
        "_static/a.css: loads https://fonts.org/a: wanted a file of the book"
    ]


def test_with_an_address_a_notebook_needs_its_colab_button(site):
    folder = site(page="notebooks/01_x.html")
    (folder / "notebooks" / "01_x.html").write_text("<article><h1>x</h1></article>")
    wanted = "/blob/main/notebooks/01_x.ipynb"
    assert check_site(folder, None) == []
    assert f"no Colab button that ends in {wanted}" in check_site(folder, URL)[0]
    button = f'<a href="https://colab.research.google.com/github/a/b{wanted}">Colab</a>'
    (folder / "notebooks" / "01_x.html").write_text(f"<article><h1>x</h1></article>{button}")
    assert check_site(folder, URL) == []
