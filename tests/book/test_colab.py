"""The setup cell of a notebook on a machine that has torch and pip, and nothing of ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from built_book import ROOT

from tools.book import colab_link
from tools.notebook_cells import (
    SETUP_HOSTED,
    SETUP_LOCAL,
    write_colab_cell,
    write_setup_cell,
)

KEPT = {"torch": "2.9.0+cu126", "torchvision": "0.24.0+cu126", "numpy": "2.0.2"}
STUB_PIP = """
import json, sys
from pathlib import Path
said = {"argv": sys.argv[1:], "constraints": Path("book/kept.txt").read_text().split()}
Path("pip.json").write_text(json.dumps(said))
"""
AFTER = """
import json, vizer_core
print(json.dumps({"from": vizer_core.__file__, "torch": "torch" in sys.modules}))
"""


@pytest.fixture
def hosted(tmp_path):
    """Make an environment of its own: versions of torch and numpy, and a pip that takes notes."""
    site = tmp_path / "site"
    (site / "pip").mkdir(parents=True)
    (site / "pip" / "__init__.py").write_text("")
    (site / "pip" / "__main__.py").write_text(STUB_PIP)
    for name, version in KEPT.items():
        folder = site / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    remote = tmp_path / "remote"
    subprocess.run(["git", "clone", "-q", "--bare", f"file://{ROOT}", str(remote)], check=True)
    base = Path(sys.base_prefix) / "bin" / Path(sys.executable).name
    python = str(base if base.is_file() else sys.executable)

    def run(code: str) -> subprocess.CompletedProcess:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site), "HOME": str(tmp_path)}
        return subprocess.run(
            [python, "-S", "-c", code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )

    return run, remote, tmp_path


def test_the_setup_cell_clones_installs_what_is_missing_and_imports(hosted):
    run, remote, folder = hosted
    done = run(SETUP_HOSTED.format(url=f"file://{remote}") + AFTER)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["from"]) == folder / "book" / "vizer_core" / "__init__.py"
    said = json.loads((folder / "pip.json").read_text())
    assert said["constraints"] == [f"{name}=={version}" for name, version in KEPT.items()]
    assert said["argv"][:2] == ["install", "--quiet"]
    assert said["argv"][2:4] == ["-e", "book"]  # for the command: `!vizer` is a new process
    assert said["argv"][4:] == ["-r", "book/requirements-colab.txt", "-c", "book/kept.txt"]
    # the cell may be run again: the package is on the path of a kernel that goes on
    twice = run(SETUP_HOSTED.format(url="file:///nowhere").replace("if find", "sys.path.insert(0, "
                "'book')\nif find"))  # fmt: skip
    assert twice.returncode == 0, twice.stderr[-2000:]


def test_every_notebooks_setup_cell_runs_where_nothing_of_ours_is(hosted):
    """As `make notebooks` writes the cell where the repository has an address: here a local one."""
    run, remote, folder = hosted
    sources: dict[str, list[str]] = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        notebook = write_setup_cell(nbformat.read(path, as_version=4), f"file://{remote}")
        first = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
        assert "setup" in first["metadata"]["tags"], path.name
        sources.setdefault(first["source"], []).append(path.name)
    for source, names in sources.items():  # one text for all, unless somebody changes one by hand
        shutil.rmtree(folder / "book", ignore_errors=True)
        done = run(source + AFTER)
        assert done.returncode == 0, f"{names}: {done.stderr[-2000:]}"
        assert Path(json.loads(done.stdout.splitlines()[-1])["from"]).is_relative_to(folder)
    assert sum(map(len, sources.values())) >= 13


def test_every_notebook_has_a_cost_box_and_gets_its_own_link_under_the_title():
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if "vizer" not in notebook["metadata"]:
            continue  # no stamp: it was never run, and other tests say so
        text = "\n".join(cell["source"] for cell in notebook["cells"])
        # a sentence may come first, and the box may be folded: a chapter begins with its question
        box = r"## What it costs\n\n[^|#]*<!-- cost -->\n\| profile \|"
        assert re.search(box, text), path.name
        link = colab_link("https://github.com/somebody/book", f"notebooks/{path.name}")
        badge = write_colab_cell(notebook, link)["cells"][1]["source"]
        assert badge == f"[Open in Colab]({link})" and path.name in link


def test_without_an_address_the_cell_says_what_to_do(hosted):
    done = hosted[0](SETUP_LOCAL)
    assert done.returncode == 1 and "run `make env` in the checkout" in done.stderr


def test_every_notebook_that_was_run_has_a_setup_cell_before_its_code():
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        notebook = json.loads(path.read_text())
        if "vizer" not in notebook["metadata"]:
            continue  # no stamp: it was never run, and other tests say so
        cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
        assert "setup" in cells[0]["metadata"].get("tags", []), path.name
        assert "".join(cells[0]["source"]).startswith("# Setup, written by"), path.name


def test_colab_gets_what_the_package_needs_and_keeps_its_own_torch():
    text = (ROOT / "requirements-colab.txt").read_text()
    names = {name.lower().replace("_", "-") for name in re.findall(r"^[\w-]+", text, re.MULTILINE)}
    assert not {"torch", "torchvision", "numpy"} & names
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    there = {"numpy", "torch", "torchvision", "scipy", "safetensors", "pillow", "tqdm", "typer",
             "matplotlib"}  # fmt: skip
    wanted = project["dependencies"]
    needed = {re.match(r"[\w-]+", line)[0].lower().replace("_", "-") for line in wanted}
    assert needed - there <= names, f"requirements-colab.txt lacks {sorted(needed - there - names)}"


@pytest.mark.slow
@pytest.mark.network
def test_pip_would_leave_torch_and_numpy_alone(tmp_path):
    from importlib.metadata import version

    kept = tmp_path / "kept.txt"
    kept.write_text("\n".join(f"{name}=={version(name)}" for name in KEPT))
    report = tmp_path / "report.json"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--report", str(report)]
    wanted = ["-r", str(ROOT / "requirements-colab.txt"), "-c", str(kept)]
    subprocess.run([*pip, *wanted], check=True, capture_output=True)
    touched = {row["metadata"]["name"].lower() for row in json.loads(report.read_text())["install"]}
    assert not touched & set(KEPT)
