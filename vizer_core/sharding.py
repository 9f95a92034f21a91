"""A frozen model over several processes: each keeps a part of every block (FSDP).

Source: Rajbhandari et al. 2020 (1910.02054) section 5, stage 3; Zhao et al. 2023 (2304.11277)
section 3. torch's `fully_shard` does the work: before a block runs its parts are gathered, after it
they are dropped again. Embeddings, head, vision side, LoRA and prefix networks stay whole
everywhere.

A gathering needs every process, but one may generate 12 tokens while another generates 30. So each
pass of the model is announced first. A process that has nothing to pass takes part in the
gatherings of the others, and goes on when all have come as far as it has. That holds for passes
without gradient. With gradient all processes pass the model equally often; where they do not, all
raise.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from vizer_core import env
from vizer_core.distributed import before_meetings, process_rank, wait_for_everyone
from vizer_core.runtime import require

logger = logging.getLogger(__name__)
WAITS, READS, LEARNS = range(3)  # what a process announces: nothing to pass, a pass, with gradient


@dataclass(frozen=True)
class HeldBytes:
    """What one process keeps of a model's parameters between two passes, and what there is."""

    here: int
    whole: int


@dataclass(eq=False)
class _Sharded:
    """A model that was cut: its blocks, the module that runs them, whether it ever ran here."""

    owner: nn.Module
    blocks: nn.ModuleList
    device: torch.device
    ran: bool = False


_sharded: list[_Sharded] = []  # in every process the same ones, in the same order


def _begin_pass(index: int) -> None:
    _sharded[index].ran = True
    _announce(LEARNS if torch.is_grad_enabled() else READS, index)


def _join_the_others() -> None:
    """Take part in the others' passes until all processes have come as far as this one."""
    _announce(WAITS, 0)
    for model in _sharded:
        if model.ran:  # else torch remembers every pass since the last backward
            model.owner.reset_iter_state()


def _announce(what: int, index: int) -> None:
    """Say what this process is up to, with which model; return when it may, until then gather."""
    world = process_rank()[1]
    while True:
        counts = torch.zeros(3, len(_sharded), dtype=torch.int32, device=_sharded[0].device)
        counts[what, index] = 1
        distributed.all_reduce(counts)
        if world in counts.flatten().tolist():  # all are up to the same
            return
        readers = counts[READS].nonzero().flatten().tolist()
        if not readers:
            learning, waiting = int(counts[LEARNS].sum()), int(counts[WAITS].sum())
            raise RuntimeError(
                f"{learning} of {world} processes pass a sharded model with gradient and {waiting} "
                "do not, or they pass different ones: give each as many pieces "
                "(`distributed.even_micro_batches`)"
            )
        if what == READS and index == readers[0]:  # one model after the other
            return
        for block in _sharded[readers[0]].blocks:
            block.unshard()
            block.reshard()


def sharding_asked() -> bool:
    """Say whether `accelerate launch` was given an FSDP configuration, and several processes.

    Raises `ValueError` for settings that would be ignored here.
    """
    if env.USE_FSDP.get().lower() != "true":
        return False
    plugin = require("accelerate.utils", why="FSDP").FullyShardedDataParallelPlugin
    version = env.FSDP_VERSION.get()
    if version != "2":
        raise ValueError(f"fsdp_version is {version}: wanted 2, torch's fully_shard")
    asked = plugin(fsdp_version=2)
    offload = type(asked.cpu_offload).__name__ == "CPUOffloadPolicy"
    faults = {
        "fsdp_reshard_after_forward: false saves nothing": not asked.reshard_after_forward,
        "fsdp_offload_params: true has not been tried": offload,
        "fsdp_activation_checkpointing: use --recompute": asked.activation_checkpointing,
        "mixed_precision: use --dtype": env.MIXED_PRECISION.get() != "no",
        "fsdp_auto_wrap_policy: only TRANSFORMER_BASED_WRAP is done here": (
            getattr(asked.auto_wrap_policy, "__name__", "") != "transformer_auto_wrap_policy"
        ),
    }
    found = [fault for fault, there in faults.items() if there]
    if found:
        raise ValueError(f"{'; '.join(found)}. configs/accelerate/fsdp.yaml has what works")
    return process_rank()[1] > 1


def shard_blocks(model: nn.Module, device: torch.device) -> HeldBytes:
    """Cut the blocks of a frozen model over all processes, in place; the rest goes to `device`.

    Load the model into the machine's memory first: a block is on the device as a whole only while
    it is cut. Several processes have to be up (`start_processes`).
    """
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    if trained:
        raise ValueError(f"{len(trained)} weights are trained, {trained[0]} first: wanted none")
    world = process_rank()[1]
    if world == 1:
        raise ValueError("one process has nobody to share with: start several (accelerate launch)")
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    wait_for_everyone()  # announcements name a model by its number
    owner, blocks = blocks_of(model)
    mesh = init_device_mesh(device.type, (world,))
    for block in blocks:
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    whole = {weight for weight in owner.parameters() if not _is_cut(weight)}
    fully_shard(owner, mesh=mesh, ignored_params=whole)
    model.to(device)
    for index, block in enumerate(blocks):  # said aloud: guessing counts passes, which may differ
        block.set_modules_to_forward_prefetch(list(blocks[index + 1 : index + 2]))
        block.set_modules_to_backward_prefetch([blocks[max(index - 1, 0)]])
    _join(_Sharded(owner, blocks, device))
    # OPT's blocks return a view of their sum; nothing in transformers writes into it
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    held = held_bytes(model)
    logger.info("sharded: %d of %d bytes here", held.here, held.whole)
    return held


def _join(model: _Sharded) -> None:
    index = len(_sharded)
    _sharded.append(model)
    model.owner.register_forward_pre_hook(lambda module, args: _begin_pass(index), prepend=True)
    if index == 0:
        before_meetings(_join_the_others)


def blocks_of(model: nn.Module) -> tuple[nn.Module, nn.ModuleList]:
    """Return the largest list of blocks in a model, and the module that runs them.

    >>> layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    >>> model = nn.Sequential()
    >>> model.layers = layers
    >>> blocks_of(model)[1] is layers
    True
    """
    lists = [
        (sum(weight.numel() for weight in part.parameters()), owner, part)
        for owner in model.modules()
        for part in owner.children()
        if isinstance(part, nn.ModuleList) and not isinstance(owner, nn.ModuleList) and len(part)
    ]
    if not lists:
        raise ValueError(f"{type(model).__name__} has no list of blocks: it cannot be sharded")
    _, owner, blocks = max(lists, key=lambda found: found[0])
    return owner, blocks


def held_bytes(model: nn.Module) -> HeldBytes:
    """Count the bytes of a model's parameters that lie in this process, and all of them.

    >>> held_bytes(nn.Linear(2, 3))
    HeldBytes(here=36, whole=36)
    """
    weights = list(model.parameters())
    here = [weight.to_local() if _is_cut(weight) else weight for weight in weights]
    return HeldBytes(sum(map(_nbytes, here)), sum(map(_nbytes, weights)))


def _nbytes(weight: Tensor) -> int:
    return weight.numel() * weight.element_size()


def _is_cut(weight: Tensor) -> bool:
    from torch.distributed.tensor import DTensor

    return isinstance(weight, DTensor)
