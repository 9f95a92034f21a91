"""Train ViZer's mapper (phase 1) on states and image features that are computed once.

ViZer section 4: AdamW with weight decay 0.01, 1 epoch. The language model and the vision tower
are frozen in this phase, so their part is a table: states [n, h] and F_I [n, d]. What is left is
an MLP over a table, seconds for 40,000 pairs on two cores, and sweeps over width and data size
are nearly free. Learning rate, batch size and schedule are not stated; ours are below.

Every fit holds some pairs out and looks at them on the way: the cosine, and beside it what a
constant answer scores, the effective rank of the answers and R@1 among the held-out images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from vizer_core.files import METADATA
from vizer_core.run_state import Run, load_run, save_run
from vizer_core.vizer.checkpoint import mapper_history
from vizer_core.vizer.collapse import Collapse, measure_collapse
from vizer_core.vizer.losses import cosine_loss
from vizer_core.vizer.mapper import FittedMapper, Mapper, MapperConfig, MapperHistory
from vizer_core.vizer.targets import TargetSpace, centre
from vizer_core.vizer.text_states import TokenStates

Loss = Callable[[Tensor, Tensor], Tensor]
EVAL_POINTS = 10  # times that the held-out pairs are looked at during a fit


@dataclass(frozen=True)
class FitConfig:
    """How a mapper is trained. `loss` and `space` are functions: `info_nce`, `uncentred`, ..."""

    epochs: int = 1  # "1 epoch each" in the digest of section 4
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.01  # "AdamW optimizer with weight decay of 0.01"
    held_out: int = 500
    loss: Loss = cosine_loss
    space: Callable[[Tensor], TargetSpace] = centre

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2 or self.held_out < 2 or not self.learning_rate > 0:
            raise ValueError(
                "wanted epochs >= 1, batch >= 2, held_out >= 2 and a positive learning rate, got "
                f"{self}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values; functions by name."""
        return asdict(self) | {"loss": self.loss.__name__, "space": self.space.__name__}


MAPPER_FIT = FitConfig()


def fit_mapper(
    states: Float[Tensor, "n h"] | TokenStates,
    image_features: Float[Tensor, "m d"],
    *,
    shape: MapperConfig,
    config: FitConfig = MAPPER_FIT,
    generator: torch.Generator,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> FittedMapper:
    """Train a mapper from cached states to F_I; the last `held_out` pairs are never trained on.

    For the control, pass `shuffled_targets(image_features, generator=...)`. With a `checkpoint`
    the run saves itself at every eval point and, called again, goes on from there to the same end.
    """
    _require_pairs(states, image_features, shape, config)
    device, count = image_features.device, len(image_features) - config.held_out
    # 1 the target space, from training pairs only
    space = config.space(image_features[:count])
    targets = space.apply(image_features)
    # 2 a fresh mapper, and the order of all pairs, both drawn before anything is resumed
    mapper = Mapper(shape, generator=generator).to(device).train()
    batches = _batches(count, config, generator)
    optimizer = torch.optim.AdamW(
        mapper.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    history = MapperHistory()
    metadata = {
        "shape": shape.to_dict(),
        "config": config.to_dict(),
        "data": data_hash(states, image_features),
        "seed": generator.initial_seed(),
    }
    parameters = dict(mapper.named_parameters())
    run = load_run(checkpoint, metadata) if checkpoint else None
    if run:
        run.restore(parameters, optimizer)
        history = mapper_history(run.record["history"])
    eval_points = {round((i + 1) * len(batches) / EVAL_POINTS) for i in range(EVAL_POINTS)} | {
        len(batches)
    }
    done = len(history.loss)
    bar = tqdm(batches[done:], initial=done, total=len(batches), disable=not progress)
    for step, indices in enumerate(bar, start=done + 1):
        # 3 map a batch, 4 compare with its images, 5 step
        indices = indices.to(device)
        loss = config.loss(_mapped(mapper, states, indices), targets[indices])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        history.loss.append(float(loss.detach()))
        if step in eval_points:
            # 6 look at the pairs that were held out
            history.steps.append(step)
            history.held_out.append(_evaluate(mapper, states, targets, count))
            bar.set_postfix(cos=f"{history.held_out[-1].cosine:.3f}")
            if checkpoint:
                record = _record(metadata, history)
                save_run(checkpoint, Run.capture(parameters, optimizer, record))
    return FittedMapper(mapper.eval().requires_grad_(False), space, history, metadata)


def _mapped(
    mapper: Mapper, states: Tensor | TokenStates, indices: Int[Tensor, " b"]
) -> Float[Tensor, "b d"]:
    if isinstance(states, TokenStates):
        return mapper.read(states.states[indices], states.mask[indices])
    return mapper(states[indices].float())


def _evaluate(
    mapper: Mapper, states: Tensor | TokenStates, targets: Float[Tensor, "n d"], count: int
) -> Collapse:
    indices = torch.arange(count, len(targets), device=targets.device)
    with torch.no_grad():
        return measure_collapse(_mapped(mapper, states, indices), targets[indices])


def _batches(count: int, config: FitConfig, generator: torch.Generator) -> list[Int[Tensor, " b"]]:
    """Deal the pairs into batches, anew each epoch; a last batch of one pair is left out."""
    batches: list[Tensor] = []
    for _ in range(config.epochs):
        dealt = torch.randperm(count, generator=generator).split(config.batch)
        batches += [each for each in dealt if len(each) > 1]
    return batches


def _require_pairs(
    states: Tensor | TokenStates, features: Tensor, shape: MapperConfig, config: FitConfig
) -> None:
    if len(states) != len(features) or len(features) < config.held_out + 2:
        raise ValueError(
            f"got {len(states)} states and {len(features)} image features: wanted one per image, "
            f"and at least {config.held_out + 2} so that {config.held_out} can be held out"
        )
    widths = (states.states if isinstance(states, TokenStates) else states).shape[-1]
    if (widths, features.shape[1]) != (shape.in_width, shape.out_width):
        raise ValueError(
            f"states are {widths} wide and features {features.shape[1]}, the mapper's shape is "
            f"{shape.in_width} to {shape.out_width}: give MapperConfig the widths of your model"
        )
    if shape.per_token != isinstance(states, TokenStates):
        raise ValueError(
            f"per_token={shape.per_token} got {type(states).__name__}: a mapper of tokens trains "
            "on token_states(...), a mapper of captions on pooled states"
        )


def data_hash(states: Tensor | TokenStates, features: Tensor) -> str:
    """Return a hash of what a mapper was trained on, 16 hex digits."""
    parts = [states.states, states.mask] if isinstance(states, TokenStates) else [states]
    digest = sha256()
    for part in [*parts, features]:
        digest.update(f"{tuple(part.shape)}{part.dtype}".encode())
        digest.update(part.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _record(metadata: dict[str, Any], history: MapperHistory) -> dict[str, Any]:
    return {METADATA: metadata, "history": asdict(history)}
