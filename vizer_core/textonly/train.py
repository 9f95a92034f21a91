"""Train a prefix network on text alone: reconstruct each caption from its own noised CLIP feature.

MacCap section 4.2, equation 9: minimise -1/|t| sum_i log P(w_i | w_<i, E) over the prefix network,
with CLIP and the language model frozen. CLIP is not even here: its text features come in, made
once.

A run's state is its step number, the weights and Adam's moments. Order, noise and dropout of step
s are drawn from a seed that depends on s, so a stopped run goes on to bit-equal weights.

Where we differ from the release: dropout stays on in every epoch (there it ends at the first
validation), gradients are clipped after unscaling, all processes share one order and split it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from vizer_core.distributed import even_micro_batches, my_share, process_rank, sum_over_processes
from vizer_core.language import PrefixLanguageModel, TokenBatch, prefixed
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_core.textonly.loss import target_counts
from vizer_core.textonly.pairs import TrainingPairs, epoch_batches
from vizer_core.textonly.prefix_network import PrefixNetwork
from vizer_core.textonly.presets import TextOnlyConfig
from vizer_core.textonly.regions import region_noise
from vizer_core.textonly.run_state import Checkpoint, RunState
from vizer_core.textonly.update import apply_gradients, precision_of

logger = logging.getLogger(__name__)
STATISTICS_SAMPLE = 4096  # features that `standardise` is measured on


@dataclass(frozen=True)
class History:
    """What a run recorded: one loss, rate and gradient norm (before clipping) a step."""

    loss: tuple[float, ...]
    learning_rate: tuple[float, ...]
    gradient_norm: tuple[float, ...]
    steps_per_epoch: int
    seconds: float
    captions_per_second: float

    def mean_loss(self, last: int = 100) -> float:
        """Return the mean loss of the last steps."""
        tail = self.loss[-last:]
        return sum(tail) / len(tail)


def prefix_logits(
    prefix_network: PrefixNetwork,
    language_model: PrefixLanguageModel,
    inputs: Tensor,
    tokens: TokenBatch,
) -> Tensor:
    """Return the language model's logits [b, q + t, v] over prefix and caption (equations 5 to 9).

    `inputs` are CLIP tokens [b, r, d]; the caption's padding is masked as attention key.
    """
    batch = prefixed(language_model, prefix_network(inputs), tokens)
    return language_model.logits(batch.embeddings, batch.mask)


def fit_text_only(
    prefix_network: PrefixNetwork,
    language_model: PrefixLanguageModel,
    pairs: TrainingPairs,
    config: TextOnlyConfig,
    *,
    generator: torch.Generator,
    checkpoint: Checkpoint | None = None,
    progress: bool = False,
) -> History:
    """Train a network in place to say each caption from its noised feature (MacCap equation 9).

    With `config.train_language_model` the language model is trained too: pass a copy if others use
    it. With a `checkpoint` the run saves itself, on Ctrl-C too, and goes on when called again with
    an equally seeded generator. Both models are left frozen or trained as asked, in eval mode.
    """
    device, model = language_model.device, language_model.model
    rank, world = process_rank()
    seed = int(torch.randint(2**62, (), generator=generator))
    # 1 tokenise once; features and ids stay on the device
    tokens = language_model.tokenize(pairs.captions, max_tokens=config.max_tokens)
    tokens = _widened(tokens, language_model.pad_id, config)
    ids, mask, lengths = tokens.ids.to(device), tokens.mask.to(device), tokens.mask.sum(1).cpu()
    features = unit_norm(pairs.features).to(device)
    # 2 what is trained, and in which precision
    prefix_network.to(device)
    model.requires_grad_(False)
    if config.train_language_model:
        language_model.unfreeze()
    autocast, scaler = precision_of(_dtype_trained(model, config), device)
    trained = nn.ModuleList([prefix_network, *([model] if config.train_language_model else [])])
    optimizer = config.optimizer(
        trained, rate=config.learning_rate, weight_decay=config.weight_decay
    )
    state = RunState(trained, optimizer, scaler)
    identity = _identity(prefix_network, language_model, pairs, config, seed) if checkpoint else {}
    start = state.resume(checkpoint, identity) if checkpoint else 0
    steps_per_epoch = -(-len(pairs) // config.batch_size)
    total, clock, seen = steps_per_epoch * config.epochs, time.perf_counter(), 0
    kept = state.kept_when_stopped(checkpoint, identity, total)
    with kept, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if config.standardise and start == 0:
            words = language_model.embed(ids[mask].unique()[None])[0].detach()
            _set_ends(prefix_network, features, words, config, seeded(seed))
        for step in tqdm(range(start, total), initial=start, total=total, disable=not progress):
            # 3 the epoch's batches, the same in every process
            epoch, index = divmod(step, steps_per_epoch)
            if index == 0 or step == start:
                batches = epoch_batches(lengths, config.batch_size, generator=seeded(seed + epoch))
                prefix_network.train()
                model.train(config.train_language_model)
            chosen = batches[index]
            # 4 noise of the whole batch, from the step's own seed: all processes draw the same
            torch.manual_seed((seed + 7919 * (step + 1)) % 2**63)
            longest = int(lengths[chosen].max()) if config.pad_to_longest else ids.shape[1]
            batch = TokenBatch(ids[chosen, :longest], mask[chosen, :longest])
            inputs = region_noise(
                features[chosen], config.tokens, noise=config.noise,
                generator=torch.default_generator,
            )  # fmt: skip
            mine = my_share(len(chosen))
            if world > 1:  # dropout: each process draws its own
                torch.manual_seed((seed + 7919 * (step * world + rank + 1)) % 2**63)
            losses = _part_losses(
                partial(prefix_logits, prefix_network, language_model), inputs, batch, config,
                parts=_weighted(mine, config, lengths[chosen]), autocast=autocast,
            )  # fmt: skip
            # 5 learning rate, gradients, step
            rate = _set_rate(optimizer, config, step, steps_per_epoch)
            update = apply_gradients(losses, optimizer, scaler)
            state.record(sum_over_processes(update.loss[None])[0], rate, update.norm)
            seen += len(mine)
            # 6 save
            if checkpoint and rank == 0 and checkpoint.is_due(step + 1, total):
                state.save(checkpoint, identity)
    prefix_network.eval()
    model.requires_grad_(False).eval()
    return _history(state, steps_per_epoch, time.perf_counter() - clock, seen)


def _identity(
    prefix_network: PrefixNetwork,
    language_model: PrefixLanguageModel,
    pairs: TrainingPairs,
    config: TextOnlyConfig,
    seed: int,
) -> dict[str, object]:
    """Return what tells a run from others; CLIP is in the pairs' features."""
    return {
        "config": config.to_dict(),
        "adaptor": {"kind": type(prefix_network).__name__} | vars(prefix_network.config),
        "seed": seed,
        "pairs": pairs.digest,
        "language_model": language_model.fingerprint,
    }


def _set_rate(
    optimizer: torch.optim.Optimizer, config: TextOnlyConfig, step: int, steps_per_epoch: int
) -> float:
    factor = config.schedule.factor(step, steps_per_epoch=steps_per_epoch, epochs=config.epochs)
    rate = config.learning_rate * factor
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("pace", 1.0)
    return rate


def _weighted(
    mine: range, config: TextOnlyConfig, lengths: Int[Tensor, " b"]
) -> list[tuple[range, float]]:
    """Cut this process's part of a batch into micro-batches, each with its share of the mean.

    All processes get as many; what only fills up weighs nothing.
    """
    counts = target_counts(config.loss, lengths)
    total = int(counts.sum())
    return [
        (
            micro_batch,
            int(counts[micro_batch.start : micro_batch.stop].sum()) / total if own else 0.0,
        )
        for micro_batch, own in even_micro_batches(mine, config.captions_at_once, len(lengths))
    ]


def _part_losses(
    logits_of: Callable[[Tensor, TokenBatch], Tensor],
    inputs: Float[Tensor, "b r d"],
    batch: TokenBatch,
    config: TextOnlyConfig,
    *,
    parts: Sequence[tuple[range, float]],
    autocast: AbstractContextManager[object],
) -> Iterator[Tensor]:
    """Yield the loss of each micro-batch, weighted so that all add up to the batch's."""
    for micro_batch, weight in parts:
        some = slice(micro_batch.start, micro_batch.stop)
        tokens = TokenBatch(batch.ids[some], batch.mask[some])
        with autocast:
            loss = config.loss(logits_of(inputs[some], tokens), tokens)
        yield weight * loss


def _widened(tokens: TokenBatch, pad_id: int, config: TextOnlyConfig) -> TokenBatch:
    """Pad on to `max_tokens` where the loss wants a fixed length."""
    missing = config.max_tokens - tokens.ids.shape[1]
    if config.pad_to_longest or missing <= 0:
        return tokens
    pad = nn.functional.pad
    return TokenBatch(
        pad(tokens.ids, (0, missing), value=pad_id), pad(tokens.mask, (0, missing), value=False)
    )


def _dtype_trained(model: nn.Module, config: TextOnlyConfig) -> torch.dtype:
    dtype = next(model.parameters()).dtype
    if config.train_language_model and dtype != torch.float32:
        raise ValueError(
            f"the language model is in {dtype} and is to be trained: load it in float32, or set "
            "train_language_model=False"
        )
    return dtype


def _set_ends(
    prefix_network: PrefixNetwork,
    features: Tensor,
    words: Tensor,
    config: TextOnlyConfig,
    generator: torch.Generator,
) -> None:
    """Set the input to the scale of noised features, the output to that of word embeddings."""
    chosen = torch.randperm(len(features), generator=generator)[:STATISTICS_SAMPLE]
    prefix_network.standardise_on(
        region_noise(features[chosen], config.tokens, noise=config.noise, generator=generator)
    )
    prefix_network.start_near_words(words, generator=generator)


def _history(state: RunState, steps_per_epoch: int, seconds: float, seen: int) -> History:
    losses = state.losses()
    if not torch.isfinite(torch.tensor(losses)).all():
        first = next(i for i, loss in enumerate(losses) if not abs(loss) < float("inf"))
        raise ValueError(
            f"the loss is {losses[first]} at step {first} of {len(losses)}: the prefix network is "
            "spoilt. Lower learning_rate, or load the language model in float32."
        )
    logger.info("trained %d steps in %.1f s", len(losses), seconds)
    return History(
        loss=tuple(losses),
        learning_rate=tuple(state.rates),
        gradient_norm=tuple(state.gradient_norms()),
        steps_per_epoch=steps_per_epoch,
        seconds=seconds,
        captions_per_second=seen / seconds if seen else 0.0,
    )
