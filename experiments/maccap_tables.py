"""What the captioning study compares: its settings, their systems in order, and the pairs.

Systems stand in the order in which they are made: what a verdict needs first, so that a study
that is stopped has something to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments import maccap_world as world
from experiments.maccap_cells import PATCHES, SHORT
from vizer_core.clip import MACCAP_REGIONS

GATE = ("clipcap", "clipre")
BOUNDS = ("baseline", "oracle_text", "mean_shift", "blind", "baseline_mlp")
RIVALS = ("decap", "capdec", "socratic", "magic", "zerocap", "decap_mlp", "capdec_mlp")
MACCAP = ("maccap_pass", "maccap_pass_global", "maccap", "maccap_global")
CONTROLS = ("maccap_pass_random", "maccap_pass_other_image")
ABLATION = (
    *("multi_clean", "multi_clean_regions", "maccap_pass_still", "maccap_pass_global_still"),
    *("maccap_pass_global_shifted", "mean_shift_noise", "maccap_pass_mean", "maccap_pass_release"),
    *("maccap_pass_counterfactual", *(f"patches_{count}" for count in PATCHES)),
)
TABLE = (
    *(*GATE, "baseline", "oracle_text", "mean_shift", "blind", "decap"),
    *("maccap_pass", "maccap_pass_global", *CONTROLS, "capdec", "socratic", "magic", "maccap"),
    *("zerocap", "baseline_mlp", "decap_mlp", "capdec_mlp", "clipcap_mlp", "maccap_global"),
)
IN_DOMAIN = (*TABLE[:-1], *ABLATION, TABLE[-1])
OTHER_CLIP = (*GATE, "baseline", "capdec", "decap", *MACCAP[:2], *CONTROLS, *MACCAP[2:])
SETTINGS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "": ({}, IN_DOMAIN),
    "other_texts:": ({"texts": "away"}, TABLE),
    "other_images:": ({"images": "away"}, TABLE),
    "trained_patches:": ({"clip": world.TRAINED_PATCHES}, OTHER_CLIP),
    "large_gap:": ({"clip": world.LARGE_GAP}, OTHER_CLIP),
}
PAIRS = (
    # the gate: is the supervised row above retrieval?
    ("clipcap", "clipre"),
    ("clipcap_mlp", "clipre"),
    ("capdec", "baseline"),
    ("capdec_mlp", "baseline_mlp"),
    ("maccap_pass_global", "multi_clean"),
    ("maccap_pass_global", "capdec"),
    ("maccap_pass", "maccap_pass_global"),
    ("maccap_pass", "maccap_pass_random"),
    ("maccap_pass", "maccap_pass_other_image"),
    ("maccap_pass", "maccap_pass_mean"),
    ("maccap_pass", "maccap_pass_release"),
    ("maccap_pass", "maccap_pass_counterfactual"),
    ("maccap_pass", "maccap_pass_still"),
    ("maccap_pass_global", "maccap_pass_global_still"),
    ("multi_clean_regions", "multi_clean"),
    ("maccap", "maccap_pass"),
    ("maccap_global", "maccap_pass_global"),
    ("maccap", "maccap_global"),
    *(("maccap_global", other) for other in ("capdec", "decap", "clipre")),
    ("maccap_pass_global_shifted", "maccap_pass_global"),
    ("maccap_pass_global_shifted", "mean_shift"),
    *(("maccap", other) for other in ("clipre", *RIVALS, *BOUNDS)),
    *(("maccap_pass", other) for other in ("clipre", "capdec", "decap", "baseline", "mean_shift")),
    *(("maccap_pass_global", other) for other in ("baseline", "mean_shift", "blind")),
    ("mean_shift", "baseline"),
    ("mean_shift", "capdec"),
    ("mean_shift_noise", "capdec"),
    ("decap", "clipre"),
    *((f"{name}_mlp", name) for name in ("capdec", "decap", "baseline")),
    *(("clipcap", other) for other in ("maccap", "maccap_global", "decap", "capdec")),
    ("oracle_text", "baseline"),
    ("baseline", "blind"),
    *(("patches_10", f"patches_{count}") for count in PATCHES if count != MACCAP_REGIONS),
)


def recipes_of(systems: Sequence[str]) -> set[str]:
    """Return the trained parts that these systems read."""
    direct = {
        "single_clean": ("baseline", "decap", "mean_shift", "blind", "oracle_text"),
        "single_noise": ("capdec", "mean_shift_noise"),
        "single_clean_mlp": ("baseline_mlp", "decap_mlp"),
        "single_noise_mlp": ("capdec_mlp",),
        "supervised": ("clipcap",),
        "supervised_mlp": ("clipcap_mlp",),
        "multi_clean": ("multi_clean", "multi_clean_regions"),
    }
    found = {recipe for recipe, readers in direct.items() if set(readers) & set(systems)}
    for system in systems:
        length = SHORT if system.endswith(SHORT) else ""
        if system.startswith(("maccap", "patches")):
            found.add(f"multi_noise{length}")
        elif length:
            found.add(f"single_noise{length}")
    return found
