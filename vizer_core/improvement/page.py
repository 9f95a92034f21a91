"""`report.html`: what `improve` did, as one file that needs no network, for a telephone too.

Images are held inside as small JPEGs, figures as SVG. Which images are shown: those whose captions
changed most in score first, then the worst cases by the rule that the page prints.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from vizer_core.files import atomic_path
from vizer_core.improvement.figures import curves_svg, ladder_svg
from vizer_core.improvement.outcome import SHOWN, WORST, Improvement, ceiling_words

SHORT = ' class="short"'  # of a cell that stays on one line
THUMB = 320  # pixels a side, at most
STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --faint: #5d6470; --paper: #ffffff;
  --line: #d8dce2; --card: #f5f6f8; --new: #d9f2de; --old: #fbdfdd; --accent: #1f6fb2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --faint: #a3abb8; --paper: #15181c;
  --line: #353b44; --card: #1e2228; --new: #1d4a2a; --old: #5a2623; --accent: #6db3f2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
code, pre { font: .9em ui-monospace, monospace; background: var(--card); border-radius: 4px; }
code { padding: .1em .3em; } pre { padding: .7rem; white-space: pre-wrap; }
.faint { color: var(--faint); } .lead { font-size: 1.1rem; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem; }
.card img { display: block; width: 100%; height: 12rem; object-fit: contain; }
.card p { margin: .4rem 0; } .label { color: var(--faint); font-size: .85rem; display: block; }
ins { background: var(--new); text-decoration: none; padding: 0 .1em; }
del { background: var(--old); padding: 0 .1em; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
th, td { text-align: left; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tr.best td { font-weight: 600; } th, td.short { white-space: nowrap; }
svg { max-width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .axis { stroke: var(--line); } svg .mark { stroke: var(--accent); fill: var(--accent); }
svg .curve { stroke: var(--accent); fill: none; stroke-width: 2; } svg .faint { fill: var(--faint); }
@media (max-width: 40rem) {
  table.ladder thead { display: none; }
  table.ladder tr { display: block; border-bottom: 1px solid var(--line); padding: .5rem 0; }
  table.ladder td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0; }
  table.ladder td::before { content: attr(data-name); color: var(--faint); font-weight: 400; flex: none; }
  table.ladder td:first-child { font-weight: 600; } table.ladder td:first-child::before { content: none; }
}
"""  # noqa: E501


def write_page(path: Path, done: Improvement, images: Sequence[Image.Image]) -> None:
    """Write the page of an improvement; `images` are the held-out ones, in the report's order."""
    with atomic_path(path) as temporary:
        temporary.write_text(page_of(done, images), encoding="utf-8")


def page_of(done: Improvement, images: Sequence[Image.Image]) -> str:
    """Return the page as HTML."""
    record = done.record
    shown, worst = chosen(record["captions"])
    parts = [
        f"<h1>What unlabelled images buy <code>{escape(str(record['model']))}</code></h1>",
        _summary(done),
        "<h2>The ladder, on held-out images</h2>",
        f"<p>{_ladder_words(record)}</p>",
        ladder_svg(record["ladder"]),
        _table(record["ladder"], record["recommended"]["name"]),
        "<h2>Captions before and after</h2>",
        "<p>Held-out images, changed captions first, by how much the score changed; words that "
        "are <ins>new</ins> and words that are <del>gone</del>.</p>",
        _cards(shown, record["captions"], images),
        "<h2>The worst cases</h2>",
        f"<p>Rule: the images, at most {WORST}, whose score fell most from before to after.</p>",
        _cards(worst, record["captions"], images) if worst else "<p>None: no score fell.</p>",
        _training(record),
        "<h2>What was tried first</h2>",
        f"<p>On {record['images']['looked_at']} other images, to choose a word or a prompt.</p>",
        _table(record["look"], record["recommended"]["name"]),
        _settings(record),
    ]
    title = f"vizer improve: {escape(str(record['model']))}"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{title}</title>'
        f"<style>{STYLE}</style>"
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def chosen(captions: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[int]]:
    """Return the rows to show, and the worst ones: whose score fell most.

    >>> rows = [{"before": "a", "after": b, "score": s} for b, s in (("a", 0), ("b", 1), ("c", -2))]
    >>> chosen(rows)
    ([2, 1, 0], [2])
    """
    rows = range(len(captions))
    changed = {row: captions[row]["before"] != captions[row]["after"] for row in rows}
    order = sorted(rows, key=lambda row: (not changed[row], -abs(captions[row]["score"])))
    worst = sorted(rows, key=lambda row: captions[row]["score"])[:WORST]
    return order[:SHOWN], [row for row in worst if captions[row]["score"] < 0]


def marked(before: str, after: str) -> tuple[str, str]:
    """Return both captions as HTML, words that are gone or new marked.

    >>> marked("a cat", "a big cat")
    ('a cat', 'a <ins>big</ins> cat')
    """
    old, new = before.split(), after.split()
    sides: tuple[list[str], list[str]] = ([], [])
    for tag, a, b, c, d in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        for side, words, mark in ((sides[0], old[a:b], "del"), (sides[1], new[c:d], "ins")):
            said = escape(" ".join(words))
            if said:
                side.append(said if tag == "equal" else f"<{mark}>{said}</{mark}>")
    return " ".join(sides[0]), " ".join(sides[1])


def _summary(done: Improvement) -> str:
    record = done.record
    first, *rest = record["says"]
    lines = map(_sentence, (record["training"]["why"], *rest))
    said = "".join(f"<p>{escape(line)}</p>" for line in lines)
    skipped = record["images"]["skipped"]
    left_out = f" ({len(skipped)} more could not be read)" if skipped else ""
    counts = (
        f"{record['images']['all']} images{left_out}: {record['images']['looked_at']} to try on, "
        f"{record['images']['held_out']} held out, {record['images']['trained_on']} trained on."
    )
    return (
        f'<p class="lead">{escape(_sentence(first))}</p>{said}<p class="faint">{counts}</p>'
        f"<pre>{escape(done.command)}</pre>"
    )


def _sentence(line: str) -> str:
    """Begin with a capital and end with a full stop.

    >>> _sentence("nothing is trained: --train never")
    'Nothing is trained: --train never.'
    """
    return line[:1].upper() + line[1:] + ("" if line.endswith((".", ")")) else ".")


def _ladder_words(record: Mapping[str, Any]) -> str:
    return (
        f"On {record['images']['held_out']} images that nothing was chosen or trained on. A dot is "
        "the share of images on which a way's caption is preferred to that of the model as it is, "
        "by the model's own reading of views that the caption was not made from; bars are 95% "
        "intervals over images, one half is no difference. A way is recommended only where it is "
        "clearly better than the cheaper one that it replaces."
    )


def _share(interval: Mapping[str, float]) -> str:
    return f"{interval['mean']:.0%} [{interval['low']:.0%}, {interval['high']:.0%}]"


def _table(rungs: Sequence[Mapping[str, Any]], best: str) -> str:
    names = ("way", "preferred", "nats per token", "changed", "words", "vague", "repeats", "cost")
    rows = []
    for rung in rungs:
        agreement = rung["agreement"]
        nats = agreement["per_token"]
        values = (
            escape(rung["way"]["name"]),
            _share(agreement["preferred"]),
            f"{nats['mean']:+.2f} [{nats['low']:+.2f}, {nats['high']:+.2f}]",
            f"{agreement['changed']:.0%}",
            f"{rung['length']:.1f}",
            f"{rung['vague']:.0%}",
            f"{rung['repetition']:.0%}",
            f"{rung['cost']}; {rung['seconds']:.2g} s an image",
        )
        cells = "".join(
            f'<td data-name="{name}"{"" if name in ("way", "cost") else SHORT}>{value}</td>'
            for name, value in zip(names, values)
        )
        mark = ' class="best"' if rung["way"]["name"] == best else ""
        rows.append(f"<tr{mark}>{cells}</tr>")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(rows)
    return (
        f'<table class="ladder"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        '<p class="faint">vague: captions that their image makes no likelier than other images do; '
        "repeats: word pairs that a caption has said before.</p>"
    )


def _training(record: Mapping[str, Any]) -> str:
    training = record["training"]
    if "history" not in training:
        return ""
    config, history = training["config"], training["history"]
    rows = "".join(
        f"<tr><td>{sample['step']}</td><td>{'<br>'.join(map(escape, sample['captions']))}</td></tr>"
        for sample in training["samples"]
    )
    kl = f", KL from the base {training['kl']:.2f} nats per token" if "kl" in training else ""
    return (
        "<h2>The training</h2>"
        f"<p>{len(history['loss'])} steps of {config['images_per_step']} images, learning rate "
        f"{config['learning_rate']:g}, KL ceiling {ceiling_words(config['max_kl'])}{kl}.</p>"
        f"{curves_svg({'loss': history['loss'], 'KL': history['kl']})}"
        f"<table><thead><tr><th>step</th><th>captions of two held-out images</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _cards(
    rows: Sequence[int], captions: Sequence[Mapping[str, Any]], images: Sequence[Image.Image]
) -> str:
    found = []
    for row in rows:
        said = captions[row]
        before, after = marked(said["before"], said["after"])
        more = (
            f'<p><span class="label">adapter, one view</span>{escape(said["adapter"])}</p>'
            if "adapter" in said
            else ""
        )
        name = escape(str(said["image"]))
        found.append(
            f'<div class="card"><img src="{_thumb(images[row])}" alt="{name}">'
            f'<p class="faint">{name}</p>'
            f'<p><span class="label">before</span>{before}</p>'
            f'<p><span class="label">after ({said["score"]:+.1f} nats)</span>{after}</p>'
            f"{more}</div>"
        )
    return f'<div class="cards">{"".join(found)}</div>'


def _thumb(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((THUMB, THUMB))
    held = io.BytesIO()
    small.save(held, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}"


def _settings(record: Mapping[str, Any]) -> str:
    asked = {key: value for key, value in record["job"].items() if value is not None}
    seconds = {f"seconds, {part}": value for part, value in record["seconds"].items()}
    rows = "".join(
        f"<tr><td>{escape(str(key))}</td><td>{escape(str(value))}</td></tr>"
        for key, value in (asked | record["limits"] | seconds).items()
    )
    skipped = record["images"]["skipped"]
    files = (
        "<h2>Files that were left out</h2><ul>"
        + "".join(f"<li>{escape(line)}</li>" for line in skipped)
        + "</ul>"
        if skipped
        else ""
    )
    return f"<h2>Settings and cost</h2><table><tbody>{rows}</tbody></table>{files}"
