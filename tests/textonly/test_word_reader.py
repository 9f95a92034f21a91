"""A prefix network that begins as a reader of words: detectors, places in the prefix, errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.textonly.tiny_models import CLIP_WIDTH, WIDTH, HashEncoder, tiny_language_model
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_core.textonly.prefix_network_file import load_prefix_network, save_prefix_network
from vizer_core.textonly.word_reader import SCALE, ReaderConfig, WordReader, shared_out

WORDS = 4


def planted(n: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features that say in their first coordinates which words there are, and the words."""
    present = torch.rand(n, WORDS, generator=seeded(0)).lt(0.4).float()
    features = 0.05 * torch.randn(n, CLIP_WIDTH, generator=seeded(1)) + 1.0
    features[:, :WORDS] += present
    return unit_norm(features)[:, None], present


def fitted() -> WordReader:
    torch.manual_seed(0)
    config = ReaderConfig(
        CLIP_WIDTH, WIDTH, queries=2, heads=4, feedforward=32, dropout=0.0, words=WORDS
    )
    reader, (tokens, present) = WordReader(config), planted()
    words = torch.randn(WORDS, WIDTH, generator=seeded(2))
    reader.standardise_on(tokens)
    reader.start_near_words(words, generator=seeded(3))
    reader.fit_detectors(tokens, present, words, generator=seeded(4))
    return reader.eval()


def test_detectors_find_the_words_and_put_each_at_its_own_position():
    reader, (tokens, present) = fitted(), planted()
    with torch.no_grad():
        said = reader(tokens) - reader.decoder(tokens)
        sure = ((tokens[:, 0] - reader.mean) @ reader.basis) @ reader.detectors.weight.T
        sure = (sure + reader.detectors.bias).sigmoid()
    assert ((sure > 0.5) == present.bool()).float().mean() > 0.97
    word = 1
    others = [w for w in range(WORDS) if w != word and reader.position[w] == reader.position[word]]
    alone = (present[:, others].sum(dim=1) == 0) & (present[:, word] == 1)
    wanted = SCALE * reader.embedding[word]
    got = said[alone][:, reader.position[word]].mean(dim=0)
    assert torch.cosine_similarity(got, wanted, dim=0) > 0.98


def test_the_decoder_begins_small_and_all_but_the_words_is_trained():
    reader, (tokens, _) = fitted(), planted()
    with torch.no_grad():
        assert reader.decoder(tokens).std() < 0.2 * (reader(tokens) - reader.decoder(tokens)).std()
    trained = {name for name, _ in reader.named_parameters()}
    assert "detectors.weight" in trained and "embedding" not in trained


def test_flat_directions_do_not_reach_the_detectors():
    reader, (tokens, present) = fitted(), planted()
    tokens = tokens.clone()
    tokens[..., -1] = 0.1  # the same in all features
    reader.fit_detectors(tokens, present, reader.embedding, generator=seeded(4))
    assert reader.basis.isfinite().all()
    moved = tokens.clone()
    moved[..., -1] += 5.0
    with torch.no_grad():
        x = [(each[:, 0] - reader.mean) @ reader.basis for each in (tokens, moved)]
    assert torch.allclose(x[0], x[1], atol=1e-3)


def test_positions_are_about_equally_full():
    counts = torch.tensor([9.0, 1, 5, 4, 8, 3])
    given = shared_out(counts, 3)
    loads = [float(counts[given == position].sum()) for position in range(3)]
    assert max(loads) - min(loads) <= 2 and sum(loads) == counts.sum()


def test_it_comes_back_from_disk_as_it_was(tmp_path: Path):
    reader, path = fitted(), tmp_path / "reader.safetensors"
    lm, encoder = tiny_language_model(), HashEncoder()
    save_prefix_network(path, reader, encoder=encoder, language_model=lm, metadata={"seed": 0})
    found = load_prefix_network(path, encoder=encoder, language_model=lm)
    tokens, _ = planted(5)
    assert isinstance(found, WordReader) and found.config == reader.config
    assert found(tokens).equal(reader(tokens))


def test_wrong_words_are_refused():
    with pytest.raises(ValueError, match="words is 0: wanted at least 1"):
        ReaderConfig(CLIP_WIDTH, WIDTH, heads=4, words=0)
    reader, (tokens, present) = fitted(), planted()
    with pytest.raises(ValueError, match=r"got words \(400, 3\) of 400 captions: wanted a column"):
        reader.fit_detectors(tokens, present[:, :3], reader.embedding[:3], generator=seeded(0))
