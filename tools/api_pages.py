"""Read the public names of a package from its source and write them as Markdown, a page a folder.

The source is parsed, not imported: the page needs no model, no optional package, and jaxtyping's
shapes appear as they are written.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections import Counter
from pathlib import Path

from tools.tables import cell, table

WIDTH = 76
PAGES = "book/api"  # the folder of the pages, and the page that lists them
SINGLE = "Files that stand in no folder."
AS_IT_STANDS = re.compile(r"^(?:>>>|\s+\S|[-*] |\d+\. |==)", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
NAMED = re.compile(r"^:name: (\S+)\n(?:class )?(\w+)", re.MULTILINE)
# a link to a name on the page that once held all of them goes on to the page of its folder
OLD_ANCHORS = """\
<script>
(() => {
  const wanted = location.hash.slice(1);
  const folder = (link) => link.pathname.match(/(\\w+)\\.html$/)[1].replaceAll("_", "-") + "-";
  const fits = [...document.querySelectorAll("article td a[href*='api/']")]
    .filter((link) => wanted.startsWith(folder(link)))
    .sort((a, b) => folder(b).length - folder(a).length);
  if (fits.length) location.replace(fits[0].href.split("#")[0] + "#" + wanted);
})();
</script>"""
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
    if rest.strip():  # a dropdown of Sphinx weighs three times that
        blocks.append(f"<details><summary>More</summary>\n\n{rest_markdown(rest)}\n\n</details>")
    return "\n\n".join(blocks)


def rest_markdown(rest: str) -> str:
    r"""Return a docstring after its summary: sentences as prose, examples and lists as they stand.

    >>> rest_markdown("Raises where\n`x` is 0.\n\n>>> f(1)\n2\n\n>>> f(2)\n3").splitlines()[:4]
    ['Raises where `x` is 0.', '', '```text', '>>> f(1)']
    """
    blocks: list[str] = []
    for part in re.split(r"\n\s*\n", rest.strip()):
        if not AS_IT_STANDS.search(part):
            blocks.append(escape(" ".join(part.split())))
        elif blocks and blocks[-1].endswith("\n```"):
            blocks[-1] = f"{blocks[-1][: -len('```')]}\n{part}\n```"
        else:
            blocks.append(f"```text\n{part}\n```")
    return "\n\n".join(blocks)


def escape(text: str) -> str:
    r"""Keep a docstring's marks from turning into Markdown, except its backticks.

    An option becomes code: as words, its hyphens would be set as a dash.

    >>> print(escape("a*b_c `d*e` <f> $g$, --quiet"))
    a\*b\_c `d*e` \<f> \$g\$, `--quiet`
    """
    pieces = text.replace("``", "`").split("`")
    for position in range(0, len(pieces), 2):
        for mark in "*_<[$":
            pieces[position] = pieces[position].replace(mark, "\\" + mark)
        pieces[position] = OPTION.sub(r"`\g<0>`", pieces[position])
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


def page_of(module: str) -> str:
    """Return the page of a module's folder, as Sphinx names it; single files share one.

    >>> page_of("vizer_core.gap.moments"), page_of("vizer_core.runtime")
    ('book/api/vizer_core_gap', 'book/api/vizer_core')
    """
    return f"{PAGES}/{'_'.join(module.split('.')[:-1])}"


def public_names(package: Path) -> dict[str, tuple[str, str]]:
    """Return the public functions and classes that one file alone has: their page and anchor."""
    found: dict[str, list[tuple[str, str]]] = {}
    for file in sorted(package.glob("[!_]*.py")) + sorted(package.glob("*/[!_]*.py")):
        module = module_name(package, file)
        for node in _public(ast.parse(file.read_text("utf-8"))):
            place = (page_of(module), anchor(module, node.name))
            found.setdefault(node.name, []).append(place)
    return {name: places[0] for name, places in found.items() if len(places) == 1}


def module_markdown(name: str, source: str) -> str:
    """Return one source file: what it is for, then its public functions and classes."""
    tree = ast.parse(source)
    parts = [f"## {name.rpartition('.')[2]}", f"`{name}`: {escape(summary_of(tree))}"]
    parts += [entry_markdown(node, name) for node in _public(tree)]
    return "\n\n".join(parts)


def summary_of(tree: ast.Module) -> str:
    """Return the first paragraph of a file's docstring on one line.

    >>> summary_of(ast.parse(repr("One\\nline.\\n\\nMore.")))
    'One line.'
    """
    return " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split())


def folder_pages(package: Path) -> dict[str, str]:
    """Return the pages of a package by file name: its single files, then a page a folder."""
    pages = {}
    for folder in [package, *sorted(path.parent for path in package.glob("*/__init__.py"))]:
        files = sorted(folder.glob("[!_]*.py"))
        if files:
            name = module_name(package, folder / "__init__.py")
            said = SINGLE if folder == package else escape(summary_of(_init(folder)))
            parts = [f"# {name}", said, f"Back to [all folders](../{PAGES.rpartition('/')[2]}.md)."]
            parts += [module_markdown(module_name(package, f), f.read_text("utf-8")) for f in files]
            pages[f"{name.replace('.', '_')}.md"] = "\n\n".join(parts) + "\n"
    return pages


def _init(folder: Path) -> ast.Module:
    return ast.parse((folder / "__init__.py").read_text("utf-8"))


def index_markdown(package: Path) -> str:
    """Return the table of a package's pages, what each is for, and below it all names, linked.

    Of a name that several files have, each link says which file.
    """
    rows, names = [], []
    for file, text in folder_pages(package).items():
        title, said, *_ = text.split("\n\n", 2)
        rows.append([f"[{title.removeprefix('# ')}](api/{file})", cell(said)])
        page = f"api/{Path(file).stem}.html"
        for part in text.split("\n## ")[1:]:
            one = part.partition("\n")[0]
            names += [(name, f"{page}#{place}", one) for place, name in NAMED.findall(part)]
    names.sort(key=lambda found: (found[0].lower(), found[1]))
    count = Counter(name for name, _, _ in names)
    links = [
        f'<a href="{place}"><code>{name if count[name] == 1 else f"{one}.{name}"}</code></a>'
        for name, place, one in names
    ]
    listed = "\n".join(["<p>", *links, "</p>"])
    title = f"### All names of {package.name}"
    return "\n\n".join([table(["folder", "what it is for"], rows), title, listed])


def write_api_pages(packages: list[Path], pages: Path, index: Path) -> None:
    """Write a page for each folder into `pages`, and the list of them to `index`."""
    shutil.rmtree(pages, ignore_errors=True)  # a folder that is gone leaves no page behind
    pages.mkdir(parents=True)
    for package in packages:
        for name, text in folder_pages(package).items():
            (pages / name).write_text(text, encoding="utf-8")
    parts = [f"## {package.name}\n\n{index_markdown(package)}" for package in packages]
    index.write_text("\n\n".join([*parts, OLD_ANCHORS]) + "\n", encoding="utf-8")
