"""Every system of the tables: what it needs, and how its trained part is trained.

`SYSTEMS` is the overview as data, one row a system, in the order of the tables. The rows marked
with a dagger in MacCap's tables keep the language model frozen; `TRAINED_ROWS` holds those and the
fine-tuned forms of the papers that the methods come from. The dagger rows' trained part is a
`SingleTokenMLP`; `textonly.presets.TRAININGS` has what the command line trains, by name.

Where we differ: CapDec's own mapper is a Transformer of 8 layers behind 40 prefix vectors and
DeCap's own decoder is trained from nothing with label smoothing .1; the fine-tuned rows here give
our adaptor the published optimiser settings and let the language model learn along.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from vizer_core.decoding import Beam, Decoding, Greedy
from vizer_core.textonly.filtering import MACCAP_DECODING
from vizer_core.textonly.noise import NoNoise
from vizer_core.textonly.presets import (
    BASELINE,
    CAPDEC_DAGGER,
    DECAP_DAGGER,
    MACCAP_PAPER,
    MACCAP_RELEASE,
    TextOnlyConfig,
)
from vizer_core.textonly.schedule import WarmupCosine

Training = Literal["texts", "images and texts", "nothing"]
Drawn = Literal["training", "training and captioning", "captioning", "nowhere"]


@dataclass(frozen=True)
class System:
    """One row of the overview: where a captioner comes from and what it cannot do without."""

    name: str
    source: str
    trained_on: Training
    noise: Drawn
    memory: bool
    patches: bool
    clip_reads_captions: bool
    says: str


SYSTEMS: tuple[System, ...] = (
    System("maccap", "MacCap 4.2, 4.3", "texts", "training and captioning", False, True, False,
           "noisy mixtures of the image and its regions, one pass"),
    System("maccap_sampled", "MacCap 4.3", "texts", "training and captioning", False, True, True,
           "the same 20 times, and CLIP keeps the best caption"),
    System("baseline", "MacCap 5.2", "texts", "nowhere", False, False, False,
           "the image feature in the place of a text feature"),
    System("capdec", "Nukrai et al. 2022", "texts", "training", False, False, False,
           "trained on noisy text features, reads the clean image feature"),
    System("decap", "Li et al. 2023", "texts", "nowhere", True, False, False,
           "the image feature moved among a memory of captions"),
    System("clipre", "Su et al. 2022 (MAGIC) 4.1", "nothing", "nowhere", True, False, False,
           "the nearest caption of the memory, word for word"),
    System("magic", "Su et al. 2022 (MAGIC)", "nothing", "nowhere", False, False, True,
           "contrastive search in which CLIP votes on every word"),
    System("zerocap", "Tewel et al. 2022", "nothing", "nowhere", False, False, True,
           "gradient steps on the language model's memory, word by word"),
    System("socratic", "Zeng et al. 2022", "nothing", "captioning", False, False, True,
           "CLIP names, a language model writes, CLIP picks"),
    System("clipcap", "Mokady et al. 2021", "images and texts", "nowhere", False, False, False,
           "upper row: supervised with the images' own captions"),
    System("oracle_text", "ours", "texts", "nowhere", False, False, False,
           "upper row: reads a reference's text feature, so there is no gap"),
    System("mean_shift", "ours, after Liang et al. 2022", "texts", "nowhere", False, False, False,
           "control: the mean gap taken out, then another captioner"),
    System("blind", "ours", "texts", "nowhere", False, False, False,
           "control: the same constant for every image"),
)  # fmt: skip


@dataclass(frozen=True)
class TrainedRow:
    """How a trained row is trained and how it writes."""

    system: str
    training: TextOnlyConfig
    decoding: Decoding


_CAPDEC = replace(
    CAPDEC_DAGGER,
    train_language_model=True,
    learning_rate=2e-5,
    batch_size=34,
    epochs=10,
    schedule=WarmupCosine(warmup=5000),
)
_DECAP = replace(
    _CAPDEC,
    noise=NoNoise(),
    learning_rate=1e-5,
    batch_size=128,
    schedule=WarmupCosine(warmup=1000),
)

# MacCap 5.1: all rows that it trained itself share batch, rate and 4 beams. CapDec's release writes
# with 5 beams and up to 67 tokens, DeCap's greedily and up to 30.
TRAINED_ROWS: dict[str, TrainedRow] = {
    "maccap": TrainedRow("maccap_sampled", MACCAP_PAPER, MACCAP_DECODING),
    "maccap_release": TrainedRow("maccap", MACCAP_RELEASE, MACCAP_DECODING),
    "baseline_dagger": TrainedRow("baseline", BASELINE, MACCAP_DECODING),
    "capdec_dagger": TrainedRow("capdec", CAPDEC_DAGGER, MACCAP_DECODING),
    "decap_dagger": TrainedRow("decap", DECAP_DAGGER, MACCAP_DECODING),
    "capdec_fine_tuned": TrainedRow("capdec", _CAPDEC, Beam(5, max_tokens=67)),
    "decap_fine_tuned": TrainedRow("decap", _DECAP, Greedy(max_tokens=30)),
    "clipcap": TrainedRow("clipcap", BASELINE, MACCAP_DECODING),
}
