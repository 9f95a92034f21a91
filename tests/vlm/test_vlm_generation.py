"""Writing token by token: the draw, the limits, the cache; and ids to words and back."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import VOCABULARY, noise_images, tiny_qwen, tiny_smol, tiny_tokenizer

from vizer_core.decoding import Beam, Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.vlm import SmolVlm
from vizer_core.vlm.generation import TokenLimits, draw, generate_ids, top_p_logits, uniform_numbers
from vizer_core.vlm.prompts import CaptionTokens, Prefix

PAD, EOS = 0, 3


def test_uniform_numbers_reproduce_the_distribution():
    mass = torch.tensor([0.1, 0.0, 0.6, 0.3])
    numbers = torch.arange(2000, dtype=torch.float64) / 2000
    drawn = draw(mass.log().expand(2000, 4), numbers)
    counts = torch.bincount(drawn, minlength=4) / 2000
    torch.testing.assert_close(counts, mass, atol=1e-3, rtol=0)


def test_a_token_without_mass_is_never_drawn_even_at_the_ends():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf]]).expand(2, 3)
    ends = torch.tensor([0.0, 1.0 - 1e-16], dtype=torch.float64)
    assert draw(logits, ends).tolist() == [1, 1]


def test_top_p_keeps_what_transformers_keeps():
    from transformers.generation.logits_process import TopPLogitsWarper

    logits = torch.randn(20, 30, generator=seeded(0)) * 2
    for top_p in (0.1, 0.5, 0.9):
        wanted = TopPLogitsWarper(top_p)(None, logits)
        assert torch.equal(top_p_logits(logits, top_p).isfinite(), wanted.isfinite())
    assert top_p_logits(logits, 1.0) is logits


def test_greedy_writing_needs_no_generator_and_sampling_does():
    assert uniform_numbers(2, Greedy(3), None).shape == (2, 3)
    with pytest.raises(ValueError, match="sampling needs randomness"):
        uniform_numbers(2, Sample(max_tokens=3), None)


def scripted(lines: list[list[int]], seen: list[int]):
    """Make a text pass and a head that continue each row with its script, whatever is fed."""

    class Cache:
        def __init__(self):
            self.rows = torch.arange(len(lines))
            self.step = -1

        def batch_repeat_interleave(self, times: int) -> None:
            self.rows = self.rows.repeat_interleave(times)

        def batch_select_indices(self, kept: torch.Tensor) -> None:
            self.rows = self.rows[kept]

    def text_pass(tokens, mask, positions, cache):
        cache.step += 1
        seen.append(len(tokens))
        assert mask.shape == (len(tokens), 2 + cache.step)
        if cache.step:
            assert positions.tolist() == [[1 + cache.step]] * len(tokens)
            expected = torch.tensor([lines[r][cache.step - 1] for r in cache.rows])
            live = tokens[:, 0] != PAD
            assert torch.equal(tokens[live, 0], expected[live])
        wanted = torch.tensor([lines[r][cache.step] for r in cache.rows])
        return torch.nn.functional.one_hot(wanted, 8).float()[:, None] * 50

    return text_pass, Cache()


def prefix(rows: int) -> Prefix:
    return Prefix(
        torch.zeros(rows, 2, 8),
        torch.ones(rows, 2, dtype=torch.bool),
        torch.arange(2).expand(rows, 2),
    )


@pytest.mark.parametrize("samples", [1, 3])
def test_rows_stop_at_their_end_and_leave_the_batch(samples):
    lines = [[5, EOS, 6, 6, 6], [5, 6, 7, 5, EOS], [EOS, 7, 7, 7, 7], [6, 6, EOS, 5, 5]]
    seen: list[int] = []
    text_pass, cache = scripted(lines, seen)
    generated = generate_ids(
        text_pass,
        lambda states: states,
        prefix=prefix(4),
        cache=cache,
        rule=Sample(max_tokens=5),
        limits=TokenLimits(eos=(EOS,), pad=PAD),
        uniform=torch.rand(4 * samples, 5, generator=seeded(0), dtype=torch.float64),
    )
    wanted = [
        [5, EOS, PAD, PAD, PAD],
        [5, 6, 7, 5, EOS],
        [EOS, PAD, PAD, PAD, PAD],
        [6, 6, EOS, PAD, PAD],
    ]
    assert generated.tolist() == [row for row in wanted for _ in range(samples)]
    assert seen == [4, 4 * samples, 2 * samples, samples, samples]


def test_writing_stops_when_all_rows_have_ended():
    seen: list[int] = []
    text_pass, cache = scripted([[5, EOS], [EOS, 5]], seen)
    generated = generate_ids(
        text_pass,
        lambda states: states,
        prefix=prefix(2),
        cache=cache,
        rule=Greedy(9),
        limits=TokenLimits(eos=(EOS,), pad=PAD),
        uniform=torch.zeros(2, 9),
    )
    assert generated.tolist() == [[5, EOS], [EOS, PAD]]
    assert len(seen) == 2


def test_sampling_follows_the_models_own_probabilities():
    vlm = tiny_smol()
    vision = vlm.encode_image(noise_images(1))
    first = vlm.token_logits(vlm.caption_states(vision, vlm.tokenize(["a"])))[0, 0]
    first[vlm.image_token_id] = -torch.inf
    for temperature in (1.0, 3.0):
        wanted = (first / temperature).softmax(-1)
        drawn = vlm.generate(
            vision,
            decoding=Sample(temperature=temperature, max_tokens=1),
            samples=4000,
            generator=seeded(3),
        ).ids[:, 0]
        counts = torch.bincount(drawn, minlength=len(wanted)) / 4000
        assert float((counts - wanted).abs().max()) < 0.03


def test_a_cold_sample_is_greedy():
    vlm = tiny_smol()
    vision = vlm.encode_image(noise_images(3))
    cold = Sample(temperature=1e-4, max_tokens=6)
    generated = vlm.generate(vision, decoding=cold, generator=seeded(0))
    assert generated.texts == vlm.generate(vision, decoding=Greedy(6)).texts
    nucleus = Sample(top_p=1e-6, max_tokens=6)
    generated = vlm.generate(vision, decoding=nucleus, generator=seeded(0))
    assert generated.texts == vlm.generate(vision, decoding=Greedy(6)).texts


def test_words_become_ids_and_come_back():
    tokens = CaptionTokens(tiny_tokenizer(), "tiny", more_eos=None)
    captions = tokens.encode(["a red dog", "", "cat"])
    words = [VOCABULARY.index(word) for word in ("a", "red", "dog")]
    assert captions.ids[0].tolist() == [*words, EOS]
    assert captions.mask.tolist() == [
        [True] * 4,
        [True, False, False, False],
        [True] * 2 + [False] * 2,
    ]
    assert tokens.decode(captions.ids) == ("a red dog", "", "cat")


def test_a_caption_ends_at_the_first_of_any_of_its_ends():
    tokens = CaptionTokens(tiny_tokenizer(), "tiny", more_eos=[7, 3])
    assert tokens.eos_ids == (3, 7)
    dog, cat = VOCABULARY.index("dog"), VOCABULARY.index("cat")
    ids = torch.tensor([[dog, 7, cat, 3], [dog, cat, 3, cat], [dog, dog, dog, dog]])
    assert tokens.until_eos(ids).sum(1).tolist() == [2, 3, 4]
    assert tokens.decode(ids) == ("dog", "dog cat", "dog dog dog dog")


def test_batches_of_several_lengths_are_joined():
    tokens = CaptionTokens(tiny_tokenizer(), "tiny", more_eos=None)
    dog = VOCABULARY.index("dog")
    joined = tokens.generated([torch.tensor([[dog, dog]]), torch.tensor([[dog, EOS, 0, 0]])])
    assert joined.ids.tolist() == [[dog, dog], [dog, EOS]]
    assert joined.mask.all() and joined.texts == ("dog dog", "dog")
    ragged = tokens.generated([torch.tensor([[dog]]), torch.tensor([[dog, dog, EOS]])])
    assert ragged.mask.tolist() == [[True, False, False], [True, True, True]]


def test_a_tokenizer_without_bos_starts_texts_with_its_padding():
    tokenizer = tiny_tokenizer()
    assert CaptionTokens(tokenizer, "tiny", more_eos=None).start == 2
    tokenizer.bos_token = None
    assert CaptionTokens(tokenizer, "tiny", more_eos=None).start == 0


def test_tokenizers_without_ends_or_padding_are_refused():
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="no end token"):
        CaptionTokens(tokenizer, "tiny", more_eos=None)
    assert CaptionTokens(tokenizer, "tiny", more_eos=7).eos_ids == (7,)
    tokenizer.pad_token = None
    with pytest.raises(ValueError, match="no padding token"):
        CaptionTokens(tokenizer, "tiny", more_eos=7)
    with pytest.raises(ValueError, match="got an empty list"):
        tiny_smol().tokenize([])


def overflowing(dtype: torch.dtype) -> SmolVlm:
    """A model whose states go beyond 65,504 in its last block."""
    vlm = tiny_smol()
    with torch.no_grad():
        vlm.text_model.layers[-1].mlp.down_proj.weight.mul_(1e6).clamp_(-6e4, 6e4)
        vlm.text_model.layers[-1].mlp.up_proj.weight.mul_(1e3)
    vlm.base.to(dtype)
    return vlm


RULES = [Greedy(4), Sample(max_tokens=4), Beam(2, max_tokens=4)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_overflow_is_an_error_that_names_its_cause(rule):
    vlm = overflowing(torch.float16)
    vision = vlm.encode_image(noise_images(2))
    assert all(each.isfinite().all() for each in vision.image_embeddings)
    with pytest.raises(
        ValueError, match=r"generated in float16.*end at 65,504.*dtype='float32', or"
    ):
        vlm.generate(vision, decoding=rule, generator=seeded(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_wider_precisions_write_what_float16_cannot(rule, dtype):
    vlm = overflowing(dtype)
    vision = vlm.encode_image(noise_images(2))
    assert len(vlm.generate(vision, decoding=rule, generator=seeded(0)).texts) == 2


def test_features_that_are_no_numbers_are_an_error_in_any_precision():
    vlm = tiny_smol()
    vision = vlm.encode_image(noise_images(2))
    vision.image_embeddings[1][0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"in float32, and .* features that it reads fini"):
        vlm.generate(vision, decoding=Greedy(2))


@pytest.mark.parametrize("rule", [Greedy(3), Sample(max_tokens=3), Beam(2, max_tokens=3)])
@pytest.mark.parametrize("make", [tiny_smol, tiny_qwen])
def test_only_the_words_of_an_opening_come_first(make, rule):
    vlm = make()
    vision = vlm.encode_image(noise_images(3))
    found = vlm.generate(vision, decoding=rule, opening=("boat", "ball"), generator=seeded(0))
    assert {text.split()[0] for text in found.texts} <= {"boat", "ball"}
    one = vlm.generate(
        vision, decoding=rule, opening=("boat", "ball"), banned=("ball",), generator=seeded(0)
    )
    assert {text.split()[0] for text in one.texts} == {"boat"}


def test_an_opening_that_is_banned_is_refused():
    vlm = tiny_smol()
    with pytest.raises(ValueError, match="banned too: no word could come first"):
        vlm.generate(
            vlm.encode_image(noise_images(1)),
            decoding=Greedy(3),
            opening=("boat",),
            banned=("boat",),
        )
