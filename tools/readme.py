"""Write the parts of README.md that are read from the checkout: the tree, and what chapters cost.

    python -m tools.readme

Each file's half line is the first line of its own docstring, so the tree cannot say something else
than the file. A test fails when README.md is not what this would write.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tools.generated import chapters, notebooks_markdown

ROOT = Path(__file__).resolve().parents[1]
TOP = (
    ("book/", "prose: framing pages, notation, glossary, paper map, bibliography"),
    ("notebooks/", "one chapter a notebook, with the outputs of the micro profile"),
    ("results/", "one JSON file an experiment; the book's tables are made from them"),
    ("configs/", "accelerate launch: whole copies of a model, or one that is shared out"),
    ("experiments/", "commands that make the files in results/"),
    ("benchmarks/", "comparisons with reference implementations, run on your machine"),
    ("tests/", "mirrors the package; plus the rules of the house and the rendered book"),
    ("tools/", "runs the notebooks, builds and checks the book"),
    ("vizer_core/", "the package"),
)
NAME_WIDTH = 26
HALF_LINE = 84


def half_line(text: str) -> str:
    """Return the first line of a docstring, up to its colon where it is long.

    >>> half_line("The gap, as a stream: exact, mergeable.\\nMore.")
    'The gap, as a stream: exact, mergeable'
    """
    first = (text.strip().splitlines() or [""])[0].rstrip(".")
    return first if len(first) <= HALF_LINE else re.split(r"[:;]\s|\.\s", first)[0]


def docstring(file: Path) -> str:
    """Return the half line that a source file says about itself."""
    return half_line(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "")


def tree_lines(root: Path) -> list[str]:
    """List the checkout: folders, and each file of the package, with half a line each."""
    lines = [_line(name, text) for name, text in TOP]
    package = root / "vizer_core"
    for file in sorted(package.glob("*.py")):
        lines.append(_line(f"  {file.name}", docstring(file)))
    for init in sorted(package.glob("*/__init__.py")):
        lines.append(_line(f"  {init.parent.name}/", docstring(init)))
        for file in sorted(init.parent.glob("*.py")):
            if file.name != "__init__.py":
                lines.append(_line(f"    {file.name}", docstring(file)))
    return lines


def _line(name: str, text: str) -> str:
    return f"{name:<{NAME_WIDTH}}{text}".rstrip()


def filled(text: str, root: Path) -> str:
    """Return README's text with the parts between the marks written anew."""
    parts = {
        "tree": "```text\n" + "\n".join(tree_lines(root)) + "\n```",
        "chapters": notebooks_markdown(chapters(root)).replace("(../notebooks/", "(notebooks/"),
    }
    for name, content in parts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", flags=re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"README.md has no <!-- {name} --> ... <!-- /{name} -->: put it back")
        text = pattern.sub(lambda match, new=content: f"{match[1]}{new}\n{match[2]}", text)
    return text


def main() -> None:
    """Rewrite README.md in place."""
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text(encoding="utf-8"), ROOT), encoding="utf-8")


if __name__ == "__main__":
    main()
