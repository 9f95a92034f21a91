"""Recipes by size of model: where rates come from, what stands in their place, how rates fall."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from vizer_core.cli import training_options
from vizer_core.vizer import recipes
from vizer_core.vizer.adapter_run import POLICY_GRADIENT, VIZER_SMALL, TrainConfig
from vizer_core.vizer.lora import VIZER_LORA
from vizer_core.vizer.named_objectives import BY_REWARD, OBJECTIVES
from vizer_core.vizer.recipes import recipe_for

SMALL, LARGE = 10**6, 2_246_272_880


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_small_model_is_trained_as_the_objective_was_tried(objective):
    plan = recipe_for(objective, parameters=SMALL, images=1000)
    assert (plan.name, plan.config, plan.lora) == (
        "objective",
        OBJECTIVES[objective].config,
        VIZER_LORA,
    )
    assert (objective in BY_REWARD) == (plan.config.kl_every == POLICY_GRADIENT.kl_every)


@pytest.mark.parametrize(("objective", "rate", "ceiling"), [
    ("information", 1e-5, 0.5), ("image_context", 1e-4, 1.5),
    (lambda images, captions: [0.0], 1e-5, 0.5),
])  # fmt: skip
def test_a_large_model_gets_a_small_rate_that_falls_and_a_ceiling(objective, rate, ceiling):
    config = recipe_for(objective, parameters=LARGE, images=32_000).config
    assert (config.learning_rate, config.max_kl, config.decay) == (rate, ceiling, "linear")
    assert config.warmup_steps == 50 and config.kl_every
    assert recipe_for(objective, parameters=LARGE, images=320).config.warmup_steps == 5


def test_trls_recipe_is_that_of_its_example():
    plan = recipe_for("information", parameters=LARGE, images=100, name="trl")
    config = plan.config
    assert (config.learning_rate, config.decay, config.weight_decay) == (1e-5, "linear", 0.0)
    assert config.kl_weight == 0.05 and plan.lora == recipes.TRL_LORA


def test_the_papers_recipe_states_what_the_paper_states():
    config = recipe_for("image_context", parameters=LARGE, images=100, name="paper").config
    assert (config.epochs, config.weight_decay, config.decay) == (1, 0.01, "none")


def test_what_is_given_stands_in_the_place_of_the_recipe():
    changes = {"learning_rate": 1e-3, "epochs": 3, "max_tokens": 7, "rank": 4, "alpha": None}
    changes |= {"targets": ("q_proj",), "max_kl": 2.0}
    plan = recipe_for("information", parameters=LARGE, images=100, changes=changes)
    assert (plan.config.learning_rate, plan.config.epochs, plan.config.max_kl) == (1e-3, 3, 2.0)
    assert plan.config.decoding.max_tokens == 7
    assert plan.lora == replace(VIZER_LORA, rank=4, projections=("q_proj",))
    assert "rate 0.001, decay linear" in plan.say() and "KL at most 2" in plan.say()


def test_what_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="no recipe 'best': wanted one of auto, objective"):
        recipe_for("information", parameters=SMALL, images=2, name="best")
    with pytest.raises(ValueError, match="no setting 'lr': wanted one of alpha"):
        recipe_for("information", parameters=SMALL, images=2, changes={"lr": 1.0})
    with pytest.raises(ValueError, match="decay is 'sudden': wanted one of none, linear, cosine"):
        TrainConfig(decay="sudden")


def test_the_help_names_the_recipes():
    assert training_options.RECIPES == recipes.RECIPES


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_a_decaying_rate_rises_and_then_falls_to_nearly_nothing(decay):
    config = replace(POLICY_GRADIENT, decay=decay, warmup_steps=3)
    rates = [config.rate_at(step, 100) for step in range(100)]
    assert rates[:4] == sorted(rates[:4]) and rates[3] == max(rates) == config.learning_rate
    assert rates[3:] == sorted(rates[3:], reverse=True) and 0 < rates[-1] < 0.02 * max(rates)


def test_without_decay_a_manifest_says_what_it_said_before():
    assert "decay" not in VIZER_SMALL.to_dict() and VIZER_SMALL.max_kl == inf
    assert replace(VIZER_SMALL, decay="linear").to_dict()["decay"] == "linear"
