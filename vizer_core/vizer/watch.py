"""What is looked at while an adapter trains: captions, a score on held-out images, early stopping.

`train_adapter(progress=Watch(...))` asks it after each step. It says the loss and captions of some
images, scores greedy captions of images that are not trained on by the objective itself (a reward,
or a loss, whose negative is the score), keeps the best adapter, stops after `patience` looks
without a better score, and gives each step to a tracker as it is done. What it has seen lies beside
the run's state, so that a run that goes on knows its best. It draws no random number: a run that is
watched has the weights of one that is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vizer_core.decoding import Greedy
from vizer_core.distributed import is_main_process
from vizer_core.files import read_json, write_json
from vizer_core.runtime import seeded
from vizer_core.vizer.adapter_run import AdapterRun, TrainConfig
from vizer_core.vizer.generate_captions import share_captions, vision_batches
from vizer_core.vizer.lora import load_weights, save_adapter
from vizer_core.vizer.policy_gradient import PolicyGradient, score_captions
from vizer_core.vizer.rollout import Rollout, Teacher
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm.protocol import VisionLanguageModel

SHOWN = 2  # captions that are said at each look
BEST, SEEN = "best", "watched.json"


@dataclass(frozen=True)
class WatchPlan:
    """When to look, and what for; the defaults look at nothing.

    `every` steps: captions are said, and `held_out` images are scored, which are then not trained
    on. `patience` looks without a better score end the run, and the best adapter is kept.
    Every `save_every` steps the adapter is also saved beside the run; nothing else depends on it.
    """

    every: int = 0
    held_out: int = 0
    patience: int = 0
    save_every: int = 0

    def __post_init__(self) -> None:
        if min(self.every, self.held_out, self.patience, self.save_every) < 0:
            raise ValueError(f"wanted no negative count, got {self}")
        if (self.held_out or self.patience) and not self.every:
            raise ValueError(f"{self}: wanted every > 0, or nothing would be looked at")
        if self.patience and not self.held_out:
            raise ValueError(f"{self}: patience needs held_out images to score captions of")


NOTHING = WatchPlan()


@dataclass(eq=False)
class Watch:
    """Looks at a training; `samples` are images whose captions are said, `held_out` are scored."""

    vlm: VisionLanguageModel
    objective: Any
    config: TrainConfig
    plan: WatchPlan
    folder: Path  # of the run's state, gone when the run has come to its end
    out: Path  # where adapters of the way are kept
    samples: VisionSource
    names: tuple[str, ...]
    tell: Callable[..., None]
    held_out: VisionSource | None = None
    log: Callable[[AdapterRun, int], None] | None = None
    scores: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.folder / SEEN).is_file():
            kept = read_json(self.folder / SEEN)["scores"]
            self.scores = {int(step): score for step, score in kept.items()}

    def __call__(self, run: AdapterRun, step: int) -> None:
        """Look after a step, where it is time."""
        if self.log is not None and is_main_process():
            self.log(run, step)
        done, last = step + 1, step + 1 == len(run.batches)
        if self.plan.save_every and done % self.plan.save_every == 0 and is_main_process():
            save_adapter(self.vlm, self.out / f"step-{done:06d}", metadata={"step": done})
        if not self.plan.every or (done % self.plan.every and not last):
            return
        said = share_captions(self.vlm, self.samples)[:SHOWN]
        line = f"step {done} of {len(run.batches)}: loss {run.history.loss[-1]:.3f}"
        if self.held_out is not None:
            line += f", held out {self._score(run, done):.3f}"
        texts = (f"{name}: {text}" for name, text in zip(self.names, said))
        self.tell("; ".join([line, *texts]), err=True)

    @property
    def best(self) -> int | None:
        """The step with the best score; the first of equals."""
        return max(self.scores, key=lambda step: (self.scores[step], -step), default=None)

    def _score(self, run: AdapterRun, done: int) -> float:
        assert self.held_out is not None
        # steps that are done again after a stop are scored again
        self.scores = {step: score for step, score in self.scores.items() if step < done}
        self.scores[done] = score_of(self.vlm, self.held_out, self.objective, self.config)
        if is_main_process():
            if self.best == done and self.plan.patience:
                save_adapter(self.vlm, self.folder / BEST, metadata={"step": done})
            write_json(self.folder / SEEN, {"scores": self.scores})
        late = [step for step in self.scores if step > (self.best or 0)]
        if self.plan.patience and len(late) >= self.plan.patience:
            run.history.stopped = f"no better score on held-out images since step {self.best}"
        return self.scores[done]

    def restore_best(self) -> None:
        """Put the best adapter on the model, where one was kept and it is not the last."""
        if self.plan.patience and self.best is not None and self.best < max(self.scores):
            load_weights(self.vlm, self.folder / BEST)
            self.tell(f"the adapter of step {self.best} is kept: the best on held-out images")


@torch.no_grad()
def score_of(
    vlm: VisionLanguageModel,
    source: VisionSource,
    objective: Any,
    config: TrainConfig,
) -> float:
    """Return what an objective makes of greedy captions of images: mean reward, or less the loss.

    Of an objective that learns given captions (`Teacher`) it is the loss of those.
    """
    size, total = config.micro_batch_size or 16, 0.0
    for vision in vision_batches(source, batch=size):
        rule = Greedy(config.decoding.max_tokens)
        if isinstance(objective, Teacher):
            captions = objective.captions(vlm, vision, config, generator=seeded(0))
        else:
            captions = vlm.generate(vision, decoding=rule, prompt=config.prompt)
        if isinstance(objective, PolicyGradient):
            total += float(score_captions(objective.reward, vision, captions).sum())
        else:
            rollout = Rollout(vlm, vision, captions, config.prompt)
            total -= float(objective(rollout)) * len(vision)
    return total / len(source)
