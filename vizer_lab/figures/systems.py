"""The systems of chapters and studies: what a reader calls each, and the colour that is its own.

Figures show a system by its name in words (`vizer_lab.names`), and a system has the same colour and
marker in every chapter, unless a figure colours rows by something else: `roles` of `draw_systems`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from vizer_core.metrics.stats import Interval
from vizer_core.plots.forest import draw_forest
from vizer_core.plots.style import MARKERS
from vizer_lab.names import in_words


class System(NamedTuple):
    """A system's name for people, its role (`plots.style.COLOURS`), a marker if not the role's."""

    name: str
    role: str
    sign: str = ""

    @property
    def marker(self) -> str:
        """The marker that figures draw."""
        return self.sign or MARKERS[self.role]


LOOKS: dict[str, tuple[str, ...]] = {
    # captioners
    "oracle_text": ("text",),
    "clipcap": ("text",),
    "clipre": ("image",),
    "socratic": ("image",),
    "magic": ("image",),
    "zerocap": ("image",),
    "decap": ("image",),
    "capdec": ("image",),
    "baseline": ("image",),
    "decap_mlp": ("image",),
    "capdec_mlp": ("image",),
    "baseline_mlp": ("image",),
    "maccap": ("region",),
    "maccap_global": ("region",),
    "maccap_pass": ("region",),
    "maccap_pass_global": ("region",),
    "multi_clean": ("region",),
    "maccap_pass_random": ("control",),
    "maccap_pass_other_image": ("control",),
    "maccap_random": ("control",),
    "maccap_global_shifted": ("control",),
    "mean_shift": ("control",),
    "blind": ("control",),
    # what answers questions
    "chance": ("control", "_"),
    "prior": ("control", "|"),
    "type_prior": ("control", "|"),
    "question_only": ("control",),
    "maccap, borrowed": ("accent",),
    "decap, borrowed": ("accent", "<"),
    "human, borrowed": ("accent", ">"),
    "human": ("text",),
    "people": ("text", "^"),
    # improvement without labels
    "base": ("image",),
    "base_banned": ("image",),
    "base_primed": ("text",),
    "primed": ("text",),
    "best_of_8_read_back": ("image",),
    "best_of_8_clip": ("text",),
    "read_back": ("accent",),
    "read_back_shuffled": ("control",),
    "read_back_random_mapper": ("control",),
    "read_back_gt": ("text",),
    "rl_clip": ("text",),
    "rl_clip_shuffled": ("control",),
    "rl_clip_cautious": ("text",),
    "best": ("region",),
}
SYSTEMS = {name: System(in_words(name), *look) for name, look in LOOKS.items()}


def system(name: str) -> System:
    """Return how a system is shown.

    Raises `ValueError` for one without a row here.

    >>> system("decap").name, system("decap").marker
    ('DeCap', 'o')
    """
    if name not in SYSTEMS:
        raise ValueError(
            f"no system {name!r} in the palette: wanted one of {', '.join(SYSTEMS)}; a new "
            "one needs a row of LOOKS in vizer_lab/figures/systems.py"
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

    `panels` maps a metric to systems to estimates, and may have more systems than `rows`. `roles`
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
