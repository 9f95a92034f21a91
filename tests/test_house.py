"""The rules of the house, read from the sources: layers, sizes, README, results, paper map."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vizer_core
from tools import readme

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, LAB = ROOT / "vizer_core", ROOT / "vizer_lab"
PACKAGES = (PACKAGE, LAB)
CORE_RANKS = {
    "env": 0, "lazy": 0,
    "shapes": 1, "runtime": 1, "files": 1, "decoding": 1, "hub_errors": 1, "distributed": 1,
    "token_loop": 1, "shipped": 1,
    "wheels": 2, "run_folder": 2, "run_state": 2,
    "data": 3, "metrics": 3, "tracking": 3, "sharding": 3,
    "clip": 4, "language": 4, "vlm": 4,
    "gap": 5, "textonly": 5,
    "captioners": 6, "vizer": 6,
    "vqa": 7, "evaluation": 7, "plots": 7, "models": 7,
    "captioner_job": 8, "adapter_job": 8,
    "improvement": 9,
    "jobs": 10,
    "cli": 11,
    "__main__": 12, "__init__": 12,
}  # fmt: skip
LAB_RANKS = {
    "names": 0,
    "world": 0,
    "costs": 0,
    "zoo": 1,
    "figures": 1,
    "practice": 1,
    "exercises": 2,
    "studies": 2,
    "command": 2,
    "__init__": 3,
}
RANKS = {"vizer_core": CORE_RANKS, "vizer_lab": LAB_RANKS}
VAGUE_NAMES = {"utils", "util", "common", "misc", "helpers", "helper", "base_utils"}
SLOW_IMPORTS = ("transformers", "umap", "matplotlib", "open_clip", "sklearn", "pandas", "typer")
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 400, 80, 7
VERDICTS = {"holds", "does not hold", "not testable here"}
SCORE = {"system", "metric", "mean", "low", "high", "n", "seeds"}
SCHEMA = {
    "scores": SCORE,
    "differences": SCORE | {"against"},
    "claims": {"claim", "source", "verdict", "evidence"},
}
RESULT_FILES = (
    "gap_drawn.json",
    "metrics_drawn.json",
    "maccap_drawn.json",
    "improvement.json",
)


def sources(*packages: Path) -> list[Path]:
    return sorted(file for package in packages or PACKAGES for file in package.rglob("*.py"))


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name


def subject_of(file: Path, package: Path) -> str:
    """Return the folder of a source file, or its own name if it stands at the top."""
    return file.relative_to(package).parts[0].removesuffix(".py")


def imported_names(source: str) -> Iterator[str]:
    """Yield the dotted names that a source imports anywhere, functions included."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}: wanted an absolute one"
            base = node.module or ""
            names = [f"{base}.{a.name}" for a in node.names] if base in RANKS else [base]
        yield from names


def imported_subjects(source: str, package: str) -> Iterator[str]:
    """Yield the subjects of a package that a source imports."""
    for name in imported_names(source):
        if name.startswith(f"{package}."):
            yield name.split(".")[1]


def layer_faults(package: Path, name: str | None = None) -> list[str]:
    """List imports that go sideways or up, and subjects without a rank."""
    faults = []
    name = name or package.name
    ranks = RANKS[name]
    for file in sources(package):
        own = subject_of(file, package)
        if own not in ranks:
            faults.append(f"{relative(file)}: no rank for {own!r}; give it one in RANKS")
            continue
        for other in imported_subjects(file.read_text(encoding="utf-8"), name):
            if other != own and ranks.get(other, 99) >= ranks[own]:
                faults.append(
                    f"{relative(file)} (rank {ranks[own]}) imports {other} "
                    f"(rank {ranks.get(other, 'none')}): wanted lower ranks only"
                )
    return faults


def faults_of_the_library(package: Path) -> list[str]:
    """List files of the library that import the laboratory, in an example of a docstring too."""
    faults = []
    for file in sources(package):
        text = file.read_text(encoding="utf-8")
        names = {name.split(".")[0] for name in imported_names(text)}
        examples = re.search(r"(>>>|\.\.\.) *(from|import) vizer_lab\b", text)
        if "vizer_lab" in names or examples:
            faults.append(f"{relative(file)} imports vizer_lab: ask vizer_core.shipped by name")
    return faults


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_folders_import_only_lower_ranks_and_their_own_files(package):
    assert layer_faults(package) == []


def test_the_library_never_imports_the_laboratory():
    assert faults_of_the_library(PACKAGE) == []


@pytest.mark.parametrize(
    "line",
    [
        "import vizer_lab",
        "from vizer_lab import zoo",
        "def f():\n    from vizer_lab.zoo.clips import load_drawn_clip",
        "import vizer_lab.world.world as w",
        'def f():\n    """F.\n\n    >>> from vizer_lab.world import Scene\n    """',
    ],
)
def test_every_form_of_import_of_the_laboratory_is_found(line, tmp_path):
    (tmp_path / "x.py").write_text(line)
    assert faults_of_the_library(tmp_path) == [
        "x.py imports vizer_lab: ask vizer_core.shipped by name"
    ]


def test_in_the_laboratory_only_the_command_knows_the_command_line():
    knows = {
        subject_of(file, LAB)
        for file in sources(LAB)
        if "cli" in imported_subjects(file.read_text(encoding="utf-8"), "vizer_core")
    }
    assert knows == {"command"}


@pytest.mark.parametrize(
    ("file", "line", "wanted"),
    [
        ("gap/stats.py", "from vizer_core.textonly import pairs", "imports textonly (rank 5)"),
        ("data/coco.py", "def f():\n    import vizer_core.clip.encoder", "imports clip (rank 4)"),
        ("shapes.py", "from vizer_core import cli", "imports cli (rank 11)"),
        ("gap/stats.py", "from vizer_core.odd import x", "imports odd (rank none)"),
        ("odd/x.py", "", "no rank for 'odd'"),
    ],
)
def test_an_import_that_goes_up_or_sideways_is_named(file, line, wanted, tmp_path):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(line)
    (fault,) = layer_faults(tmp_path, "vizer_core")
    assert wanted in fault


def test_no_folder_stands_inside_a_folder():
    nested = [relative(f) for f in sources() if len(f.relative_to(ROOT).parts) > 3]
    assert nested == []


def test_no_file_has_a_vague_name():
    assert [relative(f) for f in sources() if f.stem in VAGUE_NAMES] == []


def test_files_and_functions_stay_short():
    faults = []
    for file in sources():
        text = file.read_text(encoding="utf-8")
        if len(text.splitlines()) > MAX_FILE_LINES:
            faults.append(f"{relative(file)}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            where = f"{relative(file)}: {node.name}"
            # a command's signature is its help, an option a line or more: only its body counts
            first = node.body[0].lineno if file.parent.name == "cli" else node.lineno
            length = (node.end_lineno or first) - first + 1
            if length > MAX_FUNCTION_LINES:
                faults.append(f"{where} has {length} lines")
            arguments = [*node.args.posonlyargs, *node.args.args]  # the others go by name
            count = len([a for a in arguments if a.arg not in ("self", "cls")])
            if count > MAX_PARAMETERS and file.parent.name != "cli":
                faults.append(f"{where} takes {count} arguments by position")
    assert faults == []


def test_every_public_function_has_a_docstring():
    faults = []
    for file in sources():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if file.name != "__init__.py" and not ast.get_docstring(tree):
            faults.append(f"{relative(file)}: no docstring")
        for node in tree.body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef)
            if public and not node.name.startswith("_") and not ast.get_docstring(node):
                faults.append(f"{relative(file)}: {node.name} has no docstring")
    assert faults == []


def test_what_packages_export_exists():
    for init in (file for file in sources() if file.name == "__init__.py"):
        name = ".".join(init.parent.relative_to(ROOT).parts)
        exported = getattr(importlib.import_module(name), "__all__", [])
        missing = [n for n in exported if not hasattr(importlib.import_module(name), n)]
        assert missing == [], f"{name} exports names that do not exist"


def test_importing_the_package_loads_nothing_heavy():
    code = (
        f"import sys, vizer_core, vizer_lab; print([m for m in {SLOW_IMPORTS} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_front_door_opens_without_anything_heavy():
    """Every name is there, and none is imported before it is asked for."""
    code = """
import sys, vizer_core as vc
ours = [m for m in sys.modules if m.startswith("vizer_core.")]
others = [m for m in ("torch", "numpy", "PIL", "jaxtyping") if m in sys.modules]
assert set(vc.__all__) <= set(dir(vc)), "dir() hides names"
print(ours, others)
for name in vc.__all__: getattr(vc, name)
assert callable(vc.evaluate) and callable(vc.compare), "a module stands in a function's place"
try:
    vc.measure_gaps
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[] []",
        "module 'vizer_core' has no attribute 'measure_gaps'",
    ]


def test_type_checkers_see_the_front_door():
    """What they read, `if TYPE_CHECKING`, names the same things from the same places."""
    init = PACKAGE / "__init__.py"
    seen = {
        alias.name: node.module.removeprefix("vizer_core.")
        for node in ast.walk(ast.parse(init.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("vizer_core.")
        for alias in node.names
        if alias.asname == alias.name
    }
    assert seen == vizer_core._HOME
    assert all((package / "py.typed").is_file() for package in PACKAGES)
    assert {*vizer_core.__all__} == {*seen, "__version__"}


LAZY_FOLDERS = [
    init.parent
    for init in sources()
    if init.parent not in PACKAGES and "_HOME = {" in init.read_text()
]


@pytest.mark.parametrize("folder", LAZY_FOLDERS, ids=relative)
def test_type_checkers_see_what_a_folder_exports(folder):
    """A type checker reads other lines than Python does: both name the same things, and no file."""
    package = importlib.import_module(".".join(folder.relative_to(ROOT).parts))
    seen = {
        (alias.asname, node.module)
        for node in ast.walk(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module != "vizer_core.lazy"
        for alias in node.names
        if alias.asname == alias.name
    }
    given = [(name, module) for module, names in package._HOME.items() for name in names]
    assert sorted(given) == sorted(seen)
    assert {name for name, _ in seen} & {file.stem for file in folder.glob("*.py")} == set()


def test_a_folder_loads_the_files_of_the_names_that_are_asked_for():
    code = """
import sys
from vizer_core.vizer import cosine_loss
from vizer_core.metrics import Interval
import vizer_core.vizer
assert "train_adapter" in dir(vizer_core.vizer) and "vizer_core.vizer.losses" in sys.modules
print([m for m in ("vizer_core.vizer.train", "vizer_core.vlm.loading") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_no_name_of_the_front_door_is_a_module_too():
    """Importing a module of that name would put it into the function's place."""
    modules = {file.stem for file in PACKAGE.glob("*.py")} | {f.name for f in PACKAGE.iterdir()}
    assert modules & set(vizer_core.__all__) == set()


def test_nothing_reads_pickles():
    pattern = re.compile(r"pickle\.loads?\(|weights_only=False|allow_pickle=True")
    found = [relative(f) for f in sources() if pattern.search(f.read_text(encoding="utf-8"))]
    assert found == []


def test_readme_shows_the_chapters_as_they_are():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    wanted = readme.filled(text, ROOT)
    seconds = re.compile(r", \d+ s$", flags=re.MULTILINE)  # another run may take longer
    assert seconds.sub("", text) == seconds.sub("", wanted), "README.md is behind: `make readme`"


def rooms_of_the_readme() -> set[str]:
    """Return every word of README's map of rooms."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return set(re.findall(r"\w+", text.split("## The rooms")[1].split("```")[1]))


def test_every_top_level_folder_is_in_the_map_of_rooms():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folders = {name.split("/")[0] for name in tracked if "/" in name}
    assert {name for name in folders if not name.startswith(".")} <= rooms_of_the_readme()


def test_every_folder_of_the_packages_is_in_the_map_of_rooms():
    folders = {init.parent.name for package in PACKAGES for init in package.glob("*/__init__.py")}
    assert folders - rooms_of_the_readme() == set()


def test_a_readme_without_its_marks_is_refused():
    with pytest.raises(ValueError, match=r"README\.md has no <!-- chapters -->"):
        readme.filled("# Title", ROOT)


@pytest.mark.parametrize("name", RESULT_FILES)
def test_the_results_that_the_book_quotes_are_there(name):
    assert (ROOT / "results" / name).is_file(), f"no results/{name}: run its experiment"


@pytest.mark.parametrize(
    "file", sorted((ROOT / "results").glob("*.json")), ids=lambda file: file.stem
)
def test_result_files_have_the_agreed_form(file):
    result = json.loads(file.read_text(encoding="utf-8"))
    assert {"experiment", "command", "commit", "hardware", "seconds"} <= set(result)
    if "figures" in result:  # a benchmark: names and numbers
        assert all(isinstance(value, int | float) for value in result["figures"].values())
        return
    assert set(SCHEMA) <= set(result)
    for part, keys in SCHEMA.items():
        for row in result[part]:
            assert keys <= set(row), f"{part} row {row}: wanted the keys {sorted(keys)}"
    for row in [*result["scores"], *result["differences"]]:
        if row["mean"] is not None:
            assert row["low"] <= row["mean"] <= row["high"], row
            assert row["n"] > 0, row
    assert {row["verdict"] for row in result["claims"]} <= VERDICTS


def paper_map() -> str:
    return (ROOT / "book" / "paper_map.md").read_text(encoding="utf-8")


def paper_map_rows() -> list[tuple[str, str]]:
    """Return each row's function as a dotted name and its test as a path ('' if there is none)."""
    rows = []
    for section in paper_map().split("\n## ")[1:]:
        home = re.search(r"Functions of `(vizer_\w+\.\w+)`, tests in `(tests/[\w/]+/)`", section)
        for name, test in re.findall(r"\| `(\w+\.\w+)`(?:<br>`(test_\w+\.py)`)?", section):
            assert home, f"section {section.splitlines()[0]!r} does not say where its functions are"
            rows.append((f"{home[1]}.{name}", f"{home[2]}{test}" if test else ""))
    return rows


def test_every_function_and_test_in_the_paper_map_exists():
    rows = paper_map_rows()
    assert len(rows) == paper_map().count("\n| ") - paper_map().count("\n| place"), "unread rows"
    missing = [test for _, test in rows if test and not (ROOT / test).is_file()]
    for name, _ in rows:
        module, _, attribute = name.rpartition(".")
        if not hasattr(importlib.import_module(module), attribute):
            missing.append(name)
    assert missing == []


def test_every_chapter_in_the_paper_map_exists():
    chapters = set(re.findall(r"<br>chapter (\d+) \|", paper_map()))
    there = {str(int(path.name[:2])) for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    assert chapters and chapters <= there


def test_conda_users_get_the_packages_of_make_env():
    extras = re.search(r"^EXTRAS := (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert extras and f"-e .[{extras[1]}]" in (ROOT / "environment.yml").read_text()


def test_the_oldest_versions_are_the_floors_that_pyproject_allows():
    pinned = re.search(r"^OLDEST := (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    project = (ROOT / "pyproject.toml").read_text()
    for name, version in (word.split("==") for word in pinned[1].split()):
        floor = re.search(rf'"{name}>=([\d.]+),', project)
        assert floor and version == floor[1] + ".0", f"{name}: make oldest tries {version}"


def test_colab_keeps_its_own_torch():
    names = re.findall(
        r"^[\w-]+", (ROOT / "requirements-colab.txt").read_text(), flags=re.MULTILINE
    )
    assert names and not {"torch", "torchvision", "numpy"} & set(names)


def test_the_ci_script_is_executable_and_runs_the_readmes_command():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111, "chmod +x .ci/run"
    command = "make test CHAPTERS=all"
    assert script.read_text(encoding="utf-8").splitlines()[-1] == command
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
