"""Several processes on one job: who am I, which part is mine, and how the parts become one again.

`torchrun` and `accelerate launch` start the same command several times; torch.distributed connects
them. Here a batch is always cut into contiguous parts, one per process, and every sum is weighted,
so that several processes do what one does with the same batch, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, distributed

from vizer_core import env

Item = TypeVar("Item")
_before: list[Callable[[], None]] = []


def start_processes(device: torch.device) -> None:
    """Join the processes that `torchrun` or `accelerate launch` started; alone, do nothing.

    On CUDA every process then has a device of its own; on the CPU they talk through gloo.
    """
    if int(env.WORLD_SIZE.get()) == 1 or process_rank()[1] > 1:
        return
    from accelerate import PartialState

    PartialState(cpu=device.type == "cpu")


def process_rank() -> tuple[int, int]:
    """Return (rank, processes): (0, 1) unless torch.distributed is up."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def is_main_process() -> bool:
    """Say whether this process is the one that prints and writes."""
    return process_rank()[0] == 0


def before_meetings(call: Callable[[], None]) -> None:
    """Have `call` run in every process before it meets the others in one of the sums below.

    A sharded model is one that needs it: `vizer_core.sharding`.
    """
    _before.append(call)


def _meets() -> bool:
    """Say whether there are others, and do what is to be done before meeting them."""
    if process_rank()[1] == 1:
        return False
    for call in _before:
        call()
    return True


def wait_for_everyone() -> None:
    """Go on when every process has come this far."""
    if _meets():
        distributed.barrier()


def share(count: int, rank: int, world: int) -> range:
    """Return the indices of process `rank` among `count`: contiguous, and even to within one.

    >>> [list(share(5, rank, 2)) for rank in (0, 1)]
    [[0, 1, 2], [3, 4]]
    """
    if not 0 <= rank < world:
        raise ValueError(f"got process {rank} of {world}, wanted 0 to {world - 1}")
    small, more = divmod(count, world)
    start = rank * small + min(rank, more)
    return range(start, start + small + (rank < more))


def my_share(count: int) -> range:
    """Return this process's indices among `count`; all of them where it is alone."""
    return share(count, *process_rank())


def micro_batches(indices: range, size: int | None) -> list[range]:
    """Cut indices into ranges of at most `size`; None leaves them in one.

    >>> [micro_batches(range(2, 7), size) for size in (2, None)], micro_batches(range(0), 2)
    ([[range(2, 4), range(4, 6), range(6, 7)], [range(2, 7)]], [])
    """
    if not len(indices):
        return []
    step = len(indices) if size is None else size
    return [indices[first : first + step] for first in range(0, len(indices), step)]


def even_micro_batches(indices: range, size: int | None, count: int) -> list[tuple[range, bool]]:
    """Cut this process's indices as `micro_batches` does, and fill up to what every process has.

    `count` items are shared out by `share`. A filler repeats the first index (of all, where there
    is none here) and is marked False: it must not weigh anything.

    >>> even_micro_batches(range(2, 5), 2, 3)
    [(range(2, 4), True), (range(4, 5), True)]
    """
    own = [(each, True) for each in micro_batches(indices, size)]
    longest = -(-count // process_rank()[1])
    most = 1 if size is None else -(-longest // size)
    first = indices.start if len(indices) else 0
    return own + [(range(first, first + 1), False)] * (most - len(own))


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace each gradient by its sum over processes; a missing one counts as zero."""
    if not _meets():
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)


def sum_over_processes(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return the sum of each number over processes; alone, the numbers themselves."""
    if not _meets():
        return values
    nccl = distributed.get_backend() == "nccl"  # it adds up what lies on a GPU, and nothing else
    total = values.to("cuda" if nccl else "cpu", copy=True)
    distributed.all_reduce(total)
    return total.to(values.device)


def gather_items(mine: Sequence[Item]) -> list[Item]:
    """Join every process's items, in the order of the processes; all processes get all."""
    if not _meets():
        return list(mine)
    parts: list[list[Item]] = [[] for _ in range(process_rank()[1])]
    distributed.all_gather_object(parts, list(mine))
    return [item for part in parts for item in part]


def gather_rows(mine: Tensor) -> Tensor:
    """Join every process's rows, in the order of the processes; a part may have no row."""
    if process_rank()[1] == 1:
        return mine
    return torch.cat(gather_items([mine.detach().cpu()])).to(mine)
