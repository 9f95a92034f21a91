"""The pages of results: verdicts and short tables on one, every number of a study on its own."""

from __future__ import annotations

import json
import re
from html import escape

import pytest
from built_book import ROOT

from tools import results_pages
from tools.results_pages import (
    against_in_words,
    heading_of,
    named,
    numbers_markdown,
    plain_markdown,
    results_markdown,
    short_table,
)
from tools.tables import interval, number
from vizer_lab.names import in_words

MADE = {
    "experiment": "gap_drawn", "command": "vizer gap", "commit": "abc",
    "hardware": "CPU, 2 cores", "seconds": 3.2,
}  # fmt: skip
RESULT = {
    **MADE,
    "scores": [
        {"system": "cls", "metric": "gap_norm", "mean": 0.3, "low": 0.2, "high": 0.4, "n": 1500,
         "seeds": [0, 1, 2]},
        {"system": "cls", "metric": "i2t_r1", "mean": 0.7, "low": 0.6, "high": 0.8, "n": 90,
         "seeds": 3},
    ],
    "differences": [
        {"system": "a", "against": "b<c", "metric": "cider", "mean": -0.1, "low": -0.2, "high": 0.0,
         "n": 500, "seeds": 3},
    ],
    "claims": [
        {"claim": "the gap | exists", "source": "section 3", "verdict": "holds", "evidence": "x",
         "rule": "above zero"},
    ],
}  # fmt: skip
PAGE = "# The gap\n\nHow wide is it?\n\n```{include} _generated/results_gap_drawn.md\n```\n"


@pytest.fixture
def checkout(tmp_path):
    """A checkout with one study and its page."""
    for name in ("results", "book"):
        (tmp_path / name).mkdir()
    (tmp_path / "results" / "gap_drawn.json").write_text(json.dumps(RESULT))
    (tmp_path / "book" / "results_gap_drawn.md").write_text(PAGE)
    return tmp_path


def shown(markdown: str) -> str:
    return markdown.replace("\u00a0", " ")


def test_the_page_of_verdicts_says_what_was_asked_what_came_out_and_how(checkout):
    page = shown(results_markdown(checkout))
    assert page.startswith("## The gap\n\nHow wide is it?")
    assert "| 1 | **holds** | the gap \\| exists<br>*section 3* |" in page
    assert "1. the gap \\| exists. Rule: above zero. Evidence: x." in page
    assert "| class token | 0.300<br>[0.200, 0.400] | none | 0.700<br>[0.600, 0.800] |" in page
    assert "[All 2 scores and 1 differences](results_gap_drawn.md)" in page
    assert "`vizer gap` at commit `abc`, on CPU, 2 cores, 3 seconds" in page


def test_the_page_of_numbers_has_every_row_by_the_fewer_of_metrics_and_systems():
    page = shown(numbers_markdown("gap_drawn", RESULT))
    # one system, two metrics: one fold; its n and seeds differ from row to row or not
    assert "{dropdown} class token: 2 rows, seeds 3" in page
    assert "<tr><td>gap norm</td><td>0.300 [0.200, 0.400]</td><td>1,500</td></tr>" in page
    recall = "<td>image to text, R@1</td><td>0.700 [0.600, 0.800]</td><td>90</td>"
    assert f"<tr>{recall}</tr>" in page
    assert "{dropdown} CIDEr: 1 rows, n 500, seeds 3" in page
    assert "<tr><td>a</td><td>b&lt;c</td><td>-0.100 [-0.200, 0.000]</td></tr>" in page
    keys = page.split("{dropdown} What `results/gap_drawn.json` calls them")[1]
    assert "<tr><td>CIDEr</td><td>cider</td></tr>" in keys


def test_rows_fold_by_metric_where_systems_are_more():
    rows = [{**RESULT["scores"][0], "system": name} for name in ("cls", "patch_mean")]
    page = numbers_markdown("gap_drawn", {**MADE, "scores": rows})
    assert "{dropdown} gap norm: 2 rows, n 1,500, seeds 3" in page
    assert page.count("{dropdown}") == 2 and "## Differences" not in page


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*.json")), ids=lambda p: p.stem)
def test_no_row_of_a_recorded_study_is_lost(path):
    result = json.loads(path.read_text())
    if not results_pages.has_page(result):
        pytest.skip("a benchmark: its figures stand on the page of verdicts")
    page = shown(numbers_markdown(path.stem, result))
    page = page.split("{dropdown} What `results/")[0]
    parts = re.split("## (?:Differences|Success over|Bars on|Arena|Variety|Captions)", page)
    for part, key in zip(parts, ("scores", "differences")):
        assert part.count("\n<tr><td>") == len(result[key])
        blocks = dict(
            re.split(r": (?=\d+ rows)", b, maxsplit=1) for b in part.split("{dropdown} ")[1:]
        )
        for row in named(result[key]):
            metric, of = (in_words(row[key], path.stem) for key in ("metric", "system"))
            block = blocks.get(metric)
            if block is None:
                block, of = blocks[of], metric
            against = [against_in_words(row, path.stem)] if "against" in row else []
            cells = [escape(text) for text in (of, *against, interval(row))]
            told = f"<tr>{''.join(f'<td>{text}</td>' for text in cells)}"
            other = told.removesuffix("</td>") + f", n {number(row['n'])}</td>"
            assert told in block or other in block, row


def test_rows_of_any_kind_stand_in_a_table_a_base_and_rows_within_rows_are_opened():
    rows = [
        {"base": "web", "what": "count", "rows": [{"setting": 2, "gain": [0.25, 0.125, 0.5]}]},
        {"base": "poor", "what": "max_kl", "rows": [{"setting": 5}]},
    ]
    web, poor = plain_markdown(rows)
    assert (
        "web: 1 rows" in web and "<tr><td>count</td><td>2</td><td>0.250, 0.125, 0.500</td>" in web
    )
    assert "<th>gain</th>" not in poor and "<td>ceiling, nats per token</td><td>5</td></tr>" in poor


def test_short_tables_follow_the_patterns_and_keep_what_belongs_together():
    row = RESULT["scores"][0]
    scores = [{**row, "system": name} for name in ("b:home:best", "a:home:best", "a:home:base",
              "b:home:base", "a:away:best")]  # fmt: skip
    table = short_table(scores, ("*:home:base", "*:home:best"), ("gap_norm",))
    names = [line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:]]
    assert names == [
        *("a: home: base", "a: home: the best trainer"),
        *("b: home: base", "b: home: the best trainer"),
    ]


def test_every_short_table_finds_what_it_names_in_the_recorded_studies():
    for name, (systems, metrics) in results_pages.SHORT.items():
        scores = json.loads((ROOT / "results" / f"{name}.json").read_text())["scores"]
        for pattern in systems:
            assert len(short_table(scores, (pattern,), metrics).splitlines()) > 2, (name, pattern)
        assert set(metrics) <= {row["metric"] for row in scores}, name


def test_a_score_without_a_value_says_so(checkout):
    missing = {**RESULT["scores"][0], "mean": None, "low": None, "high": None}
    (checkout / "results" / "gap_drawn.json").write_text(
        json.dumps({**RESULT, "scores": [missing]})
    )
    assert "| class token | none |" in results_markdown(checkout)
    page = shown(numbers_markdown("gap_drawn", {**RESULT, "scores": [missing]}))
    assert "not run [not run, not run]" in page


def test_the_figures_of_a_benchmark_are_on_the_page_of_verdicts(checkout):
    benchmark = {**MADE, "figures": {"cider_speedup": 12.61, "images": 5000, "diff": 1.7e-15}}
    (checkout / "results" / "gap_drawn.json").write_text(json.dumps(benchmark))
    page = results_markdown(checkout)
    assert page.startswith("## Gap drawn") and "| CIDEr speedup | 12.6 |" in page
    assert "| images | 5,000 |" in page and "| diff | 1.7e-15 |" in page
    assert "results_gap_drawn.md" not in page


def test_no_results_is_said_in_words(tmp_path):
    assert "`results/` is empty" in results_markdown(tmp_path)


def test_a_study_without_a_page_is_refused_with_what_to_write(checkout):
    page = checkout / "book" / "results_gap_drawn.md"
    page.unlink()
    with pytest.raises(FileNotFoundError, match=r"no .*: wanted a page with a title.*_toc.yml"):
        results_markdown(checkout)
    page.write_text("# The gap\n")
    with pytest.raises(ValueError, match="wanted `# Title`, a paragraph, the include"):
        heading_of(page)


def test_an_n_that_nearly_all_rows_share_stands_in_the_title_and_the_others_say_theirs():
    rows = [
        {"system": f"s{i}", "metric": "cider", "mean": 1, "low": 0, "high": 2, "n": 500, "seeds": 3}
        for i in range(12)
    ]
    rows[4]["n"] = 60
    page = "\n".join(results_pages.groups_markdown(rows))
    assert "CIDEr: 12 rows, n 500 unless said, seeds 3" in page
    assert page.count(", n 60</td>") == 1 and page.count("500") == 1
    for row in rows[:3]:
        row["n"] = 60
    page = "\n".join(results_pages.groups_markdown(rows))
    assert "<th>n</th>" in page and page.count("<td>500</td>") == 8
