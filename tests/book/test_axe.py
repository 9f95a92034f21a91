"""Pages read by axe-core, which finds what keeps people from using them; none of it may be found.

axe-core is a script of 0.6 MB under the Mozilla Public License, so it is not part of the book.
`make env` installs a package that carries it; elsewhere AXE names a file `axe.min.js`. Without
either the test is skipped. AXE_PAGES=all reads every page, which takes minutes.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from explorer_pages import all_of
from selenium.webdriver.support.wait import WebDriverWait
from test_browser import open_page, pages_of, set_width

pytestmark = [pytest.mark.book, pytest.mark.timeout(3600)]

# a page of each kind; explorers of all kinds stand on them
PAGES = (
    *("book/index.html", "book/notation.html", "book/results.html", "book/bibliography.html"),
    *("notebooks/02_modality_gap.html", "notebooks/05_which_metric.html"),
    *("notebooks/07_zero_shot_captioning.html", "notebooks/09_vlm_anatomy.html"),
)
FOUND = """
const done = arguments[0];
axe.run(document, { resultTypes: ["violations"] }).then((found) => done(found.violations.flatMap(
  ({ id, nodes }) => nodes.map(({ target, html }) => `${id}: ${target} ${html.slice(0, 120)}`))));
"""


def axe_script() -> str | None:
    """Return the source of axe-core, or None where it is not installed."""
    spec = importlib.util.find_spec("axe_playwright_python")
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or []]
    files = [Path(os.environ["AXE"])] if "AXE" in os.environ else []
    files += [folder / "axe.min.js" for folder in folders]
    return next((file.read_text("utf-8") for file in files if file.is_file()), None)


@pytest.mark.skipif(axe_script() is None, reason="no axe-core: make env, or AXE=path/axe.min.js")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(site, address, browser, theme):
    set_width(browser, 1300)
    browser.set_script_timeout(900)
    open_page(browser, f"{address}/book/index.html")
    browser.execute_script(
        "for (const key of ['mode', 'theme']) localStorage.setItem(key, arguments[0]);"
        "localStorage.setItem('answers-shown', 'yes')",
        theme,
    )
    found = []
    try:
        for page in pages_of(site) if os.environ.get("AXE_PAGES") == "all" else PAGES:
            open_page(browser, f"{address}/{page}")
            for place in all_of(browser, "[data-explorer]"):
                browser.execute_script("arguments[0].scrollIntoView()", place)
            WebDriverWait(browser, 300).until(
                lambda b: not all_of(b, "[data-explorer]:not([data-state])")
            )
            browser.execute_script(axe_script())
            found += [f"{page}: {fault}" for fault in browser.execute_async_script(FOUND)]
    finally:
        browser.execute_script("localStorage.clear()")
    assert not found, "\n".join(found)
