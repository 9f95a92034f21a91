"""Read the public names of a package from its source and write them as Markdown.

The source is parsed, not imported: the page needs no model, no optional package, and jaxtyping's
shapes appear as they are written.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

WIDTH = 76
Function = ast.FunctionDef | ast.AsyncFunctionDef


def signature(function: Function) -> str:
    """Return a function's signature on one line, or one argument a line where it is long.

    >>> signature(ast.parse("def f(x: int, *, y: str = 'a') -> bool: ...").body[0])
    "f(x: int, *, y: str='a') -> bool"
    """
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    short = f"{function.name}({ast.unparse(function.args)}){returns}"
    if len(short) <= WIDTH:
        return short
    parts = _split_arguments(ast.unparse(function.args))
    return "\n".join([f"{function.name}(", *(f"    {part}," for part in parts), f"){returns}"])


def _split_arguments(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and quotes."""
    parts, depth, start, quote = [], 0, 0, ""
    for position, mark in enumerate(text):
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "'\"":
            quote = mark
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
        elif mark == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]


def class_outline(node: ast.ClassDef) -> str:
    """Return a class as its fields and the signatures of its public methods."""
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    lines = [f"class {node.name}({bases})" if bases else f"class {node.name}"]
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and not ast.unparse(item.target).startswith("_"):
            lines.append(f"    {ast.unparse(item)}")
        elif isinstance(item, Function) and not item.name.startswith("_"):
            lines += [f"    {line}" for line in method_outline(item).splitlines()]
    return "\n".join(lines)


def method_outline(function: Function) -> str:
    """Return a method as it is called: without `self`, a property as the value it is.

    >>> method_outline(ast.parse("@property\\ndef n(self) -> int: ...").body[0])
    'n: int'
    """
    marks = {ast.unparse(mark) for mark in function.decorator_list}
    if marks & {"property", "cached_property", "functools.cached_property"}:
        return f"{function.name}: {ast.unparse(function.returns)}" if function.returns else ""
    if "staticmethod" not in marks:
        first = function.args.posonlyargs or function.args.args
        del first[:1]
    return signature(function)


def anchor(module: str, name: str) -> str:
    """Return where on the page a name stands; Sphinx knows no capitals, so a class says it is one.

    >>> anchor("vizer_core.gap.moments", "moments"), anchor("vizer_core.gap.moments", "Moments")
    ('vizer-core-gap-moments-moments', 'vizer-core-gap-moments-moments-class')
    """
    plain = re.sub(r"[^a-z0-9]+", "-", f"{module}.{name}".lower()).strip("-")
    return f"{plain}-class" if name[0].isupper() else plain


def entry_markdown(node: Function | ast.ClassDef, module: str) -> str:
    """Return one public name of a module: its signature and its docstring."""
    head = class_outline(node) if isinstance(node, ast.ClassDef) else signature(node)
    place = f":class: signature\n:name: {anchor(module, node.name)}"
    blocks = [f"```{{code-block}} python\n{place}\n{head}\n```"]
    doc = ast.get_docstring(node) or ""
    summary, _, rest = doc.partition("\n\n")
    if summary:
        blocks.append(escape(" ".join(summary.split())))
    if rest.strip():
        blocks.append(f"````{{dropdown}} More\n```text\n{rest.strip()}\n```\n````")
    return "\n\n".join(blocks)


def escape(text: str) -> str:
    r"""Keep a docstring's marks from turning into Markdown, except its backticks.

    >>> print(escape("a*b_c `d*e` <f> $g$"))
    a\*b\_c `d*e` \<f> \$g\$
    """
    pieces = text.replace("``", "`").split("`")
    for position in range(0, len(pieces), 2):
        for mark in "*_<[$":
            pieces[position] = pieces[position].replace(mark, "\\" + mark)
    return "`".join(pieces)


def module_name(package: Path, file: Path) -> str:
    """Return the dotted name of a source file, a package's own for its `__init__`."""
    parts = [package.name, *file.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _public(tree: ast.Module) -> list[Function | ast.ClassDef]:
    return [
        node
        for node in tree.body
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")
    ]


def public_names(package: Path) -> dict[str, str]:
    """Return the public functions and classes that one file alone has, and their anchors."""
    found: dict[str, list[str]] = {}
    for file in sorted(package.glob("[!_]*.py")) + sorted(package.glob("*/[!_]*.py")):
        module = module_name(package, file)
        for node in _public(ast.parse(file.read_text("utf-8"))):
            found.setdefault(node.name, []).append(anchor(module, node.name))
    return {name: places[0] for name, places in found.items() if len(places) == 1}


def module_markdown(name: str, source: str) -> str:
    """Return one source file: what it is for, then its public functions and classes."""
    tree = ast.parse(source)
    summary = (ast.get_docstring(tree) or "").partition("\n\n")[0]
    public = _public(tree)
    parts = [f"### {name.rpartition('.')[2]}", f"`{name}`: {escape(' '.join(summary.split()))}"]
    parts += [entry_markdown(node, name) for node in public]
    return "\n\n".join(part for part in parts if part)


def api_markdown(package: Path) -> str:
    """Return every public name of a package, by subject; commands describe themselves."""
    top = sorted(package.glob("[!_]*.py"))
    top = [file for file in top if file.name != "cli.py"]
    parts = [f"## Single files of {package.name}"] if top else []
    parts += [module_markdown(module_name(package, file), file.read_text("utf-8")) for file in top]
    for folder in sorted(path.parent for path in package.glob("*/__init__.py")):
        files = [file for file in sorted(folder.glob("*.py")) if not file.name.startswith("_")]
        init = ast.parse((folder / "__init__.py").read_text("utf-8"))
        parts.append(f"## Folder {package.name}.{folder.name}")
        parts.append(escape((ast.get_docstring(init) or "").partition("\n\n")[0]))
        parts += [
            module_markdown(module_name(package, file), file.read_text("utf-8")) for file in files
        ]
    return "\n\n".join(part for part in parts if part)
