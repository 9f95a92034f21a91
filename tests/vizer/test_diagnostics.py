"""Diagnostics: planted leaks and planted fraud are called by name, honest runs are not."""

from __future__ import annotations

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.vizer.collapse import measure_collapse
from vizer_core.vizer.diagnostics import (
    Leak,
    leak_index,
    swap_test,
    warnings_of,
)
from vizer_core.vizer.drift import measure_drift
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch

N, D = 6, 32
TARGETS = torch.linalg.qr(torch.randn(D, D, generator=seeded(0))).Q[:N]  # orthonormal rows
OLD = [f"itap of thing{i} here" for i in range(40)]
NEW = [f"a thing{i} on the mat" for i in range(40)]


def batches() -> tuple[VisionBatch, CaptionBatch]:
    """Return images and captions whose first id says which image they belong to."""
    vision = VisionBatch(
        TARGETS, tuple(torch.zeros(1, 4) for _ in range(N)), torch.ones(N, 3, dtype=torch.long)
    )
    ids = torch.arange(N)[:, None]
    return vision, CaptionBatch(ids, torch.ones(N, 1, dtype=torch.bool), tuple("abcdef"))


def test_a_mapper_that_looks_at_the_image_leaks_and_one_that_reads_does_not():
    order = [1, 2, 3, 4, 5, 0]
    eval_points = swap_test(
        lambda vision, _: vision.image_features, *batches(), TARGETS, order=order
    )
    reads = swap_test(lambda _, captions: TARGETS[captions.ids[:, 0]], *batches(), TARGETS,
                      order=order)  # fmt: skip
    assert eval_points.index == pytest.approx(1.0, abs=1e-5) and eval_points.leaks
    assert reads.index == pytest.approx(-1.0, abs=1e-5) and not reads.leaks
    assert eval_points.right_pair == reads.right_pair == pytest.approx(1.0, abs=1e-5)


def test_a_mix_leaks_by_its_share():
    """Of orthogonal F_i and F_j, cos(theta) F_i + sin(theta) F_j lies theta away from F_i."""
    theta, moved = torch.tensor(0.3), TARGETS[[1, 2, 3, 4, 5, 0]]
    answer = theta.cos() * TARGETS + theta.sin() * moved
    found = leak_index(answer, TARGETS, TARGETS, moved)
    assert found.to_image == pytest.approx(float(theta.cos()), abs=1e-5)
    assert found.to_caption_image == pytest.approx(float(theta.sin()), abs=1e-5)


def test_a_loss_that_falls_over_unchanged_captions_is_called_by_name():
    (said,) = warnings_of((0.170, 0.106), measure_drift(OLD, OLD[:39] + NEW[39:]))
    assert said.startswith("loss fell 38% (0.170 to 0.106) while 2% of captions changed")
    assert warnings_of((0.170, 0.165), measure_drift(OLD, OLD)) == ()
    assert warnings_of((0.170, 0.106), measure_drift(OLD, NEW, kl=0.4)) == ()


@pytest.mark.parametrize(
    ("new", "kl", "wanted"),
    [
        (["itap while walking home"] * 30 + NEW[30:], None, "one caption serves 75% of the images"),
        ([caption + " and so on and on and on" for caption in NEW], None, "captions grew from 4.0"),
        (["a"] + ["cat"] * 5 + [f"t{i}" for i in range(34)], None, "captions shrank from 4.0 to 1"),
        (NEW, 2.2, "KL to the base is 2.20 nats per token, above 0.5"),
    ],
)
def test_drift_gone_wrong_is_called_by_name(new, kl, wanted):
    (said,) = warnings_of((1.0, 0.9), measure_drift(OLD, new, kl=kl))
    assert said.startswith(wanted)


def test_each_bad_finding_adds_its_own_sentence():
    constant = TARGETS.mean(dim=0) + 1e-3 * torch.randn(N, 1, generator=seeded(3)) * TARGETS[:1]
    said = warnings_of(
        (1.0, 0.5),
        measure_drift(OLD, NEW),
        leak=Leak(n=9, to_image=0.62, to_caption_image=-0.01, right_pair=0.9),
        collapse=measure_collapse(constant, TARGETS),
    )
    starts = [
        "the mapper answers with the image",
        "the mapper's answers span 1.0 directions",
    ]
    assert [line[: len(start)] for line, start in zip(said, starts, strict=True)] == starts
    assert "0.62 to the image and -0.01 to the caption's image" in said[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: leak_index(TARGETS, TARGETS, TARGETS, TARGETS[:2]), r"features \(6, 32\) and \(2"),
        (
            lambda: swap_test(lambda v, c: TARGETS, *batches(), TARGETS, order=[0, 2, 1, 4, 5, 3]),
            "order leaves 1 captions with their own image",
        ),
        (
            lambda: swap_test(lambda v, c: TARGETS, *batches(), TARGETS, order=[1] * 6),
            "order is no permutation of the 6 images",
        ),
    ],
)
def test_errors_by_message(call, message):
    with pytest.raises(ValueError, match=message):
        call()
