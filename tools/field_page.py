"""The page of the field's systems: one table that can be filtered by what a system needs.

The table is plain HTML and holds all rows without a script; the few lines of script under it hide
rows. What a system needs and costs is asked for as a most: who has a CLIP can use what needs
nothing too. What was found stands early in a row, where a narrow page shows it. Nothing is fetched.
A second table says what encoders of open_clip's list ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from vizer_core.clip.needs import needs_table
from vizer_lab.studies.field_entry import CHANGES, COMPUTE, NEEDS
from vizer_lab.studies.field_study import measured_as, read_field, verdict
from vizer_lab.studies.field_systems import FIELD

HEADER = (
    *("system", "idea", "found", "measured", "changes", "needs", "compute", "function"),
    "papers",
)
AT_MOST = ("needs", "compute")  # their values are in order; a choice takes those before it too
SCRIPT = """<script>
(function () {
  const box = document.getElementById("field-systems");
  const chosen = box.querySelectorAll("select");
  const rows = box.querySelectorAll("tbody tr");
  const count = box.querySelector("output");
  function show() {
    let seen = 0;
    rows.forEach((row) => {
      const fits = Array.from(chosen).every((one) => {
        if (!one.value) return true;
        const place = Array.from(one.options).findIndex((o) => o.value === row.dataset[one.name]);
        return one.dataset.most ? place <= one.selectedIndex : place === one.selectedIndex;
      });
      row.hidden = !fits;
      seen += fits;
    });
    count.textContent = seen + " of " + rows.length + " systems";
  }
  chosen.forEach((one) => one.addEventListener("change", show));
  show();
})();
</script>"""


def choices(name: str, values: tuple[str, ...]) -> str:
    """Return a labelled list to choose from; empty stands for all.

    >>> choices("needs", ("labels",)).count("<option")
    2
    """
    options = "".join(f"<option>{escape(value)}</option>" for value in values)
    label, most = (f"{name} at most", ' data-most="yes"') if name in AT_MOST else (name, "")
    return (
        f'<label>{label} <select name="{name}"{most}><option value="">all</option>{options}'
        "</select></label>"
    )


def table_of(head: Sequence[str], rows: Sequence[str]) -> str:
    """Return a table of rows that are HTML already."""
    titles = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "\n".join(rows)
    return f'<table class="table"><thead><tr>{titles}</tr></thead><tbody>\n{body}\n</tbody></table>'


def cells_of(texts: Sequence[str]) -> str:
    """Return texts as cells of a row.

    >>> cells_of(["<a>", "b"])
    '<td>&lt;a&gt;</td><td>b</td>'
    """
    return "".join(f"<td>{escape(text)}</td>" for text in texts)


def encoders_html() -> str:
    """Return what encoders of the field need, as an HTML table."""
    found = needs_table()
    rows = [f"<tr>{cells_of(list(row.values()))}</tr>" for row in found]
    return table_of(list(found[0]), rows)


def field_markdown(root: Path) -> str:
    """Return the table with its filters, as HTML inside a Markdown page."""
    file = root / "results" / "field.json"
    known = read_field(file) if file.is_file() else None
    rows = []
    for s in FIELD:
        found = verdict(known.gains(s), known.control(s)) if known and s.row else ""
        where = f"{s.function} ({s.use})" if s.use else s.function
        texts = (s.name, s.idea, found, measured_as(s), s.changes, s.needs, s.compute, where)
        named = f'data-changes="{s.changes}" data-needs="{s.needs}" data-compute="{s.compute}"'
        rows.append(f"<tr {named}>{cells_of((*texts, s.papers))}</tr>")
    lists = (("changes", CHANGES), ("needs", NEEDS), ("compute", COMPUTE))
    return "\n".join(
        [
            '<div id="field-systems">',
            f"<p>{' '.join(choices(*each) for each in lists)} <output></output></p>",
            table_of(HEADER, rows),
            SCRIPT,
            "</div>",
            "",
            "## Encoders",
            "",
            "What encoders of the field, and some beside them, ask for before `load_clip` can read",
            "them: from the configurations that open_clip comes with; nothing was fetched.",
            "",
            encoders_html(),
        ]
    )
