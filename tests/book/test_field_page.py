"""The page of the field's systems: every row is there without a script, with what filters read."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tools.field_page import HEADER, cells_of, choices, encoders_html, field_markdown
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
    assert "row.dataset[one.name]" in page  # data-needs is dataset.needs


def test_what_was_found_stands_in_its_row_and_nothing_else(page):
    found = {s.name: row for s, row in zip(FIELD, rows_of(page), strict=True)}
    assert "up on 1 of 1" in found["fuse"]
    assert "not run" in found["crops"] and found["arena"].endswith("<td></td></tr>")


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
