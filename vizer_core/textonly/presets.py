"""Training settings: what MacCap's paper prints, what its release runs, and ours for small models.

A setting that paper and release disagree on is two presets, never a silent choice. Where the
paper gives no value (epochs, schedule, weight decay) `MACCAP_PAPER` takes the release's.

`TRAININGS` says what `vizer train-captioner --method` trains, by name:

===================  ==================  =====================  =============================
method               trained part        at 512 and 2048 wide   in MacCap's tables 2 and 3
===================  ==================  =====================  =============================
maccap               `PrefixDecoder`     5,797,376 parameters   MacCap
capdec               `SingleTokenMLP`    1,575,936 parameters   CapDec, with a dagger
decap                `SingleTokenMLP`    1,575,936 parameters   DeCap, with a dagger; Baseline
capdec_same_decoder  `PrefixDecoder`     5,797,376 parameters   ours: nowhere
decap_same_decoder   `PrefixDecoder`     5,797,376 parameters   ours: nowhere
===================  ==================  =====================  =============================

The last two give CapDec and DeCap MacCap's own trained part, so that only tokens and noise differ:
the comparison of chapter 7, whose shipped prefix networks have `word_reader`'s detectors besides.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.shipped import shipped_names
from vizer_core.textonly.loss import CaptionLoss, caption_loss, release_loss
from vizer_core.textonly.noise import MACCAP_VARIANCE, GaussianNoise, Noise, NoNoise
from vizer_core.textonly.optimizer import MakeOptimizer, adamw
from vizer_core.textonly.prefix_network import MLPConfig, PrefixConfig
from vizer_core.textonly.regions import MACCAP_TOKENS
from vizer_core.textonly.schedule import ReleaseSchedule, Schedule, WarmupCosine


@dataclass(frozen=True)
class TextOnlyConfig:
    """How to train a prefix network on text: the input's noise, the loss, and the optimiser.

    `max_tokens` counts BOS and EOS. `pad_to_longest` cuts padding to each batch's longest caption;
    `release_loss` needs it off, since padding is among its targets. `standardise` sets both ends
    of the prefix network to the scale of what they meet before the first step: its input to the
    noised training features, its output to the embeddings of the captions' words.

    `captions_at_once` cuts a batch into parts whose gradients add up (gradient accumulation): less
    memory, the same step but for rounding and dropout's draws. A run's identity leaves it out.
    `optimizer` makes it of what is trained; AdamW, the release's, goes unnamed in manifests.
    """

    tokens: int = MACCAP_TOKENS
    noise: Noise = GaussianNoise(MACCAP_VARIANCE)  # noqa: RUF009  frozen
    loss: CaptionLoss = caption_loss
    schedule: Schedule = ReleaseSchedule()  # noqa: RUF009  frozen
    batch_size: int = 128
    learning_rate: float = 4e-4
    epochs: int = 8
    weight_decay: float = 0.01
    max_tokens: int = 25
    pad_to_longest: bool = True
    standardise: bool = False
    train_language_model: bool = False
    captions_at_once: int | None = None
    optimizer: MakeOptimizer = adamw

    def __post_init__(self) -> None:
        if min(self.tokens, self.batch_size, self.epochs) < 1 or self.max_tokens < 3:
            raise ValueError(
                "wanted tokens, batch_size and epochs of at least 1 and max_tokens of at least 3 "
                f"(BOS, a word, EOS), got {self}"
            )
        if self.captions_at_once is not None and self.captions_at_once < 1:
            raise ValueError(f"captions_at_once is {self.captions_at_once}: wanted at least 1")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}: wanted more than 0")
        if self.loss is release_loss and self.pad_to_longest:
            raise ValueError(
                "release_loss counts padding, so its mean must not depend on who shares a batch: "
                "set pad_to_longest=False"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values, for a manifest.

        >>> MACCAP_PAPER.to_dict()["noise"]
        {'kind': 'GaussianNoise', 'variance': 0.016}
        """
        named = {
            key: {"kind": type(value).__name__} | asdict(value)
            for key, value in (("noise", self.noise), ("schedule", self.schedule))
        }
        left_out = (*named, "loss", "captions_at_once", "optimizer")
        plain = {key: value for key, value in vars(self).items() if key not in left_out}
        if self.optimizer is not adamw:
            plain["optimizer"] = getattr(self.optimizer, "__name__", repr(self.optimizer))
        return plain | named | {"loss": getattr(self.loss, "__name__", repr(self.loss))}


# Section 5.1: "batch size of 128 and a learning rate of 4e-4", N_cr = 10, noise variance .016;
# captions of at most 15 words. Epochs, schedule and weight decay are the release's (D8, D11).
MACCAP_PAPER = TextOnlyConfig()

# The release's COCO script: 2 GPUs x 16 captions, 1e-4, 8 epochs, text padded to 25 tokens, every
# text position a target.
MACCAP_RELEASE = replace(
    MACCAP_PAPER,
    loss=release_loss,
    pad_to_longest=False,
    batch_size=32,
    learning_rate=1e-4,
)
MACCAP_RELEASE_CC3M = replace(MACCAP_RELEASE, epochs=4)

# The frozen-LM rows of tables 2 and 3: one token; noise for CapDec only, and in training only.
# Their trained part is the one of SINGLE_TOKEN_NETWORK, below.
CAPDEC_DAGGER = replace(MACCAP_PAPER, tokens=1)
DECAP_DAGGER = replace(MACCAP_PAPER, tokens=1, noise=NoNoise())
BASELINE = DECAP_DAGGER  # "trained in the same way as DeCap": only inference differs

MACCAP_NETWORK = PrefixConfig(clip_width=512, lm_width=2048)  # ViT-B/32 and OPT-1.3b
SINGLE_TOKEN_NETWORK = MLPConfig(clip_width=512, lm_width=2048)

# For the shipped CLIP and LM: widths of 128, a prefix of 4 (shipped networks: 8), about a minute.
SMALL_NETWORK = PrefixConfig(
    clip_width=128, lm_width=128, queries=4, feedforward=512, dropout=0.0, norm_first=True
)
# Half of the variance that matches the angle of drawn-clip-50's pairs; see `gap.noise_scale`.
SMALL_VARIANCE = 0.01
SMALL_MACCAP = TextOnlyConfig(
    noise=GaussianNoise(SMALL_VARIANCE),
    schedule=WarmupCosine(100),
    batch_size=32,
    learning_rate=1.5e-3,
    epochs=3,
    standardise=True,
)
SMALL_CAPDEC = replace(SMALL_MACCAP, tokens=1)
SMALL_DECAP = replace(SMALL_MACCAP, tokens=1, noise=NoNoise())


@dataclass(frozen=True)
class Training:
    """A way to train a captioner on text: which trained part, and its settings at both sizes."""

    single_token: bool
    paper: TextOnlyConfig
    small: TextOnlyConfig

    def sizes(self, *, clip_width: int, lm_width: int, small: bool) -> PrefixConfig | MLPConfig:
        """Return the sizes of the trained part for models of these widths.

        `small` is for a shipped CLIP, with any language model: a short prefix, no dropout.

        >>> TRAININGS["capdec"].sizes(clip_width=512, lm_width=2048, small=False)
        MLPConfig(clip_width=512, lm_width=2048, mlp_layers=3)
        """
        if self.single_token:
            return MLPConfig(clip_width, lm_width)
        if small:
            return replace(SMALL_NETWORK, clip_width=clip_width, lm_width=lm_width)
        return PrefixConfig(clip_width, lm_width)


TRAININGS: dict[str, Training] = {
    "maccap": Training(False, MACCAP_PAPER, SMALL_MACCAP),
    "capdec": Training(True, CAPDEC_DAGGER, SMALL_CAPDEC),
    "decap": Training(True, DECAP_DAGGER, SMALL_DECAP),
    "capdec_same_decoder": Training(False, CAPDEC_DAGGER, SMALL_CAPDEC),
    "decap_same_decoder": Training(False, DECAP_DAGGER, SMALL_DECAP),
}


def settings_of(
    method: str,
    *,
    encoder: ImageTextEncoder,
    lm: PrefixLanguageModel,
    epochs: int | None = None,
    at_once: int | None = None,
    variance: float | None = None,
) -> tuple[PrefixConfig | MLPConfig, TextOnlyConfig]:
    """Return the trained part's sizes, from the models, and the settings that are asked for.

    What is None is the method's own, which a shipped CLIP has settings of its own for; `variance` 0
    is no noise.
    """
    training, small = TRAININGS[method], encoder.name in shipped_names("clip")
    shape = training.sizes(clip_width=encoder.embed_dim, lm_width=lm.width, small=small)
    config = training.small if small else training.paper
    config = replace(config, epochs=epochs or config.epochs, captions_at_once=at_once)
    if variance is None:
        return shape, config
    return shape, replace(config, noise=GaussianNoise(variance) if variance else NoNoise())
