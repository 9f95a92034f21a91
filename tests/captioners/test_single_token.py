"""The single-token rows and the control rows: which feature reaches the prefix network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import torch
from tiny_captioners import all_captioners, memory, prefix_generator, references, states

from vizer_core.captioners import (
    Baseline,
    Blind,
    CapDec,
    ClipCap,
    ClipRe,
    DeCap,
    MeanShift,
    OracleText,
)
from vizer_core.gap.stats import gap_vector
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm


@dataclass
class Recorder:
    """A captioner that keeps what it is shown."""

    name: str = "recorder"
    reads_patches: bool = False
    shown: list[torch.Tensor] = field(default_factory=list)

    def caption(self, images, *, generator):
        self.shown.append(images)
        return ["w1" for _ in images]


def from_feature(features: torch.Tensor, *, single: bool = False) -> list[str]:
    """Write from one token per image."""
    return list(prefix_generator(single=single).generate(features[:, None]))


@pytest.mark.parametrize("kind", [Baseline, CapDec, ClipCap])
@pytest.mark.parametrize("single", [False, True])
def test_the_image_feature_is_the_one_token(kind, single):
    found = kind(prefix_generator(single=single)).caption(states(), generator=seeded(0))
    assert found == from_feature(states().image_features, single=single)


def test_decap_reads_the_projection_on_its_memory():
    features = states().image_features
    found = DeCap(prefix_generator(), memory()).caption(states(), generator=seeded(0))
    assert found == from_feature(memory().project(features))
    warm = DeCap(prefix_generator(), memory(), temperature=1.0).caption(
        states(), generator=seeded(0)
    )
    assert warm == from_feature(memory().project(features, temperature=1.0)) != found


def test_decap_at_a_low_temperature_reads_clipres_choice():
    cold = DeCap(prefix_generator(), memory(), temperature=1e-6).caption(
        states(), generator=seeded(0)
    )
    chosen = ClipRe(memory()).caption(states(), generator=seeded(0))
    rows = [memory().texts.index(text) for text in chosen]
    assert cold == from_feature(memory().features[rows])


def test_clipre_gives_back_a_caption_of_its_own():
    found = ClipRe(memory()).caption(memory().features, generator=seeded(0))
    assert found == list(memory().texts)


def test_a_mean_shift_moves_the_means_together():
    inner, pairs = Recorder(), references()
    system = MeanShift.measured(inner, pairs.image_features, pairs.text_features)
    system.caption(states(), generator=seeded(0))
    gap = gap_vector(pairs.image_features, pairs.text_features).float()
    torch.testing.assert_close(inner.shown[0], unit_norm(pairs.image_features + gap))
    before = (pairs.text_features.mean(0) - pairs.image_features.mean(0)).norm()
    assert (pairs.text_features.mean(0) - inner.shown[0].mean(0)).norm() < before
    unpaired = MeanShift.measured(inner, pairs.image_features[:2], pairs.text_features)
    expected = pairs.text_features.mean(0) - pairs.image_features[:2].mean(0)
    torch.testing.assert_close(unpaired.gap, expected)
    with pytest.raises(ValueError, match="images of width 16 and texts of width 8"):
        MeanShift.measured(inner, pairs.image_features, unit_norm(torch.ones(3, 8)))
    MeanShift(inner, torch.zeros(16)).caption(states(), generator=seeded(0))
    torch.testing.assert_close(inner.shown[1], states().image_features)


def test_a_blind_captioner_sees_one_constant_of_length_one():
    inner = Recorder()
    Blind.mean_of(inner, references().text_features).caption(states(), generator=seeded(0))
    mean = unit_norm(references().text_features.mean(0))
    torch.testing.assert_close(inner.shown[0], mean.expand(5, -1))


def test_the_oracle_is_shown_the_first_reference_of_each_image():
    inner, pairs = Recorder(), references()
    two_each = replace(
        pairs,
        text_features=torch.cat([pairs.text_features, pairs.text_features.flip(0)]),
        image_index=torch.cat([pairs.image_index, pairs.image_index]),
    )
    OracleText(inner, two_each).caption(pairs.image_features.flip(0), generator=seeded(0))
    torch.testing.assert_close(inner.shown[0], pairs.text_features.flip(0))
    stranger = unit_norm(torch.randn(1, 16, generator=seeded(9)))
    with pytest.raises(ValueError, match="image 0 is not among the 5 images with references"):
        OracleText(inner, pairs).caption(stranger, generator=seeded(0))


def test_a_changed_feature_has_no_patches():
    with pytest.raises(ValueError, match="blind changes the image feature and maccap reads"):
        Blind(all_captioners()["maccap"], torch.ones(16))


def test_an_prefix_network_in_training_mode_is_refused():
    captioner = Baseline(prefix_generator())
    captioner.prefix_generator.prefix_network.train()
    with pytest.raises(ValueError, match=r"in training mode"):
        captioner.caption(states(), generator=seeded(0))
