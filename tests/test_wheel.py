"""The package as it is installed: what the wheel holds, and the commands outside the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "LICENSE-ART", "LICENSE-TEXT")
COMMANDS = """
import json, sys
from pathlib import Path

from typer.testing import CliRunner

import vizer_core
from vizer_core.cli import app
from vizer_lab.studies.clip_study import RESULTS, recorded_scores

found = {"from": vizer_core.__file__, "results": str(RESULTS), "runs": []}
for words in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, words)
    found["runs"].append({"words": words, "status": done.exit_code, "output": done.output})
try:
    recorded_scores("gap_drawn", "gap_norm")
except FileNotFoundError as error:
    found["missing"] = str(error)
Path("found.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel from a copy of the sources, so that the checkout stays clean."""
    copy = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("vizer_core", "vizer_lab"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, copy)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(copy / "dist"), str(copy)], check=True, capture_output=True)
    (found,) = (copy / "dist").glob("*.whl")
    return found


def closure() -> set[str]:
    """Return the names of what `pip install .` brings: dependencies, and theirs, without extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [Requirement(line) for line in project["dependencies"]]
    done: set[tuple[str, str]] = set()
    names = set()
    while waiting:
        wanted = waiting.pop()
        key = (re.sub(r"[-_.]+", "-", wanted.name).lower(), str(sorted(wanted.extras)))
        if key in done:
            continue
        done.add(key)
        try:
            requires = distribution(wanted.name).requires or []
        except PackageNotFoundError:  # for another platform
            continue
        names.add(wanted.name)
        for line in map(Requirement, requires):
            extras = [*wanted.extras, ""]
            if line.marker is None or any(line.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(line)
    return names


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Make an environment with the wheel and what it depends on, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env", with_pip=False)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    links = folder / "dependencies"
    links.mkdir()
    for name in closure():
        made = distribution(name)
        for top in {file.parts[0] for file in made.files or ()} - {"..", "__pycache__"}:
            if not (links / top).exists():
                (links / top).symlink_to(Path(str(made.locate_file(top))))
    (site / "dependencies.pth").write_text(str(links))
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    # pip takes what lies on PYTHONPATH for installed, and would leave the wheel out
    without = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, env=without)
    return folder / "env" / "bin"


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> Path:
    """Lay out a folder outside the repository: images, their captions, the same as references."""
    import numpy as np
    from PIL import Image

    from vizer_lab.world import DrawnSplit

    folder = tmp_path_factory.mktemp("outside")
    (folder / "images").mkdir()
    split = DrawnSplit("second_test", 24)
    names = [f"{name}.png" for name in split.ids]
    for name, pixels in zip(names, np.asarray(split.images)):
        Image.fromarray(pixels).save(folder / "images" / name)
    said = {name: list(texts) for name, texts in zip(names, split.captions)}
    (folder / "captions.json").write_text(json.dumps(said))
    rows = [{"image_id": n, "caption": text} for n, texts in said.items() for text in texts]
    (folder / "references.json").write_text(json.dumps({"annotations": rows}))
    return folder


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess:
    """Run a program in a folder, without this process's paths to the checkout."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if "/licenses/LICENSE" in name]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "vizer_core",
         "vizer_lab"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    there = {name for name in listed if (ROOT / name).is_file()}
    assert held == there
    assert len(licences) == 3
    assert sum(name.endswith(".safetensors") for name in held) > 10


def test_the_shipped_weights_take_at_most_40_megabytes_of_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = [i.compress_size for i in archive.infolist() if i.filename.endswith(".safetensors")]
    assert 30e6 < sum(sizes) <= 40e6


def test_the_wheel_names_its_command_and_reads_no_results(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (entries,) = [n for n in archive.namelist() if n.endswith("entry_points.txt")]
        named = archive.read(entries).decode()
    assert "vizer = vizer_core.cli:app" in named
    assert "clip.drawn-clip-50 = vizer_lab.zoo.loaders:clip" in named
    assert "lab = vizer_lab.command:add_to" in named


@pytest.mark.timeout(900)
def test_the_commands_run_outside_the_repository(installed, outside):
    images, found = str(outside / "images"), outside / "found.json"
    commands = [
        ["gap", "--images", images, "--captions", "captions.json", "--resamples", "50"],
        ["caption", images, "--method", "capdec", "--json", "said.json"],
        ["caption", images, "--model", "drawn-vlm-web", "--adapter", "drawn-vlm-web-information"],
        ["evaluate", "--captions", "said.json", "--references", "references.json",
         "--metrics", "bleu,cider"],
        ["lab", "--only", "drawn-lm"],
    ]  # fmt: skip
    done = run([str(installed / "python"), "-c", COMMANDS, json.dumps(commands)], outside)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(found.read_text())
    assert Path(seen["from"]).is_relative_to(installed.parent)
    assert "inside a clone" in seen["missing"]
    for each in seen["runs"]:
        assert each["status"] == 0, f"{each['words']}: {each['output']}"
    gap, capdec, vlm, scores, lab = (each["output"] for each in seen["runs"])
    assert "24 pairs, d = 128" in gap and "cider" in scores.lower() and "drawn-lm" in lab
    assert capdec.count("\t") == vlm.count("\t") == 24


def test_the_program_is_there_and_every_command_explains_itself(installed, tmp_path):
    done = run([str(installed / "vizer"), "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    names = re.findall(r"^  ([a-z][\w-]+)  ", done.stdout.split("Commands:")[1], re.MULTILINE)
    assert {"lab", "gap", "train-captioner", "caption", "fit-mapper", "enhance"} < set(names)
    for name in names:
        told = run([str(installed / "vizer"), name, "--help"], tmp_path)
        assert told.returncode == 0 and len(told.stdout.split("Options:")[0].split()) > 15, name


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_lab_checks_itself_outside_the_repository(installed, tmp_path):
    done = run([str(installed / "vizer"), "lab"], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {"drawn-clip", "drawn-lm", "drawn-vlm-web", "drawn-maccap"} <= set(done.stdout.split())
