"""Formulas as MathML, which readers of ePubs show without a script: a math renderer for Sphinx.

docutils turns TeX into MathML; what it does not know is spelled differently first. A formula that
it cannot read all the same is shown as its TeX.
"""

from __future__ import annotations

import re
from html import escape
from html.entities import html5
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import MathError, tex2mathml

KEPT = ("lt", "gt", "amp", "quot")  # the entities that XML knows


def plain_tex(tex: str) -> str:
    r"""Spell a formula in the commands that docutils knows.

    >>> plain_tex(r"\mathrm{unit}\big(u_1, \dots\big)"), plain_tex("_G")
    ('\\mathrm{unit}(u_1, \\ldots)', '{}_G')
    >>> plain_tex(r"a = b \tag{3.1}")
    'a = b \\qquad (3.1)'
    """
    tex = re.sub(r"\\[bB]ig+[lrm]?(?![a-zA-Z])", "", tex.strip())
    tex = re.sub(r"\\dots[bcm]?(?![a-zA-Z])", r"\\ldots", tex)
    tex = re.sub(r"\\tag\{([\d.]+)\}", r"\\qquad (\1)", tex)
    return "{}" + tex if tex[:1] in ("_", "^") else tex


def with_characters(markup: str) -> str:
    """Put characters in place of HTML's named entities, which XML does not know.

    >>> with_characters("f<mo>&ApplyFunction;</mo>x &lt; y") == "f<mo>\u2061</mo>x &lt; y"
    True
    """

    def one(match: re.Match[str]) -> str:
        return match[0] if match[1] in KEPT else html5.get(f"{match[1]};", match[0])

    return re.sub(r"&(\w+);", one, markup)


def mathml(tex: str, *, block: bool) -> str:
    r"""Return a formula as MathML, or as code where it cannot be read.

    >>> print(mathml("x", block=False).replace("\n", ""))
    <math xmlns="http://www.w3.org/1998/Math/MathML">  <mi>x</mi></math>
    >>> mathml(r"\nonsense{x}", block=False)
    '<code>\\nonsense{x}</code>'
    """
    try:
        return with_characters(tex2mathml(plain_tex(tex), as_block=block))
    except (MathError, IndexError):
        return f"<code>{escape(tex)}</code>"


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(mathml(node.astext(), block=False))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula on a line of its own, with its number."""
    number = f"<span>({node['number']})</span>" if node.get("number") else ""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(f"{number}{mathml(node.astext(), block=True)}</div>\n")
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Give Sphinx the renderer `mathml`."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
