"""What the ViZer study looks at: images as each base's tower sees them, states, fresh scenes.

=============  =================================================================================
images         what mappers and phase 2 train on: the stream at home, and away the images of
               `away_train`, whose backgrounds no base has met; captions are not looked at
validation     scenes 20,000 and on of the split of that name: for choices
test           scenes 20,000 and on of `test` (`away_test`): nothing was ever chosen on them
other          a place of its own: the other world, with its own stream and test scenes, for the
               bases that were trained in it; nothing at all was chosen there
=============  =================================================================================

All of it is computed once and lies in the run's folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.vizer_bases import MODEL, home_of, load_base, make_base, see
from vizer_core.decoding import Greedy, Sample
from vizer_core.files import load_tensors, save_tensors
from vizer_core.runtime import seeded
from vizer_core.vizer.agreement import agreement, keep_best, word_weights
from vizer_core.vizer.best_of_n import best_of_n
from vizer_core.vizer.generate_captions import generate_captions, sample_captions
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.text_states import generated_states, ground_truth_states, read_back_states
from vizer_core.vlm import VisionBatch
from vizer_lab.world import MicroSplit, unlabelled_stream

MAX_TOKENS, FRESH = 24, 20_000  # fresh scenes begin there
GREEDY, SAMPLED = Greedy(MAX_TOKENS), Sample(max_tokens=MAX_TOKENS)
COOL = Sample(temperature=0.7, max_tokens=MAX_TOKENS)
FILTER_DRAWS, FILTER_SHARE = 4, 0.5
PRIMED = "a"  # the caption's first word, given
BASELINES = ("base", "banned", "primed", "cool", "primed_cool", "best_of_8")


@dataclass(frozen=True)
class Trial:
    """One variant on one base: what it is trained on, how, and on what it is tested."""

    runs: str
    base: str
    variant: str
    seed: int = 0
    shuffled: bool = False
    place: str = "home"  # or "away": backgrounds that no base has met; or "other": other objects
    states: int = 16_000  # stored, of which the mapper reads the first `mapper_images`
    mapper_images: int = 8_000
    images: int = 1_000
    learning_rate: float = 2e-4
    part: str = "test"
    n: int = 1_000
    samples: int = 2

    @property
    def name(self) -> str:
        """The cell's name: all that tells it from its neighbours."""
        control = "_shuffled" * self.shuffled
        sizes = f"m{self.mapper_images}-i{self.images}-lr{self.learning_rate:g}"
        where = f"{self.base}-{self.place}-{self.part}{self.n}"
        return f"trial/{where}-{self.variant}{control}-{sizes}-{self.seed}"


def scenes_of(part: str, place: str, n: int) -> MicroSplit:
    """Return n fresh scenes of a part (`validation`, `test`) at a place."""
    if part not in ("validation", "test"):
        raise ValueError(f"no part {part!r}: wanted validation or test")
    return MicroSplit(part if place == "home" else f"{place}_{part}", n, first=FRESH)


def images(place: str, n: int) -> np.ndarray:
    """Return n unlabelled images for training."""
    if place != "away":
        return np.stack([image.pixels for image in unlabelled_stream(n, world=place)])
    return MicroSplit("away_train", n).images


@cache
def load_once(runs: str, base: str) -> MODEL:
    """Load a base to look, not to train: the same one at each call."""
    return load_base(runs, base)


def load(runs: str, base: str) -> MODEL:
    """Load a fresh base, for training."""
    return load_base(runs, base)


def _path(runs: str, kind: str, name: str) -> Path:
    return Path(runs) / kind / f"{name}.safetensors"


def _keep(path: Path, vision: VisionBatch) -> None:
    tensors = {"image_features": vision.image_features, "grid": vision.grid.contiguous()}
    tensors["image_embeddings"] = torch.stack(list(vision.image_embeddings)).half()
    save_tensors(path, tensors, {"images": len(vision)})


def encode_cell(runs: str, base: str, place: str, count: int) -> dict[str, int]:
    """Let a base's tower see the images that it will train on, and store what it says."""
    torch.set_num_threads(1)
    _keep(
        _path(runs, "vision", f"{base}-{place}"), see(load_once(runs, base), images(place, count))
    )
    return {"images": count}


@cache
def _stored(runs: str, base: str, place: str) -> VisionBatch:
    tensors, _ = load_tensors(_path(runs, "vision", f"{base}-{place}"), verify=False)
    tokens = tuple(tensors["image_embeddings"].float())
    return VisionBatch(tensors["image_features"], tokens, tensors["grid"])


def vision(runs: str, base: str, place: str, count: int) -> VisionBatch:
    """Return the first `count` training images as a base sees them."""
    stored = _stored(runs, base, place)
    if len(stored) < count:
        raise ValueError(f"{len(stored)} images are encoded for {base}, wanted {count}")
    return VisionBatch(
        stored.image_features[:count], stored.image_embeddings[:count], stored.grid[:count]
    )


@cache
def examined(runs: str, base: str, part: str, place: str, n: int) -> VisionBatch:
    """Return the scenes of a part as a base sees them."""
    return see(load_once(runs, base), scenes_of(part, place, n).images)


def states_cell(runs: str, base: str, reader: str, count: int) -> dict[str, int]:
    """Compute and store the states of a base's own captions that a mapper reads."""
    torch.set_num_threads(1)
    vlm, source = load_once(runs, base), vision(runs, base, home_of(base), count)
    if reader == "own_context":
        found = generated_states(vlm, source, decoding=GREEDY)
        states, features = found.states, found.image_features
    elif reader == "own":
        found = read_back_states(vlm, source, decoding=SAMPLED, generator=seeded(0))
        states, features = found.states, found.image_features
    elif reader == "filtered":
        source = source.select(range(count // FILTER_DRAWS))  # as many captions as others write
        drawn = sample_captions(
            vlm, source, samples=FILTER_DRAWS, generator=seeded(0), decoding=COOL
        )
        weights = word_weights([text for row in drawn for text in row])
        kept = keep_best(drawn, agreement(drawn, weights=weights), share=FILTER_SHARE)
        states = ground_truth_states(vlm, kept.texts)
        features = source.image_features[list(kept.rows)].float()
    else:
        raise ValueError(f"no reader {reader!r}: wanted own_context, own or filtered")
    tensors = {"states": states, "image_features": features}
    save_tensors(_path(runs, "states", f"{base}-{reader}"), tensors, {"reader": reader})
    return {"captions": len(states)}


@cache
def states(runs: str, base: str, reader: str, count: int) -> tuple[Tensor, Tensor]:
    """Return stored states and the F_I that belong to them."""
    tensors, _ = load_tensors(_path(runs, "states", f"{base}-{reader}"), verify=False)
    return tensors["states"], tensors["image_features"]


def captions_of(
    trial: Trial, vlm: MODEL, *, decoding: Sample = SAMPLED, **how: Any
) -> dict[str, Any]:
    """Return greedy captions, and `samples` drawn ones, of the scenes of a trial's part."""
    seen = examined(trial.runs, trial.base, trial.part, trial.place, trial.n)
    drawn = draw(trial, vlm, decoding, **how)
    return {"greedy": list(generate_captions(vlm, seen, decoding=GREEDY, **how)), "sampled": drawn}


def draw(trial: Trial, vlm: MODEL, decoding: Sample, **how: Any) -> list[list[str]]:
    """Draw `samples` captions of each scene of a trial's part."""
    seen = examined(trial.runs, trial.base, trial.part, trial.place, trial.n)
    return [
        list(generate_captions(vlm, seen, decoding=decoding, generator=seeded(5000 + k), **how))
        for k in range(trial.samples)
    ]


def baseline_cell(system: str, **what: Any) -> dict[str, Any]:
    """Caption with an untrained base: as it is, banned, primed, cooler, or the best of eight."""
    torch.set_num_threads(1)
    trial = Trial(**what)
    vlm = load_once(trial.runs, trial.base)
    prompt = f"{vlm.default_prompt} {PRIMED}"
    if system == "base":
        return captions_of(trial, vlm)
    if system == "banned":
        return captions_of(trial, vlm, banned=("itap",))
    if system == "cool":
        return captions_of(trial, vlm, decoding=COOL)
    if system in ("primed", "primed_cool"):
        rule = COOL if system == "primed_cool" else SAMPLED
        found = captions_of(trial, vlm, decoding=rule, prompt=prompt)
        greedy = [f"{PRIMED} {text}" for text in found["greedy"]]
        return {
            "greedy": greedy,
            "sampled": [[f"{PRIMED} {text}" for text in texts] for texts in found["sampled"]],
        }
    if system == "best_of_8":
        return _best_of_8(trial, vlm)
    raise ValueError(f"no baseline {system!r}: wanted one of {BASELINES}")


def _best_of_8(trial: Trial, vlm: MODEL) -> dict[str, Any]:
    seen = examined(trial.runs, trial.base, trial.part, trial.place, trial.n)
    drawn = [
        list(
            best_of_n(
                vlm, seen, InformationReward(vlm, 0.7), n=8, generator=seeded(6000 + k),
                decoding=SAMPLED,
            ).best()
        )
        for k in range(min(1, trial.samples))
    ]  # fmt: skip
    return {"greedy": drawn[0], "sampled": drawn}


def make_cell(runs: str, base: str) -> dict[str, str]:
    """Train a base that is not shipped."""
    torch.set_num_threads(1)
    make_base(runs, base)
    return {"base": base}
