"""Presets and the page on paper and release: the printed values, and names that exist."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from vizer_core.cli.captioner_options import TRAININGS as NAMES
from vizer_core.textonly.loss import caption_loss, release_loss
from vizer_core.textonly.noise import GaussianNoise, NoNoise
from vizer_core.textonly.prefix_network import new_prefix_network, trainable_parameters
from vizer_core.textonly.presets import (
    BASELINE,
    CAPDEC_DAGGER,
    DECAP_DAGGER,
    MACCAP_PAPER,
    MACCAP_RELEASE,
    MACCAP_RELEASE_CC3M,
    SMALL_NETWORK,
    TRAININGS,
)


def test_paper_and_release_have_their_values():
    assert (MACCAP_PAPER.batch_size, MACCAP_PAPER.learning_rate) == (128, 4e-4)
    assert (MACCAP_RELEASE.batch_size, MACCAP_RELEASE.learning_rate) == (32, 1e-4)
    assert (MACCAP_RELEASE.epochs, MACCAP_RELEASE_CC3M.epochs) == (8, 4)
    assert MACCAP_PAPER.loss is caption_loss and MACCAP_RELEASE.loss is release_loss
    assert MACCAP_PAPER.tokens == 10 and MACCAP_RELEASE.max_tokens == 25
    assert MACCAP_PAPER.noise == MACCAP_RELEASE.noise == GaussianNoise(0.016)


def test_the_dagger_rows_read_one_token_and_only_capdec_has_noise():
    assert replace(MACCAP_PAPER, tokens=1) == CAPDEC_DAGGER
    assert DECAP_DAGGER == BASELINE == replace(MACCAP_PAPER, tokens=1, noise=NoNoise())


@pytest.mark.parametrize(
    ("method", "parameters", "positions"),
    [
        ("maccap", 5_797_376, 32),
        ("capdec", 1_575_936, 1),
        ("decap", 1_575_936, 1),
        ("capdec_same_decoder", 5_797_376, 32),
        ("decap_same_decoder", 5_797_376, 32),
    ],
)
def test_the_papers_rows_have_the_papers_trained_parts(method, parameters, positions):
    training = TRAININGS[method]
    prefix_network = new_prefix_network(training.sizes(clip_width=512, lm_width=2048, small=False))
    assert (trainable_parameters(prefix_network), prefix_network.prefix_length) == (
        parameters,
        positions,
    )
    assert training.paper.tokens == training.small.tokens == (10 if method == "maccap" else 1)
    assert isinstance(training.paper.noise, NoNoise) == method.startswith("decap")


def test_sizes_are_those_of_the_models_and_drawn_ones_are_the_shipped():
    training = TRAININGS["capdec_same_decoder"]
    assert training.sizes(clip_width=128, lm_width=128, small=True) == SMALL_NETWORK
    found = training.sizes(clip_width=128, lm_width=32, small=True)
    assert (found.clip_width, found.lm_width, found.queries) == (128, 32, 4)


def test_the_command_line_has_the_same_trainings():
    assert set(NAMES) == set(TRAININGS)


def test_settings_can_be_written_down_and_told_apart():
    found = [json.dumps(c.to_dict(), sort_keys=True) for c in (MACCAP_PAPER, MACCAP_RELEASE)]
    assert found[0] != found[1] and '"loss": "release_loss"' in found[1]
    # how a step is computed, not what it is; and AdamW, which is said only where it is another
    in_parts = {"captions_at_once", "optimizer"}
    assert set(MACCAP_PAPER.to_dict()) == set(vars(MACCAP_PAPER)) - in_parts


PAGE = Path(__file__).resolve().parents[2] / "book" / "maccap_release.md"


def rows_of_the_page() -> list[list[str]]:
    """Return the cells of each numbered row of the page on paper and release."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("| D")]


def test_the_page_has_24_places_in_order_each_with_paper_release_and_here():
    rows = [row for row in rows_of_the_page() if re.fullmatch(r"D\d+", row[0])]
    assert [row[0] for row in rows] == [f"D{i}" for i in range(1, 25)]
    assert all(len(row) == 6 and all(cell.strip() for cell in row) for row in rows)


@pytest.mark.parametrize(
    "name",
    sorted({n for row in rows_of_the_page() for n in re.findall(r"`([\w.]+\.\w+)`", row[-1])}),
)
def test_every_name_on_the_page_exists(name):
    module, _, attribute = f"vizer_core.{name}".rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)
