"""Train the drawn language model: next-word cross-entropy over packed rows of documents.

Rows come from numbered seeds and the model has no dropout, so the weights, the optimizer's
moments and the step number are the whole state: a stopped run goes on to the same end. Steps are
counted, never timed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import AdamW, Optimizer
from tqdm.auto import tqdm

from vizer_core.files import load_tensors, save_tensors
from vizer_lab.zoo.lm_corpus import Rows, make_rows
from vizer_lab.zoo.lm_model import build_drawn_lm
from vizer_lab.zoo.lm_recipe import LMRecipe
from vizer_lab.zoo.muon import muon_and_adamw

if TYPE_CHECKING:
    from transformers import OPTForCausalLM

KIND = "drawn-lm-run"
TIED = "lm_head.weight"  # the same tensor as the token embeddings


def row_loss(model: torch.nn.Module, rows: Rows) -> Tensor:
    """Return the mean cross-entropy of the tokens to be predicted, in nats."""
    logits = model(input_ids=rows.ids, use_cache=False).logits[:, :-1]
    targets = rows.ids[:, 1:].masked_fill(~rows.predicted[:, 1:], -100)
    return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def make_optimizer(model: torch.nn.Module, recipe: LMRecipe) -> Optimizer:
    """Return AdamW with weight decay on matrices only, or Muon and AdamW; `pace` as there."""
    if recipe.method == "muon":
        return muon_and_adamw(model, rate=recipe.learning_rate, weight_decay=recipe.weight_decay)
    weight_decay = recipe.weight_decay
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay, "pace": 1.0},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0, "pace": 1.0},
    ]
    return AdamW(groups, betas=(0.9, 0.98))


def weights_of(model: torch.nn.Module) -> dict[str, Tensor]:
    """Return the weights to store: all but the output layer, which is the embeddings again."""
    return {key: value for key, value in model.state_dict().items() if key != TIED}


def put_weights(model: torch.nn.Module, weights: dict[str, Tensor]) -> None:
    """Load what `weights_of` returned, in float32; every weight has to be there."""
    weights = {key: value.float() for key, value in weights.items()}
    embeddings = weights["model.decoder.embed_tokens.weight"]
    model.load_state_dict(weights | {TIED: embeddings})


def save_lm_run(
    path: Path, recipe: LMRecipe, model: torch.nn.Module, optimizer: Optimizer, losses: list[float]
) -> None:
    """Write the run's state after `len(losses)` steps, atomically."""
    tensors = {f"model.{key}": value for key, value in weights_of(model).items()}
    for i, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{name}": value for name, value in moments.items()}
    save_tensors(path, tensors, {"kind": KIND, "recipe": recipe.to_dict(), "loss": losses})


def resume_lm_run(
    path: Path, recipe: LMRecipe, model: torch.nn.Module, optimizer: Optimizer
) -> list[float]:
    """Put a saved run's weights and moments back; return its losses, none where no run is saved.

    Raises `ValueError` when the file belongs to another recipe: going on would mix two runs.
    """
    if not Path(path).is_file():
        return []
    tensors, manifest = load_tensors(path)
    if manifest.get("kind") != KIND or manifest.get("recipe") != recipe.to_dict():
        raise ValueError(
            f"{path} belongs to another recipe than the one asked for. Delete it to start again, "
            "or ask for the recipe in its manifest."
        )
    put_weights(model, {k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    state = optimizer.state_dict()
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("adam."):
            _, index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
    state["state"] = moments
    optimizer.load_state_dict(state)
    return list(manifest["loss"])


def train_drawn_lm(
    recipe: LMRecipe,
    *,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    save_every: int = 200,
    progress: bool = False,
) -> tuple[OPTForCausalLM, list[float]]:
    """Train a drawn language model by `recipe`; return it in eval mode with its losses.

    With a `checkpoint` path the run saves itself every `save_every` steps and, called again, goes
    on from there to the same end.
    """
    model = build_drawn_lm(recipe.model, seed=recipe.seed).to(device).train()
    optimizer = make_optimizer(model, recipe)
    losses = resume_lm_run(checkpoint, recipe, model, optimizer) if checkpoint else []
    steps = range(len(losses), recipe.steps)
    for step in tqdm(steps, desc="drawn LM", disable=not progress):
        # 1 learning rate, 2 rows, 3 loss, 4 step
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step) * group["pace"]
        start = recipe.first_row + step * recipe.batch
        rows = make_rows(start, recipe.batch, recipe.model.positions, recipe.model.world)
        loss = row_loss(model, Rows(rows.ids.to(device), rows.predicted.to(device)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if checkpoint and (step + 1) % save_every == 0:
            save_lm_run(checkpoint, recipe, model, optimizer, losses)
    return model.eval(), losses
