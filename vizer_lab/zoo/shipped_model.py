"""One shipped model of any kind: its name, recipe and files, and how it is made and checked.

What all kinds share stands here; what differs is five short answers of a kind's own class:

========================  ======================  ==================================
kind                      class, in its file      rows
========================  ======================  ==================================
``clip``                  `clips.ShippedClip`     `clips.CLIPS`
``language_model``        `language_models`       `language_models.LANGUAGE_MODELS`
``vlm``                   `vlms.ShippedVlm`       `vlms.VLMS`
``captioner``             `captioners`            `captioners.CAPTIONERS`
``adapter``               `adapters`              `adapters.ADAPTERS`
========================  ======================  ==================================

`registry.MODELS` contains all rows in building order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from vizer_core.files import (
    load_manifest,
    load_tensors,
    remove_tensors,
    save_tensors,
    sha256_file,
)
from vizer_core.runtime import git_commit, hardware
from vizer_lab.world.sprites import check_art

WEIGHTS = Path(__file__).parent / "weights"
KEPT_LOSSES = 100
ART = "OpenMoji, https://openmoji.org, CC BY-SA 4.0"  # in the images that a model saw


@dataclass(frozen=True)
class Trained:
    """What training gave.

    `model` is ready for `score`, its weights rounded as they are stored; `state` is what to store,
    in fp16, unless the kind has a format of its own; `metadata` goes into the manifest.
    """

    model: Any
    metadata: Mapping[str, Any]
    state: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class ShippedModel(ABC):
    """A model that comes with the package, and everything that one does with it.

    To add a model of a kind that there is:

    1. give it a row, such as `ShippedClip("my-clip", ClipRecipe(...))` in `CLIPS` of `clips.py`; a
       model that starts from another names it as its recipe's `parent` and stands below it;
    2. declare it in `pyproject.toml`: `"clip.my-clip" = "vizer_lab.zoo.loaders:clip"`;
    3. train it: `vizer lab --rebuild --only my-clip` (or `make lab NAME=my-clip`), which writes
       weights and manifest into `home`, and commit both.

    `vizer lab`, `vizer lab --list`, `shipped("clip", "my-clip")` and the tests of all shipped
    models find it from there. `score` sees `self.recipe`: a model of the other world is
    scored on its own scenes.

    To add a kind, subclass: the class variables, the abstract methods and `wrap`; then its rows to
    `registry.MODELS`, and a function of its kind to `loaders.py`.
    """

    name: str
    recipe: Any  # each kind says which; its `to_dict` gives what the manifest contains

    kind: ClassVar[str]  # as in the entry points of `vizer_core.shipped`
    home: ClassVar[Path] = WEIGHTS
    recipe_key: ClassVar[str] = "recipe"  # where a manifest has it
    tolerance: ClassVar[float] = 0.01  # scored here against where it was made
    remade_tolerance: ClassVar[float] = 0.05  # trained again: other hardware rounds apart
    gibibytes: ClassVar[int] = 2  # of memory, while it trains
    resumes: ClassVar[str] = "A stopped run goes on where it was."

    @property
    @abstractmethod
    def work(self) -> str:
        """What training reads, in words: "332,800 image-text pairs"."""

    @property
    @abstractmethod
    def cpu_seconds(self) -> float:
        """How long training takes on one core, with nothing beside it."""

    @abstractmethod
    def train(self, folder: Path, *, device: str, progress: bool) -> Trained:
        """Train by the recipe. A killed run goes on from `self.run_file(folder)`, if it can.

        The parent's weights, if the recipe has one, lie in `folder`.
        """

    def wrap(self, state: Mapping[str, Tensor], device: str) -> Any:
        """Turn stored weights into a model; a kind with a format of its own writes `load` anew."""
        raise NotImplementedError(
            f"{type(self).__name__} has neither `wrap` nor a `load` of its own"
        )

    def load(self, device: Any = "cpu", folder: Path | None = None) -> Any:
        """Load the model, a fresh one; its weights are checked against their manifest."""
        return self.wrap(load_tensors(self.path(folder))[0], device)

    @abstractmethod
    def score(self, model: Any) -> dict[str, float]:
        """Measure a model on scenes that it has not seen; the manifest contains these numbers."""

    def path(self, folder: Path | None = None) -> Path:
        """Return where the model lies: a tensor file, or the folder of an adapter."""
        return Path(folder or self.home) / f"{self.name}.safetensors"

    def weights(self, folder: Path | None = None) -> Path:
        """Return the tensor file whose hash the manifest contains."""
        return self.path(folder)

    def run_file(self, folder: Path) -> Path:
        """Return where an unfinished run of training saves itself."""
        return Path(folder) / f"{self.name}.run.safetensors"

    def manifest(self, folder: Path | None = None) -> dict[str, Any]:
        """Read what lies beside the weights."""
        return load_manifest(self.path(folder))

    def record(self, folder: Path | None = None) -> dict[str, Any]:
        """Return the part of the manifest that says how the model was made: recipe, scores."""
        return self.manifest(folder)

    def write(self, trained: Trained, folder: Path, metadata: Mapping[str, Any]) -> None:
        """Write weights and manifest."""
        save_tensors(self.path(folder), trained.state, metadata)

    @property
    def command(self) -> str:
        """What makes the model again."""
        return f"vizer lab --rebuild --only {self.name}"

    @property
    def cost(self) -> str:
        """What training will cost, said before it starts."""
        return (
            f"{self.name}: {self.work}, about {self.cpu_seconds / 60:.0f} minutes of one CPU core, "
            f"{self.gibibytes} GiB of memory. {self.resumes}"
        )

    def size(self, folder: Path | None = None) -> int:
        """Return the bytes of the model's files, manifests aside; 0 if there are none."""
        place = self.path(folder)
        files = place.iterdir() if place.is_dir() else [place]
        return sum(f.stat().st_size for f in files if f.suffix == ".safetensors" and f.is_file())

    def build(
        self, *, folder: Path | None = None, device: str = "cpu", progress: bool = False
    ) -> dict[str, Any]:
        """Train the model, score it, and write weights and manifest. Returns the manifest."""
        folder = Path(folder or self.home)
        trained = self.train(folder, device=device, progress=progress)
        metadata = {
            "name": self.name,
            "command": self.command,
            self.recipe_key: self.recipe.to_dict(),
            "scores": self.score(trained.model),
            "hardware": hardware() if device != "cpu" else f"CPU, torch {torch.__version__}",
            "commit": git_commit(),
            **trained.metadata,
        }
        self.write(trained, folder, metadata)
        remove_tensors(self.run_file(folder))
        return self.manifest(folder)

    def fault(self, folder: Path | None = None) -> str | None:
        """Say what is wrong with the files, without running the model; None if nothing is."""
        if not self.weights(folder).is_file():
            return "not there"
        try:
            manifest, record = self.manifest(folder), self.record(folder)
        except (FileNotFoundError, ValueError):
            return "without its manifest"
        if sha256_file(self.weights(folder)) != manifest.get("sha256"):
            return "not the weights of its manifest"
        if record.get(self.recipe_key) != self.recipe.to_dict():
            return "made by another recipe"
        return None

    def check(self, folder: Path | None = None) -> dict[str, float]:
        """Score the model again, compare with its manifest, and return the scores.

        Raises `ValueError` naming the model and the score when one is off by more than rounding.
        """
        check_art()
        found = self.score(self.load(folder=folder))
        for metric, stored in self.record(folder)["scores"].items():
            # lengths are counted in words, all else are shares, cosines or nats
            allowed = self.tolerance * (10 if "length" in metric else 1)
            if abs(found[metric] - stored) > allowed:
                raise ValueError(
                    f"{self.name}: {metric} is {found[metric]:.4f} here, but {stored:.4f} in its "
                    "manifest. The drawings, a model that it stands on, or a library changed; to "
                    f"train it again: {self.command}"
                )
        return found


Kind = TypeVar("Kind", bound=ShippedModel)


def by_name(*models: Kind) -> dict[str, Kind]:
    """Return models by their names, in order.

    Raises `ValueError` when two have the same.
    """
    found = {model.name: model for model in models}
    if len(found) < len(models):
        raise ValueError(f"two models have one name among {[model.name for model in models]}")
    return found


def named(models: Mapping[str, Kind], name: str) -> Kind:
    """Return the model of that name.

    Raises `ValueError` that lists the names there are.
    """
    if name not in models:
        kinds = {model.kind for model in models.values()}
        kind = kinds.pop().replace("_", " ") if len(kinds) == 1 else "model"
        raise ValueError(f"no shipped {kind} {name!r}: wanted one of {sorted(models)}")
    return models[name]


def fp16(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as they are stored: half of the size, on the CPU."""
    return {key: value.half().cpu() for key, value in state.items()}


def thinned(losses: Sequence[float], keep: int = KEPT_LOSSES) -> dict[str, Any]:
    """Keep about `keep` means of consecutive losses, enough to draw the curve.

    >>> thinned([4.0, 2.0, 2.0, 1.0], keep=2)
    {'every': 2, 'mean': [3.0, 1.5]}
    """
    every = max(1, len(losses) // keep)
    blocks = [losses[i : i + every] for i in range(0, len(losses), every)]
    return {"every": every, "mean": [round(sum(part) / len(part), 4) for part in blocks]}
