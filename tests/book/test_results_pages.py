"""The pages of results: verdicts and short tables on one, every number of a study on its own."""

from __future__ import annotations

import json
import re

import pytest
from bs4 import BeautifulSoup
from built_book import ROOT

from tools import results_pages
from tools.results_grids import grids_markdown
from tools.results_pages import (
    heading_of,
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
    told = "<td>0.300 [0.200, 0.400]</td><td>none</td><td>0.700 [0.600, 0.800]</td>"
    assert f"<tr><th>class token</th>{told}" in page
    assert "[All 2 scores and 1 differences](results_gap_drawn.md)" in page
    assert "`vizer gap` at commit `abc`, on CPU, 2 cores, 3 seconds" in page


def grids_of(part: str) -> dict[tuple[str, ...], str]:
    """Return the numbers of the grids of a part of a page by base, line and column."""
    found = {}
    for block in part.split("{dropdown} ")[1:]:
        title = block.partition("\n")[0]
        named_base = re.match(r"(.*?): \d+ (?:system|pair)", title)
        table = BeautifulSoup(block, "html.parser").table
        header = [cell.get_text() for cell in table.thead.find_all("th")]
        names = [n for n, head in enumerate(header) if head in ("system", "minus", "metric")]
        for line in table.tbody.find_all("tr"):
            cells = []
            for cell in line.find_all(["th", "td"]):
                cells += [cell.get_text()] * int(cell.get("colspan", 1))
            assert len(cells) == len(header)
            rest = title + "".join(
                f", {head} {cell}" for head, cell in zip(header, cells) if head in ("n", "seeds")
            )
            for head, cell in list(zip(header, cells))[len(names) :]:
                if cell and head not in ("n", "seeds"):
                    place = (named_base[1] if named_base else "", *(cells[n] for n in names), head)
                    assert place not in found
                    found[place] = (cell, rest)
    return found


def test_the_page_of_numbers_is_a_grid_with_the_fewer_of_metrics_and_systems_across():
    page = shown(numbers_markdown("gap_drawn", RESULT))
    # one system, two metrics: the system stands across; its n differs from line to line
    assert "{dropdown} 1 system, gap norm, image to text, R@1, seeds 3" in page
    assert "<tr><th>metric</th><th>n</th><th>class token</th></tr>" in page
    assert "<tr><th>gap norm</th><td>1,500</td><td>0.300 [0.200, 0.400]</td></tr>" in page
    assert "<tr><th>image to text, R@1</th><td>90</td><td>0.700 [0.600, 0.800]</td></tr>" in page
    assert "{dropdown} 1 pair, CIDEr, n 500, seeds 3" in page
    assert "<tr><th>a</th><td>b&lt;c</td><td>-0.100 [-0.200, 0.000]</td></tr>" in page
    keys = page.split("{dropdown} What `results/gap_drawn.json` calls them")[1]
    assert "<tr><td>CIDEr</td><td>cider</td></tr>" in keys


def test_each_base_has_its_grid_and_metrics_that_no_system_shares_have_theirs():
    row = RESULT["scores"][0]
    rows = [
        {**row, "base": base, "system": system, "metric": metric}
        for base in ("web", "poor")
        for system, metric in (
            ("cls", "cider"),
            ("cls", "exact"),
            ("decap", "cider"),
            ("x", "top1"),
        )
    ]
    titles = re.findall("{dropdown} (.*)", "\n".join(grids_markdown(rows)))
    assert titles == [
        f"{base}: {what}, n 1,500, seeds 3"
        for base in ("web", "poor")
        for what in ("2 systems, CIDEr, exact", "1 system, top-1")
    ]


def test_systems_compared_with_the_same_stand_together():
    rows = [
        {**RESULT["differences"][0], "system": system, "against": against}
        for system, against in (("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"))
    ]
    (grid,) = grids_markdown(rows)
    assert re.findall("<th>(.)</th><td>(.)<", grid) == [tuple(p) for p in ("ax", "bx", "ay", "by")]


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*.json")), ids=lambda p: p.stem)
def test_no_row_of_a_recorded_study_is_lost(path):
    result = json.loads(path.read_text())
    if not results_pages.has_page(result):
        pytest.skip("a benchmark: its figures stand on the page of verdicts")
    page = shown(numbers_markdown(path.stem, result)).split("{dropdown} What `results/")[0]
    parts = re.split("## (.*)", page)
    for title, key in (("Scores", "scores"), ("Differences", "differences")):
        rows = result.get(key, [])
        cells = grids_of(parts[parts.index(title) + 1]) if rows else {}
        assert len(cells) == len(rows)
        turned = len({r["metric"] for r in rows}) > len(
            {(r["system"], r.get("against")) for r in rows}
        )
        for row in rows:
            metric, *of = (
                in_words(row[k], path.stem) for k in ("metric", "system", "against") if k in row
            )
            base = in_words(row["base"]) if "base" in row else ""
            place = (base, metric, " minus ".join(of)) if turned else (base, *of, metric)
            cell, rest = cells[place]
            assert cell.partition(", n ")[0].partition(", seeds ")[0] == (
                "not run" if row["mean"] is None else interval(row)
            )
            seeds = len(row["seeds"]) if isinstance(row["seeds"], list) else row["seeds"]
            for key_, value in (("n", row["n"]), ("seeds", seeds)):
                said = re.findall(rf", {key_} ([\d,]*\d)", cell) or re.findall(
                    rf", {key_} ([\d,]*\d)", rest
                )
                assert said[-1] == number(value), (row, cell, rest)


def test_rows_of_any_kind_stand_in_a_table_a_base_and_rows_within_rows_are_opened():
    rows = [
        {"base": "web", "what": "count", "rows": [{"setting": 2, "gain": [0.25, 0.125, 0.5]}]},
        {"base": "poor", "what": "max_kl", "rows": [{"setting": 5}]},
    ]
    web, poor = plain_markdown(rows)
    assert (
        "web: 1 rows" in web and "<tr><th>count</th><td>2</td><td>0.250, 0.125, 0.500</td>" in web
    )
    assert "<th>gain</th>" not in poor and "<th>ceiling, nats per token</th><td>5</td></tr>" in poor


def test_short_tables_follow_the_patterns_and_keep_what_belongs_together():
    row = RESULT["scores"][0]
    scores = [{**row, "system": name} for name in ("b:home:best", "a:home:best", "a:home:base",
              "b:home:base", "a:away:best")]  # fmt: skip
    table = short_table(scores, ("*:home:base", "*:home:best"), ("gap_norm",))
    names = re.findall("<tr><th>(.*?)</th><td>", table)
    assert names == [
        *("a: home: base", "a: home: the best trainer"),
        *("b: home: base", "b: home: the best trainer"),
    ]


def test_every_short_table_finds_what_it_names_in_the_recorded_studies():
    for name, (systems, metrics) in results_pages.SHORT.items():
        scores = json.loads((ROOT / "results" / f"{name}.json").read_text())["scores"]
        for pattern in systems:
            assert "<td>" in short_table(scores, (pattern,), metrics), (name, pattern)
        assert set(metrics) <= {row["metric"] for row in scores}, name


def test_a_score_without_a_value_says_so(checkout):
    missing = {**RESULT["scores"][0], "mean": None, "low": None, "high": None}
    (checkout / "results" / "gap_drawn.json").write_text(
        json.dumps({**RESULT, "scores": [missing]})
    )
    assert "<tr><th>class token</th><td>none</td>" in results_markdown(checkout)
    page = shown(numbers_markdown("gap_drawn", {**RESULT, "scores": [missing]}))
    assert "<td>not run</td>" in page


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


def test_an_n_that_nearly_all_share_stands_in_the_title_and_the_others_say_theirs():
    rows = [
        {"system": f"s{i}", "metric": "cider", "mean": 1, "low": 0, "high": 2, "n": 500, "seeds": 3}
        for i in range(12)
    ]
    rows[4]["n"] = 60
    (grid,) = grids_markdown(rows)
    assert "12 systems, CIDEr, n 500 unless said, seeds 3" in grid
    assert grid.count(", n 60</td>") == 1 and grid.count("500") == 1
    for row in rows[:3]:
        row["n"] = 60
    (grid,) = grids_markdown(rows)
    assert "<th>n</th>" in grid and grid.count("<td>500</td>") == 8


def test_where_n_differs_from_line_to_line_a_number_with_another_n_than_its_line_says_so():
    rows = [
        {"system": system, "metric": metric, "mean": 1, "low": 0, "high": 2, "n": n, "seeds": 3}
        for system, counts in (("a", (50, 50, 7)), ("b", (20, 20, 20)), ("c", (20, 20, 20)))
        for metric, n in zip(("cider", "exact", "length"), counts)
    ]
    (grid,) = grids_markdown(rows)
    first, second, _ = re.findall("<tr><th>([abc]</th>.*)</tr>", shown(grid))
    held = "<td>1 [0, 2]</td>"
    assert first == f"a</th><td>50</td>{held}{held}<td>1 [0, 2], n 7</td>"
    assert second == f"b</th><td>20</td>{held * 3}"
