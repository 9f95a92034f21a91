"""The check of outside addresses: what it asks, and what counts as gone. No network is needed."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from built_book import ROOT

from tools import links
from tools.links import addresses_in, addresses_of, ask, gone

ANSWERS = {"/there": 200, "/gone": 404, "/refuses": 403, "/busy": 429}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(ANSWERS[self.path])
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    found = HTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    found.server_close()


def test_only_what_is_certainly_gone_counts(server):
    asked = {path: ask(server + path) for path in ANSWERS}
    assert asked == {"/there": "", "/gone": "404", "/refuses": "", "/busy": ""}
    assert "refused" in ask("http://127.0.0.1:9/nobody")


def test_what_is_gone_is_named_with_its_files():
    named = {"https://a.org": ["a.md", "b.md"], "https://b.org": ["a.md"]}
    answers = {"https://a.org": "404", "https://b.org": ""}
    assert gone(named, answers.__getitem__) == ["a.md, b.md: https://a.org: 404"]


def test_of_a_notebook_the_text_counts_and_of_a_page_all(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["See <https://a.org/x>.\n", "And https://b.org!"]},
        {"cell_type": "code", "source": "url = 'https://c.org'", "outputs": []},
    ]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_a.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "README.md").write_text("[a](https://a.org/x) http://localhost:8888")
    assert addresses_of(tmp_path) == {
        "https://a.org/x": ["README.md", "notebooks/01_a.ipynb"],
        "https://b.org": ["notebooks/01_a.ipynb"],
    }


def test_the_papers_of_the_chapters_are_among_them():
    named = addresses_of(ROOT)
    assert "notebooks/11_zero_label.ipynb" in named["https://arxiv.org/abs/2510.12931"]
    assert not any(address.endswith((")", ".", ",")) for address in named)
    assert addresses_in("none") == []


def test_without_a_network_nothing_is_called_gone(monkeypatch, capsys):
    monkeypatch.setattr(links, "addresses_of", lambda root: {"https://a.org": ["a.md"]})
    monkeypatch.setattr(links, "gone", lambda named: ["a.md: https://a.org: no name"])
    assert links.main() == 1
    assert capsys.readouterr().out == (
        "none of 1 addresses answers: is there a network? First: a.md: https://a.org: no name\n"
    )
