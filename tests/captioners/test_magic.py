"""MAGIC: its terms by hand, its limits, and the cached batch against the plain loop."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_captioners import broken_lm, encoder, states, tiny_lm
from torch.nn.functional import cosine_similarity, normalize

from vizer_core.captioners.magic import (
    MAGIC_COCO,
    MAGIC_FLICKR,
    MagicConfig,
    degeneration_penalty,
    magic_search,
    magic_term,
)
from vizer_core.decoding import Greedy
from vizer_core.language import no_prefix, start
from vizer_core.runtime import seeded

CONFIG = MagicConfig(candidates=5, max_tokens=6)


def by_the_book(image: torch.Tensor, config: MagicConfig) -> list[int]:
    """One image, one candidate at a time, whole sequences, no cache (MAGIC equations 3 to 5)."""
    lm, generated = tiny_lm(), []
    while len(generated) < config.max_tokens:
        ids = torch.tensor([[lm.bos_id, *generated]])
        seen = torch.ones_like(ids, dtype=torch.bool)
        probabilities = lm.logits(lm.embed(ids), seen)[0, -1].softmax(-1)
        past = lm.hidden_states(lm.embed(ids), seen)[0]
        best, likely = [], probabilities.topk(config.candidates).indices.tolist()
        texts = lm.decode(torch.tensor([[*generated, v] for v in likely]))
        cosines = encoder().encode_text(texts) @ image
        magic = (encoder().logit_scale * cosines).softmax(-1)
        for index, v in enumerate(likely):
            longer = torch.tensor([[lm.bos_id, *generated, v]])
            state = lm.hidden_states(lm.embed(longer), torch.ones_like(longer).bool())[0, -1:]
            penalty = cosine_similarity(state, past).max()
            best.append(
                (1 - config.alpha) * probabilities[v]
                - config.alpha * penalty
                + config.beta * magic[index]
            )
        generated.append(likely[int(torch.stack(best).argmax())])
        if generated[-1] == lm.eos_id:
            break
    return generated


def search(config: MagicConfig) -> list[list[int]]:
    ids = magic_search(tiny_lm(), encoder(), states().image_features, config=config).tolist()
    end = tiny_lm().eos_id
    return [row[: row.index(end) + 1] if end in row else row for row in ids]


def greedy(length: int) -> str:
    lm = tiny_lm()
    return lm.generate(no_prefix(lm, 1), decoding=Greedy(length)).texts[0]


@pytest.mark.parametrize(
    "config",
    [CONFIG, replace(CONFIG, beta=0.0, alpha=0.6), replace(CONFIG, alpha=0.5, beta=0.5)],
    ids=["magic", "contrastive search", "both"],
)
def test_the_cached_batch_writes_what_the_plain_loop_writes(config):
    expected = [by_the_book(image, config) for image in states().image_features]
    assert search(config) == expected
    assert len({tuple(row) for row in expected}) > 1 or config.beta == 0


def test_without_its_terms_and_with_one_candidate_it_is_greedy():
    lm = tiny_lm()
    for config in (replace(CONFIG, alpha=0.0, beta=0.0), replace(CONFIG, candidates=1)):
        ids = magic_search(lm, encoder(), states().image_features, config=config)
        assert set(lm.decode(ids)) == {greedy(CONFIG.max_tokens)}


def test_without_clip_the_image_does_not_matter_and_with_it_the_cosine_rises():
    lm, features = tiny_lm(), states().image_features
    means = []
    for beta in (0.0, 50.0):
        ids = magic_search(lm, encoder(), features, config=replace(CONFIG, beta=beta))
        texts = lm.decode(ids)
        means.append(float((encoder().encode_text(texts) * features).sum(-1).mean()))
        assert (len(set(texts)) == 1) is (beta == 0)
    assert means[1] > means[0] + 0.05


def test_a_prompt_is_read_by_both_models_and_not_returned():
    lm, features = tiny_lm(), states().image_features
    plain = replace(CONFIG, alpha=0.0, beta=0.0)
    texts = lm.decode(magic_search(lm, encoder(), features, config=plain, prompt="w3 w5"))
    wanted = lm.generate(
        no_prefix(lm, 1), prompts=["w3 w5"], decoding=Greedy(CONFIG.max_tokens)
    ).texts[0]
    assert set(texts) == {wanted} and wanted != greedy(CONFIG.max_tokens)
    asked = replace(CONFIG, candidates=4, max_tokens=1, beta=50.0, alpha=0.0)
    ids = magic_search(lm, encoder(), features, config=asked, prompt="w3 w5")
    state = start(lm, no_prefix(lm, 1), ["w3 w5"])
    likely = state.logits.topk(4).indices[0].tolist()
    said = encoder().encode_text([f"w3 w5 {lm.decode(torch.tensor([[v]]))[0]}" for v in likely])
    best = (features @ said.T).argmax(dim=1).tolist()
    assert [likely[place] for place in best] == ids[:, 0].tolist()


def test_the_penalty_is_the_greatest_cosine():
    candidates = torch.randn(2, 3, 4, generator=seeded(0))
    past = torch.randn(2, 5, 4, generator=seeded(1))
    expected = torch.stack(
        [torch.stack([cosine_similarity(c, p).max() for c in row]) for row, p in
         zip(candidates, past)]
    )  # fmt: skip
    torch.testing.assert_close(degeneration_penalty(candidates, past), expected)
    torch.testing.assert_close(degeneration_penalty(candidates * 3, past * 7), expected)
    with pytest.raises(ValueError, match="got no states before the candidates"):
        degeneration_penalty(candidates, past[:, :0])


def test_the_images_vote_sums_to_one_and_follows_the_scale():
    image = normalize(torch.randn(3, 8, generator=seeded(0)), dim=-1)
    texts = normalize(torch.randn(3, 6, 8, generator=seeded(1)), dim=-1)
    votes = magic_term(image, texts, logit_scale=100.0)
    torch.testing.assert_close(votes.sum(-1), torch.ones(3))
    assert votes.argmax(-1).equal((texts @ image[..., None]).squeeze(-1).argmax(-1))
    torch.testing.assert_close(magic_term(image, texts, logit_scale=0.0), torch.full((3, 6), 1 / 6))


def test_settings_are_the_papers_and_wrong_ones_are_refused():
    assert (MAGIC_COCO.candidates, MAGIC_COCO.alpha, MAGIC_COCO.beta) == (45, 0.1, 2.0)
    assert (MAGIC_FLICKR.candidates, MAGIC_FLICKR.max_tokens) == (25, 19)
    with pytest.raises(ValueError, match="wanted 0 <= alpha <= 1"):
        MagicConfig(5, 5, alpha=1.5)
    with pytest.raises(ValueError, match="at least 1 candidate"):
        MagicConfig(0, 5)
    with pytest.raises(ValueError, match="asked for 400 candidates of a vocabulary of 40"):
        search(replace(CONFIG, candidates=400))


def test_a_model_that_overflows_is_refused():
    lm = broken_lm()
    with pytest.raises(ValueError, match="gave logits that are no numbers while it generated"):
        magic_search(lm, encoder(), states().image_features, config=CONFIG)
