"""The page of the field's systems: every row is there without a script, with what filters read."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tools.field_page import AT_MOST, HEADER, cells_of, choices, encoders_html, field_markdown
from vizer_core.clip.needs import PAPERS_ENCODERS
from vizer_core.files import write_json
from vizer_lab.studies.field_entry import CHANGES, COMPUTE, NEEDS
from vizer_lab.studies.field_systems import FIELD, field_named

NAMES = {"changes": CHANGES, "needs": NEEDS, "compute": COMPUTE}


class Balanced(HTMLParser):
    """Remember what was opened, and complain of what is closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    name, against, metric = field_named("fuse").row
    row = {"base": "b", "system": name, "metric": metric, "mean": 0.1, "low": 0.05, "high": 0.2}
    row |= {"n": 9, "seeds": 1}
    content = {"scores": [row], "differences": [row | {"against": against}]}
    write_json(root / "results" / "field.json", content)
    return field_markdown(root)


def rows_of(page: str) -> list[str]:
    return re.findall(r"<tr data-.*?</tr>", page)


def test_every_system_has_a_row_with_what_the_filters_read(page):
    rows = rows_of(page)
    assert len(rows) == len(FIELD)
    for system, row in zip(FIELD, rows, strict=True):
        assert f'data-changes="{system.changes}" data-needs="{system.needs}"' in row
        assert f'data-compute="{system.compute}"' in row
        assert row.count("<td>") == len(HEADER) and system.function in row


def test_every_filter_offers_every_value_and_the_script_reads_its_name(page):
    for name, values in NAMES.items():
        assert choices(name, values) in page
        assert choices(name, values).count("<option") == len(values) + 1
        assert {getattr(system, name) for system in FIELD} <= set(values)
    assert page.count("data-most") == len(AT_MOST)


def test_what_was_found_stands_in_its_row_and_nothing_else(page):
    found = {s.name: row for s, row in zip(FIELD, rows_of(page), strict=True)}
    assert "up on 1 of 1" in found["fuse"]
    assert (
        "not run" in found["crops"]
        and f"<td>{field_named('arena').idea}</td><td></td>" in found["arena"]
    )


def test_the_page_is_whole_html_and_fetches_nothing(page):
    html = page.replace("## Encoders", "")
    reader = Balanced()
    reader.feed(html)
    assert reader.open == []
    assert "src=" not in page and "http" not in page
    assert cells_of(["<b>"]) == "<td>&lt;b&gt;</td>"


def test_encoders_stand_in_a_table_of_their_own(page):
    html = encoders_html()
    assert html in page
    assert html.count("<tr>") == len(PAPERS_ENCODERS) + 1
    assert "hub text tower" in html


def test_without_results_every_row_is_there_and_nothing_is_said():
    page = field_markdown(Path("/nowhere"))
    assert len(rows_of(page)) == len(FIELD) and "up on" not in page


@pytest.fixture
def opened(page, tmp_path, browser):
    """The table alone, as a page in Chromium."""
    file = tmp_path / "field.html"
    file.write_text(f'<!doctype html><meta charset="utf-8">{page}', encoding="utf-8")
    browser.get(file.as_uri())
    return browser


def shown(browser) -> list[str]:
    rows = browser.find_elements(By.CSS_SELECTOR, "#field-systems tbody tr")
    return [row.find_element(By.TAG_NAME, "td").text for row in rows if row.is_displayed()]


def choose(browser, name: str, place: int) -> None:
    """Choose as a reader without a mouse does: to the list's first entry, then down."""
    field = browser.find_element(By.CSS_SELECTOR, f"#field-systems select[name={name}]")
    field.send_keys(Keys.HOME, *[Keys.ARROW_DOWN] * place)


@pytest.mark.parametrize("name", NAMES)
def test_each_filter_shows_what_fits_it_and_says_how_many(opened, name):
    values = NAMES[name]
    for place, value in enumerate(values):
        choose(opened, name, place + 1)
        fits = values[: place + 1] if name in AT_MOST else (value,)
        wanted = [system.name for system in FIELD if getattr(system, name) in fits]
        assert shown(opened) == wanted, value
        counted = opened.find_element(By.CSS_SELECTOR, "#field-systems output").text
        assert counted == f"{len(wanted)} of {len(FIELD)} systems"
    choose(opened, name, 0)
    assert len(shown(opened)) == len(FIELD)


def test_filters_work_together_by_keyboard(opened):
    first = opened.find_element(By.CSS_SELECTOR, "#field-systems select")
    first.send_keys("weights")
    first.send_keys(Keys.TAB)
    second = opened.switch_to.active_element
    assert second.get_attribute("name") == "needs"
    second.send_keys("nothing")
    assert shown(opened) == [
        s.name for s in FIELD if (s.changes, s.needs) == ("weights", "nothing")
    ]
    second.send_keys(Keys.TAB)
    opened.switch_to.active_element.send_keys("one")  # nothing that trains costs one caption
    assert shown(opened) == []
