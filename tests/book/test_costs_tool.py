"""`python -m tools.costs` on a miniature chapter and a command: a row, or none if a run fails."""

from __future__ import annotations

import json

import nbformat
import pytest

from tools import costs, notebooks
from tools.planning_page import measured_markdown
from vizer_lab.costs.measured import CUT, measured_costs

WORK = """\
import os

assert os.environ["VIZER_PROFILE"] == "full"
study = open_study(n=1000) if False else "x" * 10**8
"""


def checkout(folder, source: str, name: str = "04_umap.ipynb"):
    """Write a checkout with one chapter."""
    cells = [nbformat.v4.new_markdown_cell("## What it costs\n\nWords.", id="nb04-c01"),
             nbformat.v4.new_code_cell(source, id="nb04-c02")]  # fmt: skip
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook["metadata"] = {"vizer": {"seconds": 3.0, "profile": "micro"}}
    (folder / "notebooks").mkdir()
    nbformat.write(notebook, folder / "notebooks" / name)
    return folder


def test_a_chapter_leaves_a_row_and_its_own_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VIZER_CLIP", "my-clip")
    monkeypatch.setenv("VIZER_DTYPE", "bfloat16")
    monkeypatch.setenv("VIZER_IMAGES", "64")
    root = checkout(tmp_path, WORK)
    assert costs.main(["chapter", "umap"], root) == 0
    (row,) = measured_costs(root / notebooks.MEASURED)
    assert row.what == "umap" and 0 < row.minutes < 5 and row.ram > 2 * 10**8
    assert row.sizes == {"opened": "open_study(n=1000)", "dtype": "bfloat16", CUT: "64"}
    assert row.models == {"CLIP": "my-clip"} and "torch" not in row.device
    assert row.versions.keys() >= {"torch", "numpy", "transformers"}
    assert "umap: measured on" in capsys.readouterr().out
    stored = json.loads((root / "notebooks" / "04_umap.ipynb").read_text())
    assert "measured on" in "".join(stored["cells"][0]["source"])
    assert [cell.get("outputs", []) for cell in stored["cells"]] == [[], []]
    assert costs.main(["show"], root) == 0 and "my-clip" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("04_umap.ipynb", "raise KeyError('gone')", "gone"),
        ("04_umap.ipynb", WORK + "os.environ['VIZER_PROFILE'] = 'micro'", "profile 'micro'"),
        ("05_which_metric.ipynb", WORK, "is the same on both profiles"),
    ],
)
def test_a_run_that_does_not_count_leaves_no_row(name, source, message, tmp_path, capsys):
    root = checkout(tmp_path, source, name)
    assert costs.main(["chapter", name[3:-6]], root) == 1
    assert "nothing is recorded" in (err := capsys.readouterr().err) and message in err
    assert not (root / notebooks.MEASURED).exists()


def test_a_command_is_measured_under_its_name(tmp_path, capsys):
    rows = [{"image_id": n, "caption": f"a red dog number {n}"} for n in range(4)]
    (tmp_path / "out.json").write_text(json.dumps(rows))
    (tmp_path / "ref.json").write_text(json.dumps({"annotations": rows}))
    words = ["evaluate", "--captions", str(tmp_path / "out.json"), "--references",
             str(tmp_path / "ref.json")]  # fmt: skip
    out = tmp_path / "full.json"
    assert costs.main(["--out", str(out), "command", *words], tmp_path) == 0
    (row,) = measured_costs(out)
    assert row.what == "vizer evaluate"
    assert row.sizes == {"options": "--captions out.json --references ref.json"}
    words[2] = str(tmp_path / "absent.json")
    out.unlink()
    assert costs.main(["--out", str(out), "command", *words], tmp_path) == 1
    assert not out.exists() and "ended with status 1" in capsys.readouterr().err


def test_the_planning_page_says_that_nothing_was_measured_or_what(tmp_path):
    assert "all of the above are estimates" in measured_markdown([], {})
    root = checkout(tmp_path, WORK)
    row = costs.measure_chapter(root / "notebooks" / "04_umap.ipynb", commit="abc")
    page = measured_markdown([row], {"umap": "[UMAP](x)"})
    assert f"| [UMAP](x) | {row.device} |" in page
    assert f"measured on {row.date}, commit `abc`" in page


def test_notebooks_are_not_stored_from_the_full_profile(monkeypatch, capsys):
    monkeypatch.setenv("VIZER_PROFILE", "full")
    monkeypatch.setattr("sys.argv", ["notebooks", "run", "umap"])
    with pytest.raises(SystemExit):
        notebooks.main()
    assert "python -m tools.costs chapter NAME" in capsys.readouterr().err
