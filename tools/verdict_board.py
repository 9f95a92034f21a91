"""Write what the verdict board on the page of results shows: claims, their numbers, all scores.

The board is `book/_static/explorers/verdicts.js`. Its data are made from `results/` at each build,
into `book/_generated/static/explorers/`, so they cannot differ from the tables below the board. For
readers without scripts there is a table of totals in its place.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.results_pages import has_page, heading_of, named, studies
from tools.tables import cell, table
from vizer_lab.names import in_words, sentence_in_words

FILE = Path("static", "explorers", "verdicts_data.js")
VERDICTS = ("holds", "does not hold", "not testable here")
_NUMBER = r"[+\-\u2212]?\d*\.?\d+"
_PART = re.compile(
    rf"^(?P<words>.*?):?\s*(?P<mean>{_NUMBER})\s*[\[(](?P<low>{_NUMBER})(?:,| to)\s*"
    rf"(?P<high>{_NUMBER})[\])](?P<rest>.*)$"
)


def evidence_parts(evidence: str) -> list[list[Any]]:
    """Cut the evidence of a claim into numbers and words.

    A number is [words, mean, low, high, whether it is a difference]: a difference is written with
    its sign. What has no interval stays as [words].

    >>> evidence_parts("a - b: CIDEr +0.1 (+0.0 to +0.2); n 90; cls gap 0.5 [0.4, 0.6]")
    [['a - b: CIDEr', 0.1, 0.0, 0.2, True], ['n 90'], ['cls gap', 0.5, 0.4, 0.6, False]]
    """
    parts: list[list[Any]] = []
    for part in re.split(r"; |(?<=[\])])\. ", evidence):
        if found := _PART.match(part):
            mean, low, high = (found[key].replace("\u2212", "-") for key in ("mean", "low", "high"))
            words = f"{found['words'].strip()} {found['rest'].strip()}".strip()
            signed = mean[0] in "+-"
            parts.append([words, float(mean), float(low), float(high), signed])
        else:
            parts.append([part])
    return parts


def claim_id(study: str, claim: str) -> str:
    """Return a claim's name in an address: it stays when other claims come or go.

    >>> claim_id("gap_drawn", "A gap separates images and texts, at any scale")
    'gap_drawn-a-gap-separates-images-and-texts-at-any-scale'
    """
    words = re.sub(r"[^a-z0-9]+", "-", claim.lower()).strip("-")
    return f"{study}-{words}"


def _unique(ids: Iterable[str]) -> list[str]:
    """Number what is there more than once: benchmarks make one claim of several runs."""
    seen: Counter[str] = Counter()
    found = []
    for identity in ids:
        seen[identity] += 1
        found.append(identity if seen[identity] == 1 else f"{identity}-{seen[identity]}")
    return found


def study_data(name: str, result: dict[str, Any], pages: Path) -> dict[str, Any]:
    """Return one study as the board reads it: claims, and scores by the places of their names."""
    title = result["experiment"].replace("_", " ").capitalize()
    if has_page(result):
        title, _ = heading_of(pages / f"results_{name}.md")
    scores = [row for row in named(result.get("scores", [])) if row["mean"] is not None]
    systems = list(dict.fromkeys(row["system"] for row in scores))
    metrics = list(dict.fromkeys(row["metric"] for row in scores))
    ids = _unique(claim_id(name, claim["claim"]) for claim in result.get("claims", []))
    return {
        "name": name,
        "title": title,
        "page": f"results_{name}.html" if has_page(result) else None,
        "claims": [
            {
                "id": identity,
                "claim": sentence_in_words(claim["claim"], name),
                **{key: claim.get(key, "") for key in ("verdict", "source")},
                "rule": sentence_in_words(claim.get("rule", ""), name),
                "parts": evidence_parts(sentence_in_words(claim["evidence"], name)),
            }
            for identity, claim in zip(ids, result.get("claims", []))
        ],
        "systems": [in_words(system, name) for system in systems],
        "keys": systems,  # by these one finds a row in the file
        "metrics": [in_words(metric, name) for metric in metrics],
        "rows": [
            [
                systems.index(row["system"]),
                metrics.index(row["metric"]),
                *(row[key] for key in ("mean", "low", "high")),
                row.get("n"),
            ]
            for row in scores
        ],
    }


def board_data(root: Path) -> list[dict[str, Any]]:
    """Return every study of a checkout that has claims or scores, as the board reads it."""
    found = [
        study_data(name, result, root / "book")
        for name, result in studies(root / "results").items()
    ]
    return [study for study in found if study["claims"] or study["rows"]]


def totals_markdown(data: list[dict[str, Any]]) -> str:
    """Return the place of the board, with a table of totals for readers without scripts."""
    rows = []
    for study in data:
        if study["claims"]:
            counts = Counter(claim["verdict"] for claim in study["claims"])
            rows.append([cell(study["title"]), *(str(counts[v]) for v in VERDICTS)])
    sums = [str(sum(int(row[k]) for row in rows)) for k in range(1, len(VERDICTS) + 1)]
    rows.append(["**all**", *(f"**{n}**" for n in sums)])
    totals = table(["study", *VERDICTS], rows)
    return f'<div data-explorer="verdicts">\n\n{totals}\n\n</div>'


def write_verdict_board(root: Path, folder: Path) -> None:
    """Write the board's data and the page part that holds its place into `folder`."""
    data = board_data(root)
    file = folder / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"studies": data}, ensure_ascii=False, separators=(",", ":"))
    file.write_text(f"window.Explorers.data.verdicts = {text};\n", encoding="utf-8")
    (folder / "verdicts.md").write_text(totals_markdown(data) + "\n", encoding="utf-8")
