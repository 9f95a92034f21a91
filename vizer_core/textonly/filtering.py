"""Sampling and filtering: generate S captions from S noisy readings, keep the one CLIP likes best.

MacCap section 4.3: N(0, sigma^2) is added to the mixed tokens of an image, S times; each noisy
reading is written out; the text whose CLIP feature has the highest cosine with the clean global
image feature is the caption. S = 20 in the paper; the release's default is 4, off (D9).

All S readings of many images are generated in one batched call, and each distinct text is encoded
once. Noise is drawn image by image and sample by sample: the first samples of S = 20 are those
of S = 5, and batch limits change nothing. Texts are cut to CLIP's length in tokens, by its own
encoder; the release cuts at 80 characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.decoding import Beam, Decoding
from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.runtime import seeded
from vizer_core.shapes import require_unit_norm, unit_norm
from vizer_core.textonly.noise import Noise
from vizer_core.textonly.prefix_network import PrefixNetwork

MACCAP_SAMPLES = 20  # "the sampling number S in inference is set to 20", section 5.1
MACCAP_DECODING = Beam(4, max_tokens=16)  # beam search with 4 beams; 16 tokens in the release
SMALL_DECODING = Beam(4, max_tokens=24)  # shipped models': of drawn captions 1 in 100 has over 21


@dataclass(frozen=True, eq=False)
class PrefixGenerator:
    """A trained prefix network before its language model; `rows` limits one call of `generate`."""

    prefix_network: PrefixNetwork
    language_model: PrefixLanguageModel
    decoding: Decoding = MACCAP_DECODING
    rows: int = 512

    @torch.no_grad()
    def generate(
        self, tokens: Float[Tensor, "b r d"], *, generator: torch.Generator | None = None
    ) -> tuple[str, ...]:
        """Generate one text from each set of tokens; `generator` is for sampled decoding."""
        if self.prefix_network.training:
            raise ValueError(
                "the prefix network is in training mode: call .eval() before generating"
            )
        texts: list[str] = []
        for part in tokens.split(self.rows):
            prefix = self.prefix_network(part.to(self.language_model.device))
            generated = self.language_model.generate(
                prefix, decoding=self.decoding, generator=generator
            )
            texts.extend(generated.texts)
        return tuple(texts)


@dataclass(frozen=True, eq=False)
class Candidates:
    """k texts for each of n images, and the cosine of each text with its image."""

    texts: tuple[tuple[str, ...], ...]
    scores: Float[Tensor, "n k"]

    @property
    def chosen(self) -> Int[Tensor, " n"]:
        """Number of each image's best text; the first one where several tie."""
        return self.scores.argmax(dim=1)

    @property
    def best(self) -> list[str]:
        """Each image's best text."""
        return [texts[i] for texts, i in zip(self.texts, self.chosen.tolist())]

    def first(self, count: int) -> Candidates:
        """Keep the first `count` samples of each image, as if no more had been drawn."""
        if not 1 <= count <= self.scores.shape[1]:
            raise ValueError(
                f"asked for {count} of {self.scores.shape[1]} samples: wanted 1 to all of them"
            )
        return Candidates(tuple(t[:count] for t in self.texts), self.scores[:, :count])


def draw_noise(
    shape: tuple[int, int, int], samples: int, *, noise: Noise, generator: torch.Generator
) -> Float[Tensor, "n k r d"]:
    """Draw the noise of `samples` readings of mixed tokens [n, r, d]; prefixes of it are nested.

    >>> from vizer_core.textonly.noise import GaussianNoise
    >>> few, many = (draw_noise((2, 3, 4), k, noise=GaussianNoise(1.0),
    ...              generator=torch.Generator().manual_seed(0)) for k in (2, 5))
    >>> few.equal(many[:, :2])
    True
    """
    if samples < 1:
        raise ValueError(f"asked for {samples} samples: wanted at least 1")
    n, r, d = shape
    streams = [seeded(s) for s in torch.randint(2**62, (n,), generator=generator).tolist()]
    return torch.stack(
        [torch.stack([noise.sample((r, d), stream) for _ in range(samples)]) for stream in streams]
    )


def filter_samples(
    prefix_generator: PrefixGenerator,
    encoder: ImageTextEncoder,
    inputs: Float[Tensor, "n k r d"],
    image_features: Float[Tensor, "m d"],
    *,
    generator: torch.Generator | None = None,
) -> Candidates:
    """Generate from every reading, rank by cosine with the image (MacCap section 4.3, figure 3)."""
    if inputs.shape[0] != image_features.shape[0]:
        raise ValueError(
            f"got readings of {inputs.shape[0]} images and {image_features.shape[0]} image "
            "features: wanted one feature per image"
        )
    n, k = inputs.shape[:2]
    generated = prefix_generator.generate(
        rearrange(inputs, "n k r d -> (n k) r d"), generator=generator
    )
    texts = tuple(generated[i * k : (i + 1) * k] for i in range(n))
    return Candidates(texts, clip_scores(texts, image_features, encoder))


def sample_and_filter(
    prefix_generator: PrefixGenerator,
    encoder: ImageTextEncoder,
    mixed: Float[Tensor, "n r d"],
    image_features: Float[Tensor, "n d"],
    *,
    noise: Noise,
    samples: int = MACCAP_SAMPLES,
    generator: torch.Generator,
) -> Candidates:
    """Read each image `samples` times with fresh noise, generate, and rank (MacCap section 4.3).

    `mixed` is what `sum_mix` or `average_mix` returned: not yet normalised.
    """
    shape = (mixed.shape[0], mixed.shape[1], mixed.shape[2])
    drawn = draw_noise(shape, samples, noise=noise, generator=generator)
    inputs = unit_norm(mixed[:, None] + drawn.to(mixed.device))
    return filter_samples(prefix_generator, encoder, inputs, image_features, generator=generator)


def clip_scores(
    texts: Sequence[Sequence[str]], image_features: Float[Tensor, "n d"], encoder: ImageTextEncoder
) -> Float[Tensor, "n k"]:
    """Return the cosine of each text with its image; every distinct text is encoded once."""
    require_unit_norm(image_features, "image_features")
    row: dict[str, int] = {}
    for text in (text for group in texts for text in group):
        row.setdefault(text, len(row))
    index = torch.tensor([[row[text] for text in group] for group in texts])
    text_features = encoder.encode_text(list(row)).to(image_features.device)
    return (text_features[index] * image_features[:, None]).sum(dim=-1)
