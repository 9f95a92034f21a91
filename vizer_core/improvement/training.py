"""The trainer that `improve` uses, its settings by the model's size (`vizer.recipes`), and a watch.

One constant says which trainer: `trainer`. results/improvement.json is where it has to come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from vizer_core.decoding import Sample
from vizer_core.improvement.bench import Bench
from vizer_core.improvement.gate import collapse_of
from vizer_core.improvement.ways import MAX_TOKENS, Way, with_beams
from vizer_core.run_folder import Tell
from vizer_core.vizer.adapter_run import AdapterRun, TrainConfig
from vizer_core.vizer.named_objectives import SELF_TRAINING
from vizer_core.vizer.recipes import MAX_KL, learning_rate_for, parameters_of
from vizer_core.vizer.self_training import SelfTraining

CAPTIONS = 2560  # images times epochs wanted, as in the study; more images are not trained on
EPOCHS = 4  # at most
NAME = "beam_distillation"
WATCHED, WATCHES = 16, 8  # held-out images that are captioned on the way, and how often


def trainer(start: Way) -> SelfTraining:
    """Return what is trained on: the base's captions by beam search, its best first word given.

    `beam_distillation` of results/improvement.json: on bases with web habits its greedy captions
    named more of what is there than the untrained model's after its best first word. On
    drawn-vlm-other-web they erred as often or more; on drawn-vlm-poor they were worse.
    """
    teacher = with_beams(start)
    return SelfTraining(
        opening=teacher.opening, prompt=teacher.prompt, decoding=teacher.decoding, name=NAME
    )


def config_for(
    vlm: Any,
    images: int,
    *,
    learning_rate: float | None = None,
    max_kl: float = MAX_KL,
    images_per_step: int = 32,
    micro_batch_size: int | None = None,
) -> TrainConfig:
    """Return the settings of a training on so many images."""
    return replace(
        SELF_TRAINING,
        learning_rate=learning_rate or learning_rate_for(parameters_of(vlm)),
        epochs=max(1, min(EPOCHS, -(-CAPTIONS // images))),
        images_per_step=images_per_step,
        micro_batch_size=micro_batch_size,
        decoding=Sample(max_tokens=MAX_TOKENS),
        kl_every=2,
        max_kl=max_kl,
        save_every=5,
    )


@dataclass(eq=False)
class Watch:
    """Looks at a training some times: tells its curves and two captions, stops it on collapse.

    `rows` of the bench are held-out images, `teacher` the captions to learn, of the same images.
    """

    bench: Bench
    teacher: tuple[str, ...]
    names: tuple[str, ...]
    tell: Tell
    samples: list[dict[str, Any]] = field(default_factory=list)
    then: Callable[[AdapterRun], None] | None = None  # asked at each look, as to write a page

    def __call__(self, run: AdapterRun, step: int) -> None:
        """Look after a step, where it is time."""
        total = len(run.batches)
        every = -(-total // WATCHES)
        if (step + 1) % every and step + 1 != total:
            return
        rows = range(len(self.teacher))
        now = self.bench.captions(Way("adapter", adapter=True), rows).texts
        loss = run.history.loss[-1]
        kl = next((value for value in reversed(run.history.kl) if value is not None), 0.0)
        self.samples.append({"step": step + 1, "captions": list(now[:2])})
        self.tell(
            f"step {step + 1} of {total}: loss {loss:.3f}, KL {kl:.2f}; "
            + "; ".join(f"{name}: {text}" for name, text in zip(self.names, now[:2])),
            err=True,
        )
        if faults := collapse_of(now, self.teacher):
            run.history.stopped = f"collapse after step {step + 1}: {'; '.join(faults)}"
        if self.then is not None:
            self.then(run)
