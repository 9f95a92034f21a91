"""The captioning study's tables fit together: systems exist, claims find rows and gate."""

from __future__ import annotations

import pytest

from experiments import maccap_world as world
from experiments.maccap_cells import SYSTEMS, Run, config_of
from experiments.maccap_claims import ANSWERS, CLAIMS, CLIP_OF, MAIN_CLIP
from experiments.maccap_drawn import by_parts_of, caption_cells, train_cells
from experiments.maccap_tables import PAIRS, SETTINGS, recipes_of
from tools.results_figures import MACCAP_ROWS
from vizer_lab.figures.systems import SYSTEMS as PALETTE


def test_every_system_can_be_made_and_no_pair_stands_twice():
    listed = {system for _, systems in SETTINGS.values() for system in systems}
    assert listed <= set(SYSTEMS) and set(MACCAP_ROWS) <= listed & set(PALETTE)
    assert {name for pair in PAIRS for name in pair} <= listed
    unordered = [frozenset(pair) for pair in PAIRS]
    assert len(unordered) == len(set(unordered))


@pytest.mark.parametrize(
    "claim", [c for c in CLAIMS if c.metrics != ANSWERS], ids=lambda c: c.claim
)
def test_a_claim_finds_its_rows_and_its_gate(claim):
    change, systems = SETTINGS[claim.setting]
    assert change.get("clip", world.CLIP) == CLIP_OF.get(claim.setting, MAIN_CLIP)
    pairs = {frozenset(pair) for pair in PAIRS}
    for pair in (*claim.pairs, (claim.upper, "clipre")):
        bare = [name.removeprefix(claim.setting) for name in pair]
        assert set(bare) <= set(systems) and frozenset(bare) in pairs, pair


def test_a_training_knows_its_own_noise_only():
    run = Run("runs", variance=0.5, single=0.25, patches=5, images="away")
    (multi,) = train_cells(run, ["multi_noise"], 1)
    (single,) = train_cells(run, ["single_noise_short"], 1)
    other = Run("runs", variance=0.5, single=0.125)
    assert train_cells(other, ["multi_noise"], 1)[0].signature == multi.signature
    assert (multi.arguments["variance"], multi.arguments["single"]) == (0.5, 0.0)
    assert (single.arguments["variance"], single.arguments["single"]) == (0.0, 0.25)
    assert (
        config_of("single_noise", 0.25).tokens == 1 and config_of("multi_noise", 0.5).tokens == 10
    )


def test_seedless_systems_are_made_once_and_recipes_follow_their_readers():
    run = Run("runs")
    assert len(caption_cells(run, ["magic"], 3, "")) == 1
    assert len(caption_cells(run, ["capdec"], 3, "")) == 3
    assert recipes_of(["clipre", "magic"]) == set()
    assert recipes_of(["decap", "capdec_short", "patches_5_short", "maccap"]) == {
        "single_clean", "single_noise_short", "multi_noise_short", "multi_noise",
    }  # fmt: skip


def test_the_parts_of_a_training_are_averaged_over_the_seeds_that_kept_them():
    answers = [{"loss": 1.0}, {"quarters": [4.0, 2.0]}, {"quarters": [2.0, 1.0]}]
    assert by_parts_of(answers, "quarters") == {"quarters": [3.0, 1.5]}
    assert by_parts_of(answers, "epochs") == {}


def test_maccap_without_sub_regions_is_compared_with_its_rivals():
    against = {b for a, b in PAIRS if a == "maccap_global"}
    assert {"capdec", "decap", "clipre", "maccap_pass_global"} <= against
