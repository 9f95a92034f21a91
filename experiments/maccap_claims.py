"""MacCap's claims about captions and answers, each with its rule and the rows that it reads.

A claim that one system beats another holds when the paired difference lies above zero, over
images and seeds, in every metric of its rule. Object F1 is always among them: a model that hardly
sees earns CIDEr by fluency alone. Rules read the rounded numbers of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Key = tuple[str, str, str]  # system, against, metric
Rows = Mapping[Key, dict]
CAPTIONS = ("object_f1", "cider")
ANSWERS = ("top1",)
WORDS = {"object_f1": "object F1", "cider": "CIDEr", "top1": "top-1"}


@dataclass(frozen=True)
class Claim:
    """A statement, where the paper makes it, and the differences that must lie above zero."""

    claim: str
    source: str
    pairs: tuple[tuple[str, str], ...]
    metrics: tuple[str, ...] = CAPTIONS

    @property
    def keys(self) -> tuple[Key, ...]:
        """The rows that the rule reads."""
        return tuple((a, b, metric) for a, b in self.pairs for metric in self.metrics)


def _beats(winner: str, losers: Sequence[str], prefix: str = "") -> tuple[tuple[str, str], ...]:
    return tuple((prefix + winner, prefix + loser) for loser in losers)


LONG_CHECK = "our check that the comparison does not rest on a short run"

CLAIMS = (
    Claim(
        "Noise in training helps a captioner that reads one feature",
        "MacCap, Table 5, training rows",
        _beats("capdec", ["baseline"]),
    ),
    Claim(
        "The same after training four times as long",
        LONG_CHECK,
        _beats("capdec_long", ["baseline_long"]),
    ),
    Claim(
        "Several tokens need noise: with it they beat the same tokens without",
        "MacCap, Table 5, training rows",
        _beats("maccap_pass_global", ["multi_clean"]),
    ),
    Claim(
        "The same, of several tokens, after training four times as long",
        LONG_CHECK,
        _beats("maccap_pass_global_long", ["multi_clean_long"]),
    ),
    Claim(
        "Several noisy tokens beat one noisy token",
        "MacCap, Table 5, training rows",
        _beats("maccap_pass_global", ["capdec"]),
    ),
    Claim(
        "The same, against one noisy token, after training four times as long",
        LONG_CHECK,
        _beats("maccap_pass_global_long", ["capdec_long"]),
    ),
    Claim(
        "Sub-regions beat copies of the global feature",
        "MacCap, Table 5, inference rows",
        _beats("maccap_pass", ["maccap_pass_global"]),
    ),
    Claim(
        "Sampling and filtering helps",
        "MacCap, Table 5, inference rows",
        _beats("maccap", ["maccap_pass"]),
    ),
    Claim(
        "In its own domain MacCap beats CapDec and the baseline",
        "MacCap, Table 3",
        _beats("maccap", ["capdec", "baseline"]),
    ),
    Claim(
        "The same, in its own domain, after training four times as long",
        LONG_CHECK,
        _beats("maccap_long", ["capdec_long", "baseline_long"]),
    ),
    Claim(
        "The same, with a CLIP whose patches were trained",
        "MacCap, Table 3; our test of a suspect",
        _beats("maccap", ["capdec"], "trained_patches:"),
    ),
    Claim(
        "With trained patches sub-regions beat copies of the global feature",
        "MacCap, Table 5, inference rows; our test of a suspect",
        _beats("maccap", ["maccap_global"], "trained_patches:"),
    ),
    Claim(
        "In its own domain MacCap beats DeCap, CLIPRe, MAGIC and ZeroCap",
        "MacCap, Table 3",
        _beats("maccap", ["decap", "clipre", "magic", "zerocap"]),
    ),
    Claim(
        "With texts of another domain MacCap beats CapDec, DeCap and CLIPRe",
        "MacCap, Table 2",
        _beats("maccap", ["capdec", "decap", "clipre"], "other_texts:"),
    ),
    Claim(
        "On images of another domain MacCap beats CapDec, DeCap and CLIPRe",
        "MacCap, Table 2",
        _beats("maccap", ["capdec", "decap", "clipre"], "other_pictures:"),
    ),
    Claim(
        "Ten sub-regions are better than one, five, twenty or all",
        "MacCap, supplement, Figure 5",
        tuple(("maccap_pass", f"patches_{count}") for count in (1, 5, 20, 49)),
    ),
    Claim(
        "MacCap's captions answer more questions than CapDec's, DeCap's and the question alone",
        "MacCap, Table 4",
        _beats("maccap", ["capdec", "decap", "question_only"], "vqa:"),
        ANSWERS,
    ),
)
NOISE_CLAIM = "The best noise is the one that turns a text as far as its image is away"


def verdicts(scores: Sequence[dict], differences: Sequence[dict]) -> tuple[list[dict], list[str]]:
    """Judge the claims whose rows are there; return them, and the claims that were not run."""
    rows = {(r["system"], r["against"], r["metric"]): r for r in differences}
    # rows are named from either side
    rows |= {(b, a, m): _turned(r) for (a, b, m), r in rows.items() if (b, a, m) not in rows}
    found = {claim.claim: _verdict(claim, rows) for claim in CLAIMS}
    found[NOISE_CLAIM] = _noise_verdict(scores, rows)
    judged = [record for record in found.values() if record is not None]
    return judged, [claim for claim, record in found.items() if record is None]


def _turned(row: dict) -> dict:
    return row | {"mean": -row["mean"], "low": -row["high"], "high": -row["low"]}


def _verdict(claim: Claim, rows: Rows) -> dict | None:
    record = {"claim": claim.claim, "source": claim.source}
    if any(key not in rows for key in claim.keys):
        return None
    holds = all(rows[key]["low"] > 0 for key in claim.keys)
    return record | {
        "rule": f"differences in {' and '.join(WORDS[m] for m in claim.metrics)} above zero",
        "verdict": "holds" if holds else "does not hold",
        "evidence": "; ".join(_said(key, rows[key]) for key in claim.keys),
    }


def _said(key: Key, row: dict) -> str:
    system, against, metric = key
    return (
        f"{system} - {against}: {WORDS[metric]} {row['mean']:+.3f} "
        f"({row['low']:+.3f} to {row['high']:+.3f})"
    )


def _noise_verdict(scores: Sequence[dict], rows: Rows) -> dict | None:
    """The matched variance (multiple 1) has to beat every other one in object F1."""
    means = {
        row["system"].removeprefix("variance_").split(":")[0]: row
        for row in scores
        if row["system"].startswith("variance_")
        and row["system"].endswith(":maccap_pass")
        and row["metric"] == "object_f1"
    }
    record = {"claim": NOISE_CLAIM, "source": "MacCap, supplement, Figure 4"}
    if "1" not in means or len(means) < 2:
        return None
    name = max(means, key=lambda multiple: means[multiple]["mean"])
    if name == "1":
        others = [m for m in means if m != "1"]
        keys = [
            ("variance_1:maccap_pass", f"variance_{m}:maccap_pass", "object_f1") for m in others
        ]
        holds = all(key in rows and rows[key]["low"] > 0 for key in keys)
    else:
        holds = False
    shown = ", ".join(f"x{m}: {row['mean']:.3f}" for m, row in means.items())
    return record | {
        "rule": "the matched variance beats every other one in object F1",
        "verdict": "holds" if holds else "does not hold",
        "evidence": f"object F1 by multiple of the matched variance: {shown}",
    }
