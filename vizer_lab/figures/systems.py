"""The systems of chapters and studies: what a reader calls each, and the colour that is its own.

Results name systems by words that code can use (`maccap_global_shifted`). Figures show the names
here, and a system has the same colour and marker in every chapter, unless a figure colours rows by
something else: `roles` of `draw_systems`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from vizer_core.metrics.stats import Interval
from vizer_core.plots.forest import draw_forest
from vizer_core.plots.style import MARKERS


class System(NamedTuple):
    """A system's name for people, its role (`plots.style.COLOURS`), a marker if not the role's."""

    name: str
    role: str
    sign: str = ""

    @property
    def marker(self) -> str:
        """The marker that figures draw."""
        return self.sign or MARKERS[self.role]


SYSTEMS: dict[str, System] = {
    # captioners
    "oracle_text": System("its caption's own feature", "text"),
    "clipcap": System("ClipCap, trained on pairs", "text"),
    "clipre": System("CLIPRe", "image"),
    "socratic": System("Socratic Models", "image"),
    "magic": System("MAGIC", "image"),
    "zerocap": System("ZeroCap", "image"),
    "decap": System("DeCap", "image"),
    "capdec": System("CapDec", "image"),
    "baseline": System("baseline: one token, no noise", "image"),
    "decap_mlp": System("DeCap, one prefix position", "image"),
    "capdec_mlp": System("CapDec, one prefix position", "image"),
    "baseline_mlp": System("baseline, one prefix position", "image"),
    "maccap": System("MacCap", "region"),
    "maccap_global": System("MacCap, global feature", "region"),
    "maccap_pass": System("MacCap, one pass", "region"),
    "maccap_pass_global": System("MacCap, one pass, global", "region"),
    "multi_clean": System("MacCap, one pass, global, no noise", "region"),
    "maccap_pass_random": System("MacCap, one pass, random patches", "control"),
    "maccap_pass_other_image": System("MacCap, one pass, another's regions", "control"),
    "maccap_random": System("MacCap, random patches", "control"),
    "maccap_global_shifted": System("MacCap, global, mean gap out", "control"),
    "mean_shift": System("baseline, mean gap out", "control"),
    "blind": System("blind", "control"),
    # what answers questions
    "chance": System("chance", "control", "_"),
    "prior": System("prior", "control", "|"),
    "type_prior": System("prior by type", "control", "|"),
    "question_only": System("question only", "control"),
    "maccap, borrowed": System("MacCap, borrowed", "accent"),
    "decap, borrowed": System("DeCap, borrowed", "accent", "<"),
    "human, borrowed": System("a person's, borrowed", "accent", ">"),
    "human": System("a person's caption", "text"),
    "people": System("all captions by people", "text", "^"),
    # improvement without labels
    "base": System("base", "image"),
    "base_banned": System("base, generic word barred", "image"),
    "base_primed": System("base, first word given", "text"),
    "primed": System("base, first word given", "text"),
    "best_of_8_read_back": System("best of 8 by read-back", "image"),
    "best_of_8_clip": System("best of 8 by CLIP", "text"),
    "read_back": System("read-back", "accent"),
    "read_back_shuffled": System("read-back, shuffled", "control"),
    "read_back_random_mapper": System("read-back, random mapper", "control"),
    "read_back_gt": System("read-back, mapper from people", "text"),
    "rl_clip": System("CLIP reward", "text"),
    "rl_clip_shuffled": System("CLIP reward, shuffled", "control"),
    "rl_clip_cautious": System("CLIP reward, small steps", "text"),
    "best": System("information", "region"),
}


def system(name: str) -> System:
    """Return how a system is shown.

    Raises `ValueError` for one without a row here.

    >>> system("decap").name, system("decap").marker
    ('DeCap', 'o')
    """
    if name not in SYSTEMS:
        raise ValueError(
            f"no system {name!r} in the palette: wanted one of {', '.join(SYSTEMS)}; a new "
            "one needs a row of SYSTEMS in vizer_lab/figures/systems.py"
        )
    return SYSTEMS[name]


def draw_systems(
    panels: Mapping[str, Mapping[str, Interval]],
    rows: Sequence[str],
    *,
    legend: Mapping[str, str],
    mark: str | None = None,
    roles: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a forest of systems: one row each of `rows`, one panel per metric.

    `panels` maps a metric to systems to estimates, and may hold more systems than `rows`. `roles`
    colours rows by something else than the system, such as what it was trained with.
    """
    shown = {name: system(name).name for name in rows}
    if mark is not None and mark not in shown:
        raise ValueError(f"no row {mark!r} to mark: wanted one of {', '.join(rows)}")
    return draw_forest(
        {
            metric: {words: found[name] for name, words in shown.items() if name in found}
            for metric, found in panels.items()
        },
        roles={words: (roles or {}).get(name, system(name).role) for name, words in shown.items()},
        legend=legend,
        mark=mark and shown[mark],
    )
