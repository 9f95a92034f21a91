"""MacCap's claims about captions and answers, each with its gate, its rule and the rows it reads.

A claim that one system beats another holds when the paired difference lies above zero, over
images and seeds, in every metric of its rule. Object F1 is always among them: a model that hardly
sees earns CIDEr by fluency alone. Rules read the rounded numbers of the file.

A verdict needs a floor to stand on. Its gate, in the claim's own setting:

====================  ==================================================================
supervised row        clipcap (clipcap_mlp for the single-token perceptrons), trained on
                      pairs, beats retrieval (clipre) in object F1 and CIDEr: a stack that
                      cannot caption with labels cannot test a method that has none
gap's shape           norm and constant share of the CLIP's gap lie within `NEAR` of real
                      CLIP's, for claims about the gap of a CLIP as it comes
====================  ==================================================================

Where a gate is shut the verdict is "not testable here"; the differences stand in the evidence all
the same, and so does the gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Key = tuple[str, str, str]  # system, against, metric
Rows = Mapping[Key, dict]
Shapes = Mapping[str, Mapping[str, float]]  # CLIP, or "real" -> gap_norm, constant_share
CAPTIONS = ("object_f1", "cider")
ANSWERS = ("top1",)
WORDS = {"object_f1": "object F1", "cider": "CIDEr", "top1": "top-1"}
CLIP_OF = {"trained_patches:": "drawn-clip-avg", "large_gap:": "drawn-clip-100"}
MAIN_CLIP = "drawn-clip-50"
NEAR = 0.15  # of real CLIP's gap norm and constant share


@dataclass(frozen=True)
class Claim:
    """A statement, where the paper makes it, and the differences that must lie above zero.

    `shaped`: the claim is about the gap of a CLIP as it comes, so that gap has to be like a real
    one's. Our tests of other gaps are not.
    """

    claim: str
    source: str
    pairs: tuple[tuple[str, str], ...]
    metrics: tuple[str, ...] = CAPTIONS
    shaped: bool = True
    upper: str = "clipcap"  # the supervised row with the same trained part

    @property
    def keys(self) -> tuple[Key, ...]:
        """The rows that the rule reads."""
        return tuple((a, b, metric) for a, b in self.pairs for metric in self.metrics)

    @property
    def setting(self) -> str:
        """The prefix of the setting whose supervised row and CLIP are the gate."""
        system = self.pairs[0][0]
        prefix = system.split(":")[0] + ":" if ":" in system else ""
        return "" if prefix == "vqa:" else prefix


def _beats(winner: str, losers: Sequence[str], prefix: str = "") -> tuple[tuple[str, str], ...]:
    return tuple((prefix + winner, prefix + loser) for loser in losers)


PATCHED = "trained_patches:"
CLAIMS = (
    Claim(
        "Noise in training helps a captioner that reads one feature",
        "CapDec, section 3; MacCap, Table 5, has no gain",
        _beats("capdec", ["baseline"]),
    ),
    Claim(
        "The same, of the paper's single-token perceptrons",
        "MacCap, Tables 3 and 5",
        _beats("capdec_mlp", ["baseline_mlp"]),
        upper="clipcap_mlp",
    ),
    Claim(
        "Several tokens need noise: with it they beat the same tokens without",
        "MacCap, Table 5, training rows",
        _beats("maccap_pass_global", ["multi_clean"]),
    ),
    Claim(
        "Several noisy tokens beat one noisy token",
        "our reading of several tokens; MacCap, Table 5, has no gain",
        _beats("maccap_pass_global", ["capdec"]),
    ),
    Claim(
        "Sub-regions beat copies of the global feature",
        "MacCap, Table 5, inference rows",
        _beats("maccap_pass", ["maccap_pass_global"]),
    ),
    Claim(
        "Sub-regions beat random patches and another image's sub-regions",
        "our controls of MacCap, Table 5",
        _beats("maccap_pass", ["maccap_pass_random", "maccap_pass_other_image"]),
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
        "The same, where they have the paper's single-token perceptrons",
        "MacCap, Table 3",
        _beats("maccap", ["capdec_mlp", "baseline_mlp"]),
        upper="clipcap_mlp",
    ),
    Claim(
        "The same, with a CLIP whose patches were trained",
        "MacCap, Table 3; our test of a suspect",
        _beats("maccap", ["capdec", "baseline"], PATCHED),
        shaped=False,
    ),
    Claim(
        "With trained patches sub-regions beat copies of the global feature",
        "MacCap, Table 5, inference rows; our test of a suspect",
        _beats("maccap_pass", ["maccap_pass_global"], PATCHED),
        shaped=False,
    ),
    Claim(
        "With a larger gap MacCap beats CapDec and the baseline",
        "MacCap, Table 3; our test of a suspect",
        _beats("maccap", ["capdec", "baseline"], "large_gap:"),
        shaped=False,
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
        _beats("maccap", ["capdec", "decap", "clipre"], "other_images:"),
    ),
    Claim(
        "Ten sub-regions are better than one, five, twenty or all",
        "MacCap, supplement, Figure 5",
        tuple(("patches_10", f"patches_{count}") for count in (1, 5, 20, 64)),
    ),
    Claim(
        "MacCap's captions answer more questions than CapDec's, DeCap's and the question alone",
        "MacCap, Table 4",
        _beats("maccap", ["capdec", "decap", "question_only"], "vqa:"),
        ANSWERS,
    ),
)
NOISE_CLAIM = "The best noise is the one that turns a text as far as its image is away"


def verdicts(
    scores: Sequence[dict], differences: Sequence[dict], shapes: Shapes
) -> tuple[list[dict], list[str]]:
    """Judge the claims whose rows are there; return them, and the claims that were not run.

    `shapes` holds norm and constant share of each CLIP's gap, and of a real one's.
    """
    rows = rows_of(differences)
    found = {}
    for claim in CLAIMS:
        gate = gate_of(claim.setting, rows, shapes, shaped=claim.shaped, upper=claim.upper)
        found[claim.claim] = verdict(claim, rows, gate)
    found[NOISE_CLAIM] = _noise_verdict(scores, rows, shapes)
    judged = [record for record in found.values() if record is not None]
    return judged, [claim for claim, record in found.items() if record is None]


def rows_of(differences: Sequence[dict]) -> dict[Key, dict]:
    """Return differences by their name, from either side."""
    rows = {(r["system"], r["against"], r["metric"]): r for r in differences}
    return {(b, a, m): _turned(r) for (a, b, m), r in rows.items()} | rows


def _turned(row: dict) -> dict:
    return row | {"mean": -row["mean"], "low": -row["high"], "high": -row["low"]}


@dataclass(frozen=True)
class Gate:
    """Whether a setting can carry a verdict, and what was read to tell."""

    open: bool
    said: str


def gate_of(
    setting: str, rows: Rows, shapes: Shapes, *, shaped: bool, upper: str = "clipcap"
) -> Gate | None:
    """Return a setting's gate; None where its supervised row or its gap was not measured."""
    keys = upper_rows(f"{setting}{upper}", f"{setting}clipre")
    clip = CLIP_OF.get(setting, MAIN_CLIP)
    if any(key not in rows for key in keys) or not {clip, "real"} <= set(shapes):
        return None
    above = _all_above(keys, rows)
    own, real = shapes[clip], shapes["real"]
    near = all(abs(own[part] - real[part]) <= NEAR for part in ("gap_norm", "constant_share"))
    said = _say_all(keys, rows)
    shape = (
        f"gap of {clip}: norm {own['gap_norm']:.3f}, constant share {own['constant_share']:.3f} "
        f"(real CLIP {real['gap_norm']:.3f}, {real['constant_share']:.3f})"
    )
    return Gate(above and (near or not shaped), f"gate: {said}; {shape}")


def _judged(holds: bool, gate: Gate) -> str:
    if not gate.open:
        return "not testable here"
    return "holds" if holds else "does not hold"


def upper_gate(supervised: str, retrieval: str, rows: Rows) -> Gate | None:
    """Return the first half of a gate, for rows whose CLIP's shape is judged elsewhere."""
    keys = upper_rows(supervised, retrieval)
    if any(key not in rows for key in keys):
        return None
    return Gate(_all_above(keys, rows), f"gate: {_say_all(keys, rows)}")


def upper_rows(supervised: str, retrieval: str) -> list[Key]:
    """Return the differences that a floor needs above zero."""
    return [(supervised, retrieval, metric) for metric in CAPTIONS]


def _all_above(keys: Sequence[Key], rows: Rows) -> bool:
    return all(rows[key]["low"] > 0 for key in keys)


def _say_all(keys: Sequence[Key], rows: Rows) -> str:
    return "; ".join(_said(key, rows[key]) for key in keys)


def verdict(claim: Claim, rows: Rows, gate: Gate | None) -> dict | None:
    """Judge one claim behind a gate; None where a row that it reads, or the gate, is not there."""
    if gate is None or any(key not in rows for key in claim.keys):
        return None
    return {
        "claim": claim.claim,
        "source": claim.source,
        "rule": f"differences in {' and '.join(WORDS[m] for m in claim.metrics)} above zero",
        "verdict": _judged(_all_above(claim.keys, rows), gate),
        "evidence": f"{_say_all(claim.keys, rows)}; {gate.said}",
    }


def _said(key: Key, row: dict) -> str:
    system, against, metric = key
    return (
        f"{system} - {against}: {WORDS[metric]} {row['mean']:+.3f} "
        f"({row['low']:+.3f} to {row['high']:+.3f})"
    )


def _noise_verdict(scores: Sequence[dict], rows: Rows, shapes: Shapes) -> dict | None:
    """The matched variance (multiple 1) has to beat every other one in object F1."""
    means = {
        row["system"].removeprefix("variance_").split(":")[0]: row["mean"]
        for row in scores
        if row["system"].startswith("variance_")
        and row["system"].endswith(":maccap_pass")
        and row["metric"] == "object_f1"
    }
    gate = gate_of("", rows, shapes, shaped=True)
    if gate is None or "1" not in means or len(means) < 2:
        return None
    keys = [
        ("variance_1:maccap_pass", f"variance_{m}:maccap_pass", "object_f1")
        for m in means
        if m != "1"
    ]
    leads = max(means, key=means.__getitem__) == "1"
    holds = leads and all(key in rows and rows[key]["low"] > 0 for key in keys)
    shown = ", ".join(f"x{m}: {mean:.3f}" for m, mean in means.items())
    return {
        "claim": NOISE_CLAIM,
        "source": "MacCap, supplement, Figure 4",
        "rule": "the matched variance beats every other one in object F1",
        "verdict": _judged(holds, gate),
        "evidence": f"object F1 by multiple of the matched variance: {shown}; {gate.said}",
    }
