"""MacCap: noisy mixtures of the global feature and its sub-regions, read by one prefix network.

Qiu et al. 2024 (MacCap), sections 4.2 and 4.3. With the global feature I_c, N_cr = 10 region
features r_j (equations 10 to 12) and the training noise n_j ~ N(0, .016):

    v_j = unit(I_c + r_j + n_j),   E = prefix_network(v_1 .. v_10),  caption: language model after E

`SampledMacCap` draws the noise S = 20 times and keeps the caption whose CLIP text feature has the
greatest cosine with the clean image feature ("multiple sampling and filtering").

===============  =====================================================================
RegionTokens     I_c and r_j, by any reading of the regions (`vizer_core.clip`), D3 and D4
GlobalTokens     I_c copied N_cr times: no sub-regions, the control of table 5
===============  =====================================================================

Where we differ: the release generates one caption from one noisy pass unless it is told otherwise,
and then S is 4; both are here, as two classes. It also deletes characters from the captions and
cuts them to 80 characters before the filter; here the filter reads what is returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.captioners.protocol import Images, image_features_of, require_width, states_of
from vizer_core.clip import MACCAP_REGIONS, ImageStates, ImageTextEncoder, regions_paper
from vizer_core.textonly.filtering import (
    MACCAP_SAMPLES,
    Candidates,
    PrefixGenerator,
    sample_and_filter,
)
from vizer_core.textonly.inference import global_tokens, noised, sum_mix
from vizer_core.textonly.noise import MACCAP_VARIANCE, GaussianNoise, Noise

MACCAP_NOISE = GaussianNoise(MACCAP_VARIANCE)
MACCAP_RELEASE_SAMPLES = 4  # the release's default, where sampling is switched on

RegionReading = Callable[[ImageStates, int], Float[Tensor, "n r d"]]
Mixing = Callable[[Float[Tensor, "n d"], Float[Tensor, "n r d"]], Float[Tensor, "n r d"]]


@runtime_checkable
class TokenReading(Protocol):
    """What MacCap's network reads of an image, before noise and before the last normalisation."""

    @property
    def reads_patches(self) -> bool:
        """Whether image features alone are too little."""

    def __call__(self, images: Images) -> Float[Tensor, "n r d"]:
        """Return r tokens per image, not normalised."""


@dataclass(frozen=True)
class RegionTokens:
    """The global feature mixed with each of `count` sub-regions (MacCap equations 10 to 13)."""

    regions: RegionReading = regions_paper
    count: int = MACCAP_REGIONS
    mixing: Mixing = sum_mix
    reads_patches: ClassVar[bool] = True

    def __call__(self, images: Images) -> Float[Tensor, "n r d"]:
        """Mix, and leave the length as it comes: the noise is added to it."""
        states = states_of(images, "RegionTokens")
        return self.mixing(states.image_features, self.regions(states, self.count))


@dataclass(frozen=True)
class GlobalTokens:
    """The global feature, `count` times: MacCap without its sub-regions."""

    count: int = MACCAP_REGIONS
    reads_patches: ClassVar[bool] = False

    def __call__(self, images: Images) -> Float[Tensor, "n r d"]:
        """Copy the feature."""
        return global_tokens(image_features_of(images), self.count)


@dataclass(frozen=True, eq=False)
class MacCap:
    """One noisy pass; `NoNoise()` makes it deterministic."""

    prefix_generator: PrefixGenerator
    tokens: TokenReading = RegionTokens()
    noise: Noise = MACCAP_NOISE
    name: str = "maccap"

    @property
    def reads_patches(self) -> bool:
        """Whether the token reading needs image states."""
        return self.tokens.reads_patches

    def mixed_tokens(self, images: Images) -> Float[Tensor, "n r d"]:
        """Return what the noise is added to, checked for the prefix network's width."""
        width = self.prefix_generator.prefix_network.config.clip_width
        require_width(image_features_of(images), width, self.name)
        return self.tokens(images)

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Generate one caption per image from noisy tokens."""
        tokens = noised(self.mixed_tokens(images), noise=self.noise, generator=generator)
        return list(self.prefix_generator.generate(tokens, generator=generator))


@dataclass(frozen=True, eq=False)
class SampledMacCap:
    """`samples` noisy passes of a `MacCap`, and CLIP's choice among their captions."""

    inner: MacCap
    encoder: ImageTextEncoder
    samples: int = MACCAP_SAMPLES
    name: str = "maccap_sampled"

    @property
    def reads_patches(self) -> bool:
        """Whether the token reading needs image states."""
        return self.inner.reads_patches

    def candidates(self, images: Images, *, generator: torch.Generator) -> Candidates:
        """Return every image's sampled captions with their cosines, for a gallery."""
        return sample_and_filter(
            self.inner.prefix_generator,
            self.encoder,
            self.inner.mixed_tokens(images),
            image_features_of(images),
            noise=self.inner.noise,
            samples=self.samples,
            generator=generator,
        )

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Return each image's candidate with the greatest cosine."""
        return self.candidates(images, generator=generator).best
