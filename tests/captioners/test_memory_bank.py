"""A caption memory: projection, nearest caption, bounded memory, files."""

from __future__ import annotations

import pytest
import torch
from tiny_clip import tiny_encoder

from vizer_core.captioners.memory_bank import (
    MemoryBank,
    draw_captions,
    nearest_rows,
)
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm


def directions(count: int, width: int = 16, seed: int = 0) -> torch.Tensor:
    return unit_norm(torch.randn(count, width, generator=seeded(seed)))


def project(features: torch.Tensor, memory: torch.Tensor, **options) -> torch.Tensor:
    bank = MemoryBank(("text",) * len(memory), memory, "tiny")
    return bank.project(features, **options)


def full_projection(features: torch.Tensor, memory: torch.Tensor, tau: float) -> torch.Tensor:
    """One softmax over the whole memory, in float64."""
    weights = (features.double() @ memory.double().T / tau).softmax(dim=-1)
    return unit_norm((weights @ memory.double()).float())


@pytest.mark.parametrize("block", [1, 7, 300, 1000])
@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_blocks_give_what_one_softmax_gives(block, temperature):
    features, memory = directions(5), directions(300, seed=1)
    found = project(features, memory, temperature=temperature, block=block)
    torch.testing.assert_close(
        found, full_projection(features, memory, temperature), atol=1e-6, rtol=0
    )


def test_a_low_temperature_gives_the_nearest_caption():
    features, memory = directions(20), directions(200, seed=1)
    found = project(features, memory, temperature=1e-5)
    torch.testing.assert_close(found, memory[nearest_rows(features, memory)])


def test_a_high_temperature_gives_the_mean_of_the_memory():
    features, memory = directions(3), directions(50, seed=1)
    found = project(features, memory, temperature=1e6)
    torch.testing.assert_close(
        found, unit_norm(memory.mean(dim=0)).expand(3, -1), atol=1e-4, rtol=0
    )


def test_weights_of_half_a_million_rows_still_sum_to_one():
    one = directions(1, width=8)
    memory = one.expand(500_000, -1).contiguous()
    found = project(directions(2, width=8, seed=1), memory)
    torch.testing.assert_close(found, one.expand(2, -1), atol=1e-5, rtol=0)
    spread = directions(500_000, width=8, seed=2)
    query = directions(2, width=8, seed=3)
    torch.testing.assert_close(
        project(query, spread, temperature=1.0),
        full_projection(query, spread, 1.0),
        atol=1e-4,
        rtol=0,
    )


def test_one_caption_is_always_returned():
    memory = directions(1)
    torch.testing.assert_close(project(directions(4, seed=1), memory), memory.expand(4, -1))


@pytest.mark.parametrize("block", [1, 16, 1000])
def test_the_nearest_row_does_not_depend_on_blocks_and_ties_go_to_the_first(block):
    memory = torch.eye(16)  # whose cosines are exact, so that copies tie
    twice = torch.cat([memory, memory])
    assert nearest_rows(memory.flip(0), twice, block=block).tolist() == list(range(16))[::-1]


def test_turning_everything_turns_the_projection():
    features, memory = directions(5), directions(40, seed=1)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=seeded(2))).Q
    torch.testing.assert_close(
        project(features @ turn, memory @ turn),
        project(features, memory) @ turn,
        atol=1e-5,
        rtol=0,
    )


@pytest.mark.parametrize("function", [project, nearest_rows])
def test_a_memory_of_other_lengths_or_widths_is_refused(function):
    features, memory = directions(2), directions(5, seed=1)
    with pytest.raises(ValueError, match="the memory's features must be unit-norm"):
        function(features, memory * 2)
    with pytest.raises(ValueError, match="the memory's features must be unit-norm"):
        function(features, torch.zeros(5, 16))
    with pytest.raises(ValueError, match="width 16 and a memory of width 8"):
        function(features, directions(5, width=8))
    with pytest.raises(ValueError, match="image_features is empty"):
        function(features[:0], memory)


def test_a_temperature_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"temperature is 0\.0: wanted more than 0; use `nearest`"):
        project(directions(1), directions(3), temperature=0.0)


def test_captions_are_drawn_once_each_and_by_the_seed():
    captions = [f"w{i % 30 + 1}" for i in range(90)]
    drawn = draw_captions(captions, 10, generator=seeded(0))
    assert len(set(drawn)) == 10 and set(drawn) <= set(captions)
    assert drawn == draw_captions(captions, 10, generator=seeded(0))
    assert drawn != draw_captions(captions, 10, generator=seeded(1))
    with pytest.raises(ValueError, match="cannot draw 3 captions from 0 different ones"):
        draw_captions([], 3, generator=seeded(0))


def test_a_memory_made_from_captions_survives_its_file(tmp_path):
    encoder = tiny_encoder()
    captions = ["w1 w2", "w3", "w4 w5 w6", "w3"]
    bank = MemoryBank.from_captions(encoder, captions, size=9, generator=seeded(0))
    assert bank.texts == ("w1 w2", "w3", "w4 w5 w6") and len(bank) == 3
    torch.testing.assert_close(bank.features, encoder.encode_text(bank.texts))
    assert bank.nearest(bank.features).tolist() == [0, 1, 2]

    odd = MemoryBank(("é ß", "", "x\ny"), bank.features, bank.encoder)
    odd.save(tmp_path / "memory.safetensors", {"corpus": "three captions"})
    again = MemoryBank.load(tmp_path / "memory.safetensors")
    assert again.texts == odd.texts and again.encoder == encoder.fingerprint
    torch.testing.assert_close(again.features, odd.features, rtol=0, atol=0)


def test_a_memory_that_does_not_fit_together_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got 1 texts and 2 features"):
        MemoryBank(("one",), directions(2), "x")
    with pytest.raises(ValueError, match="must be unit-norm"):
        MemoryBank(("one",), directions(1) * 3, "x")
    from vizer_core.files import save_tensors

    save_tensors(tmp_path / "other.safetensors", {"x": torch.zeros(1)}, {"kind": "adaptor"})
    with pytest.raises(ValueError, match="contains 'adaptor', wanted 'memory'"):
        MemoryBank.load(tmp_path / "other.safetensors")
