"""The rules for notebooks, as checks that name the cell and say what was wanted.

The skeleton and the reasons for each rule are in CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from tools.notebook_cells import FORMULA
from tools.stamps import code_sha256, core_sha256, results_sha256

MAX_BYTES = 500_000
MAX_LINE, MAX_CELL_LINES, MAX_DEF_STATEMENTS = 79, 25, 10
MIN_EXERCISES, MIN_ALT = 3, 20
NAME = re.compile(r"\d\d_[a-z0-9_]+\.ipynb")
SECTIONS = (
    "One example",
    "What you will learn",
    "What it costs",
    "Limits",
    "Take-aways",
    "Exercises",
    "References",
)
ROLE = re.compile(r"\{(cite|term|numref|eq|ref|doc|math)(:\w+)?\}`")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")


def check_notebook(path: Path, notebook: Any, root: Path) -> list[str]:
    """List every broken rule of one notebook, as `where: what was found: what was wanted`."""
    faults = _file_faults(path) + _skeleton_faults(notebook) + _stamp_faults(notebook, root)
    for index, cell in enumerate(notebook["cells"]):
        name = cell.get("id", f"cell {index}")
        found = _code_faults(cell) if cell["cell_type"] == "code" else _prose_faults(cell)
        faults += [f"{name}: {fault}" for fault in found]
    faults += _order_faults(notebook) + _formula_faults(path, notebook)
    return [f"{path.name}: {fault}" for fault in faults]


def tags(cell: Any) -> list[str]:
    """Return a cell's tags."""
    return list(cell["metadata"].get("tags", []))


def _file_faults(path: Path) -> list[str]:
    faults = []
    if not NAME.fullmatch(path.name):
        faults.append("name: wanted two digits and a lower-case subject, such as 02_subject.ipynb")
    size = path.stat().st_size if path.is_file() else 0
    if size > MAX_BYTES:
        faults.append(f"{size:,} bytes: wanted at most {MAX_BYTES:,}; lower a figure's dpi or size")
    return faults


def _skeleton_faults(notebook: Any) -> list[str]:
    prose = [str(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"]
    text = "\n".join(prose)
    faults = []
    if not prose or not re.match(r"# \S", prose[0]):
        faults.append("first cell: wanted the title, `# ...`")
    if "**Claim.** By the end you will have shown" not in text:
        faults.append("no claim: wanted `**Claim.** By the end you will have shown that ...`")
    headings = re.findall(r"^## (.+?)\s*$", text, flags=re.MULTILINE)
    present = [heading for heading in headings if heading in SECTIONS]
    missing = [section for section in SECTIONS if section not in present]
    if missing:
        faults.append(f"missing sections {missing}: wanted them as `## ...`")
    elif present != list(SECTIONS):
        faults.append(f"sections in the order {present}: wanted {list(SECTIONS)}")
    exercises = len(re.findall(r"^### Exercise ", text, flags=re.MULTILINE))
    solutions = text.count("<details>")
    if exercises < MIN_EXERCISES or solutions < exercises:
        faults.append(
            f"{exercises} exercises and {solutions} folded solutions: wanted at least "
            f"{MIN_EXERCISES} `### Exercise ...`, each with a solution in <details>"
        )
    for tag in ("setup", "headline"):
        if not any(tag in tags(cell) for cell in notebook["cells"]):
            faults.append(f"no cell with the tag {tag!r}: wanted one")
    return faults


def _stamp_faults(notebook: Any, root: Path) -> list[str]:
    stamp = notebook["metadata"].get("vizer")
    if not stamp:
        return ["no stamp: run `make notebooks`"]
    faults = []
    if stamp["profile"] != "micro":
        faults.append(f"outputs of profile {stamp['profile']!r}: wanted 'micro'")
    if stamp["code_sha256"] != code_sha256(notebook):
        faults.append("its code has changed since its outputs were made: run `make notebooks`")
    if stamp["core_sha256"] != core_sha256(notebook, root):
        faults.append(
            "vizer_core or vizer_lab has changed since its outputs were made: run "
            "`make notebooks` (only files that this notebook imports count)"
        )
    read = stamp.get("results")
    if read is None:
        faults.append("no results in the stamp: run `make notebooks`")
    elif changed := [n for n, was in results_sha256(read, root).items() if was != read[n]]:
        faults.append(f"{', '.join(changed)} changed since it was read: run `make notebooks`")
    return faults


def _order_faults(notebook: Any) -> list[str]:
    counts = [
        cell["execution_count"]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and str(cell["source"]).strip()
    ]
    if counts != list(range(1, len(counts) + 1)):
        return [f"execution counts {counts}: wanted 1, 2, 3, ... from a clean kernel"]
    return []


def _formula_faults(path: Path, notebook: Any) -> list[str]:
    """Formulas are numbered 1, 2, 3, ..., and what the text calls a formula has a number."""
    if not NAME.fullmatch(path.name):
        return []
    text = "\n".join(str(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown")
    chapter, count = int(path.name[:2]), len(FORMULA.findall(text))
    numbers = [f"{chapter}.{number}" for number in range(1, count + 1)]
    faults = []
    if re.findall(r"\\tag\{([^}]*)\}", text) != numbers:
        faults.append("formulas are not numbered in their order: run `make notebooks`")
    spoken = re.findall(rf"\b[Ff]ormula \(({chapter}\.\d+)\)", text)
    faults += [f"formula ({n}): wanted one of {count}" for n in spoken if n not in numbers]
    return faults


def _code_faults(cell: Any) -> list[str]:
    source = str(cell["source"])
    lines = source.splitlines()
    faults = [
        f"line {n} has {len(line)} characters: wanted at most {MAX_LINE}"
        for n, line in enumerate(lines, 1)
        if len(line) > MAX_LINE
    ]
    generated = "setup" in tags(cell)
    full = sum(bool(re.search(r"\w", line)) for line in lines)  # lone brackets do not count
    if full > MAX_CELL_LINES and not generated:
        faults.append(f"{full} lines: wanted at most {MAX_CELL_LINES}; split the cell")
    if "concept" not in tags(cell) and not generated:
        faults += _definition_faults(source)
    return faults + _output_faults(cell)


def _definition_faults(source: str) -> list[str]:
    plain = "\n".join("pass" if re.match(r"[!%]", line) else line for line in source.splitlines())
    faults = []
    for node in ast.walk(ast.parse(plain)):
        if isinstance(node, ast.ClassDef):
            faults.append(f"class {node.name}: wanted it in a package, with a test")
        elif isinstance(node, ast.FunctionDef):
            length = sum(isinstance(part, ast.stmt) for part in ast.walk(node)) - 1
            if length > MAX_DEF_STATEMENTS:
                faults.append(
                    f"def {node.name} has {length} statements: wanted at most "
                    f"{MAX_DEF_STATEMENTS}, or the tag 'concept' if it is what the chapter "
                    "teaches, or a place in vizer_core or vizer_lab"
                )
    return faults


def _output_faults(cell: Any) -> list[str]:
    faults = []
    has_figure = False
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            faults.append(f"stored error {output['ename']}: wanted a clean run")
        data = output.get("data", {})
        has_figure |= any(kind.startswith("image/") for kind in data)
        text = str(output.get("text", "")) + str(data.get("text/plain", ""))
        if ADDRESS.search(text):
            faults.append("output shows a memory address: wanted a value, it changes at every run")
    alt = str(cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", ""))
    if has_figure and len(alt) < MIN_ALT:
        faults.append(
            f"figure with alt text {alt!r}: wanted what it shows in words, in the cell's "
            'metadata {"mystnb": {"image": {"alt": ...}}}'
        )
    return faults


def _prose_faults(cell: Any) -> list[str]:
    source = str(cell["source"])
    faults = []
    role = ROLE.search(source)
    if role:
        faults.append(f"role {role.group()!r}: Colab and GitHub show it raw; wanted a plain link")
    if re.search(r"!\[\s*\]\(", source):
        faults.append("image without a description: wanted ![what it shows](...)")
    return faults
