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

from tools import readme

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "vizer_core"
RANKS = {
    "shapes": 0, "runtime": 0, "store": 0, "decoding": 0, "hub": 0, "processes": 0,
    "cache_argument": 0, "overflow": 0,
    "data": 1, "metrics": 1, "tracking": 1, "sharding": 1,
    "clip": 2, "language": 2, "vlm": 2,
    "micro": 3, "gap": 3, "textonly": 3, "costs": 3,
    "captioners": 4, "vizer": 4,
    "vqa": 5, "evaluate": 5, "figures": 5, "study": 5,
    "vlm_study": 6, "caption_study": 6, "improvement_study": 6, "cli": 6,
    "__main__": 7, "__init__": 7,
}  # fmt: skip
VAGUE_NAMES = {"utils", "util", "common", "misc", "helpers", "helper", "base_utils"}
SLOW_IMPORTS = ("transformers", "umap", "matplotlib", "open_clip", "sklearn", "pandas", "typer")
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS, MAX_EXPORTS = 400, 80, 7, 20
VERDICTS = {"holds", "does not hold", "not testable here"}
SCORE = {"system", "metric", "mean", "low", "high", "n", "seeds"}
SCHEMA = {
    "scores": SCORE,
    "differences": SCORE | {"against"},
    "claims": {"claim", "source", "verdict", "evidence"},
}
RESULT_FILES = (
    "gap_micro.json",
    "metrics_micro.json",
    "maccap_micro.json",
    "vizer_micro.json",
)


def sources(package: Path = PACKAGE) -> list[Path]:
    return sorted(package.rglob("*.py"))


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name


def subject_of(file: Path, package: Path) -> str:
    """Return the folder of a source file, or its own name if it stands at the top."""
    return file.relative_to(package).parts[0].removesuffix(".py")


def imported_subjects(source: str) -> Iterator[str]:
    """Yield the subjects of vizer_core that a source imports anywhere, functions included."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}: wanted an absolute one"
            base = node.module or ""
            names = [f"{base}.{a.name}" for a in node.names] if base == "vizer_core" else [base]
        for name in names:
            if name.startswith("vizer_core."):
                yield name.split(".")[1]


def layer_faults(package: Path) -> list[str]:
    """List imports that go sideways or up, and subjects without a rank."""
    faults = []
    for file in sources(package):
        own = subject_of(file, package)
        if own not in RANKS:
            faults.append(f"{relative(file)}: no rank for {own!r}; give it one in RANKS")
            continue
        for other in imported_subjects(file.read_text(encoding="utf-8")):
            if other != own and RANKS.get(other, 99) >= RANKS[own]:
                faults.append(
                    f"{relative(file)} (rank {RANKS[own]}) imports {other} "
                    f"(rank {RANKS.get(other, 'none')}): wanted lower ranks only"
                )
    return faults


def test_folders_import_only_lower_ranks_and_their_own_files():
    assert layer_faults(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "line", "wanted"),
    [
        ("gap/stats.py", "from vizer_core.micro import world", "imports micro (rank 3)"),
        ("data/coco.py", "def f():\n    import vizer_core.clip.encoder", "imports clip (rank 2)"),
        ("shapes.py", "from vizer_core import cli", "imports cli (rank 6)"),
        ("gap/stats.py", "from vizer_core.odd import x", "imports odd (rank none)"),
        ("odd/x.py", "", "no rank for 'odd'"),
    ],
)
def test_an_import_that_goes_up_or_sideways_is_named(file, line, wanted, tmp_path):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(line)
    assert len(layer_faults(tmp_path)) == 1 and wanted in layer_faults(tmp_path)[0]


def test_no_folder_stands_inside_a_folder():
    nested = [relative(f) for f in sources() if len(f.relative_to(PACKAGE).parts) > 2]
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
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                faults.append(f"{where} has {length} lines")
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = len([a for a in arguments if a.arg not in ("self", "cls")])
            # a command's options are its user's, not its caller's
            if count > MAX_PARAMETERS and subject_of(file, PACKAGE) != "cli":
                faults.append(f"{where} has {count} parameters")
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


def test_packages_export_few_names_and_all_of_them_exist():
    for init in PACKAGE.rglob("__init__.py"):
        name = ".".join(init.parent.relative_to(ROOT).parts)
        exported = getattr(importlib.import_module(name), "__all__", [])
        assert len(exported) <= MAX_EXPORTS, f"{name} exports {len(exported)} names"
        missing = [n for n in exported if not hasattr(importlib.import_module(name), n)]
        assert missing == [], f"{name} exports names that do not exist"


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, vizer_core; print([m for m in {SLOW_IMPORTS} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_reads_pickles():
    pattern = re.compile(r"pickle\.loads?\(|weights_only=False|allow_pickle=True")
    found = [relative(f) for f in sources() if pattern.search(f.read_text(encoding="utf-8"))]
    assert found == []


def test_readme_shows_the_tree_and_the_chapters_as_they_are():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    wanted = readme.filled(text, ROOT)
    seconds = re.compile(r"\| \d+ s \|")  # another run of the same code may take longer
    assert seconds.sub("", text) == seconds.sub("", wanted), "README.md is behind: `make readme`"


def test_every_top_level_folder_is_in_the_tree():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folders = {f"{name.split('/')[0]}/" for name in tracked if "/" in name}
    shown = {name for name, _ in readme.TOP}
    assert {name for name in folders if not name.startswith(".")} <= shown


def test_a_readme_without_its_marks_is_refused():
    with pytest.raises(ValueError, match=r"README\.md has no <!-- tree -->"):
        readme.filled("# Title", ROOT)


def test_the_python_of_the_readme_runs(capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(snippet, "README.md", "exec"), {})
    assert re.search(r"gap \d\.\d\d, pair cosine -?\d\.\d\d", capsys.readouterr().out)


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
        home = re.search(r"Functions of `(vizer_core\.\w+)`, tests in `(tests/\w+/)`", section)
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
    assert script.read_text(encoding="utf-8").rstrip().endswith("make test")
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")
