"""What a drawn VLM's training consists of: a tower, clean captions, then the web's captions."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import cos, pi
from typing import Any

import torch

from vizer_lab.zoo.muon import OPTIMIZERS, muon_and_adamw
from vizer_lab.zoo.noisy_captions import CaptionNoise
from vizer_lab.zoo.vlm_model import DrawnVlmConfig

HEADS_FASTER = 10.0
YOUNGER = {"method": "adamw", "text": "captions"}  # fields, and what they are when left out


@dataclass(frozen=True)
class VlmStage:
    """One part of the training. Batch k contains scenes from `first_scene + k * batch` on.

    `method` is the optimizer: `adamw` for all, or `muon` for the matrices (`zoo.muon`). `text` is
    what a stage of captions reads without images: its `captions`, or `general` sentences.
    """

    name: str
    steps: int
    batch: int
    learning_rate: float
    first_scene: int = 0
    weight_decay: float = 0.01
    method: str = "adamw"
    text: str = "captions"

    def __post_init__(self) -> None:
        if self.text not in ("captions", "general"):
            raise ValueError(f"text is {self.text!r}: wanted 'captions' or 'general'")
        if self.method not in OPTIMIZERS:
            raise ValueError(f"no optimizer {self.method!r}: wanted one of {list(OPTIMIZERS)}")
        if self.steps < 1 or self.batch < 2:
            raise ValueError(f"stage {self.name!r}: wanted steps >= 1 and batch >= 2, got {self}")

    @property
    def warmup(self) -> int:
        """Steps until the learning rate is reached."""
        return min(80, max(1, self.steps // 4))

    def rate(self, step: int) -> float:
        """Return the learning rate at a step: linear warm-up, then half a cosine to zero."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * 0.5 * (1 + cos(pi * share))

    @property
    def samples(self) -> int:
        """Images seen in all, repeats included."""
        return self.steps * self.batch

    def optimizer(
        self, model: torch.nn.Module, *, heads: torch.nn.Module | None = None
    ) -> torch.optim.Optimizer:
        """Return AdamW with weight decay on matrices only, or Muon and AdamW.

        Fresh `heads` run `HEADS_FASTER`. Each group keeps its own multiple of the rate in `pace`.
        """
        if self.method == "muon":
            return muon_and_adamw(
                model,
                rate=self.learning_rate,
                weight_decay=self.weight_decay,
                heads=heads,
                heads_pace=HEADS_FASTER,
            )
        groups = []
        for module, pace in ((model, 1.0), (heads, HEADS_FASTER)):
            trained = [p for p in module.parameters() if p.requires_grad] if module else []
            for wanted, decay in ((True, self.weight_decay), (False, 0.0)):
                some = [p for p in trained if (p.ndim >= 2) is wanted]
                groups.append({"params": some, "weight_decay": decay, "pace": pace})
        return torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=self.learning_rate, betas=(0.9, 0.98)
        )

    def set_rate(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Set each group's learning rate for a step."""
        for group in optimizer.param_groups:
            group["lr"] = self.rate(step) * group["pace"]


@dataclass(frozen=True)
class VlmRecipe:
    """A whole training run. `seed` draws the weights and the order of the scenes.

    `tower` trains the vision tower, started from the CLIP `clip`, or from fresh weights where that
    is None; a recipe with a `parent` takes that model's finished tower instead, as the models
    of one family share theirs. The first `scenes` training scenes are what the language model
    sees. A recipe without `web` ends after the exact captions: its model speaks plainly.
    """

    model: DrawnVlmConfig
    tower: VlmStage
    exact: VlmStage
    web: VlmStage | None
    mix: CaptionNoise
    scenes: int = 20_000
    seed: int = 0
    clip: str | None = None
    parent: str | None = None

    @property
    def stages(self) -> tuple[VlmStage, ...]:
        """The stages that this recipe runs itself."""
        own = (self.exact,) if self.web is None else (self.exact, self.web)
        return own if self.parent else (self.tower, *own)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, for a manifest.

        A field that is younger than some shipped manifests is left out where it is as it was then.
        """
        plain = asdict(self)
        for part in (plain["tower"], plain["exact"], plain["web"] or {}):
            for name, was in YOUNGER.items():
                if part.get(name) == was:
                    del part[name]
        if self.web:
            plain["mix"]["habits"] = "many"  # as manifests say: there was a shorter list before
        return plain

    def shortened(self, factor: float) -> VlmRecipe:
        """The same recipe with every stage and the scenes cut to a share (for tests)."""

        def cut(stage: VlmStage) -> VlmStage:
            return replace(stage, steps=max(2, int(stage.steps * factor)))

        return replace(
            self,
            tower=cut(self.tower),
            exact=cut(self.exact),
            web=cut(self.web) if self.web else None,
            scenes=max(self.exact.batch, int(self.scenes * factor)),
        )
